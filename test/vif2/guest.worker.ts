/**
 * A guest on a thread of its own with one vif2. It sends numbered frames to another guest whenever there is room, and
 * checks what it receives: whole frames, in rising order.
 */
import { parentPort, workerData } from 'node:worker_threads';
import { bindFrontends } from '@netchannel2/device-registry';
import { type DomainHandle, joinMachine } from '@netchannel2/hypervisor';
import { type Netfront2, netfront2Driver } from '@netchannel2/netfront2';

/** What the thread is started with. */
export interface GuestTask {
  readonly handle: DomainHandle;
  /** Last byte of the addresses 02:00:00:00:00:xx. */
  readonly own: number;
  readonly other: number;
}

/** What the thread tells. */
export interface GuestReport {
  readonly received: number;
  readonly sent: number;
  /** Frames that were damaged or came twice or too late. */
  readonly wrong: number;
}

const LENGTHS = [60, 1514, 200, 300, 9000, 64, 1514, 4096];

const { handle, own, other } = workerData as GuestTask;
const { domain } = joinMachine(handle);
let sent = 0;
let allowed = 0;
let received = 0;
let wrong = 0;
let last = -1;

function frameOf(number: number): Uint8Array {
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
    if (total > 0) allowed = total;
    domain.defer(work);
    const report: GuestReport = { received, sent, wrong };
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
