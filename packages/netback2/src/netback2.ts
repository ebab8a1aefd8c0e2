import {
  type BackendDevice,
  type BackendDriver,
  DeviceError,
  type DeviceLink,
  domainPath,
  errorPath,
  parseMac,
} from '@netchannel2/device-registry';
import { BACKEND_VIEW } from '@netchannel2/netchannel2';
import { PREFIX_TO_END, type Vif2Options, Vif2Port } from '@netchannel2/netchannel2-link';
import {
  type Errno,
  errnoNumber,
  type ForwardingSource,
  type ForwardingTarget,
  type FrameForwarder,
  type GrantedFrame,
} from '@netchannel2/xen';
import createDebug from 'debug';
import { distinctUntilChanged, map, type Subscription, skip } from 'rxjs';
import type { BypassEnd } from './bypass-end';
import type { BypassProposer } from './bypass-proposer';
import { type FrontendNodes, readFrontendNodes } from './frontend-nodes';
import { MappedRings } from './mapped-rings';
import { mayForward, provesForwarding } from './transitive-check';

const debug = createDebug('netchannel2:netback2');

const LARGEST_RING_ORDER = 4;

/** Bypasses a guest may take part in where the toolstack does not say (spec vif2.md §6.3). */
const DEFAULT_MOST_BYPASSES = 5;

export interface Netback2Options extends Vif2Options {
  /** Who proposes bypasses between guests of this domain. Default: nobody. One proposer serves one domain. */
  readonly bypasses?: BypassProposer | undefined;
}

/**
 * The backend of one vif2: a port for the frames of a guest, in the backend's domain. Between two such ports packets are
 * forwarded in their sender's grants, where both tables and the host allow it.
 */
export class Netback2 extends Vif2Port implements BackendDevice, ForwardingSource, ForwardingTarget {
  readonly name: string;
  private rings: MappedRings | undefined;
  private carrier: Subscription | undefined;
  private bypassOffered = false;
  private bypassEnd: BypassEnd | undefined;
  private hostMac: string | undefined;
  private guestMac: string | undefined;
  /** Transitive entries of this domain are known to work. */
  private transitive = false;

  constructor(
    readonly deviceLink: DeviceLink,
    private readonly backendOptions: Netback2Options = {},
  ) {
    super(deviceLink.domain, deviceLink.peer, backendOptions);
    this.name = `vif2-${deviceLink.peer}.${deviceLink.number}`;
  }

  /** The host side's own address, known from `features` on. */
  get mac(): string | undefined {
    return this.hostMac;
  }

  /** The guest's address, known from `features` on. */
  get remoteMac(): string | undefined {
    return this.guestMac;
  }

  divert(forwarder: FrameForwarder | undefined): void {
    this.forwardBy(forwarder);
  }

  acceptsGranted(frame: GrantedFrame): boolean {
    return (this.transitive || frame.fragmentCount === 0) && this.acceptsForward(frame);
  }

  sendGranted(frame: GrantedFrame): boolean {
    const taken = this.forward(frame);
    if (taken) this.bypassEnd?.handedOn(frame.head, frame.byteLength);
    return taken;
  }

  async features(): Promise<Readonly<Record<string, string>>> {
    const link = this.deviceLink;
    this.hostMac = await link.readOwn('mac');
    this.guestMac = await link.readOwn('remote-mac');
    this.bypassOffered = await this.mayOfferBypasses();
    return {
      'protocol-version': '1',
      'max-ring-page-order': String(this.maxOrder()),
      'feature-receiver-copy': '1',
      'feature-receiver-map': '1',
      'feature-transitive': mayForward(link.domain) ? '1' : '0',
      'feature-bypass': this.bypassOffered ? '1' : '0',
      'gnttab-version': String(link.domain.grants.version),
      carrier: '1',
    };
  }

  async connect(): Promise<void> {
    const link = this.deviceLink;
    this.release();
    const nodes = await readFrontendNodes(link, this.maxOrder());
    const onlySource = await this.allowedSource();
    const end = nodes.bypass ? await this.agreeToBypasses() : undefined;
    if (!this.openPool()) throw new DeviceError('ENOMEM', 'no pages left for a frame pool');
    try {
      this.rings = MappedRings.connect(link.domain, link.peer, nodes);
    } catch (error) {
      this.release();
      throw error;
    }
    const { control, produce, consume, port } = this.rings;
    this.watchCarrier();
    this.checkTransitive(nodes);
    const started = this.startLink({
      rings: {
        control: control.area,
        produce: produce.area,
        consume: consume.area,
        view: BACKEND_VIEW,
        port,
      },
      prefix: PREFIX_TO_END,
      fragmentKind: 'receiver_copy',
      onlySource,
      sourceGrantsExactly: nodes.tableVersion !== 1,
      ...(end && {
        extras: {
          rules: { ring: 'parent', peerTrusted: false, offersBypasses: true },
          emission: end,
          bypassMessage: (message) => end.receive(message),
        },
      }),
    });
    if (end === undefined) return;
    this.bypassEnd = end;
    this.backendOptions.bypasses?.join(end, started);
    this.route(end);
  }

  /** Waits up to a second for a frontend that is still there to take and finish what it was sent. */
  async disconnect(): Promise<void> {
    const lastFinishes = this.windDown();
    if (lastFinishes !== undefined && (await this.frontendIsThere())) await lastFinishes;
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
    this.writeNode(node, `${errnoNumber('ETIMEDOUT')} ${message}`);
  }

  /** Forwarding through this domain's grants is proved, once, by the first frontend that has any to forward. */
  private checkTransitive(nodes: FrontendNodes): void {
    const { domain, peer, ownPath } = this.deviceLink;
    const offered = mayForward(domain);
    this.transitive = offered && provesForwarding(domain, peer, nodes);
    if (offered && !this.transitive) this.writeNode(`${ownPath}/feature-transitive`, '0');
  }

  /** Nodes that are only for people and tools to read: nothing depends on them. */
  private writeNode(path: string, value: string): void {
    this.deviceLink.domain.store.write(path, value).catch((error: unknown) => {
      debug('%s: %s not written: %o', this.name, path, error);
    });
  }

  /** Nobody may go past a rate limit, and a ring is granted twice, which takes entries of one's own. */
  private async mayOfferBypasses(): Promise<boolean> {
    const { deviceLink, backendOptions } = this;
    if (backendOptions.bypasses?.offers !== true || deviceLink.domain.grants.entries === undefined)
      return false;
    return parseMac(this.guestMac) !== undefined && (await deviceLink.readOwn('rate')) === undefined;
  }

  private async frontendIsThere(): Promise<boolean> {
    const state = await this.deviceLink.readPeer('state').catch(() => undefined);
    return state !== undefined;
  }

  private async agreeToBypasses(): Promise<BypassEnd | undefined> {
    const link = this.deviceLink;
    const mac = parseMac(this.guestMac);
    if (!this.bypassOffered || mac === undefined) return undefined;
    const most = await link.readOwn('max-bypasses');
    return this.backendOptions.bypasses?.admit({
      port: this,
      domain: link.domain,
      guest: link.peer,
      mac,
      trusted: (await link.readOwn('remote-trusted')) === '1',
      most: most !== undefined && /^\d{1,5}$/.test(most) ? Number(most) : DEFAULT_MOST_BYPASSES,
    });
  }

  private maxOrder(): number {
    return this.options.ringPageOrder ?? LARGEST_RING_ORDER;
  }

  /** The only address frames may come from, where `filter-mac` asks for that or the frontend is marked untrusted. */
  private async allowedSource(): Promise<Uint8Array | undefined> {
    const filter = await this.deviceLink.readOwn('filter-mac');
    const untrusted = (await this.deviceLink.readOwn('remote-trusted')) === '0';
    if (filter === undefined ? !untrusted : filter !== '1') return undefined;
    return parseMac(await this.deviceLink.readOwn('remote-mac'));
  }

  /** A stalled guest has no carrier, until it finishes a packet again (spec vif2.md §7). */
  private watchCarrier(): void {
    const { ownPath } = this.deviceLink;
    const stalled$ = this.linkState$.pipe(
      map((state) => state === 'stalled'),
      distinctUntilChanged(),
      skip(1),
    );
    this.carrier = stalled$.subscribe((stalled) => {
      this.writeNode(`${ownPath}/carrier`, stalled ? '0' : '1');
    });
  }

  private release(): void {
    this.carrier?.unsubscribe();
    this.carrier = undefined;
    if (this.bypassEnd !== undefined) this.backendOptions.bypasses?.leave(this.bypassEnd);
    this.bypassEnd = undefined;
    this.stopLink();
    this.rings?.end();
    this.rings = undefined;
  }
}

/**
 * The vif2 backend driver, to be bound to a domain's device registry.
 *
 * @throws RangeError when an option is out of range.
 */
export function netback2Driver(options: Netback2Options = {}): BackendDriver<Netback2> {
  return { deviceClass: 'vif2', create: (link) => new Netback2(link, options) };
}
