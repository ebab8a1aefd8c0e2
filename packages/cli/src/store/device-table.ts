import { type DeviceEntry, xenbusStateName } from '@netchannel2/device-registry';
import type { DomainId } from '@netchannel2/xen';
import { textTable } from '../report/text-table';

const TITLES = ['Domain', 'Idx', 'Class', 'BE', 'MAC', 'Bridge', 'Frontend', 'Backend', 'Remarks'];

/** Devices as `nc2 network-list` shows them: one a line, with what the ends said when they gave one up. */
export function deviceTable(entries: readonly DeviceEntry[], names: ReadonlyMap<DomainId, string>): string {
  const rows = entries.map((entry) => [
    names.get(entry.domid) ?? String(entry.domid),
    String(entry.number),
    entry.type,
    String(entry.backend),
    entry.mac ?? '-',
    entry.bridge ?? '-',
    xenbusStateName(entry.frontendState),
    xenbusStateName(entry.backendState),
    remarks(entry),
  ]);
  return textTable([TITLES, ...rows], { align: TITLES.map(() => 'left') });
}

function remarks(entry: DeviceEntry): string {
  const words: string[] = [];
  if (entry.requestedType !== undefined) words.push(`fallback from ${entry.requestedType}`);
  if (entry.hotplugStatus === 'error') words.push('hotplug failed');
  return [...words, ...entry.errors.map((error) => `error ${error}`)].join('; ');
}

/** One device for machines. */
export function deviceJson(entry: DeviceEntry): Readonly<Record<string, unknown>> {
  return {
    domain: entry.domid,
    number: entry.number,
    class: entry.type,
    backend: entry.backend,
    mac: entry.mac ?? null,
    bridge: entry.bridge ?? null,
    frontendState: xenbusStateName(entry.frontendState),
    backendState: xenbusStateName(entry.backendState),
    requestedClass: entry.requestedType ?? entry.type,
    errors: entry.errors,
    frontendPath: entry.frontendPath,
    backendPath: entry.backendPath,
  };
}
