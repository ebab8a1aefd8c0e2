/** Which pages of a run are taken. First fit from where the last search ended. */
export class PageRuns {
  readonly #used: Uint8Array;
  #next = 0;

  constructor(pageCount: number) {
    this.#used = new Uint8Array(pageCount);
  }

  /** First of `count` adjacent free pages, -1 when there is no such run. */
  take(count: number): number {
    let first = this.#search(this.#next, count);
    if (first < 0 && this.#next > 0) first = this.#search(0, count);
    if (first < 0) return -1;
    this.#used.fill(1, first, first + count);
    this.#next = first + count;
    return first;
  }

  giveBack(first: number, count: number): void {
    this.#used.fill(0, first, first + count);
  }

  #search(start: number, count: number): number {
    let length = 0;
    for (let page = start; page < this.#used.length; page++) {
      length = this.#used[page] === 0 ? length + 1 : 0;
      if (length === count) return page - count + 1;
    }
    return -1;
  }
}
