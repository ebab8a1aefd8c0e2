/**
 * FINISHes of packets to one destination that a middle holds back: while a bypass is set up, a FINISH tells its sender that
 * the destination has the packet and all before it (spec vif2.md §6.2). Only used then, so it may allocate.
 */
export class HeldFinishes {
  private readonly ids: number[] = [];
  private readonly flags: number[] = [];

  /**
   * @param all the link's: this one is in it until it ends.
   * @param target the destination's address, six bytes.
   * @param added one more is held; called amid a pass, so it may only defer.
   * @param finish sends one FINISH.
   */
  constructor(
    private readonly all: HeldFinishes[],
    readonly target: Uint8Array,
    private readonly added: () => void,
    private readonly finish: (id: number, flags: number) => void,
  ) {
    all.push(this);
  }

  get count(): number {
    return this.ids.length;
  }

  hold(id: number, flags: number): void {
    this.ids.push(id);
    this.flags.push(flags);
    this.added();
  }

  /** Sends all that are held, in order. */
  release(): void {
    const ids = this.ids.splice(0);
    const flags = this.flags.splice(0);
    ids.forEach((id, index) => {
      this.finish(id, flags[index] ?? 0);
    });
  }

  /** Sends all that are held, and holds none from now on. */
  end(): void {
    const place = this.all.indexOf(this);
    if (place >= 0) this.all.splice(place, 1);
    this.release();
  }
}
