/**
 * Frames that may be sent without asking again whether they may: whoever has a reason against that closes it. Each that passes
 * takes one off {@link left}.
 */
export class SendGate {
  /** Frames that may pass still. */
  left = 0;
  private opened = 0;
  private passed = 0;

  /** Lets so many frames pass; only while closed. */
  open(count: number): void {
    this.left = count;
    this.opened = count;
  }

  close(): void {
    this.passed += this.opened - this.left;
    this.left = 0;
    this.opened = 0;
  }

  /** Closes it. @returns how many frames passed since the last call. */
  takePassed(): number {
    this.close();
    const { passed } = this;
    this.passed = 0;
    return passed;
  }
}
