/** Says now and then how far a long run is, where one was asked for; a run of the suite says nothing. */
export class SoakProgress {
  #next: number;

  /** @param what runs. @param total how much of it there is to do. @param asked whether anybody wants to know. */
  constructor(
    private readonly what: string,
    private readonly total: number,
    private readonly asked: boolean,
  ) {
    this.#next = total / 10;
  }

  /** @param done so far. */
  at(done: number): void {
    if (!this.asked || done < this.#next) return;
    this.#next = done + this.total / 10;
    const time = new Date().toISOString().slice(11, 19);
    process.stdout.write(`${time} ${this.what}: ${done} of ${this.total}\n`);
  }
}
