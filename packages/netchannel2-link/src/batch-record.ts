/**
 * What is kept of each packet of a batch: one record of eight words, side by side, so that a packet touches one cache line.
 */

/** Words of a record. */
export const RECORD_WORDS = 8;

/** The words of a record. */
export const RecordWord = {
  /** Id as the peer chose it. */
  id: 0,
  /** Frame length, bytes. */
  length: 1,
  /** How the packet stands ({@link BatchEntry}), and {@link OWED}. */
  state: 2,
  /** PACKET flags, and the segmentation type above them; the words after `further` count only where one is set. */
  properties: 3,
  /** The element behind the packet's last copy. */
  copiesEnd: 4,
  /** Of a frame longer than a page: the first of its further pages, see `BatchPages`. */
  further: 5,
  segmentSize: 6,
  /** Where it starts, and in the upper half the offset of its field. */
  checksum: 7,
} as const;

/** How a packet of the batch stands. */
export const BatchEntry = {
  /** All bytes are there, or will be when the copies succeed. */
  filled: 0,
  /** Dropped before a copy: only its FINISH is owed. */
  refused: 1,
  /** A copy failed. */
  failed: 2,
} as const;
/** Beside the state of a packet: a FINISH is owed for it. */
export const OWED = 0x80;
