/**
 * Which guest frames of a domain's mapping window are taken. Kept by the domain's own kernel.
 */
export class MappingWindow {
  readonly #used: Uint8Array;
  #next = 0;

  constructor(
    private readonly firstFrame: number,
    length: number,
  ) {
    this.#used = new Uint8Array(length);
  }

  /** First of `count` adjacent free guest frames, -1 when there is no such run. */
  allocate(count: number): number {
    let first = this.#search(this.#next, count);
    if (first < 0 && this.#next > 0) first = this.#search(0, count);
    if (first < 0) return -1;
    this.#used.fill(1, first, first + count);
    this.#next = first + count;
    return this.firstFrame + first;
  }

  free(frame: number, count: number): void {
    const first = frame - this.firstFrame;
    this.#used.fill(0, first, first + count);
  }

  #search(start: number, count: number): number {
    let length = 0;
    for (let index = start; index < this.#used.length; index++) {
      length = this.#used[index] === 0 ? length + 1 : 0;
      if (length === count) return index - count + 1;
    }
    return -1;
  }
}
