/**
 * What a device to attach is like, in the words of xl's `vif` entries.
 *
 * @packageDocumentation
 */
import type { DomainId } from '@netchannel2/xen';
import { MAX_DEVICE_NUMBER } from '../device-paths';
import type { DeviceClass } from '../driver';
import { parseMac, randomMac } from '../mac-address';
import { ConfigurationError } from './configuration-error';
import { parseRate, type RateLimit } from './rate';

export const DEFAULT_BRIDGE = 'xenbr0';
export const DEFAULT_SCRIPT = '/etc/xen/scripts/vif-bridge';
export const DEFAULT_MTU = 1500;
export const DEFAULT_MAX_BYPASSES = 5;

export interface DeviceConfiguration {
  /** Default `vif`. */
  readonly type?: DeviceClass;
  /** `vif2` only: make a `vif` of the same number and MAC where an end cannot serve a vif2. Default false: refuse. */
  readonly fallback?: boolean;
  /** The device number; default: the next one of the guest. */
  readonly number?: number;
  /** The guest's MAC; default: a random one of `00:16:3e`. */
  readonly mac?: string;
  /** Default `xenbr0`; `-`, for a vif2, leaves it without a bridge. */
  readonly bridge?: string;
  /** The backend domain; default the toolstack's own. */
  readonly backend?: DomainId;
  /** 68 … 65535, default 1500. */
  readonly mtu?: number;
  /** What the guest may send, as `10Mb/s` or `1MB/s@20ms`; default: no limit. */
  readonly rate?: string | RateLimit;
  /** The card an HVM guest's emulation shows; only with `emulated`, and of no effect on the split device. */
  readonly model?: string;
  /** xl's `type=ioemu`: beside an emulated card; default false. */
  readonly emulated?: boolean;
  /** The hotplug script's path. */
  readonly script?: string;
  readonly ip?: string;
  readonly gatewaydev?: string;
  readonly vifname?: string;
  readonly vlan?: string;
  /** Whether the guest may trust the backend; default true. */
  readonly trusted?: boolean;
  /** `vif2`: whether the backend may trust the guest; default false. */
  readonly guestTrusted?: boolean;
  /** `vif2`: default 5. */
  readonly maxBypasses?: number;
}

/** A configuration with its defaults, checked. */
export interface SettledConfiguration {
  readonly type: DeviceClass;
  readonly fallback: boolean;
  readonly number: number | undefined;
  readonly mac: string;
  readonly bridge: string;
  readonly backend: DomainId;
  readonly mtu: number;
  readonly rate: RateLimit | undefined;
  readonly emulated: boolean;
  readonly script: string;
  readonly ip: string | undefined;
  readonly gatewaydev: string | undefined;
  readonly vifname: string | undefined;
  readonly vlan: string | undefined;
  readonly trusted: boolean;
  readonly guestTrusted: boolean;
  readonly maxBypasses: number;
}

/**
 * Fills in the defaults and checks every part.
 *
 * @param backend the toolstack's own domain.
 * @throws {ConfigurationError}
 */
export function settleConfiguration(
  configuration: DeviceConfiguration,
  backend: DomainId,
  random: () => number,
): SettledConfiguration {
  const type = configuration.type ?? 'vif';
  if (type !== 'vif' && type !== 'vif2') {
    throw new ConfigurationError(`type "${String(type)}" should be vif or vif2`);
  }
  if (configuration.fallback === true && type !== 'vif2') {
    throw new ConfigurationError('fallback is for type vif2: a vif has nothing to fall back to');
  }
  if (configuration.model !== undefined && configuration.emulated !== true) {
    throw new ConfigurationError('model names an emulated card: it needs type=ioemu');
  }
  if (configuration.emulated === true && type !== 'vif') {
    throw new ConfigurationError('an emulated card goes with type vif only');
  }
  const { rate } = configuration;
  return {
    type,
    fallback: configuration.fallback ?? false,
    number: optionalInteger('number', configuration.number, 0, MAX_DEVICE_NUMBER),
    mac: guestMac(configuration.mac, random),
    bridge: text('bridge', configuration.bridge) ?? DEFAULT_BRIDGE,
    backend: configuration.backend ?? backend,
    mtu: optionalInteger('mtu', configuration.mtu, 68, 65535) ?? DEFAULT_MTU,
    rate: typeof rate === 'string' ? parseRate(rate) : rate,
    emulated: configuration.emulated ?? false,
    script: text('script', configuration.script) ?? DEFAULT_SCRIPT,
    ip: text('ip', configuration.ip),
    gatewaydev: text('gatewaydev', configuration.gatewaydev),
    vifname: text('vifname', configuration.vifname),
    vlan: text('vlan', configuration.vlan),
    trusted: configuration.trusted ?? true,
    guestTrusted: configuration.guestTrusted ?? false,
    maxBypasses: optionalInteger('maxBypasses', configuration.maxBypasses, 0, 0xffff) ?? DEFAULT_MAX_BYPASSES,
  };
}

function guestMac(mac: string | undefined, random: () => number): string {
  if (mac === undefined) return randomMac(random);
  const bytes = parseMac(mac);
  if (bytes === undefined) {
    throw new ConfigurationError(`mac "${mac}" should be six bytes in hex, as 00:16:3e:00:00:01`);
  }
  if (((bytes[0] ?? 0) & 1) === 1) {
    throw new ConfigurationError(`mac "${mac}" is a multicast address; its first byte should be even`);
  }
  return mac.toLowerCase();
}

function optionalInteger(
  name: string,
  value: number | undefined,
  low: number,
  high: number,
): number | undefined {
  if (value === undefined || (Number.isInteger(value) && value >= low && value <= high)) return value;
  throw new ConfigurationError(`${name} ${value} should be a whole number from ${low} to ${high}`);
}

function text(name: string, value: string | undefined): string | undefined {
  if (value === undefined || /^[\x20-\x7e]{1,255}$/.test(value)) return value;
  throw new ConfigurationError(`${name} should be 1 to 255 printable ASCII characters`);
}
