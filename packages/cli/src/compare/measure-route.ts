import { PortDecorator } from '@netchannel2/bridge';
import { FramePool } from '@netchannel2/frames';
import { BypassProposer } from '@netchannel2/netback2';
import { Lab } from '@netchannel2/testing';
import type { Domain, DomainAccounting, FramePort } from '@netchannel2/xen';
import { filter, firstValueFrom } from 'rxjs';
import type { DomainCost, Route, RouteResult } from './route';
import { Traffic, type TrafficEnds } from './traffic';

export interface MeasureOptions {
  readonly frameBytes: number;
  readonly frames: number;
  /** Frames before that, for the compiler to learn the path. */
  readonly warmUp: number;
}

/** Pages of the sender's frames: 32 frames of 64 KiB. */
const POOL_PAGES = 544;
const RING_PAGE_ORDER = 4;

/** A backend whose packets cannot be taken in their sender's grants: they are copied in and out. */
class CopyingBackend extends PortDecorator {}

/** Boots a host for one route, lets frames take it, and reads what that cost each domain. All tables have version 2. */
export async function measureRoute(route: Route, options: MeasureOptions): Promise<RouteResult> {
  const backends: FramePort[] = [];
  const bypasses = new BypassProposer({
    policy: { kind: route.way === 'bypass' ? 'manual' : 'never' },
    ringPages: 16,
  });
  const copies = route.class === 'vif2' && route.way === 'copy';
  const lab = await Lab.start({
    drivers: { netfront2: { ringPageOrder: RING_PAGE_ORDER }, netback2: { bypasses } },
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
      for (const [port, source] of [
        [port1, 1],
        [port2, 2],
      ] as const)
        port.send(frameFrom(source, 0, 60));
      await lab.settle();
    }
    if (route.way === 'bypass' && backend2 !== undefined) await openBypass(bypasses, backend1, backend2);

    const outwards = route.from === 'guest';
    const domain: Domain = outwards ? guest1.domain : lab.dom0;
    const pool = FramePool.create(domain.memory, POOL_PAGES);
    if (pool === undefined) throw new Error('no pages for the frames of the comparison');
    const ends: TrafficEnds = {
      sender: { domain, port: outwards ? port1 : backend1, pool },
      receiver: port2 ?? (outwards ? backend1 : port1),
    };
    const roles = [
      ...(outwards ? [['sender', guest1.id] as const] : []),
      ['dom0', lab.dom0.id] as const,
      ...(route.to === 'guest' ? [['receiver', (guest2 ?? guest1).id] as const] : []),
    ];
    const traffic = new Traffic(ends, frameFrom(1, outwards ? 2 : 1, options.frameBytes));
    await traffic.run(options.warmUp);
    await lab.settle();
    const accounts = () => roles.map(([, domid]) => accountingOf(lab, domid));
    const before = accounts();
    const started = performance.now();
    await traffic.run(options.frames);
    const seconds = (performance.now() - started) / 1000;
    await lab.settle();
    const after = accounts();
    traffic.stop();
    if (route.way === 'bypass') await bypasses.withdraw();
    pool.close();
    return {
      ...route,
      frames: options.frames,
      framesPerSecond: Math.round(options.frames / seconds),
      domains: roles.map(([role], index) => costOf(role, options.frames, before[index], after[index])),
    };
  } finally {
    await lab.stop();
  }
}

async function openBypass(bypasses: BypassProposer, one: FramePort, other: FramePort): Promise<void> {
  const refusal = bypasses.propose(one, other);
  if (refusal !== undefined) throw new Error(`no bypass: ${refusal}`);
  await firstValueFrom(
    bypasses.bypasses$.pipe(filter((list) => list.some((bypass) => bypass.state === 'live'))),
  );
}

function accountingOf(lab: Lab, domid: number): DomainAccounting {
  const accounting = lab.machine.accounting(domid);
  if (accounting === undefined) throw new Error(`domain ${domid} is gone`);
  return accounting;
}

function costOf(
  role: DomainCost['role'],
  frames: number,
  before: DomainAccounting | undefined,
  after: DomainAccounting | undefined,
): DomainCost {
  const perFrame = (counter: keyof DomainAccounting, digits: number): number =>
    Number((((after?.[counter] ?? 0) - (before?.[counter] ?? 0)) / frames).toFixed(digits));
  return {
    role,
    nsPerFrame: perFrame('cpuNanoseconds', 0),
    bytesCopiedPerFrame: perFrame('bytesCopiedBy', 0),
    grantOperationsPerFrame: perFrame('grantOperations', 3),
    notificationsPerFrame: perFrame('notifications', 4),
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
