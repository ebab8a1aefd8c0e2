/**
 * Runs one asynchronous pass at a time, again for as long as something was reported meanwhile.
 *
 * @packageDocumentation
 */
export class PassLoop {
  private requested = false;
  private running: Promise<void> | undefined;
  private stopped = false;

  /** @param pass must not reject. */
  constructor(private readonly pass: () => Promise<void>) {}

  /** Asks for a pass; any number of requests before it starts are one. */
  request(): void {
    if (this.stopped) return;
    this.requested = true;
    this.running ??= this.run();
  }

  /** No further pass starts; the one under way ends. */
  stop(): void {
    this.stopped = true;
  }

  /** Resolves when no pass is under way or requested. */
  async idle(): Promise<void> {
    while (this.running !== undefined) await this.running;
  }

  private async run(): Promise<void> {
    // Reports arrive in bursts, one per node of a transaction: let them all in first.
    await Promise.resolve();
    while (this.requested && !this.stopped) {
      this.requested = false;
      await this.pass();
    }
    this.running = undefined;
  }
}
