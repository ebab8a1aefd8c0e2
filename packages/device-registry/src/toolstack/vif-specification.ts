/**
 * xl's way of writing network devices: `mac=00:16:3e:00:00:01,bridge=xenbr0`, and a list of them in a configuration.
 *
 * @packageDocumentation
 */
import { type DomainId, domainId } from '@netchannel2/xen';
import { parseDomainId } from '../device-paths';
import { parseDecimal } from '../peer-values';
import { ConfigurationError } from './configuration-error';
import { type DeviceConfiguration, settleConfiguration } from './device-configuration';

type Mutable<Type> = { -readonly [Key in keyof Type]: Type[Key] };
type Draft = Mutable<DeviceConfiguration>;

export interface VifSpecificationOptions {
  /** Finds a backend domain written by name. Without it only numbers are accepted. */
  readonly domainByName?: (name: string) => DomainId | undefined;
}

type Setter = (draft: Draft, value: string, options: VifSpecificationOptions) => void;

const KEYS: Readonly<Record<string, Setter>> = {
  type: (draft, value) => {
    if (value === 'vif2') draft.type = 'vif2';
    else if (value === 'ioemu') draft.emulated = true;
    else if (value !== 'vif') throw new ConfigurationError(`type=${value} should be vif, vif2 or ioemu`);
  },
  fallback: (draft, value) => {
    draft.fallback = readSwitch('fallback', value);
  },
  mac: (draft, value) => {
    draft.mac = value;
  },
  bridge: (draft, value) => {
    draft.bridge = value;
  },
  backend: (draft, value, options) => {
    const backend = parseDomainId(value) ?? options.domainByName?.(value);
    if (backend === undefined) {
      throw new ConfigurationError(`backend=${value} should be the id or name of a running domain`);
    }
    draft.backend = backend;
  },
  mtu: (draft, value) => {
    draft.mtu = readNumber('mtu', value);
  },
  rate: (draft, value) => {
    draft.rate = value;
  },
  model: (draft, value) => {
    draft.model = value;
  },
  script: (draft, value) => {
    draft.script = value;
  },
  ip: (draft, value) => {
    draft.ip = value;
  },
  gatewaydev: (draft, value) => {
    draft.gatewaydev = value;
  },
  netdev: (draft, value) => {
    draft.gatewaydev = value;
  },
  vifname: (draft, value) => {
    draft.vifname = value;
  },
  vlan: (draft, value) => {
    draft.vlan = value;
  },
  devid: (draft, value) => {
    draft.number = readNumber('devid', value);
  },
  trusted: (draft, value) => {
    draft.trusted = readSwitch('trusted', value);
  },
};

/**
 * One device: `key=value` parts separated by commas, blanks around them ignored. Keys are xl's, and `type=vif2` and
 * `fallback` for the second class. An empty text is a device with all defaults.
 *
 * @throws {ConfigurationError} naming the part and what it should be.
 */
export function parseVifSpecification(
  text: string,
  options: VifSpecificationOptions = {},
): DeviceConfiguration {
  const draft: Draft = {};
  const seen = new Set<string>();
  for (const part of text.trim() === '' ? [] : text.split(',')) {
    const sign = part.indexOf('=');
    const key = (sign < 0 ? part : part.slice(0, sign)).trim().toLowerCase();
    const value = sign < 0 ? '' : part.slice(sign + 1).trim();
    if (sign < 0 || value === '') {
      throw new ConfigurationError(`"${part.trim()}" in "${text}" should be key=value`);
    }
    const set = Object.hasOwn(KEYS, key) ? KEYS[key] : undefined;
    if (set === undefined) {
      throw new ConfigurationError(
        `"${key}" in "${text}" is not a key of a vif; known are ${Object.keys(KEYS).join(', ')}`,
      );
    }
    if (seen.has(key)) throw new ConfigurationError(`${key} is given twice in "${text}"`);
    seen.add(key);
    set(draft, value, options);
  }
  settleConfiguration(draft, domainId(0), () => 0);
  return draft;
}

/**
 * The `vif` line of a guest's configuration, as `vif = ['mac=…,bridge=…', 'type=vif2']`, or only its list.
 *
 * @throws {ConfigurationError}
 */
export function parseVifList(text: string, options: VifSpecificationOptions = {}): DeviceConfiguration[] {
  const list = /^\s*(?:vif\s*=\s*)?\[([\s\S]*)\]\s*;?\s*$/.exec(text)?.[1];
  if (list === undefined) {
    throw new ConfigurationError(`"${text}" should look like vif = ['mac=00:16:3e:00:00:01,bridge=xenbr0']`);
  }
  const devices: DeviceConfiguration[] = [];
  let rest = list.trim();
  while (rest !== '') {
    const item = /^(?:'([^'\n]*)'|"([^"\n]*)")\s*(,\s*|$)/.exec(rest);
    if (item === null) {
      throw new ConfigurationError(
        `in the vif list, "${rest}" should start with a quoted device and a comma`,
      );
    }
    devices.push(parseVifSpecification(item[1] ?? item[2] ?? '', options));
    rest = rest.slice(item[0].length);
  }
  return devices;
}

function readNumber(key: string, value: string): number {
  const number = parseDecimal(value);
  if (number === undefined) throw new ConfigurationError(`${key}=${value} should be a decimal number`);
  return number;
}

function readSwitch(key: string, value: string): boolean {
  if (value === '1' || value === 'yes' || value === 'true') return true;
  if (value === '0' || value === 'no' || value === 'false') return false;
  throw new ConfigurationError(`${key}=${value} should be 1 or 0`);
}
