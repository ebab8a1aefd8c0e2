import { PROD, RING_B, ringStructWord } from '@netchannel2/netchannel2';
import type { BypassSite } from './bypass-site';

/** Writes as the second guest into its ring of the bypass, and notifies the first one by that guest's port. */
export class BypassIntruder {
  /** Byte index of what it writes next. */
  produced: number;
  private readonly struct: number;

  constructor(private readonly site: BypassSite) {
    this.struct = ringStructWord(site.controlPage, RING_B);
    this.produced = Atomics.load(site.controlPage.words, this.struct + PROD);
  }

  get ringBytes(): number {
    return this.site.ringB.byteLength;
  }

  /** @param shown bytes the first guest is told of. */
  say(words: readonly number[], shown = words.length * 4): void {
    const { words: memory, base, byteLength } = this.site.ringB;
    for (const [index, word] of words.entries())
      memory[(base + ((this.produced + 4 * index) & (byteLength - 1))) >> 2] = word;
    this.produced = (this.produced + shown) | 0;
    this.claim(PROD, this.produced);
  }

  claim(index: number, value: number): void {
    Atomics.store(this.site.controlPage.words, this.struct + index, value | 0);
    this.site.notifyBypass(1);
  }
}
