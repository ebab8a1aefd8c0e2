import { LARGEST_FRAGMENT_COUNT } from '@netchannel2/netchannel2';
import {
  type DomainId,
  type GrantEntries,
  type GrantedFrameHold,
  type GrantRef,
  type LeasedPage,
  NO_GRANT_REF,
} from '@netchannel2/xen';
import type { SchedulerLike } from 'rxjs';
import { ForwardedPackets } from './forwarded-packets';
import { ForwardingCredit } from './forwarding-credit';
import type { GrantLists } from './grant-lists';
import { KEPT_PARTS, type LinkBlock } from './link-block';
import { PacketIds } from './packet-ids';

/**
 * What is kept of each packet in exact grants: in pages of ours, which are leased until FINISH, or in a third domain's, whose
 * packet is held as long. The first references of an id are kept with the id.
 */
export class SubPageBooks {
  readonly ids: PacketIds;
  readonly credit: ForwardingCredit;
  /** Fragments granted for each id; one where it is free, as most packets have. */
  readonly counts: Int32Array;
  /** A slot for each fragment. Those of all packets' first ones are side by side, the first of packet `id` at `id`. */
  readonly refs: Int32Array;
  /** Slots likewise. */
  readonly pages: (LeasedPage | undefined)[];
  /** Packets that came from third domains in runs. */
  readonly forwarded: ForwardedPackets;
  /** Of packets that lie in a third domain's grants and were handed on one by one. */
  private readonly holds: (GrantedFrameHold | undefined)[];
  private readonly owners: Int32Array;

  /** @param block shared with kernels, where there are some; @param lists what these grant and revoke by. */
  constructor(
    private readonly entries: GrantEntries,
    private readonly capacity: number,
    scheduler: SchedulerLike,
    private readonly block: LinkBlock | undefined,
    private readonly lists: GrantLists | undefined,
  ) {
    this.ids = new PacketIds(capacity);
    this.credit = new ForwardingCredit(scheduler, capacity);
    this.counts = new Int32Array(capacity).fill(1);
    this.refs = new Int32Array(capacity * LARGEST_FRAGMENT_COUNT).fill(NO_GRANT_REF);
    this.pages = new Array<LeasedPage | undefined>(capacity * LARGEST_FRAGMENT_COUNT).fill(undefined);
    this.holds = new Array<GrantedFrameHold | undefined>(capacity).fill(undefined);
    this.owners = new Int32Array(capacity);
    this.forwarded = new ForwardedPackets(capacity, (owner, count) => this.credit.unpark(owner, count));
  }

  /** The slot of fragment `part` of packet `id`. */
  slot(id: number, part: number): number {
    return part * this.capacity + id;
  }

  /** The reference of a slot, a fresh one if it has none; {@link NO_GRANT_REF} when there are no more. */
  reference(slot: number): GrantRef {
    const kept = this.refs[slot] as GrantRef;
    if (kept !== NO_GRANT_REF) return kept;
    const ref = this.entries.allocate();
    this.refs[slot] = ref;
    if (ref !== NO_GRANT_REF && slot < KEPT_PARTS * this.capacity) {
      const part = Math.trunc(slot / this.capacity);
      this.lists?.setReference(slot - part * this.capacity, part, ref);
    }
    return ref;
  }

  /** The grant of a slot is withdrawn: its reference stays with the id, or goes back. */
  restReference(slot: number): void {
    if (slot >= KEPT_PARTS * this.capacity) this.freeReference(slot);
  }

  /** Gives back all references, which grant nothing. */
  freeReferences(): void {
    for (let slot = 0; slot < KEPT_PARTS * this.capacity; slot += 1) this.freeReference(slot);
  }

  /** Gives the reference of a slot back, which grants nothing. */
  freeReference(slot: number): void {
    const ref = this.refs[slot] as GrantRef;
    if (ref !== NO_GRANT_REF) this.entries.free(ref);
    this.refs[slot] = NO_GRANT_REF;
  }

  /** Packet `id` lies in so many grants. */
  setCount(id: number, count: number): void {
    this.counts[id] = count;
    if (count <= KEPT_PARTS) this.block?.setFinishable(id, count);
  }

  /** Packet `id` is not unfinished any more. */
  close(id: number): void {
    this.ids.close(id);
    this.block?.setFinishable(id, 0);
  }

  /** No kernel may take the FINISH of packet `id`. */
  forgetFinishable(id: number): void {
    this.block?.setFinishable(id, 0);
  }

  /** Packet `id` lies in grants of `owner`. */
  hold(id: number, owner: DomainId, hold: GrantedFrameHold): void {
    this.holds[id] = hold;
    this.owners[id] = owner;
    this.credit.park(owner);
  }

  isForwarded(id: number): boolean {
    return this.holds[id] !== undefined || this.forwarded.origin(id) !== undefined;
  }

  /** What the peer says of packet `id`: who cannot copy through grants of a sender that lives gets copies for a while. */
  judge(id: number, obtained: boolean): void {
    const sender = this.holds[id] ?? this.forwarded.origin(id);
    if (sender !== undefined && !sender.gone) this.credit.judge(obtained);
  }

  /** Packet `id` is over; if it lies in a third domain's grants, that is told when `forwarded` is flushed. */
  letGo(id: number, obtained: boolean): void {
    const origin = this.forwarded.origin(id);
    if (origin !== undefined) {
      this.forwarded.remove(id, origin, obtained);
      return;
    }
    const hold = this.holds[id];
    if (hold === undefined) return;
    this.holds[id] = undefined;
    this.credit.unpark(this.owners[id] as DomainId);
    hold.release(obtained);
  }
}
