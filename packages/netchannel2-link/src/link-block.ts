import type {
  DomainId,
  DomainMemory,
  GrantPublications,
  GrantRef,
  GrantRevocations,
  MemoryArea,
  PageArea,
} from '@netchannel2/xen';
import { RECORD_WORDS } from './batch-record';
import { linkKernel } from './kernels.generated';
import { MOST_UNFINISHED, PASS_BUDGET } from './link-settings';
import { DIRECT } from './unfinished-ids';

/** What `kernels/link` exports; see there. */
export interface LinkKernel {
  takePlain(
    block: number,
    consumed: number,
    produced: number,
    limit: number,
    header: number,
    index: number,
    most: number,
    element: number,
    copies: number,
    credit: number,
  ): number;
  takeSeveral(
    block: number,
    consumed: number,
    produced: number,
    limit: number,
    header: number,
    index: number,
    most: number,
    element: number,
    copies: number,
    credit: number,
    parts: number,
    bound: number,
    used: number,
    pages: number,
  ): number;
  anyFailed(element: number, count: number): number;
  forwardPlain(
    block: number,
    consumed: number,
    produced: number,
    limit: number,
    header: number,
    most: number,
    pieces: number,
    target: number,
    room: number,
    sink: number,
    list: number,
    parts: number,
  ): number;
  takeFinishes(
    block: number,
    consumed: number,
    produced: number,
    limit: number,
    header: number,
    most: number,
    list: number,
  ): number;
  writeFinishes(block: number, count: number, target: number, room: number): number;
  writeInline(at: number, size: number, id: number, kind: number, length: number, source: number): void;
  writePieces(
    block: number,
    count: number,
    list: number,
    prefix: number,
    kind: number,
    candidate: number,
  ): number;
  writeSeveral(
    block: number,
    count: number,
    list: number,
    prefix: number,
    kind: number,
    candidate: number,
  ): number;
}

/** The kernel over a domain's memory, `undefined` where it is none of WebAssembly's. */
export function loadLinkKernel({ kernels }: DomainMemory): LinkKernel | undefined {
  return kernels === undefined ? undefined : (kernels.load(linkKernel) as unknown as LinkKernel);
}

/** Packets in so many grants at most are sent, received, handed on and finished in runs; the references stay with their ids. */
export const KEPT_PARTS = 3;

const BLOCK_PAGES = 3 + 2 * KEPT_PARTS;
/** Words of the block. */
const RING = 0;
const RING_BYTES = 1;
const PEER = 2;
const WRITTEN = 3;
const CONSUMED = 4;
const OWED = 5;
const BYTES = 6;
const ADDRESSES = 7;
const COPIED = 10;
const GRANTS = 11;
const COPIES = 12;
const USED = 13;
const SLOTS = 64;
const RECORDS = 256;
/** For each packet that is handed on with a fragment: the id it gets, how many fragments it has, and its sender's id. */
export const FORWARD_WORDS = 4;
const FORWARDS = 768;
/** Byte of the block. */
const IDS = 4096;
const FINISHABLE = 8192;
/** Pages behind the first, of the packets of a batch together, that a kernel may fill. */
export const FURTHER_PAGES = 48;
/** Words of the block. */
const PAGES_BEHIND = 2112;
const FINISHED = 2304;
/** Packets that are noted at a time. */
export const MOST_NOTED = 64;
/**
 * For each: the address of its message, with what is beside it (see `NotedPieces`), that of the first piece, the id and the piece's
 * length, the guest frame.
 */
export const NOTE_WORDS = 4;
const NOTES = 2560;
/** For each further piece of a packet, two words: length and offset, the guest frame. */
const FURTHER = NOTES + MOST_NOTED * NOTE_WORDS;
/** For each grant of an id, those of all ids' first ones side by side: models of publication and revocation, the reference. */
const MODEL_WORDS = 8;
const MODELS = 3072;
const PART_WORDS = MOST_UNFINISHED * MODEL_WORDS;
/** Words of a grant's models; the last is that of a publication which leads to another grant, and differs in that alone. */
const REVOCATION = 4;
const REFERENCE = 6;
const TRANSITIVE = 7;
const PUBLICATION_WORDS = 4;
/** Beside the id of a FINISH: how many grants the packet lies in beside the first. */
export const FINISHED_FURTHER_SHIFT = 16;
export const FINISHED_FURTHER = 0xff << FINISHED_FURTHER_SHIFT;
/** The packet was not obtained. */
export const FINISHED_NOT_OBTAINED = 1 << 31;

/** What a link shares with its kernel: pages of its own. The layout is told in `kernels/link`. */
export class LinkBlock {
  /** The records of a batch, see {@link RECORD_WORDS}. */
  readonly records: Int32Array;
  /** See {@link FORWARD_WORDS}. */
  readonly forwards: Int32Array;
  /** Ids of the FINISHes a kernel took, with {@link FINISHED_FURTHER} and {@link FINISHED_NOT_OBTAINED}. */
  readonly finished: Int32Array;
  /** See {@link NOTE_WORDS}. To be written only while the block is {@link here}. */
  readonly notes: Int32Array;
  /** Of further pieces: where those of a packet begin is where its note does in {@link notes}. */
  readonly further: Int32Array;
  /** Unfinished small ids, see `UnfinishedIds`. */
  readonly ids: Uint8Array;
  private readonly words: Int32Array;
  private readonly transitive = new Int32Array(PUBLICATION_WORDS);

  private constructor(
    readonly kernel: LinkKernel,
    private readonly memory: DomainMemory,
    private readonly area: PageArea,
  ) {
    this.words = area.words;
    const records = this.first + RECORDS;
    this.records = area.words.subarray(records, records + PASS_BUDGET * RECORD_WORDS);
    const forwards = this.first + FORWARDS;
    this.forwards = area.words.subarray(forwards, forwards + PASS_BUDGET * FORWARD_WORDS);
    const finished = this.first + FINISHED;
    this.finished = area.words.subarray(finished, finished + PASS_BUDGET);
    const notes = this.first + NOTES;
    this.notes = area.words.subarray(notes, notes + MOST_NOTED * NOTE_WORDS);
    const further = this.first + FURTHER;
    this.further = area.words.subarray(further, further + MOST_NOTED * NOTE_WORDS);
    this.ids = area.bytes.subarray(area.base + IDS, area.base + IDS + DIRECT);
  }

  /** @returns `undefined` where there is no kernel, or no memory. */
  static create(
    memory: DomainMemory,
    ring: { readonly base: number; readonly byteLength: number },
    peer: number,
  ): LinkBlock | undefined {
    const kernel = loadLinkKernel(memory);
    const area = kernel === undefined ? undefined : memory.allocate(BLOCK_PAGES);
    if (kernel === undefined || area === undefined) return undefined;
    const block = new LinkBlock(kernel, memory, area);
    block.words[block.first + RING] = ring.base;
    block.words[block.first + RING_BYTES] = ring.byteLength;
    block.words[block.first + PEER] = peer;
    return block;
  }

  /** Address. Once the pages are given back, or the domain has ended, that of a page of zeros: kernels do nothing there. */
  get base(): number {
    return this.area.base;
  }

  private get first(): number {
    return this.area.base >>> 2;
  }

  /** Packet `index` of a batch goes to this page. */
  setPage(index: number, base: number, frame: number): void {
    if (!this.here) return;
    const slot = this.first + SLOTS + 2 * index;
    this.words[slot] = base;
    this.words[slot + 1] = frame;
  }

  /** Packets of a batch that are longer than a page go on in this one, `index` of {@link FURTHER_PAGES}; others mean nothing. */
  setFurtherPage(index: number, base: number, frame: number): void {
    if (!this.here || index >= FURTHER_PAGES) return;
    const slot = this.first + PAGES_BEHIND + 2 * index;
    this.words[slot] = base;
    this.words[slot + 1] = frame;
  }

  /** Copies of the batch, with those of the packets that were taken. */
  get copies(): number {
    return this.words[this.first + COPIES] as number;
  }

  /** Likewise the pages behind the first. */
  get used(): number {
    return this.words[this.first + USED] as number;
  }

  /** Index behind the packets that were taken. */
  get consumed(): number {
    return this.words[this.first + CONSUMED] as number;
  }

  /** Packets of those that a FINISH is owed for; or FINISHes written. */
  get owed(): number {
    return this.words[this.first + OWED] as number;
  }

  /** Packets between the addresses at the start of `area` are forwarded. */
  setAddresses(area: MemoryArea): void {
    if (!this.here) return;
    const from = area.base >>> 2;
    for (let word = 0; word < 3; word += 1)
      this.words[this.first + ADDRESSES + word] = area.words[from + word] as number;
  }

  /** @param grants 1 … {@link KEPT_PARTS}: the kernel may take the FINISH of packet `id`, which lies in so many; 0: it may not. */
  setFinishable(id: number, grants: number): void {
    if (this.here) this.area.bytes[this.area.base + FINISHABLE + id] = grants;
  }

  /** Whether {@link setFinishable} said so last. @param id any 32 bits. */
  isFinishable(id: number): boolean {
    return id >>> 0 < MOST_UNFINISHED && this.here && this.area.bytes[this.area.base + FINISHABLE + id] !== 0;
  }

  /** Grant `part` of packets `id` is one of `ref`, which the lists are to say. */
  setModels(
    id: number,
    part: number,
    ref: GrantRef,
    peer: DomainId,
    publications: GrantPublications,
    revocations: GrantRevocations,
  ): void {
    if (!this.here) return;
    const { words, transitive } = this;
    const at = this.first + MODELS + part * PART_WORDS + id * MODEL_WORDS;
    publications.modelSubPage?.(ref, peer, true, words, at);
    publications.modelTransitive?.(ref, peer, true, transitive, 0);
    revocations.model?.(ref, words, at + REVOCATION);
    words[at + REFERENCE] = ref;
    words[at + TRANSITIVE] = transitive[PUBLICATION_WORDS - 1] as number;
  }

  /** Its pages are the link's still: what lies in them may be written. */
  get here(): boolean {
    return this.area.byteLength > 0;
  }

  /** Bytes of messages written. */
  get written(): number {
    return this.words[this.first + WRITTEN] as number;
  }

  /** Grants of the packets that were handed on, or finished. */
  get grants(): number {
    return this.words[this.first + GRANTS] as number;
  }

  /** Bytes copied from ring to ring. */
  get copied(): number {
    return this.words[this.first + COPIED] as number;
  }

  /** Bytes copied out of the ring; or of the frames that were forwarded. */
  get bytes(): number {
    return this.words[this.first + BYTES] as number;
  }

  /** Counts bytes that a kernel has moved. */
  countCopied(bytes: number): void {
    this.memory.kernels?.countCopied(bytes);
  }

  end(): void {
    this.memory.free(this.area);
  }
}
