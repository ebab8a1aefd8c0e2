/**
 * The other thread of `join-machine.test.ts`: a guest that answers every event, and says in xenstore where to reach it.
 */
import { parentPort, workerData } from 'node:worker_threads';
import { domainId, type EventChannelPort } from '@netchannel2/xen';
import type { DomainHandle } from './domain-handle';
import { joinMachine } from './join-machine';

interface EchoTask {
  readonly handle: DomainHandle;
  /** A port dom0 allocated for this domain. */
  readonly port: number;
}

const { handle, port } = workerData as EchoTask;
const { domain } = joinMachine(handle);

domain.run(() => {
  const bound = domain.events.bindInterdomain(domainId(0), port as EventChannelPort);
  if (typeof bound === 'string') throw new Error(bound);
  domain.events.listen(bound, () => domain.events.notify(bound));
  domain.store.write('data/ready', 'yes').then(
    () => parentPort?.postMessage('ready'),
    () => {},
  );
});
