/** Bytes of a frame that no other length and number gives. */
export function patternBytes(length: number, number: number): Uint8Array {
  const bytes = new Uint8Array(length);
  for (let index = 0; index < length; index += 1)
    bytes[index] = (index * 7 + number * 31 + (index >> 8)) & 0xff;
  return bytes;
}

/** Whether two lists of frames are the same, told fast. */
export function sameFrames(received: readonly Uint8Array[], sent: readonly Uint8Array[]): boolean {
  return (
    received.length === sent.length &&
    received.every((bytes, index) => {
      const other = sent[index];
      return other !== undefined && Buffer.compare(bytes, other) === 0;
    })
  );
}
