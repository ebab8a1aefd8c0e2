import { Bridge } from '@netchannel2/bridge';
import { Machine, type SimulatedDomain } from '@netchannel2/hypervisor';
import { type Netback2, netback2Driver } from '@netchannel2/netback2';
import {
  type RawVif2Frontend,
  rawVif2FrontendDriver,
  type SeededRandom,
  VirtualClock,
  WiredDevice,
} from '@netchannel2/testing';
import { type FrameForwarder, GrantStatus, grantRef } from '@netchannel2/xen';
import { RawWriter } from './raw-writer';

/** What an end says first that gives so much credit and takes so many fragments. */
export const burst = (credit: number, fragments: number): number[] => [
  0x00080001,
  credit,
  0x00080005,
  fragments,
  0x00080004,
  0x0101,
];
/** From 02:00:00:00:00:01 to 02:00:00:00:00:02, and back, as the first words of a frame. */
const TO_SECOND = [0x00000002, 0x00020200, 0x01000000];
const TO_FIRST = [0x00000002, 0x00020100, 0x02000000];

export interface RawNeighbour {
  readonly domain: SimulatedDomain;
  readonly device: WiredDevice<RawVif2Frontend, Netback2>;
  writer: RawWriter;
}

/** A PACKET that arrived: its words, and the ids and references in them. */
export interface RawPacket {
  readonly id: number;
  readonly refs: readonly number[];
  readonly words: Int32Array;
  readonly fragments: readonly (readonly [size: number, from: number])[];
}

/** A bridge over two vif2 backends whose frontends are raw: whatever one writes may be handed on to the other. */
export class RawNeighbours {
  readonly clock = new VirtualClock();
  readonly machine = Machine.boot({
    memoryBytes: 64 << 20,
    scheduler: this.clock,
    now: () => this.clock.now(),
  });
  readonly host = this.machine.createDomain({ name: 'dom0', memoryPages: 4096 });
  readonly bridge = new Bridge({ scheduler: this.clock });
  readonly first = this.add();
  readonly second = this.add();
  /** Packets that the bridge was asked about one by one. */
  asked = 0;

  constructor(
    kernels: boolean,
    private readonly credit = 64,
    private readonly fragments = 18,
  ) {
    if (!kernels) Object.defineProperty(this.host.memory, 'kernels', { value: undefined });
    const { backend } = this.first.device;
    const divert = backend.divert.bind(backend);
    backend.divert = (forwarder) => divert(forwarder && this.counted(forwarder));
  }

  async start(): Promise<void> {
    for (const neighbour of [this.first, this.second]) await this.connect(neighbour);
    for (const { device } of [this.first, this.second]) this.bridge.add(device.backend);
    await this.clock.settle();
    this.second.writer.show(packet(4, 0, TO_FIRST, []));
    this.first.writer.show(packet(4, 0, TO_SECOND, []));
    await this.clock.settle();
    for (const { writer } of [this.first, this.second]) writer.hear();
  }

  async connect(neighbour: RawNeighbour): Promise<void> {
    await neighbour.device.connect();
    neighbour.writer = new RawWriter(neighbour.device.frontend);
    neighbour.writer.show(burst(this.credit, this.fragments));
    await this.clock.settle();
    neighbour.writer.hear();
  }

  /** The PACKETs that `to` was shown since. */
  packets(to: RawNeighbour): RawPacket[] {
    const found: RawPacket[] = [];
    const { words, base, byteLength } = to.device.frontend.ring.incoming;
    to.writer.hear((index, size) => {
      const at = (base + (index % byteLength)) >> 2;
      const message = words.slice(at, at + size / 4);
      const word = (place: number) => message[place] ?? 0;
      if ((word(0) & 0xff) !== 2) return;
      const count = (size - 20 - (word(3) & 0xffff)) >> 3;
      const places = Array.from({ length: count }, (_, part) => 5 + 2 * part);
      found.push({
        id: word(1),
        refs: places.map((place) => word(place + 1)),
        words: message,
        fragments: places.map((place) => [word(place) & 0xffff, word(place) >>> 16] as const),
      });
    });
    return found;
  }

  /** What `by` copies through a grant of dom0's. */
  copier(by: RawNeighbour): (ref: number, from: number, length: number) => Uint8Array | undefined {
    const { domain } = by;
    const batch = domain.foreign.createCopyBatch(1);
    const [page] = domain.memory.allocate(1)?.pages ?? [];
    if (page === undefined) throw new Error('no page to copy to');
    return (ref, from, length) => {
      batch.clear();
      batch.addFromGrant(this.host.id, grantRef(ref), from, page, 0, length);
      batch.submit();
      if (batch.status(0) !== GrantStatus.okay) return undefined;
      return page.bytes.slice(page.base, page.base + length);
    };
  }

  private counted(forwarder: FrameForwarder): FrameForwarder {
    return {
      forward: (frame) => {
        this.asked += 1;
        return forwarder.forward(frame);
      },
      route: () => forwarder.route?.(),
    };
  }

  private add(): RawNeighbour {
    const domain = this.machine.createDomain({ memoryPages: 1024 });
    const device = new WiredDevice({
      guest: domain,
      host: this.host,
      frontend: rawVif2FrontendDriver(),
      backend: netback2Driver({ poolPages: 256 }),
      clock: this.clock,
    });
    return { domain, device, writer: new RawWriter(device.frontend) };
  }
}

/** A PACKET whose inline bytes begin with `head`. */
export function packet(
  type: number,
  id: number,
  head: readonly number[],
  fragments: readonly (readonly [size: number, from: number, ref: number])[],
  prefix = 20,
): number[] {
  const words = [0, id, type, prefix, 0];
  for (const [size, from, ref] of fragments) words.push(size | (from << 16), ref);
  for (let word = 0; word * 4 < prefix; word += 1) words.push(head[word] ?? (id * 0x01010101 + word) | 0);
  if (words.length % 2 === 1) words.push(0);
  const size = (20 + 8 * fragments.length + prefix + 7) & ~7;
  words[0] = 2 | (size << 16);
  return words;
}

/** As {@link packet}, from the first to the second. */
export const toSecond = (
  id: number,
  fragments: readonly (readonly [number, number, number])[],
  prefix = 20,
): number[] => packet(fragments.length === 0 ? 4 : 1, id, TO_SECOND, fragments, prefix);

/** A hostile or an honest random packet. */
export function randomPacket(random: SeededRandom, id: number, refs: readonly number[]): number[] {
  const count = random.pick([0, 1, 1, 2, 2, 3, 3, 3, 3, 4]);
  const fragment = () => {
    const size = random.pick([1, 64, 1400, 4096, 4096]);
    const from = random.integer(0, 4096 - size);
    return [size, from, random.integer(0, 30) === 0 ? 9000 : random.pick(refs)] as const;
  };
  const words = toSecond(id, Array.from({ length: count }, fragment), random.pick([16, 20, 60, 80, 255]));
  if (random.integer(0, 12) === 0) {
    const word = random.integer(1, 6 + 2 * count);
    words[word] = (words[word] ?? 0) ^ (1 << random.integer(0, 31));
  }
  return words;
}
