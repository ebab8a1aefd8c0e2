/**
 * A guest on a thread of its own with one vif2. It sends numbered frames to another guest whenever there is room, and
 * checks what it receives: whole frames, in rising order.
 */
import { parentPort, workerData } from 'node:worker_threads';
import { bindFrontends } from '@netchannel2/device-registry';
import { type DomainHandle, joinMachine } from '@netchannel2/hypervisor';
import { type Netfront2, netfront2Driver } from '@netchannel2/netfront2';
import { FrameDigest } from './frame-digest';

/** What the thread is started with. */
export interface GuestTask {
  readonly handle: DomainHandle;
  /** Last byte of the addresses 02:00:00:00:00:xx. */
  readonly own: number;
  readonly other: number;
  /** What the guest says, instead of numbered frames; then all that it hears is digested. */
  readonly frames?: readonly Uint8Array[] | undefined;
}

/** What the thread tells. */
export interface GuestReport {
  readonly received: number;
  readonly sent: number;
  /** Frames that were damaged or came twice or too late. */
  readonly wrong: number;
  /** Of all frames received, with their lengths, in order; only where the guest was given frames. */
  readonly digest: string;
  /** Frames sent over a bypass. */
  readonly bypassed: number;
}

const LENGTHS = [60, 1514, 200, 300, 9000, 64, 1514, 4096];

const { handle, own, other, frames } = workerData as GuestTask;
const { domain } = joinMachine(handle);
let sent = 0;
let allowed = 0;
let received = 0;
let wrong = 0;
let last = -1;
const heard = new FrameDigest();

function frameOf(number: number): Uint8Array {
  if (frames !== undefined) return frames[number] ?? new Uint8Array(0);
  const frame = new Uint8Array(LENGTHS[number % LENGTHS.length] ?? 60).fill(number & 0xff);
  frame.set([2, 0, 0, 0, 0, other, 2, 0, 0, 0, 0, own, 0x88, 0xb5]);
  new DataView(frame.buffer).setUint32(16, number);
  return frame;
}

function start(port: Netfront2): void {
  const pump = () => {
    while (sent < allowed && port.send(frameOf(sent))) sent += 1;
  };
  port.writable$.subscribe(() => domain.defer(work));
  port.frames$.subscribe((frame) => {
    if (frames !== undefined) {
      heard.add(frame.toBytes());
      received += 1;
      return;
    }
    if (frame.uint16(12) !== 0x88b5) return;
    const number = frame.uint32(16);
    const length = LENGTHS[number % LENGTHS.length];
    const end = frame.uint8(frame.byteLength - 1);
    if (number <= last || frame.byteLength !== length || end !== (number & 0xff)) wrong += 1;
    last = number;
    received += 1;
  });
  const work = { deferred: false, run: pump };
  parentPort?.on('message', (total: number) => {
    if (total > 0) allowed = frames === undefined ? total : Math.min(total, frames.length);
    domain.defer(work);
    const report: GuestReport = {
      received,
      sent,
      wrong,
      digest: heard.sum[1],
      bypassed: port.counters.bypassFramesSent,
    };
    parentPort?.postMessage(report);
  });
}

domain.run(() => {
  const frontends = bindFrontends(domain, netfront2Driver({ ringPageOrder: 2, poolPages: 128 }));
  frontends.devices$.subscribe(start);
  domain.store.read('name').then(
    () => parentPort?.postMessage('running'),
    (error: unknown) => {
      throw error;
    },
  );
});
