import { Bridge } from '@netchannel2/bridge';
import {
  type BackendBinding,
  type BackendDevice,
  bindBackends,
  DEVICE_CLASSES,
  Toolstack,
} from '@netchannel2/device-registry';
import {
  type DomainOptions,
  Machine,
  type MachineOptions,
  type SimulatedDomain,
} from '@netchannel2/hypervisor';
import type { FramePort } from '@netchannel2/xen';
import {
  type BackendDrivers,
  backendDrivers,
  type FrontendDrivers,
  frontendDrivers,
  type LabDriverOptions,
} from './lab-drivers';
import { type GuestHost, LabGuest } from './lab-guest';
import type { VirtualClock } from './virtual-clock';

export interface LabOptions {
  /** Default: version 2 of the grant table, 32 MiB. */
  readonly dom0?: DomainOptions;
  readonly machine?: Omit<MachineOptions, 'scheduler' | 'now'>;
  /** Time that stands still until it is moved, for tests; the lab moves it where it has to wait. Default: real time. */
  readonly clock?: VirtualClock;
  readonly drivers?: LabDriverOptions;
  /** Backends of the test's own in place of the project's. */
  readonly backends?: Partial<BackendDrivers>;
  /** What happens to each backend that is made. Default: it is put on the bridge. */
  readonly plug?: (backend: FramePort, bridge: Bridge) => void;
}

export interface LabGuestOptions extends DomainOptions {
  /** Frontends of the test's own in place of the project's. */
  readonly frontends?: Partial<FrontendDrivers>;
}

/** Something was still held between domains after all devices had gone. */
export class LeakError extends Error {
  override readonly name = 'LeakError';

  /** @param leaks in words. */
  constructor(readonly leaks: readonly string[]) {
    super(`left behind: ${leaks.join('; ')}`);
  }
}

const DOM0_PAGES = 8192;
const GUEST_PAGES = 4096;
/** Virtual milliseconds that pass at a time while the lab waits for something, and at most. */
const STEP = 100;
const LONGEST_WAIT = 600_000;
/** Longer than anything is tried again in the background. */
const RETRY_TIME = 2_000;

/**
 * A simulated Xen host, ready to use: dom0 with a toolstack, the backends of both classes and a bridge they are put on.
 * Add guests, attach devices, send frames; `stop` takes all of it down and says what leaked.
 */
export class Lab implements GuestHost {
  readonly machine: Machine;
  readonly dom0: SimulatedDomain;
  readonly bridge: Bridge;
  readonly toolstack: Toolstack;
  private readonly living: LabGuest[] = [];
  private readonly backends: readonly BackendBinding<BackendDevice>[];

  private constructor(private readonly options: LabOptions) {
    const { clock } = options;
    const time = clock === undefined ? {} : { scheduler: clock, now: () => clock.now() };
    this.machine = Machine.boot({ ...options.machine, ...time });
    this.dom0 = this.machine.createDomain({ name: 'dom0', memoryPages: DOM0_PAGES, ...options.dom0 });
    this.bridge = new Bridge({ name: 'xenbr0', ...(clock && { scheduler: clock }) });
    this.toolstack = new Toolstack(this.dom0.store, {
      ...(clock && { scheduler: clock }),
      // The backends put themselves on the bridge, so there is nothing left for a script to do.
      hotplug: () => Promise.resolve(),
    });
    const drivers = { ...backendDrivers(options.drivers ?? {}), ...options.backends };
    const plug = options.plug ?? ((backend, bridge) => bridge.add(backend));
    this.backends = DEVICE_CLASSES.map((deviceClass) => {
      const binding = bindBackends(this.dom0, drivers[deviceClass]);
      // A backend leaves the bridge by itself: its frames end when it is removed.
      binding.devices$.subscribe((backend) => {
        if (isPort(backend)) plug(backend, this.bridge);
      });
      return binding;
    });
  }

  /** Switches a host on. */
  static async start(options: LabOptions = {}): Promise<Lab> {
    const lab = new Lab(options);
    await lab.booted(lab.dom0);
    return lab;
  }

  /** The guests that live. */
  get guests(): readonly LabGuest[] {
    return this.living;
  }

  /** Backends in dom0, those of class vif first, each class in the order its devices were attached. */
  get backendDevices(): readonly BackendDevice[] {
    return this.backends.flatMap((binding) => binding.devices);
  }

  /** Boots a guest. Default: version 2 of the grant table, 16 MiB. */
  async addGuest(options: LabGuestOptions = {}): Promise<LabGuest> {
    const { frontends, ...domainOptions } = options;
    const domain = this.machine.createDomain({ memoryPages: GUEST_PAGES, ...domainOptions });
    const drivers = { ...frontendDrivers(this.options.drivers ?? {}), ...frontends };
    const guest = new LabGuest(this, domain, drivers);
    this.living.push(guest);
    await this.booted(domain);
    return guest;
  }

  /** Lets everything that is due happen: frames under way arrive. */
  settle(): Promise<void> {
    return this.options.clock === undefined ? this.machine.idle() : this.options.clock.settle();
  }

  /** Waits for something that takes time, and lets that time pass when it is virtual. */
  async during<Result>(work: Promise<Result>): Promise<Result> {
    const { clock } = this.options;
    if (clock === undefined) return work;
    let done = false;
    const end = () => {
      done = true;
    };
    work.then(end, end);
    await clock.settle();
    for (let passed = 0; !done; passed += STEP) {
      if (passed >= LONGEST_WAIT) throw new Error('what the lab waits for does not happen');
      await clock.advance(STEP);
    }
    return work;
  }

  /**
   * Detaches every device, looks for what is still held between domains, and switches the host off.
   *
   * @throws LeakError when something is.
   */
  async stop(): Promise<void> {
    try {
      for (const guest of this.living) await this.during(this.toolstack.detachAll(guest.domain.id));
      for (const guest of this.living) await this.during(guest.close());
      for (const binding of this.backends) await this.during(binding.close());
      this.bridge.close();
      await this.settle();
      if (this.options.clock !== undefined) await this.options.clock.advance(RETRY_TIME);
      const leaks = this.machine.leaks().map((leak) => leak.message);
      const timers = this.options.clock?.timers ?? 0;
      if (timers > 0) leaks.push(`${timers} timers still set`);
      if (leaks.length > 0) throw new LeakError(leaks);
    } finally {
      this.machine.shutdown();
    }
  }

  /** @internal `LabGuest.destroy` */
  async destroyGuest(guest: LabGuest): Promise<void> {
    const { domain } = guest;
    const devices = (await this.during(this.toolstack.list())).filter((device) => device.domid === domain.id);
    this.machine.destroyDomain(domain.id);
    this.living.splice(this.living.indexOf(guest), 1);
    for (const device of devices)
      await this.during(this.toolstack.detach(domain.id, device.type, device.number, { force: true }));
    await this.settle();
  }

  /** A domain's own requests wait until its home in xenstore is built; the toolstack's do not. */
  private async booted(domain: SimulatedDomain): Promise<void> {
    await this.during(domain.store.read('name'));
  }
}

const isPort = (device: object): device is FramePort => 'frames$' in device && 'send' in device;
