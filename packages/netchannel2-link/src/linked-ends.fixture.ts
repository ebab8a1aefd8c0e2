import { FramePool, HotStream, PortCounters } from '@netchannel2/frames';
import { BACKEND_VIEW, FRONTEND_VIEW, initialiseControlPage } from '@netchannel2/netchannel2';
import type { Frame } from '@netchannel2/xen';
import { DROP_REASONS, type DropReason } from './drop-reasons';
import { Vif2Link } from './link';
import type { ConnectedRings, LinkSettings } from './link-settings';
import { type PlainDomain, TwoDomains } from './two-domains.fixture';

/** One end of a connection under test, and what it reported. */
export interface End {
  readonly domain: PlainDomain;
  readonly pool: FramePool;
  readonly rings: ConnectedRings;
  readonly frames: HotStream<Frame>;
  readonly writable: HotStream<void>;
  readonly counters: PortCounters<DropReason>;
  readonly failures: string[];
  readonly stalls: boolean[];
  /** Frames received, copied out. */
  readonly received: Uint8Array[];
  readonly link: Vif2Link;
}

export type EndSettings = Partial<Omit<LinkSettings, 'domain' | 'peer' | 'rings'>> & { poolPages?: number };

/** Rings of 2^order pages between two domains, not yet attached by anybody. The first is the frontend. */
export function freshRings(machine = new TwoDomains(), order = 1) {
  const { first, second } = machine;
  const control = first.grants.share(second.id, 1, 'readwrite').area;
  initialiseControlPage(control);
  const a = first.grants.share(second.id, 1 << order, 'readonly').area;
  const b = first.grants.share(second.id, 1 << order, 'readwrite').area;
  const [frontPort, backPort] = first.connect(second);
  const front: ConnectedRings = { control, produce: a, consume: b, view: FRONTEND_VIEW, port: frontPort };
  const back: ConnectedRings = { control, produce: b, consume: a, view: BACKEND_VIEW, port: backPort };
  return { machine, front, back };
}

/** A link on given rings; `start` is the caller's. */
export function createEnd(
  domain: PlainDomain,
  peer: PlainDomain,
  rings: ConnectedRings,
  settings: EndSettings = {},
): End {
  const pool = FramePool.create(domain.memory, settings.poolPages ?? 256);
  if (pool === undefined) throw new Error('no pages');
  const failures: string[] = [];
  const stalls: boolean[] = [];
  const received: Uint8Array[] = [];
  const shared = {
    frames: new HotStream<Frame>(),
    writable: new HotStream<void>(),
    counters: new PortCounters<DropReason>(DROP_REASONS),
  };
  const link = new Vif2Link({
    domain,
    peer: peer.id,
    rings,
    pool,
    fragmentKind: 'receiver_copy',
    prefix: 128,
    offer: { checksumOffload: true, tcpv4Segmentation: true, maxFragments: 18 },
    onlySource: undefined,
    sourceGrantsExactly: true,
    ...shared,
    opened: () => {},
    fail: (code, message) => failures.push(`${code} ${message}`),
    stuck: () => failures.push('stuck'),
    stalled: (stalled) => stalls.push(stalled),
    ...settings,
  });
  return { domain, pool, rings, ...shared, failures, stalls, received, link };
}

/** Both ends as real links, started and settled; received frames are recorded. */
export function linkedEnds(
  options: {
    order?: number;
    machine?: TwoDomains;
    front?: EndSettings;
    back?: EndSettings;
    record?: boolean;
  } = {},
) {
  const { machine, front, back } = freshRings(options.machine, options.order);
  const frontend = createEnd(machine.first, machine.second, front, options.front);
  const backend = createEnd(machine.second, machine.first, back, options.back);
  if (options.record !== false) {
    for (const end of [frontend, backend])
      end.frames.subscribe((frame) => end.received.push(frame.toBytes()));
  }
  frontend.link.start();
  backend.link.start();
  machine.settle();
  return { machine, frontend, backend };
}

/** An Ethernet frame of `length` bytes whose contents tell its number. */
export function numberedFrame(length: number, number: number): Uint8Array {
  const frame = Uint8Array.from({ length }, (_, index) => (index * 7 + number * 13) & 0xff);
  frame.set([0x00, 0x16, 0x3e, 0x00, 0x00, 0x02, 0x00, 0x16, 0x3e, 0x00, 0x00, 0x01, 0x88, 0xb5]);
  return frame;
}
