import type { FramePool } from '@netchannel2/frames';
import type { FramePort } from '@netchannel2/xen';
import { ETHERTYPE_EXPERIMENTAL } from '../frame-sequence';
import { SeededRandom } from '../seeded-random';

/** Two connected ports: what one sends the other emits. */
export interface FramePortPair {
  readonly a: FramePort;
  readonly b: FramePort;
  /** The longest frame the ports carry; 65535 at least, unless the device is known for less. */
  readonly longestFrame: number;
  /** A pool of the domain `a` lives in, for frames it makes itself; `undefined` where frames cannot be made there. */
  readonly poolOfA: FramePool | undefined;
  /**
   * Refusals in a row, each with time to settle, after which a port is taken to stay full. Default 200: a simulated clock goes on a
   * little with each, and what waits for pages must come to its end.
   */
  readonly steadyRefusals?: number;
  /** Runs all that is due: frames under way arrive, leases of frames sent end. */
  settle(): Promise<void>;
  /** Takes the devices away in good order. */
  remove(): Promise<void>;
  /** Ends the machine, device removed or not; fails where something was left behind. */
  close(): Promise<void>;
}

export type FramePortPairFactory = () => FramePortPair | Promise<FramePortPair>;

/** Runs a test with ports of its own, and closes them also where it fails. */
export function withPorts(
  factory: FramePortPairFactory,
  body: (pair: FramePortPair) => void | Promise<void>,
): () => Promise<void> {
  return async () => {
    const pair = await factory();
    try {
      await body(pair);
    } catch (error) {
      // The test's own failure says more than the leak it causes.
      await pair.close().catch(() => undefined);
      throw error;
    }
    await pair.close();
  };
}

/** Both ways across a pair, for tests that hold for each. */
export const DIRECTIONS = ['a to b', 'b to a'] as const;
export type Direction = (typeof DIRECTIONS)[number];

export function endsOf(
  pair: FramePortPair,
  direction: Direction,
): { sender: FramePort; receiver: FramePort } {
  const { a, b } = pair;
  return direction === 'a to b' ? { sender: a, receiver: b } : { sender: b, receiver: a };
}

/** Copies of all frames a port emits from now on. */
export function received(port: FramePort): Uint8Array[] {
  const frames: Uint8Array[] = [];
  port.frames$.subscribe((frame) => frames.push(frame.toBytes()));
  return frames;
}

/** Sends all, letting the pair settle whenever there is no room; gives up where settling makes none. */
export async function sendAll(
  pair: FramePortPair,
  sender: FramePort,
  frames: readonly Uint8Array[],
): Promise<void> {
  for (const [index, frame] of frames.entries()) {
    for (let attempt = 0; !sender.send(frame); attempt += 1) {
      if (attempt === 3)
        throw new Error(`frame ${index} of ${frames.length} found no room after settling three times`);
      sender.flush();
      await pair.settle();
    }
  }
  sender.flush();
  await pair.settle();
}

/** Frames of given lengths without any structure inside, another for each seed and length. */
export function randomFrame(seed: number): (length: number) => Uint8Array {
  return (length) => {
    const bytes = new Uint8Array(length);
    new SeededRandom(seed * 0x10000 + length).fill(bytes);
    // A unicast destination from a unicast source, of no known protocol: nothing on the way should touch it.
    bytes[0] = 2;
    bytes[6] = 2;
    bytes[12] = ETHERTYPE_EXPERIMENTAL >> 8;
    bytes[13] = ETHERTYPE_EXPERIMENTAL & 0xff;
    return bytes;
  };
}
