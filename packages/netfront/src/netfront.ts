import { DeviceError, type DeviceLink, type FrontendDevice } from '@netchannel2/device-registry';
import { HotStream } from '@netchannel2/frames';
import {
  BACKEND_NODES,
  ExtraType,
  FRONTEND_NODES,
  parseUnsigned,
  readBackendFeatures,
} from '@netchannel2/netif';
import type { Frame, FramePort } from '@netchannel2/xen';
import createDebug from 'debug';
import { Connection } from './connection';
import type { ControlChannel } from './control-channel';
import { type NetfrontCounters, netfrontCounters } from './frame-drops';
import { multicastAddress } from './multicast-edits';
import type { NetfrontSettings } from './options';
import { checkReceiveHash, configureReceiveHash, type ReceiveHashOptions } from './receive-hash';

const debug = createDebug('netchannel2:netfront');

const DEFAULT_MTU = 1500;

type MulticastEdit = typeof ExtraType.multicastAdd | typeof ExtraType.multicastDelete;

/**
 * The guest's end of a vif. Frames may be sent as soon as the rings are published; until then, and after the connection
 * ended, `send` answers `false` and `writable$` emits when there is a connection again.
 */
export class Netfront implements FrontendDevice, FramePort {
  readonly name: string;
  readonly frames$ = new HotStream<Frame>();
  readonly writable$ = new HotStream<void>();
  readonly counters: NetfrontCounters = netfrontCounters();
  private connection: Connection | undefined;
  private address: string | undefined;
  private transmissionUnit = DEFAULT_MTU;
  /** Group addresses joined, as 48-bit numbers. */
  private readonly groups = new Set<number>();

  constructor(
    private readonly link: DeviceLink,
    private readonly settings: NetfrontSettings,
  ) {
    this.name = `netfront${link.domain.id}.${link.number}`;
  }

  /** This interface's address as the toolstack wrote it, `xx:xx:xx:xx:xx:xx`; `undefined` before the first connection. */
  get mac(): string | undefined {
    return this.address;
  }

  /** Longest network packet the toolstack gives this interface, in bytes; the guest's own stack is to keep to it. */
  get mtu(): number {
    return this.transmissionUnit;
  }

  send(frame: Frame | Uint8Array): boolean {
    if (this.connection !== undefined) return this.connection.send(frame);
    this.counters.sendRefused += 1;
    return false;
  }

  flush(): void {
    this.connection?.flush();
  }

  /**
   * Adds a group address to those the backend passes on once frames are filtered (`request-multicast-control`); kept over
   * reconnections. A backend without a filter passes everything on, so there it is no more than noted.
   *
   * @param mac `xx:xx:xx:xx:xx:xx`; a RangeError is thrown for what is no group address.
   * @returns `false` when the backend's list is full, or there is no connection to say so now.
   */
  async joinMulticast(mac: string): Promise<boolean> {
    const address = multicastAddress(mac);
    this.groups.add(address);
    return this.editMulticast(ExtraType.multicastAdd, address);
  }

  /** Takes a group address off that list. */
  async leaveMulticast(mac: string): Promise<boolean> {
    const address = multicastAddress(mac);
    if (!this.groups.delete(address)) return true;
    return this.editMulticast(ExtraType.multicastDelete, address);
  }

  /**
   * Has the backend filter multicast frames from now on, or not any more. Rejects with `DeviceError` `EOPNOTSUPP` where it
   * takes notice only when connecting (no `feature-dynamic-multicast-control`).
   */
  async filterMulticast(on: boolean): Promise<void> {
    if (this.connection?.multicastControl.dynamicMulticastControl !== true)
      throw new DeviceError('EOPNOTSUPP', `${this.name} cannot change its multicast filter while connected`);
    const path = `${this.link.ownPath}/${FRONTEND_NODES.multicastControl}`;
    await this.link.domain.store.write(path, on ? '1' : '0');
  }

  /**
   * Changes how the backend spreads what it sends over the queues, until the connection ends; `undefined` leaves it to the
   * backend. Rejects with {@link ControlError} when the backend refuses, with `DeviceError` `EOPNOTSUPP` where there is no
   * control ring: the backend has none, or neither `receiveHash` nor `staging` was asked for.
   */
  async configureReceiveHash(options: ReceiveHashOptions | undefined): Promise<void> {
    await configureReceiveHash(
      this.requireControl(),
      options === undefined ? undefined : checkReceiveHash(options),
    );
  }

  /** Sends a request of the control ring's own, `XEN_NETIF_CTRL_TYPE_*`, and answers the response's data. */
  async controlRequest(type: number, first = 0, second = 0, third = 0): Promise<number> {
    return this.requireControl().request(type, first, second, third);
  }

  async prepare(): Promise<Readonly<Record<string, string>>> {
    this.release();
    const features = readBackendFeatures(await this.link.readPeerAll(Object.values(BACKEND_NODES)));
    if (!features.rxCopy) {
      throw new DeviceError(
        'EOPNOTSUPP',
        'backend does not offer feature-rx-copy, the only receive path there is',
      );
    }
    this.address = await this.link.readOwn('mac');
    if (this.address === undefined) throw new DeviceError('ENOENT', `${this.link.ownPath}/mac is missing`);
    const trusted = (await this.link.readOwn('trusted')) !== '0';
    const connection = new Connection(this.link, this.settings, features, trusted, {
      counters: this.counters,
      frames$: this.frames$,
      writable$: this.writable$,
      broken: (reason) => this.broken(reason),
    });
    this.connection = connection;
    connection.start();
    for (const address of this.groups) void this.editMulticast(ExtraType.multicastAdd, address);
    this.transmissionUnit = parseUnsigned(await this.link.readOwn('mtu')) ?? DEFAULT_MTU;
    debug('%s prepared for domain %d: %o', this.name, this.link.peer, features);
    return connection.nodes();
  }

  connected(): void {
    debug('%s connected', this.name);
    // The handshake does not wait for a backend's answers.
    this.connection?.configure().catch((error: unknown) => debug('%s: control ring: %o', this.name, error));
    this.writable$.emit();
  }

  closing(): void {
    this.connection?.stop();
  }

  async disconnect(): Promise<void> {
    this.release();
  }

  removed(): void {
    this.release();
    this.frames$.complete();
    this.writable$.complete();
  }

  /**
   * The backend broke the protocol: the rings are not looked at again. They are let go of in `disconnect`, for the backend
   * still maps them.
   */
  private broken(reason: string): void {
    debug('%s broken: %s', this.name, reason);
    this.connection?.halt();
    this.link.fail(new DeviceError('EPROTO', reason));
  }

  private async editMulticast(type: MulticastEdit, address: number): Promise<boolean> {
    const { connection } = this;
    if (connection === undefined) return false;
    return !connection.multicastControl.multicastControl || connection.editMulticast(type, address);
  }

  private requireControl(): ControlChannel {
    const control = this.connection?.control;
    if (control === undefined) throw new DeviceError('EOPNOTSUPP', `${this.name} has no control ring`);
    return control;
  }

  private release(): void {
    const connection = this.connection;
    if (connection === undefined) return;
    this.connection = undefined;
    connection.close();
    debug('%s released', this.name);
  }
}
