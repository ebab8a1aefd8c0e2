/**
 * The rules of a PACKET stand in several places: the general one, the runs of plain packets by TypeScript and by a kernel, and the
 * one for packets that may be forwarded. All of them against the specification, with packets of random words: the same are taken,
 * dropped, finished and fatal, with the same bytes and the same books.
 */
import { createHash } from 'node:crypto';
import { netback2Driver } from '@netchannel2/netback2';
import { rawVif2FrontendDriver, SeededRandom, WiredDevice } from '@netchannel2/testing';
import { type FrameForwarder, grantRef, PAGE_SIZE, type SharedPages } from '@netchannel2/xen';
import { describe, expect, it } from 'vitest';
import { BURST, RawWriter } from './raw-writer';
import { type PacketFate, SpecReceiver } from './spec-receiver';
import { vif2Pair } from './vif2-pair';

const BATCHES = 250;
const RING_BYTES = 4096;
const MAX_PACKETS = 128;
const NO_GRANT = 9000;
const FINISH = 3;
const NOT_OBTAINED = 1;

/** Who is asked about packets before they are copied, and what becomes of those he is asked about. */
const FORWARDERS: Readonly<
  Record<string, { readonly forwarder?: FrameForwarder; readonly loses?: boolean }>
> = {
  'nobody is asked': {},
  'a forwarder takes none': { forwarder: { forward: () => false } },
  'a forwarder loses all he is asked about': { forwarder: { forward: () => true }, loses: true },
};

class Packets {
  private next = 0;

  constructor(
    private readonly random: SeededRandom,
    private readonly refs: readonly number[],
  ) {}

  /** A message that is mostly a legal PACKET, most of them plain. */
  message(): number[] {
    const { random } = this;
    const type = random.pick([4, 4, 1, 1, 1, 3]);
    const count = type === 4 ? 0 : random.pick([1, 1, 1, 2, 2, 3, 3, 4]);
    const prefix =
      type === 4 ? random.pick([8, 13, 14, 14, 15, 16, 60, 100]) : random.pick([0, 13, 14, 18, 60]);
    const flags = random.pick([0, 0, 0, 2, 4, 8, 14, 1, 3]);
    const segmentation = random.pick([0, 0, 0, 0, 0, 0, 0, 1, 2]);
    const third = prefix | (random.pick([0, 0, 100, 5000]) << 16);
    const csum = random.pick([0, 0x00100022, 0x01000100]);
    const words = [0, this.id(), type | (flags << 8) | (segmentation << 16), third, csum];
    for (let index = 0; index < count; index += 1) words.push(...this.fragment());
    for (let byte = 0; byte < prefix; byte += 4) words.push(random.uint32() | 0);
    if (words.length % 2 === 1) words.push(0);
    words[0] = 2 | (words.length << 18);
    if (random.integer(0, 5) === 0) {
      const word = random.integer(1, 5);
      words[word] = (words[word] ?? 0) ^ (1 << random.integer(0, 31));
    }
    return words;
  }

  private id(): number {
    const { random } = this;
    this.next += 1;
    return random.pick([
      this.next & 0xfff,
      this.next & 0xfff,
      this.next & 0xfff,
      this.next << 12,
      -this.next,
      this.next - 1,
    ]);
  }

  private fragment(): number[] {
    const { random } = this;
    const size = random.pick([1, 64, 200, 1400, 4096, 2000]);
    const from = random.integer(0, 10) === 0 ? random.integer(0, 4200) : random.integer(0, PAGE_SIZE - size);
    return [size | (from << 16), random.integer(0, 12) === 0 ? NO_GRANT : random.pick(this.refs)];
  }
}

describe.each([
  ['by kernels', true],
  ['by TypeScript', false],
] as const)('%s', (_, kernels) => {
  describe.each(Object.keys(FORWARDERS))('where %s', (who) => {
    it.each([1, 2])(
      'packets of random words meet the fate the specification has for them, seed %i',
      async (seed) => {
        const { machine, clock, guest, host } = vif2Pair();
        if (!kernels) Object.defineProperty(host.memory, 'kernels', { value: undefined });
        const random = new SeededRandom(seed);
        const device = new WiredDevice({
          guest,
          host,
          frontend: rawVif2FrontendDriver(),
          backend: netback2Driver({ poolPages: 256, maxPackets: MAX_PACKETS }),
          clock,
        });
        const back = device.backend;
        const emitted: Uint8Array[] = [];
        back.frames$.subscribe((frame) => emitted.push(frame.toBytes()));
        const { forwarder, loses = false } = FORWARDERS[who] ?? {};
        // Without its addresses inline a packet is shown to nobody before it is copied.
        const lost = ({ dropped, prefix }: PacketFate) =>
          loses && dropped === undefined && prefix.length >= 14;
        back.divert(forwarder);
        const pages = guest.grants.share(host.id, 2, 'readonly');
        if (pages === undefined) throw new Error('no pages');
        const { bytes, base, byteLength } = pages.area;
        for (let at = 0; at < byteLength; at += 1) bytes[base + at] = random.integer(0, 255);
        const packets = new Packets(random, pages.refs);
        let spec: SpecReceiver | undefined;
        let writer = new RawWriter(device.frontend);
        let fatal = 0;
        let taken = 0;
        for (let batch = 0; batch < BATCHES; batch += 1) {
          if (spec === undefined) {
            await device.disconnect();
            await device.connect();
            writer = new RawWriter(device.frontend);
            spec = new SpecReceiver({
              ring: 'parent',
              ringBytes: RING_BYTES,
              maxPackets: MAX_PACKETS,
              maxFragments: 18,
              greeted: false,
              finishesAtOnce: lost,
            });
            spec.take(writer.show(BURST));
            await clock.settle();
            writer.hear();
          }
          const words = Array.from({ length: random.integer(1, 8) }, () => packets.message()).flat();
          if (words.length * 4 > RING_BYTES / 2) continue;
          emitted.length = 0;
          const failures = device.failures.length;
          const dropped = { ...back.counters.dropped };
          const fault = spec.take(writer.show(words));
          await clock.settle();
          const said = `batch ${batch}: ${fault ?? 'legal'}`;
          expect(device.failures.length - failures, said).toBe(fault === undefined ? 0 : 1);
          if (fault !== undefined) {
            fatal += 1;
            spec = undefined;
            continue;
          }
          const { fates } = spec;
          const arrives = (fate: PacketFate) => fate.dropped === undefined && !lost(fate) && granted(fate);
          expect(emitted.map(digestOf), said).toEqual(
            fates.filter(arrives).map((fate) => digestOf(bytesOf(fate, pages))),
          );
          taken += emitted.length;
          const answers = fates
            .filter(({ small }) => !small)
            .map((fate) => `${fate.id} ${arrives(fate) ? 0 : NOT_OBTAINED}`);
          const heard = writer.hear().filter(({ type }) => type === FINISH);
          const finished = heard.map(({ word, flags }) => `${word} ${flags}`);
          // What a forwarder dropped is finished at once, the others behind the copies of their pass.
          expect(finished.sort(), said).toEqual(answers.sort());
          const reasons = new Map<string, number>();
          for (const fate of fates) {
            const reason = fate.dropped ?? (lost(fate) || granted(fate) ? undefined : 'notObtained');
            if (reason !== undefined) reasons.set(reason, (reasons.get(reason) ?? 0) + 1);
          }
          const counted = Object.entries(back.counters.dropped)
            .map(
              ([reason, count]) =>
                [
                  reason,
                  count - (Object.entries(dropped).find(([name]) => name === reason)?.[1] ?? 0),
                ] as const,
            )
            .filter(([, count]) => count > 0);
          expect(new Map(counted), said).toEqual(reasons);
          spec.unfinished.clear();
        }
        if (!loses) expect(taken).toBeGreaterThan(200);
        expect(fatal).toBeGreaterThan(10);
        await device.remove();
        pages.end();
        await clock.advance(2000);
        expect(machine.leaks()).toEqual([]);
        expect(clock.timers).toBe(0);
        machine.shutdown();
      },
    );
  });
});

const digestOf = (bytes: Uint8Array): string =>
  `${bytes.length} ${createHash('sha1').update(bytes).digest('hex').slice(0, 8)}`;

const granted = ({ fragments }: PacketFate): boolean =>
  fragments.every(({ ref }) => ref < NO_GRANT && ref > 0);

function bytesOf({ prefix, fragments }: PacketFate, { refs, area }: SharedPages): Uint8Array {
  const pieces = fragments.map(({ size, from, ref }) => {
    const start = area.base + refs.indexOf(grantRef(ref)) * PAGE_SIZE + from;
    return area.bytes.subarray(start, start + size);
  });
  return Buffer.concat([prefix, ...pieces]);
}
