import { Bridge } from '@netchannel2/bridge';
import { Machine, type SimulatedDomain } from '@netchannel2/hypervisor';
import {
  BypassProposer,
  type BypassProposerOptions,
  type Netback2,
  netback2Driver,
} from '@netchannel2/netback2';
import { type Netfront2, type Netfront2Options, netfront2Driver } from '@netchannel2/netfront2';
import { VirtualClock, WiredDevice } from '@netchannel2/testing';
import type { DeferredWork, DomainId, EventChannelPort, MemoryArea } from '@netchannel2/xen';
import type { Version } from './vif2-pair';

/** Milliseconds. */
const LONGER_THAN_ANY_WAIT = 20_000;

export interface Pump {
  /** Frames taken so far. */
  readonly sent: number;
  stop(): void;
}

/** A guest on the bridge, and what arrived there. */
export interface BypassGuest {
  readonly domain: SimulatedDomain;
  readonly device: WiredDevice<Netfront2, Netback2>;
  readonly front: Netfront2;
  readonly back: Netback2;
  readonly mac: Uint8Array;
  /** Numbers of the frames that arrived, in order. */
  readonly received: number[];
}

export interface BypassSiteOptions extends BypassProposerOptions {
  readonly host?: Version;
  /** One guest each. Default two of version 2. */
  readonly guests?: readonly Version[];
  readonly trusted?: boolean;
  /** Their addresses, default 02:00:00:00:01:01 and so on. */
  readonly macs?: readonly Uint8Array[];
  readonly front?: Netfront2Options;
  readonly backendNodes?: Readonly<Record<string, string>>;
  readonly frontendNodes?: Readonly<Record<string, string>>;
  /** Passes by which the guests hear late of events on their parent rings, but not on bypasses. Default 0. */
  readonly lag?: number;
}

const text = (mac: Uint8Array) => Array.from(mac, (byte) => byte.toString(16).padStart(2, '0')).join(':');

/** Guests on one bridge in dom0, whose netback2s share a proposer; on virtual time. */
export class BypassSite {
  readonly clock = new VirtualClock();
  readonly machine = Machine.boot({
    memoryBytes: 64 << 20,
    scheduler: this.clock,
    now: () => this.clock.now(),
  });
  readonly host: SimulatedDomain;
  readonly bridge = new Bridge({ scheduler: this.clock });
  readonly proposer: BypassProposer;
  readonly guests: readonly BypassGuest[];
  private before: readonly number[] = [];
  /** Ports the guests bound, which are those of bypasses. */
  private readonly bound = new Map<DomainId, EventChannelPort>();
  private readonly deaf = new Map<DomainId, 'everything' | 'bypasses'>();
  private readonly missed = new Map<DomainId, Set<() => void>>();
  /** Control page, ring A and ring B of the bypass proposed last. */
  private readonly rings: MemoryArea[] = [];

  constructor(private readonly options: BypassSiteOptions = {}) {
    this.host = this.machine.createDomain({
      name: 'dom0',
      grantTableVersion: options.host ?? 2,
      memoryPages: 4096,
    });
    this.proposer = new BypassProposer({ policy: { kind: 'manual' }, ...options });
    this.rememberControlPages();
    this.guests = (options.guests ?? [2, 2]).map((version, index) => this.addGuest(version, index));
  }

  /** Connects everybody, twice: the first connection leaves behind what domains keep for the next ones. */
  async start(): Promise<void> {
    for (const round of [1, 2]) {
      for (const { device, back } of this.guests) {
        await device.connect();
        if (round === 1) this.bridge.add(back);
      }
      await this.clock.settle();
      this.introduce();
      await this.clock.settle();
      if (round === 2) break;
      for (const { device } of this.guests) await device.disconnect();
      await this.clock.settle();
      this.before = this.resources();
    }
    for (const { received } of this.guests) received.length = 0;
  }

  /** Everybody says something to everybody: the bridge knows where they are. */
  introduce(): void {
    for (const { front, mac } of this.guests) front.send(numbered(BROADCAST, mac, 60, 0));
  }

  guest(index: number): BypassGuest {
    const guest = this.guests[index];
    if (guest === undefined) throw new Error(`there is no guest ${index}`);
    return guest;
  }

  /** Proposes a bypass from the first to the second guest and lets it come up. */
  async propose(): Promise<void> {
    this.mustPropose();
    await this.clock.settle();
  }

  mustPropose(): void {
    const reason = this.proposer.propose(this.guest(0).back, this.guest(1).back);
    if (reason !== undefined) throw new Error(reason);
  }

  /** A bypass in use in both directions. */
  async open(): Promise<void> {
    await this.propose();
    for (let round = 0; round < 2; round += 1) {
      this.send(0, 1, 0, 60);
      this.send(1, 0, 0, 60);
      await this.clock.settle();
    }
    for (const { received } of this.guests) received.length = 0;
  }

  /** Sends one frame. @returns whether there was room. */
  send(from: number, to: number, number: number, length: number): boolean {
    const source = this.guest(from);
    return source.front.send(numbered(this.guest(to).mac, source.mac, length, number));
  }

  /**
   * Sends frames of these lengths, numbered from `first` on, whenever there is room, but no more than `burst` in one pass of
   * the guest: what goes on meanwhile goes on between them.
   */
  pump(from: number, to: number, lengths: readonly number[], first = 1, burst = 2): Pump {
    const { front, domain } = this.guest(from);
    const pump = { sent: 0, stop: () => subscription.unsubscribe() };
    const work: DeferredWork = {
      deferred: false,
      run: () => {
        for (let count = 0; count < burst && pump.sent < lengths.length; count += 1) {
          if (!this.send(from, to, first + pump.sent, lengths[pump.sent] ?? 60)) return;
          pump.sent += 1;
        }
        if (pump.sent < lengths.length) domain.defer(work);
        else subscription.unsubscribe();
      },
    };
    const subscription = front.writable$.subscribe(() => {
      if (pump.sent < lengths.length) domain.defer(work);
    });
    domain.defer(work);
    return pump;
  }

  /** Runs `action` amid everything else, after `passes` passes of dom0. */
  amid(passes: number, action: () => void): void {
    let left = passes;
    const work: DeferredWork = {
      deferred: false,
      run: () => {
        if (left === 0) action();
        else this.host.defer(work);
        left -= 1;
      },
    };
    this.host.defer(work);
  }

  /** Sends an event on a guest's end of the bypass it bound last. */
  notifyBypass(index: number): void {
    const { domain } = this.guest(index);
    const port = this.bound.get(domain.id);
    if (port !== undefined) domain.events.notify(port);
  }

  /** From now on the guest hears no event, of whatever ring, or of the bypass it bound last. */
  deafen(index: number, to: 'everything' | 'bypasses' = 'everything'): void {
    this.deaf.set(this.guest(index).domain.id, to);
  }

  /** It hears again, and what it missed at once. */
  hear(index: number): void {
    const { id } = this.guest(index).domain;
    this.deaf.delete(id);
    for (const handler of this.missed.get(id) ?? []) handler();
    this.missed.delete(id);
  }

  /** Ring B of the bypass proposed last: the second guest produces on it. */
  get ringB(): MemoryArea {
    const area = this.rings[2];
    if (area === undefined) throw new Error('there was no bypass yet');
    return area;
  }

  /** The control page of the bypass proposed last. */
  get controlPage(): MemoryArea {
    const [control] = this.rings;
    if (control === undefined) throw new Error('there was no bypass yet');
    return control;
  }

  states(): string[] {
    return this.proposer.bypasses.map(({ state }) => state);
  }

  resources(): readonly number[] {
    return [this.host, ...this.guests.map(({ domain }) => domain)].flatMap((domain) => [
      domain.memory.freePages,
      domain.grants.freeRefs,
    ]);
  }

  /** What is not back where it was before the second connection; all guests but the dead must have been disconnected. */
  leaks(dead: readonly number[] = []): unknown[] {
    const now = this.resources();
    const resources = now
      .map((count, index) => (this.before[index] ?? 0) - count)
      .filter((_, index) => !dead.includes((index >> 1) - 1));
    return [...resources.filter((count) => count !== 0), ...this.machine.leaks()];
  }

  async stop(): Promise<void> {
    for (const { device } of this.guests) await device.disconnect();
    await this.clock.settle();
  }

  /**
   * Stops, lets pass whatever still waits, and switches the machine off.
   *
   * @returns what is left behind, timers included.
   */
  async finish(): Promise<readonly unknown[]> {
    await this.stop();
    await this.clock.advance(LONGER_THAN_ANY_WAIT);
    const left = this.leaks();
    const { timers } = this.clock;
    this.machine.shutdown();
    return timers === 0 ? left : [...left, `${timers} timers still set`];
  }

  private overhear({ id, events }: SimulatedDomain): void {
    const listen = events.listen.bind(events);
    const bindInterdomain = events.bindInterdomain.bind(events);
    Object.assign(events, {
      bindInterdomain: (remote: DomainId, remotePort: EventChannelPort) => {
        const port = bindInterdomain(remote, remotePort);
        if (typeof port !== 'string') this.bound.set(id, port);
        return port;
      },
      listen: (port: EventChannelPort, handler: () => void) =>
        listen(port, () => {
          const deaf = this.deaf.get(id);
          if (deaf === undefined || (deaf === 'bypasses' && port !== this.bound.get(id))) handler();
          else this.missed.set(id, (this.missed.get(id) ?? new Set()).add(handler));
        }),
    });
  }

  /** What dom0 allocates amid a proposal are the bypass's control page and rings. */
  private rememberControlPages(): void {
    const { memory } = this.host;
    const { proposer } = this;
    const allocate = memory.allocate.bind(memory);
    const propose = proposer.propose.bind(proposer);
    let watching = false;
    Object.assign(memory, {
      allocate: (pages: number) => {
        const area = allocate(pages);
        if (watching && area !== undefined) this.rings.push(area);
        return area;
      },
    });
    Object.assign(proposer, {
      propose: (...ends: Parameters<typeof propose>) => {
        this.rings.length = 0;
        watching = true;
        const reason = propose(...ends);
        watching = false;
        return reason;
      },
    });
  }

  private addGuest(version: Version, index: number): BypassGuest {
    const { trusted = true, front, backendNodes, frontendNodes } = this.options;
    const domain = this.machine.createDomain({ grantTableVersion: version, memoryPages: 2048 });
    this.overhear(domain);
    if (this.options.lag !== undefined) hearLate(domain, this.options.lag);
    const mac = this.options.macs?.[index] ?? Uint8Array.of(2, 0, 0, 0, 1, index + 1);
    const device = new WiredDevice({
      guest: domain,
      host: this.host,
      frontend: netfront2Driver({ poolPages: 128, ringPageOrder: 3, ...front }),
      backend: netback2Driver({ poolPages: 128, bypasses: this.proposer }),
      clock: this.clock,
      frontendNodes: { mac: text(mac), ...frontendNodes },
      backendNodes: { 'remote-mac': text(mac), 'remote-trusted': trusted ? '1' : '0', ...backendNodes },
    });
    const received: number[] = [];
    device.frontend.frames$.subscribe((frame) => received.push(frame.uint32(14)));
    return { domain, device, front: device.frontend, back: device.backend, mac, received };
  }
}

/** The ports a guest allocates for its backend are heard late: whatever is faster overtakes, if it may. */
function hearLate(domain: SimulatedDomain, lag: number): void {
  const { events } = domain;
  const listen = events.listen.bind(events);
  const allocateUnbound = events.allocateUnbound.bind(events);
  const late = new Set<EventChannelPort>();
  Object.assign(events, {
    allocateUnbound: (remote: DomainId) => {
      const port = allocateUnbound(remote);
      if (remote === 0 && typeof port !== 'string') late.add(port);
      return port;
    },
    listen: (port: EventChannelPort, handler: () => void) => {
      if (!late.has(port)) return listen(port, handler);
      let left = 0;
      const work: DeferredWork = {
        deferred: false,
        run: () => {
          if (left === 0) handler();
          else domain.defer(work);
          left -= 1;
        },
      };
      return listen(port, () => {
        if (!work.deferred) left = lag;
        domain.defer(work);
      });
    },
  });
}

export const BROADCAST = new Uint8Array(6).fill(0xff);

/** An Ethernet frame that carries its number behind the header; at least 18 bytes. */
export function numbered(target: Uint8Array, source: Uint8Array, length: number, number: number): Uint8Array {
  const frame = Uint8Array.from({ length }, (_, index) => (index * 7 + number * 31) & 0xff);
  frame.set(target, 0);
  frame.set(source, 6);
  frame.set([0x88, 0xb5, number >>> 24, number >>> 16, number >>> 8, number], 12);
  return frame;
}
