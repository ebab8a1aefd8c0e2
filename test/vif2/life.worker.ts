/** A guest on a thread of its own whose vif2 driver is let go, taken back and resumed as it is told, amid its traffic. */
import { parentPort, workerData } from 'node:worker_threads';
import { bindFrontends, type FrontendBinding } from '@netchannel2/device-registry';
import { type DomainHandle, joinMachine } from '@netchannel2/hypervisor';
import { type Netfront2, netfront2Driver } from '@netchannel2/netfront2';
import { numberedFrame } from './vif2-pair';

/** What the guest is told. It answers `count` with the frames it has received, the others not at all. */
export type LifeOrder = 'talk' | 'count' | 'close' | 'close and take back' | 'resume' | 'exit';

const LENGTHS = [60, 1514, 9000, 300];

const { domain } = joinMachine(workerData as DomainHandle);
let received = 0;
let talking = false;
let sent = 0;
let frontends: FrontendBinding<Netfront2>;

/** Sends whenever there is room, as long as it is to talk. */
const pump = { deferred: false, run: () => frontends.devices[0] !== undefined && say(frontends.devices[0]) };

function say(port: Netfront2): void {
  const length = LENGTHS[sent % LENGTHS.length] ?? 60;
  while (talking && port.send(numberedFrame(length, sent))) sent += 1;
}

function bind(): void {
  frontends = bindFrontends(domain, netfront2Driver({ poolPages: 64 }));
  frontends.devices$.subscribe((port) => {
    port.frames$.subscribe(() => {
      received += 1;
    });
    port.writable$.subscribe(() => domain.defer(pump));
  });
}

async function closeAndTakeBack(): Promise<void> {
  await frontends.close();
  bind();
}

function obey(order: LifeOrder): void {
  switch (order) {
    case 'talk':
      talking = true;
      domain.defer(pump);
      break;
    case 'count':
      parentPort?.postMessage(received);
      break;
    case 'close':
      void frontends.close();
      break;
    case 'close and take back':
      void closeAndTakeBack();
      break;
    case 'resume':
      frontends.resume();
      break;
    case 'exit':
      process.exit();
      break;
    default:
      order satisfies never;
  }
}

domain.run(() => {
  bind();
  parentPort?.on('message', (order: LifeOrder) => domain.run(() => obey(order)));
  void domain.store.read('name').then(() => parentPort?.postMessage('running'));
});
