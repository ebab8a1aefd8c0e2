/** Packets of one destination, followed from their sending to their FINISH. */
export class PacketFlow {
  /** A packet was sent: what was sent before it and has no FINISH of its own is behind a packet that has. */
  marked = false;
  unfinished = 0;

  /** @param idle called when the last unfinished packet was finished; amid a pass, so it may only defer. */
  constructor(readonly idle: () => void) {}
}

/** Which of a link's unfinished packets belong to a flow. Costs nothing while none does. */
export class TrackedPackets {
  /** Unfinished packets of all flows. */
  count = 0;
  private readonly flows: (PacketFlow | undefined)[] = [];

  /** @param id of a packet just sent. */
  add(id: number, flow: PacketFlow): void {
    this.flows[id] = flow;
    flow.marked = true;
    flow.unfinished += 1;
    this.count += 1;
  }

  /** @param id of any packet that was finished. */
  finished(id: number): void {
    const flow = this.flows[id];
    if (flow === undefined) return;
    this.flows[id] = undefined;
    this.count -= 1;
    flow.unfinished -= 1;
    if (flow.unfinished === 0) flow.idle();
  }
}
