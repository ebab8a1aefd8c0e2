/**
 * Carries one backend through its handshake.
 *
 * @packageDocumentation
 */
import { type DomainId, domainId } from '@netchannel2/xen';
import { type BackendMode, type BackendPhase, type BackendStep, backendStep } from './backend-transitions';
import { frontendPath, parseDomainId } from './device-paths';
import { DeviceRunner, type RunnerHost } from './device-runner';
import { type BackendDevice, type BackendDriver, DeviceError } from './driver';
import { removeIfThere } from './state-node';
import { type PeerState, parseXenbusState, XenbusState } from './xenbus-state';

/** Milliseconds a leaving backend gives its frontend to close. */
export const LEAVE_TIMEOUT = 5000;

export interface BackendOptions {
  /**
   * Who says that the host side is plugged in. `script` (default of a real host): the state stays InitWait until a hotplug
   * script has written `hotplug-status` = `connected`. `self`: this end writes it together with Connected.
   */
  readonly hotplug: 'self' | 'script';
  /** Whether this end removes its directory when the device is unplugged: a driver domain does, dom0 does not. */
  readonly removesDirectory: boolean;
  /** Which devices to serve; the others are left to whoever serves them, the kernel or another process. Default: all. */
  readonly serves?: (frontend: DomainId, number: number) => boolean;
}

const DOM0: DomainId = domainId(0);

export function defaultBackendOptions(domid: DomainId): BackendOptions {
  return { hotplug: 'self', removesDirectory: domid !== DOM0 };
}

export class BackendRunner<Device extends BackendDevice> extends DeviceRunner<Device> {
  private phase: BackendPhase = 'initialising';
  private mode: BackendMode = 'serving';
  private peer: PeerState = XenbusState.Unknown;
  private online = true;
  private shutdown: string | undefined;
  private hotplugStatus: string | undefined;
  /** The toolstack wrote Closing into this end's state. */
  private asked = false;
  /** A failed device serves again once its frontend starts afresh, not because it is still starting. */
  private peerMoved = false;
  private retired = false;

  constructor(
    host: RunnerHost<Device>,
    ownPath: string,
    private readonly frontend: DomainId,
    private readonly number: number,
    private readonly driver: BackendDriver<Device>,
    private readonly options: BackendOptions,
  ) {
    super(host, ownPath);
  }

  protected override async pass(): Promise<void> {
    const present = await this.lookAtOwn();
    if (!present || this.ends === undefined) {
      if (present && this.closeRequested) await this.retire();
      return;
    }
    await this.lookAtPeer();
    await this.takeFailure();
    this.chooseMode();
    const step = backendStep(this.host.deviceClass, this.mode, this.phase, this.peer);
    if (step !== undefined && this.mayTake(step)) return this.take(step);
    if (this.phase === 'closed') await this.settle();
  }

  private mayTake(step: BackendStep): boolean {
    const gate = this.phase === 'gated' && step.to === 'connected';
    return !gate || this.options.hotplug === 'self' || this.hotplugStatus === 'connected';
  }

  /** Answers whether there is a directory to serve. */
  private async lookAtOwn(): Promise<boolean> {
    const directory = this.takeTouched('');
    let start = false;
    if (this.takeTouched('state') || directory) {
      const state = parseXenbusState(await this.read('state'));
      if (state === 'gone') {
        await this.end(true);
        return false;
      }
      const anew = this.own !== XenbusState.Initialising && state === XenbusState.Initialising;
      if (this.retired && !anew) return this.retired;
      this.retired = false;
      start = this.ends === undefined || anew;
      if (start) await this.letGo();
      if (start) this.own = state;
      this.asked = !start && state === XenbusState.Closing && this.own !== XenbusState.Closing;
    }
    if (this.takeTouched('online') || directory) this.online = (await this.read('online')) !== '0';
    if (this.takeTouched('shutdown-request') || directory)
      this.shutdown = await this.read('shutdown-request');
    if (this.takeTouched('hotplug-status') || directory) {
      this.hotplugStatus = await this.read('hotplug-status');
    }
    if (this.takeTouched('frontend', 'frontend-id') && this.ends === undefined) start = !this.retired;
    if (start) await this.start();
    return true;
  }

  private async lookAtPeer(): Promise<void> {
    if (!this.takePeerTouched()) return;
    this.peer = parseXenbusState(await this.readPeer('state'));
    if (this.peer !== XenbusState.Initialising) this.peerMoved = true;
  }

  /** A directory found, or made anew in place of the one known. */
  private async start(): Promise<void> {
    this.unwatch();
    const peer = parseDomainId(await this.read('frontend-id'));
    const peerPath = await this.read('frontend');
    const expected = frontendPath(this.frontend, this.host.deviceClass, this.number);
    if (peer !== this.frontend || peerPath !== expected) {
      const message = `frontend should be ${expected} and frontend-id ${this.frontend}`;
      return this.complain(new DeviceError('EINVAL', message));
    }
    if (this.own === XenbusState.Closed && !this.online) {
      // Somebody else's device on its way out.
      this.retired = true;
      return;
    }
    await this.forgive();
    this.adopt({
      deviceClass: this.host.deviceClass,
      number: this.number,
      ownPath: this.ownPath,
      peerPath,
      peer,
    });
    await this.lookAtPeer();
    this.standWhereFound();
  }

  /** A device in its first state is served; anything further was somebody else's connection, ours before a crash. */
  private standWhereFound(): void {
    const fresh = this.own === XenbusState.Initialising || this.own === XenbusState.InitWait;
    const connectedPeer = this.peer === XenbusState.Initialised || this.peer === XenbusState.Connected;
    if (fresh && !connectedPeer) {
      this.phase = 'initialising';
      this.mode = this.peer === XenbusState.Closed ? 'inviting' : 'serving';
      return;
    }
    this.mode = 'resetting';
    if (this.own === XenbusState.Closed) this.phase = 'closed';
    else if (this.own === XenbusState.Closing) this.phase = 'closing';
    else this.phase = 'initWait';
  }

  private async takeFailure(): Promise<void> {
    const failure = this.failure;
    if (failure === undefined) return;
    this.failure = undefined;
    await this.report(failure);
    const device = this.connection?.device;
    if (device !== undefined) await this.attempt(() => device.disconnect());
    this.mode = 'failed';
    this.peerMoved = this.peer !== XenbusState.Initialising;
  }

  private chooseMode(): void {
    if (this.mode === 'forced') return;
    if (this.shutdown === 'force') {
      this.mode = 'forced';
    } else if (this.closeRequested || this.shutdown !== undefined) {
      this.mode = 'unplugging';
      if (this.closeRequested && !this.timing) this.schedule(LEAVE_TIMEOUT, () => this.force());
    } else if (this.mode === 'failed') {
      if (this.peer === XenbusState.Initialising && this.peerMoved && this.online) this.mode = 'serving';
    } else if (!this.online || (this.asked && this.phase !== 'closed')) {
      this.mode = 'offline';
    } else if (this.mode === 'resetting') {
      if (this.phase === 'closed') this.mode = this.peer === 'gone' ? 'serving' : 'inviting';
    } else if (this.mode === 'inviting') {
      const answered = this.phase === 'initWait' && this.peer !== XenbusState.Closed;
      if (answered || this.peer === 'gone') this.mode = 'serving';
    } else {
      this.mode = 'serving';
    }
  }

  private force(): void {
    this.mode = 'forced';
  }

  private async take(step: BackendStep): Promise<void> {
    this.again();
    let nodes: Readonly<Record<string, string>> = {};
    switch (step.action) {
      case 'features': {
        await this.forgive();
        const device = this.open((link) => this.driver.create(link));
        const answered = await this.attempt(async () => {
          nodes = await device.features();
        });
        if (!answered) return;
        break;
      }
      case 'connect':
        if (!(await this.attempt(() => this.connection?.device.connect()))) return;
        break;
      case 'reconfigure':
        if (!(await this.attempt(() => this.connection?.device.reconfigure?.()))) return;
        break;
      case 'disconnect':
        await this.attempt(() => this.connection?.device.disconnect());
        break;
      case undefined:
        break;
      default:
        step.action satisfies never;
    }
    if (step.to === 'connected' && this.options.hotplug === 'self' && this.hotplugStatus !== 'connected') {
      nodes = { 'hotplug-status': 'connected' };
    }
    if (step.writes !== undefined && !(await this.show(step.writes, nodes))) return;
    this.phase = step.to;
  }

  /** Steps forward yield to an unplug written meanwhile; steps back are always taken. */
  private async show(state: XenbusState, nodes: Readonly<Record<string, string>>): Promise<boolean> {
    const back = state === XenbusState.Closing || state === XenbusState.Closed;
    const write = back ? { state } : { state, nodes, expected: this.own };
    return (await this.writeState(write)) === 'written';
  }

  /** Closed: stays for the frontend's return, or goes. */
  private async settle(): Promise<void> {
    const unplugged = !this.online || this.shutdown !== undefined;
    if (unplugged) {
      await this.letGo();
      if (this.options.removesDirectory) await removeIfThere(this.host.domain.store, this.ownPath);
      return this.retire();
    }
    if (this.closeRequested) return this.retire();
    if (this.peer === 'gone') await this.letGo();
  }

  private async retire(): Promise<void> {
    this.closeRequested = false;
    this.retired = true;
    await this.end(false);
  }
}
