import { PortDecorator } from '@netchannel2/bridge';
import { FramePool } from '@netchannel2/frames';
import { BypassProposer } from '@netchannel2/netback2';
import { Lab } from '@netchannel2/testing';
import type { Domain, DomainAccounting, FramePort } from '@netchannel2/xen';
import { filter, firstValueFrom } from 'rxjs';
import type { Contender } from './rounds';
import type { DomainCost, Route } from './route';
import type { DomainRound, RouteRound } from './route-result';
import { Traffic, type TrafficEnds } from './traffic';

/** Pages of the sender's frames: 32 frames of 64 KiB. */
const POOL_PAGES = 544;
const RING_PAGE_ORDER = 4;

/** A backend whose packets cannot be taken in their sender's grants: they are copied in and out. */
class CopyingBackend extends PortDecorator {}

/** A domain that a route's frames cost something. */
interface Party {
  readonly role: DomainCost['role'];
  readonly domid: number;
}

/** A host that was booted for one route, and lets frames take it as often as it is told. All tables have version 2. */
export class RouteUnderTest implements Contender<RouteRound> {
  private constructor(
    private readonly lab: Lab,
    private readonly bypasses: BypassProposer | undefined,
    private readonly pool: FramePool,
    private readonly traffic: Traffic,
    private readonly parties: readonly Party[],
  ) {}

  /** Boots the host and makes all ready for the first frame. */
  static async boot(route: Route, frameBytes: number): Promise<RouteUnderTest> {
    const backends: FramePort[] = [];
    // Elsewhere nobody counts who might want one.
    const bypasses =
      route.way === 'bypass' ? new BypassProposer({ policy: { kind: 'manual' }, ringPages: 16 }) : undefined;
    const copies = route.class === 'vif2' && route.way === 'copy';
    const lab = await Lab.start({
      drivers: {
        netfront2: { ringPageOrder: RING_PAGE_ORDER },
        ...(bypasses !== undefined && { netback2: { bypasses } }),
      },
      plug: (backend, bridge) => {
        backends.push(backend);
        // Where dom0 is an end itself, its own subscriber takes the place of the bridge.
        if (route.from === route.to) bridge.add(copies ? new CopyingBackend(backend) : backend);
      },
    });
    try {
      const guest1 = await lab.addGuest({ name: 'guest1' });
      const port1 = await guest1.attach(route.class, { mac: macOf(1) });
      const guest2 = route.from === route.to ? await lab.addGuest({ name: 'guest2' }) : undefined;
      const port2 = await guest2?.attach(route.class, { mac: macOf(2) });
      const [backend1, backend2] = backends;
      if (backend1 === undefined) throw new Error('the guest has no backend');

      if (port2 !== undefined) {
        // The bridge has to know where both guests are.
        port1.send(frameFrom(1, 0, 60));
        port2.send(frameFrom(2, 0, 60));
        await lab.settle();
      }
      if (bypasses !== undefined && backend2 !== undefined) await openBypass(bypasses, backend1, backend2);

      const outwards = route.from === 'guest';
      const domain: Domain = outwards ? guest1.domain : lab.dom0;
      const pool = FramePool.create(domain.memory, POOL_PAGES);
      if (pool === undefined) throw new Error('no pages for the frames of the comparison');
      const ends: TrafficEnds = {
        sender: { domain, port: outwards ? port1 : backend1, pool },
        receiver: port2 ?? (outwards ? backend1 : port1),
        bridged: port2 !== undefined && route.way !== 'bypass',
      };
      const traffic = new Traffic(ends, frameFrom(1, outwards ? 2 : 1, frameBytes));
      const parties: Party[] = [{ role: 'dom0', domid: lab.dom0.id }];
      if (outwards) parties.unshift({ role: 'sender', domid: guest1.id });
      if (route.to === 'guest') parties.push({ role: 'receiver', domid: (guest2 ?? guest1).id });
      return new RouteUnderTest(lab, bypasses, pool, traffic, parties);
    } catch (error) {
      // What failed first is told; that a host which is half wired also leaks would hide it.
      await lab.stop().catch(() => {});
      throw error;
    }
  }

  /** Lets frames take the route, and answers what that cost. Everything has settled before and after. */
  async run(frames: number): Promise<RouteRound> {
    const before = this.parties.map((party) => this.accountingOf(party));
    const started = performance.now();
    await this.traffic.run(frames);
    const seconds = (performance.now() - started) / 1000;
    await this.lab.settle();
    const domains = this.parties.map((party, index) =>
      spent(party.role, before[index], this.accountingOf(party)),
    );
    return { frames, seconds, domains };
  }

  /** Takes the host down. @throws LeakError when something is left behind. */
  async stop(): Promise<void> {
    try {
      this.traffic.stop();
      await this.bypasses?.withdraw();
      this.pool.close();
    } finally {
      await this.lab.stop();
    }
  }

  private accountingOf({ domid }: Party): DomainAccounting {
    const accounting = this.lab.machine.accounting(domid);
    if (accounting === undefined) throw new Error(`domain ${domid} is gone`);
    return accounting;
  }
}

async function openBypass(bypasses: BypassProposer, one: FramePort, other: FramePort): Promise<void> {
  const refusal = bypasses.propose(one, other);
  if (refusal !== undefined) throw new Error(`no bypass: ${refusal}`);
  await firstValueFrom(
    bypasses.bypasses$.pipe(filter((list) => list.some((bypass) => bypass.state === 'live'))),
  );
}

function spent(
  role: DomainCost['role'],
  before: DomainAccounting | undefined,
  after: DomainAccounting,
): DomainRound {
  const grown = (counter: keyof DomainAccounting): number => after[counter] - (before?.[counter] ?? 0);
  return {
    role,
    cpuNanoseconds: grown('cpuNanoseconds'),
    bytesCopied: grown('bytesCopiedBy'),
    grantOperations: grown('grantOperations'),
    notifications: grown('notifications'),
  };
}

const macOf = (number: number): string => `02:00:00:00:00:0${number}`;

/** @param to 0 for everybody. */
function frameFrom(from: number, to: number, length: number): Uint8Array {
  const frame = new Uint8Array(length).fill(0x5a);
  if (to === 0) frame.fill(0xff, 0, 6);
  else frame.set([2, 0, 0, 0, 0, to]);
  frame.set([2, 0, 0, 0, 0, from, 0x88, 0xb5], 6);
  return frame;
}
