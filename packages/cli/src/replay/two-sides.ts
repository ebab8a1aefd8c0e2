import { type Capture, type CapturedFrame, CaptureError } from '@netchannel2/bridge';

/** The hosts of a capture, put behind two guests. */
export interface TwoSides {
  readonly guest1: CaptureSide;
  readonly guest2: CaptureSide;
}

export interface CaptureSide {
  /** Source addresses of its frames, the most talkative first. */
  readonly macs: readonly string[];
  /** What its guest sends, in the capture's order. */
  readonly frames: readonly NumberedFrame[];
}

export interface NumberedFrame {
  /** Place in the capture from 1, as Wireshark counts. */
  readonly number: number;
  readonly bytes: Uint8Array;
}

/**
 * Tells a capture's directions apart by source address. The host that takes part in the most frames is guest 1 (of two
 * equal ones the one that speaks first); all others are behind guest 2.
 *
 * @throws CaptureError when there is only one side, or a frame that a bridge between the two would not carry.
 */
export function splitSides(capture: Capture): TwoSides {
  const first = busiestHost(capture.frames);
  const sides = [new Map<string, number>(), new Map<string, number>()] as const;
  const frames: [NumberedFrame[], NumberedFrame[]] = [[], []];
  for (const [index, { bytes }] of capture.frames.entries()) {
    const number = index + 1;
    const source = macAt(bytes, 6);
    if (isGroupAt(bytes, 6) || source === '00:00:00:00:00:00')
      throw refused(capture, number, `comes from ${source}, which is no host's address`);
    const side = source === first ? 0 : 1;
    sides[side].set(source, (sides[side].get(source) ?? 0) + 1);
    frames[side].push({ number, bytes });
  }
  if (sides[0].size === 0 || sides[1].size === 0)
    throw new CaptureError(
      capture.file,
      `all frames come from one side (${first}): a replay needs a capture of hosts that talk to each other`,
    );
  for (const [index, { bytes }] of capture.frames.entries()) {
    const target = macAt(bytes, 0);
    const from = sides[macAt(bytes, 6) === first ? 0 : 1];
    if (from.has(target))
      throw refused(capture, index + 1, `goes to ${target}, a host behind the same guest as its sender`);
    if (/^01:80:c2:00:00:0/.test(target))
      throw refused(capture, index + 1, `goes to ${target}, a link-local address that no bridge forwards`);
  }
  return {
    guest1: { macs: byActivity(sides[0]), frames: frames[0] },
    guest2: { macs: byActivity(sides[1]), frames: frames[1] },
  };
}

function busiestHost(frames: readonly CapturedFrame[]): string {
  const activity = new Map<string, number>();
  for (const { bytes } of frames) {
    for (const at of [6, 0]) {
      if (isGroupAt(bytes, at)) continue;
      const mac = macAt(bytes, at);
      activity.set(mac, (activity.get(mac) ?? 0) + 1);
    }
  }
  return byActivity(activity)[0] ?? '';
}

/** The most active first; of equal ones the one seen first. */
function byActivity(activity: ReadonlyMap<string, number>): string[] {
  return [...activity].sort((left, right) => right[1] - left[1]).map(([mac]) => mac);
}

function refused(capture: Capture, number: number, reason: string): CaptureError {
  return new CaptureError(
    capture.file,
    `frame ${number} ${reason}; leave it out, for example with tshark -Y and -w`,
  );
}

const isGroupAt = (bytes: Uint8Array, offset: number): boolean => ((bytes[offset] ?? 0) & 1) === 1;

function macAt(bytes: Uint8Array, offset: number): string {
  return Array.from(bytes.subarray(offset, offset + 6), (byte) => byte.toString(16).padStart(2, '0')).join(
    ':',
  );
}
