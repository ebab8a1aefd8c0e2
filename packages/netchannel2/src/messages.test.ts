import { describe, expect, it } from 'vitest';
import {
  bypassFrontendReadyPort,
  bypassHandle,
  suggestBypassMac,
  writeBypassFrontendReady,
  writeBypassHandle,
  writeBypassReady,
  writeSuggestBypass,
} from './bypass-messages';
import { readBypassSetup, writeBypassSetup } from './bypass-setup';
import {
  finishPacketId,
  finishPacketNotObtained,
  setMaxPacketsValue,
  writeFinishPacket,
  writeSetMaxPackets,
} from './flow-control';
import {
  setMaxFragmentsValue,
  setOffloadChecksum,
  setOffloadTcpv4,
  writeSetMaxFragments,
  writeSetOffload,
} from './limits';
import { MessageType, messageHeader, messageSize } from './message-header';
import { PacketHead } from './packet-head';
import { type PacketRecord, readPacket, writePacket } from './packet-record';
import { packetDrop, packetFault } from './packet-validation';
import { bytesFromHex, hexOf, messageBytes } from './ring-memory.fixture';

const ARP =
  '00 16 3e 00 00 02 00 16 3e 00 00 01 08 06 00 01 08 00 06 04 00 01 00 16 3e 00 00 01 0a 00 00 01 00 00 00 00 00 00 0a 00 00 02';
const ETHERNET_ARP = '00 16 3e 00 00 02 00 16 3e 00 00 01 08 06';

const plain = { segmentation: 0, mss: 0, csumStart: 0, csumOffset: 0, flags: 0 };
const packets: Record<string, PacketRecord> = {
  small: { ...plain, id: 0x2a, type: 4, fragments: [], prefix: bytesFromHex(ARP) },
  copy: {
    ...plain,
    id: 0x101,
    type: 1,
    flags: 2,
    fragments: [{ size: 1000, offset: 64, ref: 0x321 }],
    prefix: bytesFromHex(ETHERNET_ARP),
  },
  map: {
    id: 0x102,
    type: 3,
    flags: 5,
    segmentation: 1,
    mss: 1448,
    csumStart: 34,
    csumOffset: 16,
    fragments: [
      { size: 4096, offset: 0, ref: 9 },
      { size: 2048, offset: 512, ref: 10 },
    ],
    prefix: bytesFromHex(`${ETHERNET_ARP} 00 00`),
  },
  needEvent: {
    ...plain,
    id: 7,
    type: 1,
    flags: 8,
    fragments: [{ size: 1450, offset: 64, ref: 42 }],
    prefix: bytesFromHex('ff ff ff ff ff ff 00 16 3e 00 00 01 08 00'),
  },
  noPrefix: {
    id: 9,
    type: 3,
    flags: 9,
    segmentation: 1,
    mss: 1448,
    csumStart: 34,
    csumOffset: 16,
    fragments: [
      { size: 4096, offset: 0, ref: 8 },
      { size: 904, offset: 0, ref: 9 },
    ],
    prefix: new Uint8Array(0),
  },
};

const setups = {
  frontend: {
    type: MessageType.bypassFrontend,
    port: 0,
    ringDomain: 0x7ff0,
    peerDomain: 6,
    handle: 0x11,
    remoteMac: bytesFromHex('00 16 3e 00 00 02'),
    peerTrusted: false,
    controlRef: 0x200,
    producerRefs: [0x201, 0x202],
    consumerRefs: [0x203, 0x204],
  },
  backend: {
    type: MessageType.bypassBackend,
    port: 23,
    ringDomain: 0x7ff0,
    peerDomain: 5,
    handle: 0x11,
    remoteMac: bytesFromHex('00 16 3e 00 00 01'),
    peerTrusted: false,
    controlRef: 0x210,
    producerRefs: [0x211, 0x212],
    consumerRefs: [0x213, 0x214],
  },
} as const;

type Write = (words: Int32Array, at: number) => unknown;
type Read = (words: Int32Array, at: number) => unknown;
interface Vector {
  readonly row: string;
  readonly hex: string;
  readonly write: Write;
  readonly read: Read;
  readonly value: unknown;
}

const packetVector = (row: string, name: string, hex: string): Vector => ({
  row,
  hex,
  write: (words, at) => writePacket(words, at, packets[name] as PacketRecord),
  read: readPacket,
  value: packets[name],
});
const handleVector = (row: string, type: 13 | 14 | 15 | 16, hex: string): Vector => ({
  row,
  hex,
  write: (words, at) => writeBypassHandle(words, at, type, 0x11),
  read: bypassHandle,
  value: 0x11,
});

const vectors: Vector[] = [
  {
    row: '1 SET_MAX_PACKETS 256',
    hex: '01 00 08 00 00 01 00 00',
    write: (words, at) => writeSetMaxPackets(words, at, 256),
    read: setMaxPacketsValue,
    value: 256,
  },
  {
    row: '2 SET_MAX_FRAGMENTS 18',
    hex: '05 00 08 00 12 00 00 00',
    write: (words, at) => writeSetMaxFragments(words, at, 18),
    read: setMaxFragmentsValue,
    value: 18,
  },
  {
    row: '3 SET_OFFLOAD csum 1, tso 1',
    hex: '04 00 08 00 01 01 00 00',
    write: (words, at) => writeSetOffload(words, at, true, true),
    read: (words, at) => [setOffloadChecksum(words, at), setOffloadTcpv4(words, at)],
    value: [true, true],
  },
  {
    row: '4 FINISH id 7',
    hex: '03 00 08 00 07 00 00 00',
    write: (words, at) => writeFinishPacket(words, at, 7, 0),
    read: (words, at) => [finishPacketId(words, at), finishPacketNotObtained(words[at] ?? 0)],
    value: [7, false],
  },
  {
    row: '5 FINISH id 7, data not obtained',
    hex: '03 01 08 00 07 00 00 00',
    write: (words, at) => writeFinishPacket(words, at, 7, 1),
    read: (words, at) => [finishPacketId(words, at), finishPacketNotObtained(words[at] ?? 0)],
    value: [7, true],
  },
  {
    row: '6a FRONTEND_READY port 23',
    hex: '0b 00 08 00 17 00 00 00',
    write: (words, at) => writeBypassFrontendReady(words, at, 23),
    read: bypassFrontendReadyPort,
    value: 23,
  },
  {
    row: '6b FRONTEND_READY failure −12',
    hex: '0b 00 08 00 f4 ff ff ff',
    write: (words, at) => writeBypassFrontendReady(words, at, -12),
    read: bypassFrontendReadyPort,
    value: -12,
  },
  {
    row: '7 BYPASS_READY',
    hex: '0c 00 08 00 00 00 00 00',
    write: writeBypassReady,
    read: (words, at) => messageSize(words[at] ?? 0),
    value: 8,
  },
  handleVector('8 DISABLE', 13, '0d 00 08 00 11 00 00 00'),
  {
    row: '9 SUGGEST_BYPASS',
    hex: '11 00 10 00 00 16 3e 00 00 02 00 00 00 00 00 00',
    write: (words, at) => writeSuggestBypass(words, at, bytesFromHex('00 16 3e 00 00 02')),
    read: suggestBypassMac,
    value: bytesFromHex('00 16 3e 00 00 02'),
  },
  {
    row: '10 PAD 24',
    hex: 'ff 00 18 00',
    write: (words, at) => {
      words[at] = messageHeader(MessageType.pad, 0, 24);
    },
    read: (words, at) => messageSize(words[at] ?? 0),
    value: 24,
  },
  packetVector(
    '11 PACKET small',
    'small',
    `02 00 40 00 2a 00 00 00 04 00 00 00 2a 00 00 00 00 00 00 00 ${ARP} 00 00`,
  ),
  packetVector(
    '12 PACKET receiver_copy',
    'copy',
    `02 00 30 00 01 01 00 00 01 02 00 00 0e 00 00 00 00 00 00 00 e8 03 40 00 21 03 00 00 ${ETHERNET_ARP} 00 00 00 00 00 00`,
  ),
  packetVector(
    '13 PACKET receiver_map',
    'map',
    `02 00 38 00 02 01 00 00 03 05 01 00 10 00 a8 05 22 00 10 00 00 10 00 00 09 00 00 00 00 08 00 02 0a 00 00 00
     ${ETHERNET_ARP} 00 00 00 00 00 00`,
  ),
  {
    row: '14 BYPASS_FRONTEND',
    hex: `09 00 30 00 00 00 00 00 f0 7f 06 00 11 00 00 00 00 16 3e 00 00 02 00 02 00 02 00 00 00 00 00 00
          01 02 00 00 02 02 00 00 03 02 00 00 04 02 00 00`,
    write: (words, at) => writeBypassSetup(words, at, setups.frontend),
    read: (words, at) => readBypassSetup(words, at, 0, 5),
    value: setups.frontend,
  },
  {
    row: '15 BYPASS_BACKEND',
    hex: `0a 00 30 00 17 00 00 00 f0 7f 05 00 11 00 00 00 00 16 3e 00 00 01 00 02 10 02 00 00 00 00 00 00
          11 02 00 00 12 02 00 00 13 02 00 00 14 02 00 00`,
    write: (words, at) => writeBypassSetup(words, at, setups.backend),
    read: (words, at) => readBypassSetup(words, at, 0, 6),
    value: setups.backend,
  },
  packetVector(
    '16 PACKET need_event',
    'needEvent',
    `02 00 30 00 07 00 00 00 01 08 00 00 0e 00 00 00 00 00 00 00 aa 05 40 00 2a 00 00 00 ff ff ff ff
     ff ff 00 16 3e 00 00 01 08 00 00 00 00 00 00 00`,
  ),
  packetVector(
    '17 PACKET receiver_map without prefix',
    'noPrefix',
    `02 00 28 00 09 00 00 00 03 09 01 00 00 00 a8 05 22 00 10 00 00 10 00 00 08 00 00 00 88 03 00 00 09 00 00 00
     00 00 00 00`,
  ),
  handleVector('19a DISABLED', 14, '0e 00 08 00 11 00 00 00'),
  handleVector('19b DETACH', 15, '0f 00 08 00 11 00 00 00'),
  handleVector('19c DETACHED', 16, '10 00 08 00 11 00 00 00'),
];

function headOf(words: Int32Array): PacketHead {
  const head = new PacketHead();
  head.read(words[0] ?? 0, words, 0);
  if (head.fragments <= 64) head.readFragments(words, 0);
  return head;
}

describe('messages, spec §10.1', () => {
  it.each(vectors)('$row: builds into memory full of 0xa5', ({ hex, write }) => {
    const expected = bytesFromHex(hex);
    const words = new Int32Array(64).fill(0xa5a5a5a5 | 0);
    write(words, 3);
    expect(hexOf(messageBytes(words, 3, expected.length))).toBe(hexOf(expected));
    const untouched = Math.ceil(expected.length / 4) + 3;
    expect(words[2]).toBe(0xa5a5a5a5 | 0);
    expect(words[untouched]).toBe(0xa5a5a5a5 | 0);
  });

  it.each(vectors)('$row: takes apart', ({ hex, read, value }) => {
    const words = new Int32Array(64);
    new Uint8Array(words.buffer).set(bytesFromHex(hex), 20);
    expect(read(words, 5)).toEqual(value);
  });

  it.each(['small', 'copy', 'map', 'needEvent', 'noPrefix'])('PACKET vector %s is valid', (name) => {
    const words = new Int32Array(128);
    const packet = packets[name] as PacketRecord;
    writePacket(words, 0, packet);
    const head = headOf(words);
    expect(packetFault(head)).toBeUndefined();
    expect(packetDrop(head, 18)).toBe(undefined);
    const fragments = packet.fragments.reduce((sum, fragment) => sum + fragment.size, 0);
    expect(head.length).toBe(packet.prefix.length + fragments);
  });

  it('18 start-up burst', () => {
    const words = new Int32Array(6);
    writeSetMaxPackets(words, 0, 128);
    writeSetMaxFragments(words, 2, 18);
    writeSetOffload(words, 4, true, true);
    expect(hexOf(messageBytes(words, 0, 24))).toBe(
      '01 00 08 00 80 00 00 00 05 00 08 00 12 00 00 00 04 00 08 00 01 01 00 00',
    );
  });
});

describe('PACKET validation, spec §7', () => {
  const valid = packets.copy as PacketRecord;
  const fragment = { size: 100, offset: 0, ref: 1 };
  const build = (change: Partial<PacketRecord>, patch?: (words: Int32Array) => void) => {
    const words = new Int32Array(1024);
    writePacket(words, 0, { ...valid, ...change });
    patch?.(words);
    return words;
  };

  it.each<[string, Int32Array]>([
    ['prefix over 256', build({ prefix: new Uint8Array(257) })],
    [
      'prefix beyond the message',
      build({ fragments: [], type: 4 }, (words) => {
        words[3] = 200;
      }),
    ],
    ['small with a fragment', build({ type: 4 })],
    ['receiver_copy without fragments', build({ fragments: [] })],
    ['receiver_map without fragments', build({ fragments: [], type: 3 })],
    [
      'obsolete pre-posted type',
      build({}, (words) => {
        words[2] = 2;
      }),
    ],
    [
      'packet type 0',
      build({}, (words) => {
        words[2] = 0;
      }),
    ],
    ['65 fragments', build({ fragments: Array.from({ length: 65 }, () => fragment) })],
  ])('fatal: %s', (_, words) => {
    expect(packetFault(headOf(words))).toBeTypeOf('string');
  });

  it('fatal: receiver_map on a bypass ring only', () => {
    const words = build({ type: 3 });
    expect(packetFault(headOf(words), true)).toBeTypeOf('string');
    expect(packetFault(headOf(words), false)).toBeUndefined();
  });

  it.each<[string, Int32Array, string]>([
    [
      'more fragments than advertised',
      build({ fragments: Array.from({ length: 19 }, () => fragment) }),
      'fragmentLimit',
    ],
    ['fragment of size 0', build({ fragments: [{ ...fragment, size: 0 }] }), 'fragmentRange'],
    [
      '10.4 #10: offset 4000 size 200',
      build({ fragments: [{ size: 200, offset: 4000, ref: 1 }] }),
      'fragmentRange',
    ],
    ['13 bytes', build({ prefix: new Uint8Array(5), fragments: [{ ...fragment, size: 8 }] }), 'length'],
    [
      '65537 bytes',
      build({
        prefix: new Uint8Array(1),
        fragments: Array.from({ length: 16 }, () => ({ ...fragment, size: 4096 })),
      }),
      'length',
    ],
    ['checksum field beyond the end', build({ flags: 1, csumStart: 1000, csumOffset: 13 }), 'checksumRange'],
    ['segmentation type 2', build({ segmentation: 2, mss: 100 }), 'segmentation'],
    ['TSO with mss 0', build({ segmentation: 1, mss: 0 }), 'segmentation'],
    ['TSO with mss over length', build({ segmentation: 1, mss: 2000 }), 'segmentation'],
  ])('dropped: %s', (_, words, reason) => {
    expect(packetFault(headOf(words))).toBeUndefined();
    expect(packetDrop(headOf(words), 18)).toBe(reason);
  });

  it.each<[string, Int32Array]>([
    ['checksum field ending at the end', build({ flags: 1, csumStart: 1000, csumOffset: 12 })],
    ['csum and mss fields without their flag', build({ csumStart: 60000, csumOffset: 60000, mss: 9999 })],
    ['unknown flag bits', build({ flags: 0xf0 })],
    ['14 bytes', build({ prefix: new Uint8Array(0), fragments: [{ ...fragment, size: 14 }] })],
    [
      '65536 bytes',
      build({
        prefix: new Uint8Array(0),
        fragments: Array.from({ length: 16 }, () => ({ ...fragment, size: 4096 })),
      }),
    ],
  ])('accepted: %s', (_, words) => {
    expect(packetFault(headOf(words))).toBeUndefined();
    expect(packetDrop(headOf(words), 18)).toBeUndefined();
  });
});

describe('bypass set-up validation, spec §7', () => {
  const build = (change: object, patch?: (words: Int32Array) => void) => {
    const words = new Int32Array(64);
    writeBypassSetup(words, 0, { ...setups.frontend, ...change });
    patch?.(words);
    return readBypassSetup(words, 0, 0, 5);
  };
  it.each<[string, unknown]>([
    ['three pages', build({ producerRefs: [1, 2, 3], consumerRefs: [4, 5, 6] })],
    ['no pages', build({ producerRefs: [], consumerRefs: [] })],
    [
      '32 pages',
      build({}, (words) => {
        words[5] = ((words[5] ?? 0) & 0xffffff) | (32 << 24);
      }),
    ],
    [
      'too short',
      build({}, (words) => {
        words[0] = messageHeader(9, 0, 40);
      }),
    ],
    ['pages of a third domain', build({ ringDomain: 9 })],
    ['own domain as peer', build({ peerDomain: 5 })],
    ['group MAC', build({ remoteMac: bytesFromHex('01 00 5e 00 00 01') })],
  ])('refused: %s', (_, answer) => {
    expect(answer).toBeTypeOf('string');
  });
});
