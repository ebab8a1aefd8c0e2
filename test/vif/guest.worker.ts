/**
 * A guest on a thread of its own, with a netfront that the registry brings up. A talker says every frame of a conversation
 * and expects each back with its addresses swapped; an echo swaps them and sends the frame back from where it lies.
 */
import { parentPort, workerData } from 'node:worker_threads';
import { bindFrontends } from '@netchannel2/device-registry';
import { type DomainHandle, joinMachine } from '@netchannel2/hypervisor';
import { type Netfront, netfrontDriver } from '@netchannel2/netfront';
import type { Frame } from '@netchannel2/xen';
import { filter, firstValueFrom, switchMap } from 'rxjs';

export interface GuestTask {
  readonly handle: DomainHandle;
  readonly role: 'talker' | 'echo';
  readonly queues: number;
  readonly frames: readonly Uint8Array[];
}

/** What a talker reports at the end. */
export interface TalkerReport {
  readonly sent: number;
  readonly received: number;
  readonly mismatches: number;
}

const CONNECTED = 4;
/** Pages under way: a bridge drops what its next port has no room for. */
const WINDOW_PAGES = 48;

const { handle, role, queues, frames } = workerData as GuestTask;
const { domain } = joinMachine(handle);

domain.run(() => {
  const frontends = bindFrontends(domain, netfrontDriver({ queues, receiveBuffers: 128 }));
  const connected$ = frontends.connections$.pipe(
    switchMap((connection) =>
      connection.state$.pipe(
        filter((state) => state === CONNECTED),
        switchMap(() => [connection.device]),
      ),
    ),
  );
  firstValueFrom(connected$).then(
    (front) => domain.run(() => (role === 'echo' ? echo(front) : talk(front))),
    () => {},
  );
});

function echo(front: Netfront): void {
  front.frames$.subscribe((frame) => {
    const page = frame.fragmentPage(0);
    swapAddresses(page.bytes, page.base + frame.fragmentOffset(0));
    front.send(frame);
  });
  parentPort?.postMessage('ready');
}

function talk(front: Netfront): void {
  const expected = new Map<string, Uint8Array[]>();
  let received = 0;
  let mismatches = 0;
  let next = 0;
  let pages = 0;
  const work = { deferred: false, run: () => send() };
  const send = (): void => {
    for (let frame = frames[next]; frame !== undefined; frame = frames[next]) {
      const needed = Math.ceil(frame.length / 4096);
      if (pages > 0 && pages + needed > WINDOW_PAGES) return;
      if (!front.send(frame)) return;
      const back = frame.slice();
      swapAddresses(back, 0);
      const key = keyOf(back);
      expected.set(key, [...(expected.get(key) ?? []), back]);
      pages += needed;
      next += 1;
    }
  };
  front.writable$.subscribe(() => domain.defer(work));
  front.frames$.subscribe((frame: Frame) => {
    const bytes = frame.toBytes();
    const waiting = expected.get(keyOf(bytes));
    if (waiting === undefined || Buffer.compare(waiting.shift() ?? new Uint8Array(0), bytes) !== 0)
      mismatches += 1;
    received += 1;
    pages -= Math.ceil(bytes.length / 4096);
    if (received < frames.length) {
      domain.defer(work);
      return;
    }
    const report: TalkerReport = { sent: next, received, mismatches };
    parentPort?.postMessage(report);
  });
  parentPort?.once('message', () => domain.run(() => domain.defer(work)));
  parentPort?.postMessage('ready');
}

/** Frames of one length and beginning stay in order whatever queue they take. */
function keyOf(frame: Uint8Array): string {
  return `${frame.length} ${Buffer.from(frame.subarray(12, 54)).toString('hex')}`;
}

function swapAddresses(bytes: Uint8Array, at: number): void {
  for (let index = 0; index < 6; index += 1) {
    const byte = bytes[at + index] ?? 0;
    bytes[at + index] = bytes[at + 6 + index] ?? 0;
    bytes[at + 6 + index] = byte;
  }
}
