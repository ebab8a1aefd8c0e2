/**
 * The operations of the event-channel hypercall on plain numbers. Each answers 0 or a port, or a negative errno; the
 * first failing check decides (spec event-channels.md §3).
 */
import { DOMID_SELF } from '@netchannel2/xen';
import { Block, VIRQ_COUNT } from '../domains/domain-block';
import type { DomainTable } from '../domains/domain-table';
import { EAGAIN, EBUSY, EEXIST, EINVAL, ENOENT, ENOSYS, EOPNOTSUPP, EPERM, ESRCH } from '../domains/errors';
import { lock, lockPair, unlock, unlockPair } from '../machine/lock';
import type { EventDelivery } from './delivery';
import { findFreePort } from './port-allocation';
import { notifyVcpu, Port, PortState, portRecord, portState, setPortState } from './port-record';
import { SharedInfo } from './shared-info';
import { virqScope } from './virqs';

/** What `EVTCHNOP_status` answers besides its result. */
export interface PortStatus {
  status: number;
  vcpu: number;
  /** Remote domain, or the number of a VIRQ. */
  domain: number;
  port: number;
}

/** `EVTCHNSTAT_*` of each state. */
const STATUS_OF_STATE = [0, 0, 1, 2, 3, 4, 5] as const;
const GLOBAL_VIRQ_DOMAIN = 0;
const FIFO_LAST_OFFSET = 4024;

export class EventChannelOperations {
  readonly #words: Int32Array;

  constructor(
    private readonly domains: DomainTable,
    private readonly delivery: EventDelivery,
  ) {
    this.#words = domains.words;
  }

  allocateUnbound(caller: number, domid: number, remote: number): number {
    const words = this.#words;
    const block = this.domains.resolve(caller, domid);
    if (block === 0) return ESRCH;
    lock(words, block + Block.eventLock);
    let port = findFreePort(this.domains, block);
    if (port >= 0) {
      if (this.domains.mayControl(caller, words[block + Block.domid] as number)) {
        this.#take(block, port, PortState.unbound, 0, remote === DOMID_SELF ? caller : remote, 0);
      } else {
        port = EPERM;
      }
    }
    unlock(words, block + Block.eventLock);
    return port;
  }

  bindInterdomain(caller: number, remoteDomid: number, remotePort: number): number {
    const words = this.#words;
    const remote = this.domains.resolve(caller, remoteDomid);
    const block = this.domains.block(caller);
    if (remote === 0 || block === 0) return ESRCH;
    lockPair(words, block + Block.eventLock, remote + Block.eventLock);
    const port = this.#bindLocked(caller, block, remote, remotePort);
    unlockPair(words, block + Block.eventLock, remote + Block.eventLock);
    return port;
  }

  #bindLocked(caller: number, block: number, remote: number, remotePort: number): number {
    const words = this.#words;
    const port = findFreePort(this.domains, block);
    if (port < 0) return port;
    const far = portRecord(words, remote, remotePort);
    if (far < 0 || portState(words, far) !== PortState.unbound) return EINVAL;
    if (words[far + Port.remoteDomain] !== caller) return EINVAL;
    const near = portRecord(words, block, port);
    lockPair(words, near + Port.lock, far + Port.lock);
    words[near + Port.remoteDomain] = words[remote + Block.domid] as number;
    words[near + Port.remotePort] = remotePort;
    words[far + Port.remotePort] = port;
    setPortState(words, near, PortState.interdomain, 0);
    setPortState(words, far, PortState.interdomain, notifyVcpu(words, far));
    Atomics.add(words, block + Block.openPorts, 1);
    // Events sent before the bind went nowhere, so the binder always gets one.
    this.delivery.setPending(block, port);
    unlockPair(words, near + Port.lock, far + Port.lock);
    return port;
  }

  bindVirq(caller: number, virq: number, vcpu: number): number {
    const words = this.#words;
    const block = this.domains.block(caller);
    if (virq < 0 || virq >= VIRQ_COUNT) return EINVAL;
    const scope = virqScope(virq);
    if (scope !== 'vcpu' && vcpu !== 0) return EINVAL;
    if (!this.#hasVcpu(block, vcpu)) return ENOENT;
    if (scope === 'global' && caller !== GLOBAL_VIRQ_DOMAIN) return EBUSY;
    lock(words, block + Block.eventLock);
    const slot = block + Block.virqPorts + vcpu * VIRQ_COUNT + virq;
    let port = EEXIST;
    if (words[slot] === 0) {
      port = findFreePort(this.domains, block);
      if (port >= 0) {
        this.#take(block, port, PortState.virq, vcpu, virq, 0);
        Atomics.store(words, slot, port);
      }
    }
    unlock(words, block + Block.eventLock);
    return port;
  }

  bindIpi(caller: number, vcpu: number): number {
    const words = this.#words;
    const block = this.domains.block(caller);
    if (!this.#hasVcpu(block, vcpu)) return ENOENT;
    lock(words, block + Block.eventLock);
    const port = findFreePort(this.domains, block);
    if (port >= 0) this.#take(block, port, PortState.ipi, vcpu, 0, 0);
    unlock(words, block + Block.eventLock);
    return port;
  }

  close(caller: number, port: number): number {
    return this.closePort(this.domains.block(caller), port);
  }

  /** Frees a port of a block; the peer's end turns unbound and hears nothing. */
  closePort(block: number, port: number): number {
    const words = this.#words;
    const record = portRecord(words, block, port);
    if (record < 0) return EINVAL;
    for (;;) {
      const interdomain = portState(words, record) === PortState.interdomain;
      const remote = interdomain ? this.domains.block(words[record + Port.remoteDomain] as number) : 0;
      const other = remote === 0 ? block : remote;
      lockPair(words, block + Block.eventLock, other + Block.eventLock);
      const state = portState(words, record);
      const current =
        state === PortState.interdomain ? this.domains.block(words[record + Port.remoteDomain] as number) : 0;
      const settled = current === remote;
      let result = 0;
      if (settled) {
        if (state <= PortState.reserved) result = EINVAL;
        else this.#free(block, port, record, remote);
      }
      unlockPair(words, block + Block.eventLock, other + Block.eventLock);
      // The peer bound or closed between the look and the locks: look again.
      if (settled) return result;
    }
  }

  #free(block: number, port: number, record: number, remote: number): void {
    const words = this.#words;
    const state = portState(words, record);
    if (state === PortState.virq) this.#forgetVirq(block, port, record);
    const far = remote === 0 ? record : portRecord(words, remote, words[record + Port.remotePort] as number);
    lockPair(words, record + Port.lock, far + Port.lock);
    if (remote !== 0) {
      words[far + Port.remoteDomain] = words[block + Block.domid] as number;
      words[far + Port.remotePort] = 0;
      setPortState(words, far, PortState.unbound, notifyVcpu(words, far));
    }
    setPortState(words, record, PortState.free, 0);
    const info = (words[block + Block.sharedInfo] as number) >>> 2;
    Atomics.and(words, info + SharedInfo.pending + (port >>> 5), ~(1 << (port & 31)));
    unlockPair(words, record + Port.lock, far + Port.lock);
    Atomics.sub(words, block + Block.openPorts, 1);
  }

  #forgetVirq(block: number, port: number, record: number): void {
    const virq = this.#words[record + Port.remoteDomain] as number;
    const rows = virqScope(virq) === 'vcpu' ? (this.#words[block + Block.vcpus] as number) : 1;
    for (let vcpu = 0; vcpu < rows; vcpu++) {
      const slot = block + Block.virqPorts + vcpu * VIRQ_COUNT + virq;
      if (this.#words[slot] === port) Atomics.store(this.#words, slot, 0);
    }
  }

  /** Fills `answer` for a port of `domid`. */
  status(caller: number, domid: number, port: number, answer: PortStatus): number {
    const words = this.#words;
    const block = this.domains.resolve(caller, domid);
    if (block === 0) return ESRCH;
    const record = portRecord(words, block, port);
    if (record < 0) return EINVAL;
    if (!this.domains.mayControl(caller, words[block + Block.domid] as number)) return EPERM;
    lock(words, record + Port.lock);
    const state = portState(words, record);
    answer.status = STATUS_OF_STATE[state] ?? 0;
    answer.vcpu = notifyVcpu(words, record);
    answer.domain = state >= PortState.unbound ? (words[record + Port.remoteDomain] as number) : 0;
    answer.port = state === PortState.interdomain ? (words[record + Port.remotePort] as number) : 0;
    unlock(words, record + Port.lock);
    return 0;
  }

  bindVcpu(caller: number, port: number, vcpu: number): number {
    const words = this.#words;
    const block = this.domains.block(caller);
    if (!this.#hasVcpu(block, vcpu)) return ENOENT;
    const record = portRecord(words, block, port);
    if (record < 0) return EINVAL;
    lock(words, block + Block.eventLock);
    const state = portState(words, record);
    const fixed =
      state <= PortState.reserved ||
      state === PortState.ipi ||
      (state === PortState.virq && virqScope(words[record + Port.remoteDomain] as number) === 'vcpu');
    if (!fixed) setPortState(words, record, state, vcpu);
    unlock(words, block + Block.eventLock);
    return fixed ? EINVAL : 0;
  }

  unmask(caller: number, port: number): number {
    const block = this.domains.block(caller);
    if (portRecord(this.#words, block, port) < 0) return EINVAL;
    this.delivery.unmask(block, port);
    return 0;
  }

  reset(caller: number, domid: number): number {
    const words = this.#words;
    const block = this.domains.resolve(caller, domid);
    if (block === 0) return ESRCH;
    const target = words[block + Block.domid] as number;
    if (!this.domains.mayControl(caller, target)) return EPERM;
    if (target !== caller && words[block + Block.paused] === 0) return EINVAL;
    if (Atomics.compareExchange(words, block + Block.resetting, 0, 1) !== 0) return EBUSY;
    this.closeAll(block);
    const result = Atomics.load(words, block + Block.openPorts) === 0 ? 0 : EAGAIN;
    Atomics.store(words, block + Block.resetting, 0);
    return result;
  }

  /** Closes every port, highest first: reset, and the second step of a domain's end. */
  closeAll(block: number): void {
    for (let port = (this.#words[block + Block.validPorts] as number) - 1; port > 0; port--) {
      const state = portState(this.#words, portRecord(this.#words, block, port));
      if (state > PortState.reserved) this.closePort(block, port);
    }
  }

  /** The FIFO ABI is not offered: a well-formed request is an unknown operation. */
  initControl(caller: number, vcpu: number, offset: number): number {
    if (!this.#hasVcpu(this.domains.block(caller), vcpu)) return ENOENT;
    if (offset > FIFO_LAST_OFFSET || offset % 8 !== 0) return EINVAL;
    return ENOSYS;
  }

  expandArray(): number {
    return EOPNOTSUPP;
  }

  setPriority(caller: number, port: number): number {
    return portRecord(this.#words, this.domains.block(caller), port) < 0 ? EINVAL : ENOSYS;
  }

  /** Xen's own: raises a VIRQ where it is bound. */
  raiseVirq(domid: number, virq: number, vcpu: number): void {
    const block = this.domains.block(domid);
    if (block === 0) return;
    const port = Atomics.load(this.#words, block + Block.virqPorts + vcpu * VIRQ_COUNT + virq);
    if (port !== 0) this.delivery.setPending(block, port);
  }

  #take(
    block: number,
    port: number,
    state: PortState,
    vcpu: number,
    remoteDomain: number,
    remotePort: number,
  ): void {
    const words = this.#words;
    const record = portRecord(words, block, port);
    words[record + Port.remoteDomain] = remoteDomain;
    words[record + Port.remotePort] = remotePort;
    setPortState(words, record, state, vcpu);
    Atomics.add(words, block + Block.openPorts, 1);
  }

  #hasVcpu(block: number, vcpu: number): boolean {
    return vcpu >= 0 && vcpu < (this.#words[block + Block.vcpus] as number);
  }
}
