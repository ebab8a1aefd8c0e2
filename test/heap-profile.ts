import { type HeapProfiler, Session } from 'node:inspector/promises';
import { FramePool } from '@netchannel2/frames';
import type { Machine, SimulatedDomain } from '@netchannel2/hypervisor';
import type { FramePort } from '@netchannel2/xen';

/** Bytes between two samples, on average. */
const SAMPLING = 512;

const allocatedIn = (
  node: HeapProfiler.SamplingHeapProfileNode,
  code: RegExp,
  sites: Map<string, number>,
): void => {
  const { url, functionName } = node.callFrame;
  if (code.test(url)) sites.set(functionName, (sites.get(functionName) ?? 0) + node.selfSize);
  for (const child of node.children) allocatedIn(child, code, sites);
};

export interface AllocationWindow {
  readonly bytes: number;
  /** By function, for a message. */
  readonly sites: string;
}

/** What code whose address matches `code` allocates during `work`, with all that the collector has swept up since. */
export async function profiled(code: RegExp, work: () => Promise<void>): Promise<AllocationWindow> {
  const session = new Session();
  session.connect();
  await session.post('HeapProfiler.startSampling', {
    samplingInterval: SAMPLING,
    includeObjectsCollectedByMajorGC: true,
    includeObjectsCollectedByMinorGC: true,
  });
  await work();
  const { profile } = await session.post('HeapProfiler.stopSampling');
  session.disconnect();
  const sites = new Map<string, number>();
  allocatedIn(profile.head, code, sites);
  const bytes = [...sites.values()].reduce((sum, size) => sum + size, 0);
  return { bytes, sites: JSON.stringify([...sites]) };
}

/** Sends one frame of machine memory `count` times, whenever there is room, and waits until the machine has come to rest. */
export async function flood(
  machine: Machine,
  domain: SimulatedDomain,
  port: FramePort,
  length: number,
  count: number,
): Promise<void> {
  const pool = FramePool.create(domain.memory, 1);
  const frame = pool?.frameFrom(new Uint8Array(length));
  if (pool === undefined || frame === undefined) throw new Error('no pages');
  let sent = 0;
  const work = {
    deferred: false,
    run: () => {
      while (sent < count && port.send(frame)) sent += 1;
    },
  };
  const subscription = port.writable$.subscribe(() => domain.defer(work));
  domain.defer(work);
  await machine.idle();
  subscription.unsubscribe();
  frame.release();
  pool.close();
  if (sent !== count) throw new Error(`${sent} of ${count} frames were sent`);
}
