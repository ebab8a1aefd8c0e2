import { FLUSH_EVERY } from './link-settings';

/**
 * Counts the messages that wait to be shown to the peer. While some do, so that a flush is to come, it stands open: frames pass
 * without asking again whether they may, each taking one off {@link left}. Whoever has a reason against that closes it.
 */
export class SendGate {
  /** Frames that may pass still. */
  left = 0;
  private opened = 0;
  private counted = 0;

  /** Messages were written that did not pass. Closes it. */
  count(messages: number): void {
    this.close();
    this.counted += messages;
  }

  /** So many wait that they are to be shown now. To be asked while it is closed. */
  get due(): boolean {
    return this.counted >= FLUSH_EVERY;
  }

  /** Lets frames pass, but for the one that makes a flush {@link due}: who sends that sees to it. None, where none waits. */
  open(): void {
    this.close();
    if (this.counted === 0) return;
    this.opened = Math.max(0, FLUSH_EVERY - 1 - this.counted);
    this.left = this.opened;
  }

  close(): void {
    this.counted += this.opened - this.left;
    this.opened = 0;
    this.left = 0;
  }

  /** All messages are shown. Closes it. */
  shown(): void {
    this.close();
    this.counted = 0;
  }
}
