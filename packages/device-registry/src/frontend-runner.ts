/**
 * Carries one frontend through its handshake.
 *
 * @packageDocumentation
 */
import { backendPath, parseDomainId } from './device-paths';
import { DeviceRunner, type RunnerHost } from './device-runner';
import { DeviceError, type FrontendDevice, type FrontendDriver } from './driver';
import {
  type FrontendEvent,
  type FrontendPhase,
  type FrontendStep,
  frontendStep,
  PUBLISHED_STATE,
} from './frontend-transitions';
import { type PeerState, parseXenbusState, XenbusState } from './xenbus-state';

/** Milliseconds between looks at a backend that does not answer a close, and how many are taken. */
export const CLOSE_INTERVAL = 5000;
export const CLOSE_ATTEMPTS = 2;

export class FrontendRunner<Device extends FrontendDevice> extends DeviceRunner<Device> {
  private phase: FrontendPhase = 'waiting';
  private peer: PeerState = XenbusState.Unknown;
  private peerOnline = true;
  /** Closed by this end's user: not to be looked at again until the directory is made anew. */
  private retired = false;
  private published: readonly string[] = [];
  private attempts = 0;
  private resumed = false;

  constructor(
    host: RunnerHost<Device>,
    ownPath: string,
    private readonly number: number,
    private readonly driver: FrontendDriver<Device>,
  ) {
    super(host, ownPath);
  }

  /** The domain woke up elsewhere: rings, grants and ports mean nothing there; starts again. */
  resume(): void {
    this.resumed = true;
    this.touch('');
  }

  protected override async pass(): Promise<void> {
    const present = await this.lookAtOwn();
    if (!present || this.ends === undefined) {
      if (this.closeRequested) await this.retire();
      return;
    }
    await this.lookAtPeer();
    const failure = this.failure;
    if (failure !== undefined) {
      this.failure = undefined;
      await this.report(failure);
      await this.take(frontendStep(this.phase, 'fail'));
      return;
    }
    const step = this.nextStep();
    if (step !== undefined) await this.take(step);
    else if (this.closeRequested && this.phase === 'closed') await this.retire();
    else if (this.closeRequested && this.phase === 'draining' && !this.timing) this.lookAgain();
  }

  private nextStep(): FrontendStep | undefined {
    const step = this.closeRequested ? frontendStep(this.phase, 'close') : undefined;
    if (step !== undefined) return step;
    const next = frontendStep(this.phase, this.event());
    if (next === 'restart' && this.closeRequested) return this.phase === 'closed' ? undefined : 'release';
    if (next !== undefined || this.attempts < CLOSE_ATTEMPTS) return next;
    // The backend is dead or hung: what it still maps stays out of use by the grant table's own rules.
    if (this.phase === 'closing') return 'follow';
    return this.phase === 'draining' && this.closeRequested ? 'release' : undefined;
  }

  private event(): FrontendEvent {
    return this.peer === XenbusState.Closing && !this.peerOnline ? 'unplug' : this.peer;
  }

  /** Answers whether there is a device to carry on with. */
  private async lookAtOwn(): Promise<boolean> {
    const directoryTouched = this.takeTouched('');
    const stateTouched = this.takeTouched('state');
    const backendTouched = this.takeTouched('backend', 'backend-id');
    if (directoryTouched || stateTouched) {
      const state = parseXenbusState(await this.read('state'));
      if (state === 'gone') {
        await this.end(true);
        return false;
      }
      const anew = this.own !== XenbusState.Initialising && state === XenbusState.Initialising;
      if (this.retired && !anew) return false;
      if (this.ends === undefined || anew || this.resumed) {
        await this.start(state);
        return true;
      }
    }
    if (this.retired) return false;
    if (this.ends === undefined && backendTouched) {
      await this.start(parseXenbusState(await this.read('state')));
      return true;
    }
    if (
      directoryTouched &&
      this.phase === 'waiting' &&
      (await this.read('backend')) !== this.ends?.peerPath
    ) {
      await this.start(XenbusState.Initialising);
    }
    return true;
  }

  /** A device directory found, or made anew in place of the one known. */
  private async start(state: PeerState): Promise<void> {
    if (state === 'gone') return this.end(true);
    this.resumed = false;
    await this.letGo();
    this.unwatch();
    this.retired = false;
    this.attempts = 0;
    this.phase = 'waiting';
    this.published = [];
    this.setOwn(state);
    const peerPath = await this.read('backend');
    const peer = parseDomainId(await this.read('backend-id'));
    const home = this.home.slice(this.home.lastIndexOf('/') + 1);
    if (peerPath === undefined || peer === undefined) {
      return this.complain(new DeviceError('EINVAL', 'backend or backend-id is missing or malformed'));
    }
    const prefix = backendPath(peer, this.host.deviceClass, this.host.domain.id, this.number);
    if (peerPath !== prefix) {
      return this.complain(new DeviceError('EINVAL', `backend of domain ${home} should be ${prefix}`));
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
    const leaving = this.peer === 'gone' || !this.peerOnline;
    if (leaving && (state === XenbusState.Closing || state === XenbusState.Closed)) {
      this.phase = 'closed';
      return;
    }
    this.open((link) => this.driver.create(link));
    if (state !== XenbusState.Initialising) await this.writeState({ state: XenbusState.Initialising });
    this.again();
  }

  private async lookAtPeer(): Promise<void> {
    if (!this.takePeerTouched()) return;
    this.peer = parseXenbusState(await this.readPeer('state'));
    this.peerOnline = this.peer === XenbusState.Closing ? (await this.readPeer('online')) !== '0' : true;
  }

  private async take(step: FrontendStep | undefined): Promise<void> {
    const device = this.connection?.device;
    if (step === undefined || device === undefined) return;
    this.again();
    switch (step) {
      case 'publish':
        return this.publish(device);
      case 'run':
        if ((await this.writeState({ state: XenbusState.Connected })) !== 'written') return;
        this.phase = 'running';
        await this.attempt(() => device.connected());
        return;
      case 'reconfigured':
        await this.enter('running', XenbusState.Connected);
        return;
      case 'stop':
        await this.attempt(() => device.closing?.());
        return this.enter('draining', XenbusState.Closed);
      case 'end':
        await this.attempt(() => device.disconnect());
        return this.enter('closed', XenbusState.Closed);
      case 'leave':
        await this.attempt(() => device.closing?.());
        this.attempts = 0;
        await this.enter('closing', XenbusState.Closing);
        return this.lookAgain();
      case 'follow':
        this.attempts = 0;
        await this.enter('draining', XenbusState.Closed);
        return this.closeRequested ? this.lookAgain() : this.cancelTimer();
      case 'release':
        await this.attempt(() => device.disconnect());
        this.cancelTimer();
        this.phase = 'closed';
        return;
      case 'restart':
        await this.attempt(() => device.disconnect());
        this.cancelTimer();
        await this.forgive();
        return this.enter('waiting', XenbusState.Initialising);
      default:
        step satisfies never;
    }
  }

  private async publish(device: Device): Promise<void> {
    let nodes: Readonly<Record<string, string>> = {};
    const prepared = await this.attempt(async () => {
      nodes = await device.prepare();
    });
    if (!prepared) return;
    const obsolete = this.published.filter((node) => !(node in nodes));
    const state = PUBLISHED_STATE[this.host.deviceClass];
    if ((await this.writeState({ state, nodes, obsolete })) !== 'written') return;
    this.published = Object.keys(nodes);
    this.phase = 'offered';
  }

  private async enter(phase: FrontendPhase, state: XenbusState): Promise<void> {
    if ((await this.writeState({ state })) === 'written') this.phase = phase;
  }

  private lookAgain(): void {
    this.schedule(CLOSE_INTERVAL, () => {
      this.attempts += 1;
      this.touch('state');
      if (this.attempts < CLOSE_ATTEMPTS) this.lookAgain();
    });
  }

  private async retire(): Promise<void> {
    this.closeRequested = false;
    this.retired = true;
    await this.end(false);
  }
}
