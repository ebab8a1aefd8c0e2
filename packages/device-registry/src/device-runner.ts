import { type Domain, XenStoreError } from '@netchannel2/xen';
import createDebug from 'debug';
import { BehaviorSubject, type Observable, Subscription } from 'rxjs';
import { domainPath, relativeParts } from './device-paths';
import { type DeviceClass, DeviceError, type DeviceLink } from './driver';
import { PassLoop } from './pass-loop';
import { type DeviceEnds, RegistryLink } from './registry-link';
import {
  clearErrorNode,
  type StateWrite,
  type StateWriteResult,
  writeErrorNode,
  writeState,
} from './state-node';
import { XenbusState } from './xenbus-state';

const debug = createDebug('netchannel2:xenbus');

/** Milliseconds before a pass that lost too many transactions is tried again. */
const RETRY_DELAY = 20;

/** What both kinds of device have in common. */
export interface DeviceLife {
  disconnect(): Promise<void>;
  removed(): void;
}

/** One device of a binding with its handshake. */
export interface DeviceConnection<Device> {
  /** The driver's own object. */
  readonly device: Device;
  readonly link: DeviceLink;
  /** This end's state, as last written. */
  readonly state: XenbusState;
  /** {@link state} now and at every change; completes when the device has gone. */
  readonly state$: Observable<XenbusState>;
  /** Why this end gave the device up, if it did; cleared by a fresh start. */
  readonly error: DeviceError | undefined;
  /** Closes this one device and forgets it until its directory is made anew. */
  close(): Promise<void>;
}

/** What a runner tells its binding. */
export interface RunnerHost<Device> {
  readonly domain: Domain;
  readonly deviceClass: DeviceClass;
  opened(connection: DeviceConnection<Device>): void;
  gone(connection: DeviceConnection<Device>): void;
  /** The runner has ended: its device directory is not there, or not ours to serve. */
  dropped(ownPath: string): void;
}

class RunnerConnection<Device> implements DeviceConnection<Device> {
  readonly state$: Observable<XenbusState>;
  readonly states: BehaviorSubject<XenbusState>;
  error: DeviceError | undefined;

  constructor(
    readonly device: Device,
    readonly link: DeviceLink,
    state: XenbusState,
    readonly close: () => Promise<void>,
  ) {
    this.states = new BehaviorSubject(state);
    this.state$ = this.states.asObservable();
  }

  get state(): XenbusState {
    return this.states.value;
  }
}

/**
 * The part of a device's handshake that is the same at both ends: one device directory, one watch on the peer's state,
 * one pass at a time that reads what was reported changed and takes the next step.
 */
export abstract class DeviceRunner<Device extends DeviceLife> {
  protected readonly home: string;
  /** What the own state node holds, as far as this end knows. */
  protected own: XenbusState = XenbusState.Unknown;
  protected ends: DeviceEnds | undefined;
  protected connection: RunnerConnection<Device> | undefined;
  /** A failure reported and not yet acted upon. */
  protected failure: DeviceError | undefined;
  protected closeRequested = false;
  private complained = false;
  private readonly touched = new Set<string>(['']);
  private peerTouched = true;
  private peerWatch = Subscription.EMPTY;
  private timer = Subscription.EMPTY;
  private ended = false;
  private readonly waiters: (() => void)[] = [];
  private readonly loop = new PassLoop(() => this.guardedPass());

  constructor(
    protected readonly host: RunnerHost<Device>,
    readonly ownPath: string,
  ) {
    this.home = domainPath(host.domain.id);
  }

  /** A node of the own directory changed; the empty name is the directory itself. */
  touch(node: string): void {
    this.touched.add(node);
    this.loop.request();
  }

  /** The peer may have changed without its own watch saying so. */
  touchPeer(): void {
    this.peerTouched = true;
    this.loop.request();
  }

  /** Closes the device; resolves when it is closed and everything is let go. */
  close(): Promise<void> {
    if (this.ended) return Promise.resolve();
    this.closeRequested = true;
    const closed = new Promise<void>((resolve) => this.waiters.push(resolve));
    this.loop.request();
    return closed;
  }

  /** One look at what changed and at most one step. */
  protected abstract pass(): Promise<void>;

  protected again(): void {
    this.loop.request();
  }

  /** Whether one of `nodes`, or the directory itself, was reported since last asked. */
  protected takeTouched(...nodes: readonly string[]): boolean {
    let touched = false;
    for (const node of nodes) touched = this.touched.delete(node) || touched;
    return touched;
  }

  protected touchAll(...nodes: readonly string[]): void {
    for (const node of nodes) this.touched.add(node);
  }

  protected takePeerTouched(): boolean {
    const touched = this.peerTouched;
    this.peerTouched = false;
    return touched;
  }

  protected read(node: string): Promise<string | undefined> {
    return this.host.domain.store.tryRead(`${this.ownPath}/${node}`);
  }

  protected readPeer(node: string): Promise<string | undefined> {
    return this.host.domain.store.tryRead(`${this.ends?.peerPath}/${node}`);
  }

  /** From here on the peer is known and watched. */
  protected adopt(ends: DeviceEnds): void {
    this.ends = ends;
    this.peerTouched = true;
    this.peerWatch.unsubscribe();
    this.peerWatch = this.host.domain.store.watch(`${ends.peerPath}/state`).subscribe({
      next: (event) => {
        if (relativeParts(ends.peerPath, event.path) === undefined) return;
        this.touchPeer();
      },
      error: (error: unknown) => this.abandon(error),
    });
  }

  protected open(create: (link: DeviceLink) => Device): Device {
    const open = this.connection;
    if (open !== undefined) return open.device;
    if (this.ends === undefined) throw new Error(`${this.ownPath} has no peer yet`);
    const link = new RegistryLink(this.host.domain, this.ends, (error) => {
      if (this.connection?.link !== link) return;
      this.failure ??= error;
      this.loop.request();
    });
    const connection = new RunnerConnection(create(link), link, this.own, () => this.close());
    this.connection = connection;
    this.host.opened(connection);
    return connection.device;
  }

  /** The device has gone for good, its directory perhaps not. */
  protected async letGo(): Promise<void> {
    const connection = this.connection;
    if (connection === undefined) return;
    this.connection = undefined;
    this.failure = undefined;
    await quietly(() => connection.device.disconnect());
    await quietly(() => connection.device.removed());
    connection.states.complete();
    this.host.gone(connection);
  }

  /** Lets go of device, watch and timer. With `forget` the binding may find the directory again. */
  protected async end(forget: boolean): Promise<void> {
    await this.letGo();
    this.unwatch();
    await clearErrorNode(this.host.domain.store, this.home, this.ownPath);
    if (forget) {
      this.ended = true;
      this.loop.stop();
      this.host.dropped(this.ownPath);
    }
    for (const resolve of this.waiters.splice(0)) resolve();
  }

  protected unwatch(): void {
    this.peerWatch.unsubscribe();
    this.peerWatch = Subscription.EMPTY;
    this.cancelTimer();
    this.ends = undefined;
  }

  /** Looks again after `delay` milliseconds, running `due` first. One timer a device. */
  protected schedule(delay: number, due: () => void): void {
    this.timer.unsubscribe();
    this.timer = this.host.domain.scheduler.schedule(() => {
      this.timer = Subscription.EMPTY;
      due();
      this.loop.request();
    }, delay);
  }

  protected get timing(): boolean {
    return !this.timer.closed;
  }

  protected cancelTimer(): void {
    this.timer.unsubscribe();
    this.timer = Subscription.EMPTY;
  }

  protected async writeState(write: StateWrite): Promise<StateWriteResult> {
    const { own: known, ownPath, host } = this;
    const result = await writeState(host.domain.store, ownPath, { ...write, known });
    debug('%s state %d %s', ownPath, write.state, result);
    if (result !== 'written') {
      this.touchAll('', 'state');
      this.loop.request();
      return result;
    }
    this.setOwn(write.state);
    return result;
  }

  protected setOwn(state: XenbusState): void {
    this.own = state;
    const states = this.connection?.states;
    if (states !== undefined && states.value !== state) states.next(state);
  }

  protected async report(error: DeviceError): Promise<void> {
    debug('%s failed: %s %s', this.ownPath, error.code, error.message);
    if (this.connection !== undefined) this.connection.error = error;
    await writeErrorNode(this.host.domain.store, this.home, this.ownPath, error);
  }

  /** A fresh start leaves earlier errors behind. */
  protected async forgive(): Promise<void> {
    this.failure = undefined;
    if (this.connection?.error === undefined && !this.complained) return;
    this.complained = false;
    if (this.connection !== undefined) this.connection.error = undefined;
    await clearErrorNode(this.host.domain.store, this.home, this.ownPath);
  }

  /** Says once that the directory cannot be served as it is. */
  protected async complain(error: DeviceError): Promise<void> {
    if (this.complained) return;
    this.complained = true;
    await this.report(error);
  }

  /** Runs a driver's call; what it throws becomes the failure. Answers whether it went well. */
  protected async attempt(call: () => void | Promise<void>): Promise<boolean> {
    try {
      await call();
      return true;
    } catch (error) {
      this.failure ??= asDeviceError(error);
      this.loop.request();
      return false;
    }
  }

  private async guardedPass(): Promise<void> {
    try {
      await this.pass();
    } catch (error) {
      if (error instanceof XenStoreError && error.code === 'EAGAIN') {
        // Too much traffic for one transaction: the values read may be old, so all are read again.
        this.touchAll('', 'state');
        this.peerTouched = true;
        this.schedule(RETRY_DELAY, () => {});
        return;
      }
      this.abandon(error);
    }
  }

  /** xenstore itself is lost: the device is let go, nothing more can be written. */
  private abandon(error: unknown): void {
    debug('%s abandoned: %o', this.ownPath, error);
    this.loop.stop();
    this.unwatch();
    void this.letGo().then(() => {
      this.ended = true;
      this.host.dropped(this.ownPath);
      for (const resolve of this.waiters.splice(0)) resolve();
    });
  }
}

async function quietly(call: () => void | Promise<void>): Promise<void> {
  try {
    await call();
  } catch (error) {
    debug('driver threw while letting go: %o', error);
  }
}

function asDeviceError(error: unknown): DeviceError {
  if (error instanceof DeviceError) return error;
  if (error instanceof XenStoreError) return new DeviceError(error.code, error.message);
  return new DeviceError('EIO', error instanceof Error ? error.message : String(error));
}
