import type { FramePortCounters } from '@netchannel2/xen';

/** A port's counters for people: frames both ways, and what was dropped and why, if anything was. */
export function portTally(counters: FramePortCounters): string {
  const drops = Object.entries(counters.dropped).filter(([, count]) => count > 0);
  const dropped = drops.map(([reason, count]) => `${count} ${reason}`).join(', ');
  const moved = `sent ${counters.framesSent} frames, received ${counters.framesReceived}`;
  return drops.length === 0 ? moved : `${moved}, dropped ${dropped}`;
}
