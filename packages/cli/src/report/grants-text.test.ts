import type { GrantEntryRecord, GrantTableRecord } from '@netchannel2/hypervisor';
import { describe, expect, it } from 'vitest';
import { grantsText } from './grants-text';

const TABLE: GrantTableRecord = {
  version: 2,
  frames: 3,
  maxFrames: 64,
  statusFrames: 1,
  maptrackFrames: 0,
  maxMaptrackFrames: 1024,
  mappings: 0,
  entries: [],
};

const entry = (fields: Partial<GrantEntryRecord>): GrantEntryRecord => ({
  ref: 8,
  flags: 1,
  domid: 0,
  frame: 0x14c802,
  pageOffset: 0,
  length: 0,
  transitiveDomid: 0,
  transitiveRef: 0,
  status: 0,
  use: undefined,
  ...fields,
});

const use = {
  pin: 0x0002_0301,
  domid: 0,
  machineFrame: 0x99,
  sourceDomid: 2,
  sourceRef: 8,
  start: 0,
  length: 4096,
  subPage: false,
};

describe('grantsText', () => {
  it('shows each kind of entry, its use and its pins', () => {
    const entries = [
      entry({ status: 0x18, use }),
      entry({ ref: 9, flags: 0x105, pageOffset: 100, length: 50 }),
      entry({ ref: 0x208, flags: 3, transitiveDomid: 3, transitiveRef: 0x1f, frame: 0x1f }),
      entry({
        ref: 0x209,
        flags: 7,
        transitiveDomid: 3,
        transitiveRef: 9,
        status: 8,
        use: { ...use, pin: 0x100, sourceDomid: 3, sourceRef: 9 },
      }),
      entry({ ref: 0x20a, flags: 0x0e, frame: 5 }),
      entry({ ref: 0x20b, flags: 0, status: 8, use: { ...use, pin: 0x0100_0000 } }),
    ];
    expect(grantsText('guest2', 2, { ...TABLE, entries })).toBe(
      [
        'grant table of guest2 (d2), version 2',
        "  3 frames (64 max), 1 status frames, 0 maptrack frames (1024 max), 0 mappings of others' pages",
        'Ref    Type        Flags                     To  Frame     Range   Status           Pins            By  MFN   Source',
        '0x008  access      0x01                      d0  0x14c802  -       reading,writing  hw:1 hr:3 dw:2  d0  0x99  -',
        '0x009  access      0x105 ro,sub              d0  0x14c802  100+50  -                -               -   -     -',
        '0x208  transitive  0x03                      d0  d3/0x1f   -       -                -               -   -     -',
        '0x209  transitive  0x07 ro                   d0  d3/0x9    -       reading          hr:1            d0  0x99  d3/0x9',
        '0x20a  transfer    0x0e committed,completed  d0  0x5       -       -                -               -   -     -',
        '0x20b  invalid     0x00                      -   0x14c802  -       reading          dr:1            d0  0x99  -',
        '',
      ].join('\n'),
    );
  });

  it('shows an empty table of version 1', () => {
    expect(grantsText('dom0', 0, { ...TABLE, version: 1, statusFrames: 0, frames: 1 })).toBe(
      'grant table of dom0 (d0), version 1\n' +
        "  1 frames (64 max), 0 maptrack frames (1024 max), 0 mappings of others' pages\nno entries\n",
    );
  });
});
