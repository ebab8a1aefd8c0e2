import { Bridge } from '@netchannel2/bridge';
import {
  type BackendBinding,
  bindBackends,
  bindFrontends,
  type FrontendBinding,
  Toolstack,
} from '@netchannel2/device-registry';
import { Machine, type SimulatedDomain } from '@netchannel2/hypervisor';
import { type Netback2, netback2Driver } from '@netchannel2/netback2';
import { type Netfront2, netfront2Driver } from '@netchannel2/netfront2';
import { VirtualClock } from '@netchannel2/testing';
import { BROADCAST, frameTo } from './bridged-guests';
import { tapStates } from './state-tap';
import type { Version } from './vif2-pair';

/** Milliseconds that pass at a time, and at most, while something is waited for. */
const STEP = 100;
const LONGEST_WAIT = 60_000;
const POOL = { poolPages: 64 };

/** A guest with one vif2, through xenstore and the device registry. */
export interface XenbusGuest {
  readonly domain: SimulatedDomain;
  frontends: FrontendBinding<Netfront2>;
  readonly mac: Uint8Array;
  /** Lengths of the frames that arrived. */
  readonly received: number[];
  alive: boolean;
}

export interface XenbusSiteOptions {
  readonly guest?: Version;
  /** The backends map what guests of version 1 send. */
  readonly maps?: boolean;
}

/**
 * Two guests whose backends live in a driver domain, on virtual time: a *subject*, to whom things happen, and a *neighbour* on the
 * same bridge, who must not notice.
 */
export class XenbusSite {
  readonly clock = new VirtualClock();
  readonly machine = Machine.boot({
    memoryBytes: 64 << 20,
    scheduler: this.clock,
    now: () => this.clock.now(),
  });
  readonly dom0 = this.machine.createDomain({ name: 'dom0', memoryPages: 512 });
  readonly toolstack = new Toolstack(this.dom0.store, {
    scheduler: this.clock,
    hotplug: () => Promise.resolve(),
  });
  /** Told of every state an end of the subject's device has written, as `F:4` or `B:4`, before its driver goes on. */
  wrote: ((step: string) => void) | undefined;
  /** The last attach did not come to its end. */
  refused = false;
  driver: SimulatedDomain;
  driverAlive = true;
  backends: BackendBinding<Netback2>;
  subject: XenbusGuest;
  readonly neighbour: XenbusGuest;
  private bridge = new Bridge({ scheduler: this.clock });
  private readonly before = new Map<number, string>();

  private constructor(private readonly options: XenbusSiteOptions) {
    this.driver = this.createDriver();
    this.backends = this.bindBackends();
    this.neighbour = this.createGuest(2, 2);
    this.subject = this.createGuest(1, options.guest ?? 2);
  }

  /** Everybody booted, the neighbour connected. Both were before: what domains keep for later is there. */
  static async build(options: XenbusSiteOptions = {}): Promise<XenbusSite> {
    const site = new XenbusSite(options);
    for (const { store } of [site.dom0, site.driver, site.neighbour.domain, site.subject.domain])
      await site.during(store.read('name'));
    await site.attach(site.neighbour);
    await site.attach(site.subject);
    await site.expectTraffic();
    for (const { domain } of [site.subject, site.neighbour]) await site.takeAway(domain);
    await site.clock.advance(2000);
    for (const domain of [site.driver, site.neighbour.domain, site.subject.domain])
      site.before.set(domain.id, site.resourcesOf(domain));
    await site.attach(site.neighbour);
    return site;
  }

  /** @throws ToolstackError when an end gives up. */
  async attach(guest: XenbusGuest): Promise<void> {
    const mac = Array.from(guest.mac, (byte) => byte.toString(16).padStart(2, '0')).join(':');
    const configuration = { type: 'vif2', guestTrusted: true, mac, backend: this.driver.id } as const;
    this.refused = true;
    await this.during(this.toolstack.attach(guest.domain.id, configuration));
    this.refused = false;
  }

  /** Waits for something that takes time, and lets that time pass. */
  async during<Result>(work: Promise<Result>): Promise<Result> {
    let done = false;
    const end = () => {
      done = true;
    };
    work.then(end, end);
    await this.clock.settle();
    for (let passed = 0; !done; passed += STEP) {
      if (passed > LONGEST_WAIT) throw new Error('what is waited for does not happen');
      await this.clock.advance(STEP);
    }
    return work;
  }

  get front(): Netfront2 | undefined {
    return this.subject.frontends.devices[0];
  }

  get back(): Netback2 | undefined {
    return this.backends.devices.find(({ deviceLink }) => deviceLink.peer === this.subject.domain.id);
  }

  /** As both ends say, in words like `4,4`. */
  async states(): Promise<string> {
    const guest = this.subject.domain.id;
    const [front, back] = await Promise.all([
      this.dom0.store.tryRead(`/local/domain/${guest}/device/vif2/0/state`),
      this.dom0.store.tryRead(`/local/domain/${this.driver.id}/backend/vif2/${guest}/0/state`),
    ]);
    return `${front},${back}`;
  }

  /** Both guests send, as much as there is room for; nothing is waited for. */
  fill(count: number): void {
    const { subject, neighbour } = this;
    for (let index = 0; index < count; index += 1) {
      const length = index % 2 === 0 ? 1514 : 60;
      this.send(subject, neighbour, length, index);
      this.send(neighbour, subject, length, index);
    }
  }

  /** A frame each way between subject and neighbour, which arrives: the bridge floods until it knows both. */
  async expectTraffic(): Promise<void> {
    const { subject, neighbour } = this;
    for (const { frontends, mac } of [subject, neighbour])
      frontends.devices[0]?.send(frameTo(BROADCAST, mac, 60, 0));
    await this.clock.settle();
    for (const guest of [subject, neighbour]) guest.received.length = 0;
    this.send(subject, neighbour, 1514, 1);
    this.send(neighbour, subject, 1514, 1);
    await this.clock.settle();
    const heard = [subject, neighbour].map(({ received }) => received.join());
    if (heard.join(' ') !== '1514 1514') throw new Error(`arrived: ${heard.join(' and ')}`);
  }

  send(from: XenbusGuest, to: XenbusGuest, length: number, number: number): boolean {
    return from.frontends.devices[0]?.send(frameTo(to.mac, from.mac, length, number)) === true;
  }

  bindSubject(): void {
    this.subject.frontends = this.bindFrontends(this.subject.domain, this.subject.received);
  }

  bindBackends(): BackendBinding<Netback2> {
    const backends = bindBackends(
      this.driver,
      netback2Driver({ ...POOL, ...(this.options.maps === true && { mapFrom: 0 }) }),
    );
    backends.devices$.subscribe((device) => this.bridge.add(device));
    return backends;
  }

  /** Whether a domain's code runs still. */
  runs(domain: SimulatedDomain): boolean {
    if (domain === this.driver) return this.driverAlive;
    return domain !== this.subject.domain || this.subject.alive;
  }

  crashSubject(): void {
    this.subject.alive = false;
    this.machine.crashDomain(this.subject.domain.id, 'test');
  }

  crashDriver(): void {
    this.driverAlive = false;
    this.machine.crashDomain(this.driver.id, 'test');
  }

  destroySubject(): void {
    this.subject.alive = false;
    this.machine.destroyDomain(this.subject.domain.id);
  }

  destroyDriver(): void {
    this.driverAlive = false;
    this.machine.destroyDomain(this.driver.id);
  }

  /** No code of a destroyed domain runs any more; what it had set timers for would still be kept by the clock. */
  forgetTheDead(): void {
    if (!this.driverAlive) for (const device of this.backends.devices) device.removed();
    if (!this.subject.alive) for (const device of this.subject.frontends.devices) device.removed();
  }

  /** Takes both devices away, by force where need be, and lets everybody alive start afresh; the dead are replaced. */
  async clear(): Promise<void> {
    const { subject, neighbour, clock } = this;
    for (const { domain } of [subject, neighbour]) await this.takeAway(domain);
    await this.during(neighbour.frontends.close());
    if (subject.alive) await this.during(subject.frontends.close());
    if (this.driverAlive) await this.during(this.backends.close());
    this.bridge.close();
    // Revokes of grants that were in use are tried again for a while.
    await clock.advance(2000);
  }

  /** After {@link clear}: whoever died has a successor, and both devices are there again. */
  async startAgain(): Promise<void> {
    const { neighbour } = this;
    this.bridge = new Bridge({ scheduler: this.clock });
    if (!this.driverAlive) this.driver = this.createDriver();
    this.driverAlive = true;
    if (!this.subject.alive) this.subject = this.createGuest(1, this.options.guest ?? 2);
    for (const { store } of [this.driver, this.subject.domain]) await this.during(store.read('name'));
    this.backends = this.bindBackends();
    this.bindSubject();
    neighbour.frontends = this.bindFrontends(neighbour.domain, neighbour.received);
    for (const guest of [neighbour, this.subject]) await this.attach(guest);
  }

  /** After {@link clear}: what is not back where it was before any device came, of those who live since then. */
  leaks(): unknown[] {
    const moved = [this.driver, this.neighbour.domain, this.subject.domain]
      .filter(({ id }) => this.before.has(id) && this.machine.accounting(id) !== undefined)
      .filter((domain) => this.before.get(domain.id) !== this.resourcesOf(domain))
      .map((domain) => `${domain.name}: ${this.before.get(domain.id)} became ${this.resourcesOf(domain)}`);
    return [...moved, ...this.machine.leaks()];
  }

  /** Takes all down. @returns what is left behind, timers included. */
  async finish(): Promise<unknown[]> {
    await this.clear();
    const left: unknown[] = this.machine.leaks();
    if (this.clock.timers > 0) left.push(`${this.clock.timers} timers still set`);
    this.machine.shutdown();
    return left;
  }

  private takeAway({ id }: SimulatedDomain): Promise<void> {
    return this.during(this.toolstack.detach(id, 'vif2', 0, { force: true }).catch(() => undefined));
  }

  private resourcesOf({ memory, grants }: SimulatedDomain): string {
    return `${memory.freePages} pages, ${grants.freeRefs} references`;
  }

  private createDriver(): SimulatedDomain {
    const driver = this.machine.createDomain({ name: 'driver', memoryPages: 1024 });
    const concerns = (path: string) => path.startsWith(`backend/vif2/${this.subject.domain.id}/`);
    tapStates(driver, concerns, (state) => this.wrote?.(`B:${state}`));
    return driver;
  }

  private createGuest(last: number, version: Version): XenbusGuest {
    const domain = this.machine.createDomain({ memoryPages: 1024, grantTableVersion: version });
    if (last === 1)
      tapStates(
        domain,
        () => true,
        (state) => this.wrote?.(`F:${state}`),
      );
    const received: number[] = [];
    const mac = Uint8Array.of(2, 0, 0, 0, 0, last);
    return { domain, frontends: this.bindFrontends(domain, received), mac, received, alive: true };
  }

  private bindFrontends(domain: SimulatedDomain, received: number[]): FrontendBinding<Netfront2> {
    const frontends = bindFrontends(domain, netfront2Driver(POOL));
    frontends.devices$.subscribe((device) =>
      device.frames$.subscribe(({ byteLength }) => received.push(byteLength)),
    );
    return frontends;
  }
}
