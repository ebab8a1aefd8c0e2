/**
 * What a driver of one device class implements, and what it is told of each device. The xenbus state machines of this
 * package call it; it never writes a `state` node itself.
 *
 * @packageDocumentation
 */
import type { Domain, DomainId, Errno } from '@netchannel2/xen';

/** Device classes side by side under one registry. */
export type DeviceClass = 'vif' | 'vif2';

/** A reason to give a device up, as it ends in the device's error node: `<errno> <message>`. */
export class DeviceError extends Error {
  override readonly name = 'DeviceError';
  constructor(
    readonly code: Errno,
    message: string,
  ) {
    super(message);
  }
}

/** One device as its driver sees it: where it is, who is at the other end. */
export interface DeviceLink {
  readonly domain: Domain;
  readonly deviceClass: DeviceClass;
  /** The device number, `handle` in xenstore. */
  readonly number: number;
  /** This end's directory, absolute: `/local/domain/F/device/vif/0` or `/local/domain/B/backend/vif/F/0`. */
  readonly ownPath: string;
  readonly peerPath: string;
  readonly peer: DomainId;
  /** A node of this end's directory, `undefined` when missing. */
  readOwn(node: string): Promise<string | undefined>;
  /** A node of the peer's directory: read once, then validate; the peer may write anything there. */
  readPeer(node: string): Promise<string | undefined>;
  /** Several nodes of the peer's directory in one consistent read, keyed by relative name, missing ones absent. */
  readPeerAll(nodes: readonly string[]): Promise<ReadonlyMap<string, string>>;
  /** Gives the device up at run time: error node, Closing, `disconnect()`. Safe to call from the hot path, once counts. */
  fail(error: DeviceError): void;
}

/** A frontend device's life, called by the xenbus state machine, never concurrently. */
export interface FrontendDevice {
  /**
   * The backend reached InitWait: allocate rings, grants and ports, and answer the nodes to publish. They are written in
   * one transaction together with the new state. May throw {@link DeviceError}.
   */
  prepare(): Promise<Readonly<Record<string, string>>>;
  /** The backend is Connected: traffic may flow. (vif: it may also flow before.) */
  connected(): void | Promise<void>;
  /**
   * The device starts to close: begin nothing new, and wait a bounded time for what is under way. `disconnect` follows,
   * once the backend has let go of the rings or has gone.
   */
  closing?(): void | Promise<void>;
  /** Stop, let go of everything. Idempotent; `prepare` may follow (reconnect). */
  disconnect(): Promise<void>;
  /** The device has gone for good; follows `disconnect`. Observables complete. */
  removed(): void;
}

/** A backend device's life. */
export interface BackendDevice {
  /** Nodes to write before InitWait: features and limits. */
  features(): Promise<Readonly<Record<string, string>>>;
  /** The frontend published: read its nodes, map, bind, run. May throw {@link DeviceError}. */
  connect(): Promise<void>;
  /** The frontend changed a parameter of the running connection (state 7) and waits for this to return. */
  reconfigure?(): Promise<void>;
  /** Stop, unmap, unbind. Idempotent; `features` and `connect` may follow (reconnect). */
  disconnect(): Promise<void>;
  removed(): void;
}

export interface FrontendDriver<Device extends FrontendDevice = FrontendDevice> {
  readonly deviceClass: DeviceClass;
  create(link: DeviceLink): Device;
}

export interface BackendDriver<Device extends BackendDevice = BackendDevice> {
  readonly deviceClass: DeviceClass;
  create(link: DeviceLink): Device;
}
