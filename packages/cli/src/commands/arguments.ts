/** Option values that several verbs take, parsed and refused in the same words. */
import type { FaultOptions } from '@netchannel2/bridge';
import { DEVICE_CLASSES, type DeviceClass } from '@netchannel2/device-registry';
import { InvalidArgumentError } from 'commander';
import type { GrantTableVersion } from '../replay/scenario';

export function parseGrantTableVersion(text: string): GrantTableVersion {
  if (text === '1' || text === 'v1') return 1;
  if (text === '2' || text === 'v2') return 2;
  throw new InvalidArgumentError('A grant table has version 1 or 2.');
}

export const parseCount = (text: string): number => wholeNumber(text, 1);
export const parseCountOrNone = (text: string): number => wholeNumber(text, 0);

function wholeNumber(text: string, least: number): number {
  const count = Number(text);
  if (!/^\d+$/.test(text) || !Number.isSafeInteger(count) || count < least)
    throw new InvalidArgumentError(`Give a whole number from ${least}.`);
  return count;
}

/** `vif`, `vif2`, or `both`. */
export function parseDeviceClasses(text: string): readonly DeviceClass[] {
  if (text === 'both') return DEVICE_CLASSES;
  const found = DEVICE_CLASSES.filter((deviceClass) => deviceClass === text);
  if (found.length === 0) throw new InvalidArgumentError(`Give ${DEVICE_CLASSES.join(', ')} or both.`);
  return found;
}

/** `loss=0.1,duplicate=0.1,reorder=0.1,seed=7`, each part optional. */
export function parseFaults(text: string): FaultOptions {
  const faults = { loss: 0, duplicate: 0, reorder: 0, seed: 1 };
  for (const part of text.split(',')) {
    const [name = '', value = ''] = part.split('=');
    const number = Number(value);
    const isProbability = number >= 0 && number <= 1;
    if (
      !Object.hasOwn(faults, name) ||
      value === '' ||
      !(name === 'seed' ? Number.isInteger(number) : isProbability)
    )
      throw new InvalidArgumentError(
        `In ${part}: give loss, duplicate or reorder as 0 … 1, seed as a whole number.`,
      );
    faults[name as keyof typeof faults] = number;
  }
  return faults;
}
