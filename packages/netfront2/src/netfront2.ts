import {
  DeviceError,
  type DeviceLink,
  domainPath,
  errorPath,
  type FrontendDevice,
  type FrontendDriver,
  parseMac,
} from '@netchannel2/device-registry';
import { FRONTEND_VIEW, SUGGEST_BYPASS_SIZE, writeSuggestBypass } from '@netchannel2/netchannel2';
import { PREFIX_TO_MIDDLE, type Vif2Options, Vif2Port } from '@netchannel2/netchannel2-link';
import { type Errno, errnoNumber } from '@netchannel2/xen';
import createDebug from 'debug';
import { PROTOCOL_VERSION, readBackendFeatures } from './backend-features';
import { RingMemory } from './ring-memory';

const debug = createDebug('netchannel2:netfront2');

const DEFAULT_RING_ORDER = 1;

/** Bypasses a frontend takes part in at the same time, by default (spec vif2.md §6.3). */
const DEFAULT_MOST_BYPASSES = 5;

export interface Netfront2Options extends Vif2Options {
  /** Bypasses this frontend takes part in at the same time, 0 … 64. Default 5; 0 agrees to none. */
  readonly maxBypasses?: number | undefined;
}

/** The frontend of one vif2: a port for frames in the guest. */
export class Netfront2 extends Vif2Port implements FrontendDevice {
  readonly name: string;
  private rings: RingMemory | undefined;
  private receiverCopy = false;
  /** The toolstack vouches for the backend: only such a one may set bypasses up. */
  private backendTrusted = false;
  private bypassAgreed = false;
  private readonly maxBypasses: number;
  private ownMac: string | undefined;

  constructor(
    readonly deviceLink: DeviceLink,
    options: Netfront2Options = {},
  ) {
    super(deviceLink.domain, deviceLink.peer, options);
    this.name = `netfront2-${deviceLink.domain.id}.${deviceLink.number}`;
    this.maxBypasses = mostBypasses(options.maxBypasses);
  }

  /** The guest's own address, as the toolstack wrote it; known from `prepare` on. */
  get mac(): string | undefined {
    return this.ownMac;
  }

  async prepare(): Promise<Readonly<Record<string, string>>> {
    const link = this.deviceLink;
    this.release();
    this.ownMac = await link.readOwn('mac');
    const features = await readBackendFeatures(link);
    this.receiverCopy = features.receiverCopy;
    this.backendTrusted = (await link.readOwn('remote-trusted')) !== '0';
    this.bypassAgreed = features.bypass && this.backendTrusted && this.maxBypasses > 0;
    const order = Math.min(this.options.ringPageOrder ?? DEFAULT_RING_ORDER, features.maxRingPageOrder);
    if (!this.openPool()) throw new DeviceError('ENOMEM', 'no pages left for a frame pool');
    try {
      this.rings = RingMemory.create(link.domain, link.peer, order);
    } catch (error) {
      this.release();
      throw error;
    }
    return {
      ...this.rings.nodes(),
      'protocol-version': String(PROTOCOL_VERSION),
      'feature-bypass': this.bypassAgreed ? '1' : '0',
      'gnttab-version': String(link.domain.grants.version),
    };
  }

  async connected(): Promise<void> {
    const { rings } = this;
    if (rings === undefined) return;
    const onlySource = await this.allowedSource();
    this.startLink({
      rings: {
        control: rings.control.area,
        produce: rings.produce.area,
        consume: rings.consume.area,
        view: FRONTEND_VIEW,
        port: rings.port,
      },
      prefix: PREFIX_TO_MIDDLE,
      fragmentKind: this.receiverCopy && this.exactGrants() ? 'receiver_copy' : 'receiver_map',
      onlySource,
      // What comes from a backend may be transitive, and then cannot be granted on.
      sourceGrantsExactly: false,
      extras: {
        rules: { ring: 'parent', peerTrusted: this.backendTrusted, offersBypasses: false },
        marksCandidates: this.bypassAgreed,
      },
      bypasses: {
        acceptance: this.bypassAgreed ? { most: this.maxBypasses } : undefined,
        ownMac: parseMac(this.ownMac),
      },
    });
  }

  /**
   * Tells the backend that a bypass to another guest would be welcome. A hint: it may be ignored, and is for a guest the
   * backend does not trust.
   *
   * @param mac the other guest's address, `xx:xx:xx:xx:xx:xx`.
   * @returns `false` when no bypasses were agreed on, or the link is down.
   * @throws RangeError when that is no address.
   */
  suggestBypass(mac: string): boolean {
    const bytes = parseMac(mac);
    if (bytes === undefined) throw new RangeError(`${mac} is not a MAC address`);
    const message = new Int32Array(SUGGEST_BYPASS_SIZE / 4);
    writeSuggestBypass(message, 0, bytes);
    return this.bypassAgreed && this.sendControl(message);
  }

  /** Waits up to a second for the backend to take and finish what it was sent. */
  async closing(): Promise<void> {
    await this.windDown();
  }

  async disconnect(): Promise<void> {
    this.release();
  }

  removed(): void {
    this.release();
    this.completeStreams();
  }

  protected override linkFailed(code: Errno, message: string): void {
    this.deviceLink.fail(new DeviceError(code, message));
  }

  protected override linkStuck(message: string): void {
    const { domain, ownPath } = this.deviceLink;
    const node = errorPath(domainPath(domain.id), ownPath);
    domain.store.write(node, `${errnoNumber('ETIMEDOUT')} ${message}`).catch((error: unknown) => {
      debug('%s: %s not written: %o', this.name, node, error);
    });
  }

  /** Exact, copy-only grants can be made: toward a backend receiver_copy means nothing else (spec §4.2). */
  private exactGrants(): boolean {
    const { grants, capabilities } = this.deviceLink.domain;
    return capabilities.subPageGrants && grants.entries?.version2 === true;
  }

  /** The only address frames may come from, where `filter-mac` asks for that; by default it does not of a trusted backend. */
  private async allowedSource(): Promise<Uint8Array | undefined> {
    const filter = await this.deviceLink.readOwn('filter-mac');
    const untrusted = (await this.deviceLink.readOwn('remote-trusted')) === '0';
    if (filter === undefined ? !untrusted : filter !== '1') return undefined;
    return parseMac(await this.deviceLink.readOwn('remote-mac'));
  }

  private release(): void {
    this.stopLink();
    this.rings?.end();
    this.rings = undefined;
  }
}

function mostBypasses(value = DEFAULT_MOST_BYPASSES): number {
  if (Number.isInteger(value) && value >= 0 && value <= 64) return value;
  throw new RangeError(`vif2 option maxBypasses is ${value}: give an integer from 0 to 64`);
}

/**
 * The vif2 frontend driver, to be bound to a domain's device registry.
 *
 * @throws RangeError when an option is out of range.
 */
export function netfront2Driver(options: Netfront2Options = {}): FrontendDriver<Netfront2> {
  return { deviceClass: 'vif2', create: (link) => new Netfront2(link, options) };
}
