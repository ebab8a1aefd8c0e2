import { createHash } from 'node:crypto';
import { netback2Driver } from '@netchannel2/netback2';
import { rawVif2FrontendDriver, WiredDevice } from '@netchannel2/testing';
import { expect } from 'vitest';
import { toSecond } from './raw-neighbours';
import { BURST, RawWriter } from './raw-writer';
import { vif2Pair } from './vif2-pair';

const FINISH = 3;
const SHARED = 4;
/** Byte of a link's block that says how many copies there are, see `receive.wat`. */
const COPIES = 48;

export type Fragment = readonly [size: number, from: number, ref: number];
type Take = (...given: number[]) => number;

interface Options {
  readonly kernels?: boolean;
  readonly poolPages?: number;
  readonly maxPackets?: number;
  readonly maxFragments?: number;
}

/** A frontend that is raw, and sends to a backend whose frames are taken down. */
export async function rawSender({ kernels = true, ...options }: Options = {}) {
  const { machine, clock, guest, host } = vif2Pair();
  /** Packets that the kernel for several fragments took, and the copies of a batch, at most. */
  const taken = { count: 0, copies: 0 };
  const { kernels: loaded } = host.memory;
  const watched = {
    load: (module: string) => {
      const all = loaded.load(module);
      const { takeSeveral } = all as Readonly<Record<string, Take | undefined>>;
      if (takeSeveral === undefined) return all;
      const counted: Take = (...given) => {
        const count = takeSeveral(...given);
        taken.count += count;
        if (count > 0)
          taken.copies = Math.max(taken.copies, area.words[((given[0] ?? 0) + COPIES) >> 2] ?? 0);
        return count;
      };
      return { ...all, takeSeveral: counted };
    },
    countCopied: (bytes: number) => loaded.countCopied(bytes),
  };
  Object.defineProperty(host.memory, 'kernels', { value: kernels ? watched : undefined });
  const device = new WiredDevice({
    guest,
    host,
    frontend: rawVif2FrontendDriver(),
    backend: netback2Driver(options),
    clock,
  });
  const pages = guest.grants.share(host.id, SHARED, 'readonly');
  if (pages === undefined) throw new Error('no pages');
  const { area, refs } = pages;
  for (let at = 0; at < area.byteLength; at += 1) area.bytes[area.base + at] = at * 7 + (at >> 8);
  const received: Uint8Array[] = [];
  device.backend.frames$.subscribe((frame) => received.push(frame.toBytes()));
  let writer = new RawWriter(device.frontend);
  const connect = async () => {
    await device.disconnect();
    await device.connect();
    writer = new RawWriter(device.frontend);
    writer.show(BURST);
    await clock.settle();
    writer.hear();
  };
  await connect();
  /** Shows packets together, with ids from 1 on. @returns the FINISHes. */
  const show = async (shapes: readonly (readonly Fragment[])[], prefix = 20) => {
    writer.show(shapes.flatMap((fragments, index) => toSecond(index + 1, fragments, prefix)));
    await clock.settle();
    return answers();
  };
  const answers = () =>
    writer
      .hear()
      .filter(({ type }) => type === FINISH)
      .map(({ word, flags }) => `${word} ${flags}`);
  /** What arrives of packet `id`. */
  const arrival = (id: number, fragments: readonly Fragment[], prefix = 20) => {
    const words = toSecond(id, fragments, prefix);
    const start = 20 + 8 * fragments.length;
    const inline = new Uint8Array(Int32Array.from(words).buffer).subarray(start, start + prefix);
    const pieces = fragments.map(([size, from, ref]) => {
      const base = area.base + (refs as readonly number[]).indexOf(ref) * 4096 + from;
      return area.bytes.subarray(base, base + size);
    });
    return digestOf(Buffer.concat([inline, ...pieces]));
  };
  const piece = (size: number, part: number, from = 0): Fragment => [size, from, refs[part % SHARED] ?? 0];
  const whole = (count: number) => Array.from({ length: count }, (_, part) => piece(4096, part));
  const close = async () => {
    await device.remove();
    pages.end();
    await clock.advance(3000);
    expect(machine.leaks()).toEqual([]);
    expect(clock.timers).toBe(0);
    machine.shutdown();
  };
  return {
    ...{ device, back: device.backend, clock, guest, refs, received, taken, connect },
    ...{ show, answers, arrival, piece, whole, close, send: (words: number[]) => writer.show(words) },
    /** The ring it writes to, and how far it has. */
    raw: { ring: device.frontend.ring, produced: writer.produced },
  };
}

export const digestOf = (bytes: Uint8Array): string =>
  `${bytes.length} ${createHash('sha1').update(bytes).digest('hex').slice(0, 12)}`;

/** FINISHes of packets from 1 on. */
export const ids = (count: number, lost: readonly number[] = []) =>
  Array.from({ length: count }, (_, index) => `${index + 1} ${lost.includes(index + 1) ? 1 : 0}`);
