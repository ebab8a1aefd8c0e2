import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  CTRL_RING,
  CtrlType,
  copyTxRequest,
  ctrlId,
  ctrlRequestData,
  ctrlResponseStatus,
  ctrlType,
  ExtraType,
  extraFlags,
  extraType,
  GsoType,
  gsoSize,
  gsoType,
  HashType,
  hashAlgorithm,
  hashType,
  hashValue,
  initialiseRing,
  multicastMac,
  RX_RING,
  RxFlag,
  RxStatus,
  rxRequestGref,
  rxRequestId,
  rxResponseFlags,
  rxResponseId,
  rxResponseOffset,
  rxResponseStatus,
  rxSlotsNeeded,
  slotsPerPage,
  TX_RING,
  TxFlag,
  TxStatus,
  txRequestFlags,
  txRequestGref,
  txRequestId,
  txRequestOffset,
  txRequestSize,
  txResponseId,
  txResponseStatus,
  writeCtrlRequest,
  writeCtrlResponse,
  writeGsoExtra,
  writeHashExtra,
  writeMulticastExtra,
  writeRxRequest,
  writeRxResponse,
  writeTxRequest,
  writeTxResponse,
  writeXdpExtra,
  xdpHeadroom,
} from './index';

/** Words holding the bytes of a hex string, behind one word of other content. */
const words = (hex: string): Int32Array => {
  const bytes = new Uint8Array(hex.split(' ').map((byte) => Number.parseInt(byte, 16)));
  const padded = new Uint8Array(4 + Math.ceil(bytes.length / 4) * 4).fill(0xa5);
  padded.set(bytes, 4);
  return new Int32Array(padded.buffer);
};

/** What `write` leaves at word 1 of memory full of 0xa5, as hex, and that it wrote nothing else. */
const written = (byteCount: number, write: (words: Int32Array) => void): string => {
  const memory = new Int32Array(8).fill(0xa5a5a5a5 | 0);
  write(memory);
  const bytes = new Uint8Array(memory.buffer);
  expect([...bytes.subarray(0, 4), ...bytes.subarray(4 + byteCount)].every((byte) => byte === 0xa5)).toBe(
    true,
  );
  return [...bytes.subarray(4, 4 + byteCount)].map((byte) => byte.toString(16).padStart(2, '0')).join(' ');
};

describe('rings (vif.md §1)', () => {
  it('vector 1: a fresh ring', () => {
    const memory = new Int32Array(1024 * 2).fill(0xa5a5a5a5 | 0);
    initialiseRing(memory, 1024);
    expect([...new Uint8Array(memory.buffer, 4096, 64)]).toEqual([
      ...[0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0],
      ...new Array<number>(48).fill(0),
    ]);
    expect(memory[1023]).toBe(0xa5a5a5a5 | 0);
  });
  it('slot counts', () => {
    expect([slotsPerPage(12), slotsPerPage(8), slotsPerPage(16)]).toEqual([256, 256, 128]);
    expect([TX_RING.slotCount, RX_RING.slotCount, CTRL_RING.slotCount]).toEqual([256, 256, 128]);
  });
});

describe('TX slots (§2)', () => {
  const request = (hex: string) => {
    const copy = new Int32Array(3);
    copyTxRequest(words(hex), 1, copy, 0);
    return {
      gref: txRequestGref(copy, 0),
      offset: txRequestOffset(copy, 0),
      flags: txRequestFlags(copy, 0),
      id: txRequestId(copy, 0),
      size: txRequestSize(copy, 0),
    };
  };
  it.each([
    ['2', '21 03 00 00 40 00 03 00 05 00 ea 05', { gref: 0x321, offset: 64, flags: 3, id: 5, size: 1514 }],
    ['3', '00 04 00 00 00 00 0f 00 06 00 70 17', { gref: 0x400, offset: 0, flags: 15, id: 6, size: 6000 }],
  ])('vector %s: request', (_, hex, fields) => {
    expect(request(hex)).toEqual(fields);
    expect(
      written(12, (memory) =>
        writeTxRequest(memory, 1, fields.gref, fields.offset, fields.flags, fields.id, fields.size),
      ),
    ).toBe(hex);
  });
  it.each([
    ['OKAY', '05 00 00 00', 5, TxStatus.okay],
    ['ERROR', '05 00 ff ff', 5, TxStatus.error],
    ['NULL', '05 00 01 00', 5, TxStatus.none],
    ['DROPPED', '05 00 fe ff', 5, TxStatus.dropped],
  ])('vector 6: response %s', (_, hex, id, status) => {
    expect(written(4, (memory) => writeTxResponse(memory, 1, id, status))).toBe(hex);
    const word = words(hex)[1] ?? 0;
    expect([txResponseId(word), txResponseStatus(word)]).toEqual([id, status]);
  });
  it('flags are named by direction', () => {
    expect([TxFlag.checksumBlank, TxFlag.dataValidated, RxFlag.checksumBlank, RxFlag.dataValidated]).toEqual([
      1, 2, 2, 1,
    ]);
  });
  it('any request reads back as written', () => {
    const u16 = fc.integer({ min: 0, max: 0xffff });
    fc.assert(
      fc.property(
        fc.integer({ min: 0, max: 0xffff_ffff }),
        u16,
        u16,
        u16,
        u16,
        (gref, offset, flags, id, size) => {
          const memory = new Int32Array(5);
          writeTxRequest(memory, 1, gref, offset, flags, id, size);
          expect([
            txRequestGref(memory, 1),
            txRequestOffset(memory, 1),
            txRequestFlags(memory, 1),
            txRequestId(memory, 1),
            txRequestSize(memory, 1),
          ]).toEqual([gref, offset, flags, id, size]);
        },
      ),
    );
  });
});

describe('RX slots (§3)', () => {
  it('vector 7: request', () => {
    const memory = words('09 00 00 00 55 05 00 00');
    expect([rxRequestId(memory, 1), rxRequestGref(memory, 1)]).toEqual([9, 0x555]);
    expect(written(8, (target) => writeRxRequest(target, 1, 9, 0x555))).toBe('09 00 00 00 55 05 00 00');
  });
  it.each([
    ['8', '09 00 00 00 03 00 ea 05', 9, 0, RxFlag.checksumBlank | RxFlag.dataValidated, 1514],
    ['9', '09 00 00 00 00 00 ff ff', 9, 0, 0, RxStatus.error],
  ])('vector %s: response', (_, hex, id, offset, flags, status) => {
    const memory = words(hex);
    const first = memory[1] ?? 0;
    const second = memory[2] ?? 0;
    expect([rxResponseId(first), rxResponseOffset(first)]).toEqual([id, offset]);
    expect([rxResponseFlags(second), rxResponseStatus(second)]).toEqual([flags, status]);
    expect(written(8, (target) => writeRxResponse(target, 1, id, offset, flags, status))).toBe(hex);
  });
  it.each([
    [1, 0, 1],
    [4096, 0, 1],
    [4097, 0, 2],
    [10000, 1, 4],
    [65535, 1, 17],
  ])('%i bytes and %i extras need %i slots', (bytes, extras, slots) => {
    expect(rxSlotsNeeded(bytes, extras)).toBe(slots);
  });
});

describe('extra info (§4)', () => {
  const two = (hex: string): [number, number] => {
    const memory = words(hex);
    return [memory[1] ?? 0, memory[2] ?? 0];
  };
  it('vector 4: GSO', () => {
    const hex = '01 00 a8 05 01 00 00 00';
    const [first, second] = two(hex);
    expect([extraType(first), extraFlags(first), gsoSize(first), gsoType(second)]).toEqual([
      ExtraType.gso,
      0,
      1448,
      GsoType.tcpv4,
    ]);
    expect(written(8, (memory) => writeGsoExtra(memory, 1, 1448, GsoType.tcpv4, 0))).toBe(hex);
  });
  it('vector 5: multicast', () => {
    const hex = '02 00 01 00 5e 00 00 fb';
    const [first, second] = two(hex);
    expect(extraType(first)).toBe(ExtraType.multicastAdd);
    expect(multicastMac(first, second)).toBe(0x01005e0000fb);
    expect(
      written(8, (memory) => writeMulticastExtra(memory, 1, ExtraType.multicastAdd, 0x01005e0000fb, 0)),
    ).toBe(hex);
  });
  it('vector 10: hash', () => {
    const hex = '04 00 01 01 78 c1 cc 51';
    const [first, second] = two(hex);
    expect([hashType(first), hashAlgorithm(first), hashValue(second)]).toEqual([
      HashType.ipv4Tcp,
      1,
      0x51ccc178,
    ]);
    expect(written(8, (memory) => writeHashExtra(memory, 1, HashType.ipv4Tcp, 1, 0x51ccc178, 0))).toBe(hex);
  });
  it('XDP headroom', () => {
    const memory = new Int32Array(2);
    writeXdpExtra(memory, 0, 256, 0);
    expect([extraType(memory[0] ?? 0), xdpHeadroom(memory[0] ?? 0)]).toEqual([ExtraType.xdp, 256]);
  });
  it('any multicast address reads back', () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 2 ** 48 - 1 }), (mac) => {
        const memory = new Int32Array(2);
        writeMulticastExtra(memory, 0, ExtraType.multicastDelete, mac, 1);
        expect(multicastMac(memory[0] ?? 0, memory[1] ?? 0)).toBe(mac);
        expect(extraFlags(memory[0] ?? 0)).toBe(1);
      }),
    );
  });
});

describe('control ring (§9)', () => {
  it('vector 11: request', () => {
    const hex = '01 00 07 00 01 00 00 00 00 00 00 00 00 00 00 00';
    const memory = words(hex);
    expect([ctrlId(memory, 1), ctrlType(memory, 1), ctrlRequestData(memory, 1, 0)]).toEqual([
      1,
      CtrlType.setHashAlgorithm,
      1,
    ]);
    expect(written(16, (target) => writeCtrlRequest(target, 1, 1, CtrlType.setHashAlgorithm, 1, 0, 0))).toBe(
      hex,
    );
  });
  it('vector 12: response', () => {
    const hex = '01 00 07 00 00 00 00 00 00 00 00 00';
    const memory = words(hex);
    expect([ctrlId(memory, 1), ctrlType(memory, 1), ctrlResponseStatus(memory, 1)]).toEqual([1, 7, 0]);
    expect(written(12, (target) => writeCtrlResponse(target, 1, 1, 7, 0, 0))).toBe(hex);
  });
});
