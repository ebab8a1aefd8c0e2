/**
 * A grant table for people: what Xen's debug key `g` prints, with names for its bits.
 */
import type { GrantEntryRecord, GrantTableRecord } from '@netchannel2/hypervisor';
import { textTable } from './text-table';

const TITLES = ['Ref', 'Type', 'Flags', 'To', 'Frame', 'Range', 'Status', 'Pins', 'By', 'MFN', 'Source'];

const TYPES = ['invalid', 'access', 'transfer', 'transitive'] as const;
const TRANSFER = 2;
const TRANSITIVE = 3;
const SUB_PAGE = 0x100;
/** Bits of flags by what they are called; in-use bits have a column of their own. */
const ACCESS_BITS = [
  [0x004, 'ro'],
  [0x020, 'pwt'],
  [0x040, 'pcd'],
  [0x080, 'pat'],
  [SUB_PAGE, 'sub'],
] as const;
const TRANSFER_BITS = [
  [0x004, 'committed'],
  [0x008, 'completed'],
] as const;
const STATUS_BITS = [
  [0x008, 'reading'],
  [0x010, 'writing'],
] as const;
/** Counters of a pin word, 8 bits each from the low end: host and device, write and read. */
const PINS = ['hw', 'hr', 'dw', 'dr'] as const;

/** The table of the domain called `name`. References, frames and flags are hexadecimal, as Xen prints them. */
export function grantsText(name: string, domid: number, table: GrantTableRecord): string {
  const { version, frames, maxFrames, statusFrames, maptrackFrames, maxMaptrackFrames, mappings } = table;
  const status = version === 2 ? `, ${statusFrames} status frames` : '';
  const head =
    `grant table of ${name} (d${domid}), version ${version}\n` +
    `  ${frames} frames (${maxFrames} max)${status}, ${maptrackFrames} maptrack frames (${maxMaptrackFrames} max), ` +
    `${mappings} mappings of others' pages\n`;
  if (table.entries.length === 0) return `${head}no entries\n`;
  const rows = table.entries.map((entry) => entryRow(domid, entry));
  return head + textTable([TITLES, ...rows], { align: TITLES.map(() => 'left') });
}

function entryRow(domid: number, entry: GrantEntryRecord): string[] {
  const { ref, flags, status, use } = entry;
  const type = flags & 3;
  const names = bitNames(type === TRANSFER ? TRANSFER_BITS : ACCESS_BITS, flags);
  const isSubPage = (flags & SUB_PAGE) !== 0 && entry.length > 0;
  const foreign = use !== undefined && use.sourceDomid !== domid;
  return [
    `0x${ref.toString(16).padStart(3, '0')}`,
    TYPES[type] ?? '',
    `0x${flags.toString(16).padStart(2, '0')}${names === '' ? '' : ` ${names}`}`,
    type === 0 ? '-' : `d${entry.domid}`,
    type === TRANSITIVE
      ? `d${entry.transitiveDomid}/0x${entry.transitiveRef.toString(16)}`
      : hex(entry.frame),
    isSubPage ? `${entry.pageOffset}+${entry.length}` : '-',
    type === TRANSFER ? '-' : bitNames(STATUS_BITS, status) || '-',
    use === undefined ? '-' : pinText(use.pin),
    use === undefined ? '-' : `d${use.domid}`,
    use === undefined ? '-' : hex(use.machineFrame),
    foreign ? `d${use.sourceDomid}/0x${use.sourceRef.toString(16)}` : '-',
  ];
}

const hex = (number: number): string => `0x${number.toString(16)}`;

function bitNames(bits: readonly (readonly [number, string])[], word: number): string {
  return bits
    .filter(([bit]) => (word & bit) !== 0)
    .map(([, name]) => name)
    .join(',');
}

function pinText(pin: number): string {
  return PINS.map((name, index) => [name, (pin >>> (index * 8)) & 0xff] as const)
    .filter(([, count]) => count > 0)
    .map(([name, count]) => `${name}:${count}`)
    .join(' ');
}
