import { XenStoreClient } from '@netchannel2/xenstore';
import { asyncScheduler, type SchedulerLike } from 'rxjs';
import { Block } from '../domains/domain-block';
import { bindGrantOperations, bootGuestGrants } from '../grants/bind-grant-table';
import { SimulatedDomain } from '../guest/simulated-domain';
import type { SimulatedEventChannels } from '../guest/simulated-event-channels';
import { Hypervisor } from '../hypervisor';
import { MachineMemory } from '../machine/machine-memory';
import { MachineThread } from '../run/thread';
import { type GuestStore, openGuestStore } from '../store/guest-store';
import { MessagePortDuplex } from '../store/message-port-duplex';
import { storeStart } from '../store/store-page';
import type { DomainHandle } from './domain-handle';

/** A domain on the thread that joined the machine for it. */
export interface JoinedDomain {
  readonly domain: SimulatedDomain;
  /** Resolves when no work is queued here. */
  idle(): Promise<void>;
  /** Lets go: the domain's code runs no more here, the thread may end, and the machine destroys the domain. */
  leave(): void;
}

/**
 * Runs a domain on the calling thread: builds views, kernels and a hypervisor of its own over the machine's memory. The
 * thread stays alive until `leave()`, or until the machine destroys the domain.
 *
 * @param scheduler for everything of the domain that waits; default `asyncScheduler`.
 */
export function joinMachine(handle: DomainHandle, scheduler?: SchedulerLike): JoinedDomain {
  const memory = MachineMemory.attach(handle.memory);
  const thread = new MachineThread(memory, scheduler, () => performance.now());
  const hypervisor = new Hypervisor(memory, {
    kicker: thread,
    crashed: (domid) => thread.domain(domid)?.halt(),
    scheduler,
    grantOperations: (host) => bindGrantOperations(host, handle.grantOptions),
  });
  hypervisor.goConcurrent();
  thread.know(hypervisor.domains);
  const block = hypervisor.domains.block(handle.domid);
  if (block === 0)
    throw new RangeError(`domain ${handle.domid} is gone: it was destroyed before this thread joined`);
  const domain = new SimulatedDomain(handle.name, block, handle.grantTableVersion, {
    hypervisor,
    loop: thread.loop,
    clock: thread.clock,
    scheduler: scheduler ?? asyncScheduler,
    createGrants: (guest) => bootGuestGrants(hypervisor, guest),
    openStore: (events) => openStore(handle, hypervisor, block, events),
  });
  thread.add(domain);
  Atomics.store(memory.words, block + Block.doorbell, hypervisor.thread);
  thread.listen(hypervisor.domains, hypervisor.thread);
  let left = false;
  const leave = () => {
    if (left) return;
    left = true;
    domain.end();
    thread.remove(handle.domid);
    thread.stopListening();
    thread.loop.stop();
    Atomics.store(memory.words, block + Block.doorbell, 0);
    hypervisor.retire();
    handle.control.close();
  };
  // The machine closes its end to have the domain stopped; ours closing tells it that nothing runs any more.
  handle.control.on('message', leave);
  handle.control.on('close', leave);
  return { domain, idle: () => thread.loop.idle(), leave };
}

/** Through the ring page where the domain has one, else through the port that came with the handle. */
function openStore(
  handle: DomainHandle,
  hypervisor: Hypervisor,
  block: number,
  events: SimulatedEventChannels,
): GuestStore {
  const start = storeStart(hypervisor, block);
  if (start !== undefined) return openGuestStore(hypervisor.memory, events, start);
  if (handle.store === undefined) throw new Error(`domain ${handle.domid} was given no way to xenstore`);
  const store = new XenStoreClient(new MessagePortDuplex(handle.store));
  return { store, stop: () => store.close() };
}
