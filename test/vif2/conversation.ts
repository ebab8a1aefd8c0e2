import { CONVERSATION, speakerOf } from '../vif/recorded-conversation';

/** The recorded conversation of two hosts, in order. */
export const FRAMES: readonly Uint8Array[] = CONVERSATION;

/** Which of the two sent a frame. */
export const speaker = speakerOf;

/** What each of them said, in order. */
export const SAID = [
  FRAMES.filter((frame) => speaker(frame) === 0),
  FRAMES.filter((frame) => speaker(frame) === 1),
] as const;

const sourceOf = (frames: readonly Uint8Array[]): Uint8Array => {
  const [first] = frames;
  if (first === undefined) throw new Error('the recording has no two speakers');
  return first.slice(6, 12);
};

/** Their addresses. */
export const MACS = [sourceOf(SAID[0]), sourceOf(SAID[1])] as const;
