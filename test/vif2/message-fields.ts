/** Every message of the protocol with all its fields, as plain numbers: what a hostile peer has to play with. */

export interface MessageField {
  readonly name: string;
  readonly word: number;
  readonly shift: number;
  readonly bits: number;
}

export interface MessageLayout {
  readonly name: string;
  readonly type: number;
  /** A message as an honest end would write it. @param id of a packet that may be finished. @param ref of a granted page. */
  words(id: number, ref: number): readonly number[];
  readonly fields: readonly MessageField[];
}

const field = (name: string, word: number, shift = 0, bits = 32): MessageField => ({
  name,
  word,
  shift,
  bits,
});
const HEADER = [field('type', 0, 0, 8), field('flags', 0, 8, 8), field('size', 0, 16, 16)];

const short = (
  name: string,
  type: number,
  value: number,
  ...fields: readonly MessageField[]
): MessageLayout => ({
  name,
  type,
  words: () => [type | (8 << 16), value],
  fields: [...HEADER, ...fields],
});

const offer = (name: string, type: number): MessageLayout => ({
  name,
  type,
  words: (_, ref) => [type | (40 << 16), 3, 0x7ff0 | (5 << 16), 7, 0x00000002, 1 << 24, ref, 0, ref, ref],
  fields: [
    ...HEADER,
    field('port', 1),
    field('ring_domid', 2, 0, 16),
    field('peer_domid', 2, 16, 16),
    field('handle', 3),
    field('remote_mac 0 to 3', 4),
    field('remote_mac 4 and 5', 5, 0, 16),
    field('peer_trusted', 5, 16, 8),
    field('ring_pages', 5, 24, 8),
    field('control_gref', 6),
    field('pad', 7),
    field('producer gref', 8),
    field('consumer gref', 9),
  ],
});

const packet = (
  name: string,
  words: MessageLayout['words'],
  more: readonly MessageField[],
): MessageLayout => ({
  name,
  type: 2,
  words,
  fields: [
    ...HEADER,
    field('id', 1),
    field('packet type', 2, 0, 8),
    field('packet flags', 2, 8, 8),
    field('segmentation_type', 2, 16, 8),
    field('pad', 2, 24, 8),
    field('prefix_size', 3, 0, 16),
    field('mss', 3, 16, 16),
    field('csum_start', 4, 0, 16),
    field('csum_offset', 4, 16, 16),
    ...more,
  ],
});

const fragment = (name: string, word: number) => [
  field(`${name} size`, word, 0, 16),
  field(`${name} off`, word, 16, 16),
  field(`${name} gref`, word + 1),
];

/** 14 bytes of an Ethernet header, and two more. */
const HEAD = [0x00000002, 0x00020000, 0x02000000, 0x0000b588];

export const MESSAGES: readonly MessageLayout[] = [
  short('SET_MAX_PACKETS', 1, 64, field('max_outstanding_packets', 1)),
  packet('PACKET, small', (id) => [2 | (40 << 16), id, 4, 16, 0, ...HEAD, 0], []),
  packet(
    'PACKET, receiver_copy with offloads',
    (id, ref) => [
      2 | (48 << 16),
      id,
      0x00010101,
      16 | (100 << 16),
      4 | (8 << 16),
      200 | (64 << 16),
      ref,
      ...HEAD,
      0,
    ],
    fragment('fragment', 5),
  ),
  packet(
    'PACKET, receiver_map in two fragments',
    (id, ref) => [2 | (56 << 16), id, 3, 16, 0, 100 | (64 << 16), ref, 100, ref, ...HEAD, 0],
    [...fragment('first', 5), ...fragment('second', 7)],
  ),
  { ...short('FINISH_PACKET', 3, 0, field('id', 1)), words: (id) => [3 | (8 << 16), id] },
  short(
    'SET_OFFLOAD',
    4,
    0x0101,
    field('csum', 1, 0, 8),
    field('tcpv4', 1, 8, 8),
    field('reserved', 1, 16, 16),
  ),
  short('SET_MAX_FRAGMENTS_PER_PACKET', 5, 18, field('max', 1)),
  offer('BYPASS_FRONTEND', 9),
  offer('BYPASS_BACKEND', 10),
  short('BYPASS_FRONTEND_READY', 11, 5, field('port', 1)),
  short('BYPASS_READY', 12, 0, field('pad', 1)),
  short('BYPASS_DISABLE', 13, 7, field('handle', 1)),
  short('BYPASS_DISABLED', 14, 7, field('handle', 1)),
  short('BYPASS_DETACH', 15, 7, field('handle', 1)),
  short('BYPASS_DETACHED', 16, 7, field('handle', 1)),
  {
    name: 'SUGGEST_BYPASS',
    type: 17,
    words: () => [17 | (16 << 16), 0x00000002, 0x0900, 0],
    fields: [
      ...HEADER,
      field('mac 0 to 3', 1),
      field('mac 4 and 5', 2, 0, 16),
      field('pad', 2, 16, 16),
      field('pad', 3),
    ],
  },
  short('PAD', 255, 0),
];

/** A field's value with each of its bits flipped, and the edges of its range. */
export function mutations(
  words: readonly number[],
  { word, shift, bits }: MessageField,
): (readonly number[])[] {
  const whole = words[word] ?? 0;
  const mask = bits === 32 ? -1 : ((1 << bits) - 1) << shift;
  const value = (whole & mask) >>> shift;
  const most = bits === 32 ? 0xffffffff : (1 << bits) - 1;
  const values = [0, 1, most, most - 1, value + 1, value - 1];
  for (let bit = 0; bit < bits; bit += 1) values.push(value ^ (1 << bit));
  const distinct = new Set(values.map((one) => (one & most) >>> 0));
  distinct.delete(value);
  return [...distinct].map((one) =>
    words.map((other, index) => (index === word ? (whole & ~mask) | (one << shift) : other)),
  );
}
