/**
 * The daemon's end of a domain's xenstore page: mapped by its frame, signalled through an event channel of the store's
 * domain.
 */
import { domainId, eventChannelPort, PAGE_SHIFT } from '@netchannel2/xen';
import { type ByteDuplex, type ByteReceiver, RingServerEnd, type StreamFault } from '@netchannel2/xenstore';
import { Block } from '../domains/domain-block';
import { SimulatedArea } from '../guest/area';
import type { SimulatedDomain } from '../guest/simulated-domain';
import type { Hypervisor } from '../hypervisor';

export interface DaemonRingOptions {
  readonly domid: number;
  readonly guestFrame: number;
  /** The domain's own port, unbound for the store's domain. */
  readonly port: number;
}

/** Serves one domain through its page. Closing it unmaps the page and gives the port back. */
export class DaemonRing implements ByteDuplex {
  readonly #end: RingServerEnd;
  #release: () => void;

  private constructor(end: RingServerEnd, release: () => void) {
    this.#end = end;
    this.#release = release;
  }

  /**
   * Maps the page and binds the channel.
   *
   * @returns `undefined` where the frame is no page of the domain's, or the port not one it left for us.
   */
  static connect(
    hypervisor: Hypervisor,
    daemon: SimulatedDomain,
    { domid, guestFrame, port }: DaemonRingOptions,
  ): DaemonRing | undefined {
    const { domains, grantHost, memory } = hypervisor;
    const frame = grantHost.machineFrame(domid, guestFrame, true);
    if (frame < 0 || !domains.frames.acquire(frame, domid)) return undefined;
    const local = daemon.events.bindInterdomain(domainId(domid), eventChannelPort(port));
    if (typeof local === 'string') {
      domains.releaseReference(frame);
      return undefined;
    }
    const page = SimulatedArea.of(memory, frame << PAGE_SHIFT, [guestFrame]);
    const end = new RingServerEnd(page, () => daemon.events.notify(local));
    const { words } = domains;
    const standing = domains.block(daemon.id) + Block.standingPorts;
    Atomics.add(words, standing, 1);
    daemon.events.listen(local, () => end.signal());
    return new DaemonRing(end, () => {
      page.detach(memory.deadArea);
      if (!daemon.ended) {
        daemon.events.close(local);
        Atomics.sub(words, standing, 1);
      }
      domains.releaseReference(frame);
      hypervisor.reap();
    });
  }

  open(receiver: ByteReceiver): void {
    this.#end.open(receiver);
  }

  send(chunk: Uint8Array): boolean {
    return this.#end.send(chunk);
  }

  pause(): void {
    this.#end.pause();
  }

  resume(): void {
    this.#end.resume();
  }

  fail(fault: StreamFault): void {
    this.#end.fail(fault);
  }

  close(): void {
    this.#end.close();
    const release = this.#release;
    this.#release = () => {};
    release();
  }
}
