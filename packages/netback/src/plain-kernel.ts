import type { BackRing } from '@netchannel2/netif';
import type {
  DomainId,
  DomainMemory,
  GrantCopyBatch,
  LeasedPage,
  MemoryArea,
  PageArea,
} from '@netchannel2/xen';
import { vifKernel } from './kernels.generated';
import { PASS_PACKETS } from './packet-batch';

/** What `kernels/vif` exports; see there. */
interface VifKernel {
  takePlain(
    ring: number,
    index: number,
    most: number,
    peer: number,
    frames: number,
    kept: number,
    element: number,
  ): number;
  answerPlain(ring: number, index: number, count: number, kept: number, element: number): void;
}

/** Bytes of the block: a frame for each packet of a pass, then two words each. */
const KEPT = PASS_PACKETS * 4;

/** Takes and answers runs of plain requests by a kernel: one call for each where JavaScript walks the slots. */
export class PlainKernel {
  /** Of each packet the second and third word of its slot, as copied; the third is 0 once its copy failed. */
  readonly kept: Int32Array;
  private readonly words: Int32Array;
  private readonly firstWord: number;

  private constructor(
    private readonly kernel: VifKernel,
    private readonly memory: DomainMemory,
    private readonly block: PageArea,
    private readonly peer: DomainId,
    private readonly ring: BackRing,
    private readonly copies: GrantCopyBatch,
    private readonly elements: MemoryArea,
  ) {
    this.words = block.words;
    this.firstWord = block.base >>> 2;
    const kept = this.firstWord + KEPT / 4;
    this.kept = block.words.subarray(kept, kept + PASS_PACKETS * 2);
  }

  /** @returns `undefined` where a kernel cannot do it. */
  static create(
    memory: DomainMemory,
    peer: DomainId,
    ring: BackRing,
    copies: GrantCopyBatch,
  ): PlainKernel | undefined {
    const { kernels } = memory;
    const { elements } = copies;
    if (kernels === undefined || elements === undefined) return undefined;
    const block = memory.allocate(1);
    if (block === undefined) return undefined;
    const kernel = kernels.load(vifKernel) as unknown as VifKernel;
    return new PlainKernel(kernel, memory, block, peer, ring, copies, elements);
  }

  /** Adds the copies of a run to an empty batch, at most `most` packets, each to one of `pages`. Answers how many. */
  take(pages: readonly LeasedPage[], most: number): number {
    const { words, firstWord, block, ring } = this;
    for (let packet = 0; packet < most; packet += 1)
      words[firstWord + packet] = (pages[packet] as LeasedPage).frame;
    const count = this.kernel.takePlain(
      ring.slot(0) << 2,
      ring.requestIndex,
      most,
      this.peer,
      block.base,
      block.base + KEPT,
      this.elements.base,
    );
    this.copies.append?.(count);
    return count;
  }

  /** Writes the responses of a run whose copies are carried out. */
  answer(count: number): void {
    const { block, ring } = this;
    this.kernel.answerPlain(
      ring.slot(0) << 2,
      ring.responseIndex,
      count,
      block.base + KEPT,
      this.elements.base,
    );
  }

  end(): void {
    this.memory.free(this.block);
  }
}
