/** One frame of a capture file. */
export interface CapturedFrame {
  /** The whole frame as recorded. A view of the file's bytes: not to be written to. */
  readonly bytes: Uint8Array;
  /** Nanoseconds since 1970. */
  readonly timestamp: bigint;
}

/** A capture file in memory. */
export interface Capture {
  /** As the user named it. */
  readonly file: string;
  readonly format: 'pcap' | 'pcapng';
  readonly frames: readonly CapturedFrame[];
  /** Of all frames together. */
  readonly byteLength: number;
}

/** Link type of Ethernet in both formats. */
export const LINKTYPE_ETHERNET = 1;

/** An Ethernet header. */
export const FRAME_BYTES_MIN = 14;
/** What a vif carries at most. */
export const FRAME_BYTES_MAX = 65535;
