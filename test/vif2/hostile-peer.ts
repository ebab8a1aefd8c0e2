import { CONS, CONS_EVENT, PROD, PROD_EVENT } from '@netchannel2/netchannel2';
import type { RawByteRing, SeededRandom } from '@netchannel2/testing';
import type { Domain, DomainId, SharedPages } from '@netchannel2/xen';

const PACKET = 2;
const FINISH = 3;
const PAD = 255;
const CONTROL_TYPES = [1, 4, 5, 9, 10, 11, 12, 13, 14, 15, 16, 17];

/** A raw device of the testing kit, either end. */
export interface RawDevice {
  readonly ring: RawByteRing;
  notify(): void;
}

/**
 * A peer that writes whatever comes to its mind, mostly close to what a real one would: it speaks the wire format by itself,
 * not through the drivers' code. Every `act` ends with a notification.
 */
export class HostilePeer {
  /** Ids of packets the driver sent and this peer has not finished. */
  private readonly unfinished: number[] = [];
  private readonly payload: { readonly bytes: Uint8Array; readonly base: number };
  private produced = 0;
  private consumed = 0;
  private nextId = 0;
  /** Messages written, and indices moved. */
  mutations = 0;
  private shared: SharedPages | undefined;
  /** By an index of its own making. */
  private misled = false;

  /**
   * @param incoming payload of the ring the driver produces on.
   * @param head first words of its frames.
   */
  constructor(
    private readonly random: SeededRandom,
    private readonly raw: RawDevice,
    private readonly domain: Domain,
    private readonly victim: DomainId,
    incoming: { readonly bytes: Uint8Array; readonly base: number },
    private readonly head: readonly number[] = [],
  ) {
    this.payload = incoming;
    this.share();
  }

  /** Gives back what it granted; how many of its pages are still in use. */
  end(): number {
    return this.shared?.end() ?? 0;
  }

  /** What an honest peer says first. */
  greet(): void {
    this.message(1, 0, [this.random.integer(1, 64)]);
    this.message(5, 0, [18]);
    this.message(4, 0, [0x0101]);
    this.show();
  }

  act(): void {
    const { random } = this;
    this.listen();
    for (let count = random.integer(1, 4); count > 0; count -= 1) this.speak();
    this.show();
  }

  private speak(): void {
    this.mutations += 1;
    const { random } = this;
    switch (random.integer(0, 16)) {
      case 0:
      case 1:
        this.packet(4, 0, [], random.integer(14, 256));
        break;
      case 2:
      case 3:
        this.packet(1, 0, [this.fragment()], random.integer(14, 128));
        break;
      case 4:
        this.packet(random.pick([1, 3]), 0, [this.fragment(), this.fragment()], random.integer(0, 128));
        break;
      case 5:
      case 6:
        this.mutatedPacket();
        break;
      case 7:
      case 8:
      case 9:
        this.finishOne();
        break;
      case 10:
        this.message(random.pick(CONTROL_TYPES), random.integer(0, 1), this.words(random.integer(1, 13)));
        break;
      case 11:
        if (random.integer(0, 9) === 0) this.garbage();
        break;
      case 12:
        if (random.integer(0, 29) === 0) this.wildIndex();
        break;
      case 13:
        if (random.integer(0, 19) === 0) this.burst();
        break;
      case 14:
        this.raw.ring.setIndex('consume', PROD_EVENT, this.any());
        this.raw.ring.setIndex('produce', CONS_EVENT, this.any());
        break;
      case 15:
        // Pages that packets under way name are granted no more.
        if (random.integer(0, 9) === 0) this.share();
        break;
      default:
        this.overwritten();
    }
  }

  /** A packet with one field, or all, as no honest peer would write them. */
  private mutatedPacket(): void {
    const { random } = this;
    const words = [
      0,
      this.nextId++,
      1 | (random.integer(0, 15) << 8),
      random.integer(0, 19),
      34 | (16 << 16),
      ...this.fragment(),
    ];
    while (words.length < 12) words.push(this.any());
    const field = random.integer(1, words.length - 1);
    words[field] = random.pick([this.any(), (words[field] ?? 0) ^ (1 << random.integer(0, 31)), -1, 0]);
    if (random.integer(0, 9) === 0) for (let index = 1; index < 12; index += 1) words[index] = this.any();
    this.message(PACKET, random.integer(0, 255), words.slice(1));
  }

  private share(): void {
    this.shared?.end();
    this.shared = this.domain.grants.share(this.victim, 2, 'readonly');
  }

  private finishOne(): void {
    const { random } = this;
    const wrong = random.integer(0, 60) === 0;
    const index = random.integer(0, Math.max(0, this.unfinished.length - 1));
    const [id] = wrong ? [this.any()] : this.unfinished.splice(index, 1);
    if (id !== undefined) this.message(FINISH, random.integer(0, 1), [id]);
  }

  /** More packets than any credit allows, or a few ids twice. */
  private burst(): void {
    const count = this.random.pick([40, 70]);
    for (let index = 0; index < count; index += 1) this.packet(1, 0, [this.fragment()], 0);
    if (this.random.integer(0, 1) === 0) this.nextId -= 2;
  }

  /** Any header at all. */
  private garbage(): void {
    const size = this.random.pick([0, 4, 7, 8, 12, 16, 24, 64, 1024, 1032, 4096, 0xffff]);
    const type = this.random.integer(0, 255);
    this.put([type | (size << 16), ...this.words(this.random.integer(1, 20))]);
  }

  private wildIndex(): void {
    const { random, raw } = this;
    const jump = random.pick([this.any(), this.produced + 8, this.produced + 4, this.produced - 8, 1 << 20]);
    const [ring, index] = random.pick([
      ['produce', PROD],
      ['consume', CONS],
      ['produce', CONS],
      ['consume', PROD],
    ] as const);
    raw.ring.setIndex(ring, index, jump);
    // Where the driver's messages end is not known any more.
    if (ring === 'consume' && index === PROD) this.misled = true;
    raw.notify();
  }

  /** Words the driver may be about to read, or has read, change. */
  private overwritten(): void {
    const { payload, ringBytes } = this.raw.ring;
    for (let count = 0; count < 4; count += 1) {
      const at = this.random.integer(0, ringBytes / 4 - 1);
      payload.words[(payload.base >> 2) + at] = this.any();
    }
  }

  /** Size and offset, reference: of a page of ours that was granted, mostly. */
  private fragment(): number[] {
    const { random } = this;
    const wrong = random.integer(0, 30) === 0;
    const offset = random.integer(0, 2000);
    const size = wrong ? random.integer(0, 0xffff) : random.integer(1, 2000);
    const refs = this.shared?.refs ?? [];
    const ref = random.integer(0, 20) === 0 ? this.any() : (refs[random.integer(0, 1)] ?? 0);
    return [size | (offset << 16), ref];
  }

  private packet(type: number, flags: number, fragments: readonly number[][], prefix: number): void {
    const words = [this.nextId++, type | (flags << 8), prefix, 0, ...fragments.flat()];
    for (let bytes = 0; bytes < prefix; bytes += 4) words.push(this.head[bytes >> 2] ?? 0x02020202);
    this.message(PACKET, 0, words);
  }

  private message(type: number, flags: number, body: readonly number[]): void {
    const words = [0, ...body];
    if (words.length % 2 === 1) words.push(0);
    words[0] = type | (flags << 8) | (words.length << 18);
    this.put(words);
  }

  /** Behind the last message, with a PAD where it would not fit before the end; nothing where the ring is full. */
  private put(words: readonly number[]): void {
    const { ring } = this.raw;
    const size = words.length * 4;
    const offset = this.produced & (ring.ringBytes - 1);
    const pad = offset + size >= ring.ringBytes ? ring.ringBytes - offset : 0;
    const free = ring.ringBytes - ((this.produced - ring.index('produce', CONS)) | 0);
    if (pad + size > free) return;
    if (pad > 0) this.append([PAD | (pad << 16), ...new Array<number>(pad / 4 - 1).fill(0)]);
    this.append(words);
  }

  private append(words: readonly number[]): void {
    this.raw.ring.write(words);
    this.produced = (this.produced + words.length * 4) | 0;
  }

  private show(): void {
    this.raw.ring.publish();
    this.raw.notify();
  }

  /** Takes what the driver sent; sometimes it says so. @throws Error when that is no message. */
  private listen(): void {
    const { ring } = this.raw;
    const end = ring.index('consume', PROD);
    const size = ring.ringBytes;
    while (this.consumed !== end) {
      const at = this.payload.base + (this.consumed & (size - 1));
      const header = this.word(at);
      const length = header >>> 16;
      const shown = (end - this.consumed) >>> 0;
      if (length < 8 || length % 8 !== 0 || length > shown || shown > size) {
        if (!this.misled)
          throw new Error(`the driver wrote a message of ${length} bytes, and showed ${shown}`);
        break;
      }
      const type = header & 0xff;
      if (type === PACKET && this.payload.bytes[at + 8] !== 4) this.unfinished.push(this.word(at + 4));
      this.consumed = (this.consumed + length) | 0;
    }
    if (this.random.integer(0, 3) > 0) ring.setIndex('consume', CONS, this.consumed);
  }

  private word(at: number): number {
    const { bytes } = this.payload;
    const byte = (index: number) => bytes[at + index] ?? 0;
    return byte(0) | (byte(1) << 8) | (byte(2) << 16) | (byte(3) << 24);
  }

  private words(count: number): number[] {
    return Array.from({ length: count }, () => this.any());
  }

  /** 32 bits, small ones and edges more often than others. */
  private any(): number {
    const { random } = this;
    return random.pick([
      random.uint32() | 0,
      random.integer(0, 20),
      1 << random.integer(0, 31),
      -random.integer(1, 20),
      0x7ff0,
    ]);
  }
}
