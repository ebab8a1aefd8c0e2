import { setTimeout } from 'node:timers/promises';
import type { EventChannelPort } from '@netchannel2/xen';
import { eventChannelPort } from '@netchannel2/xen';
import { describe, expect, it } from 'vitest';
import { openProbedHost, type ProbedHost } from './dom0-host';

const BYTE = 100;

function bound(answer: EventChannelPort | string): EventChannelPort {
  if (typeof answer === 'string') throw new Error(`no event channel: ${answer}`);
  return answer;
}

/** An event channel from one host to the other; `heard` counts what arrived at `far`. */
function channel(near: ProbedHost, far: ProbedHost) {
  const farPort = bound(far.domain.events.allocateUnbound(near.domain.id));
  const nearPort = bound(near.domain.events.bindInterdomain(far.domain.id, eventChannelPort(farPort)));
  let heard = 0;
  far.domain.events.listen(farPort, () => {
    heard += 1;
  });
  return { port: nearPort, heard: () => heard };
}

async function untilHeard(heard: () => number): Promise<void> {
  while (heard() === 0) await setTimeout(5);
}

/** Unmap and share notifications (spec grant-tables.md §12.4): how one end learns that the other's process is gone. */
export function describeNotifications(): void {
  describe('notifications on real Xen', () => {
    it('an unmapped page clears its byte and sends the event', async () => {
      const granter = await openProbedHost(64);
      const mapper = await openProbedHost(64);
      const pages = granter.domain.grants.share(mapper.domain.id, 1, 'readwrite');
      if (pages === undefined) throw new Error('nothing shared');
      pages.area.bytes[BYTE] = 1;
      const { port, heard } = channel(mapper, granter);
      const ref = pages.refs[0];
      if (ref === undefined) throw new Error('no reference');
      const mapping = mapper.domain.foreign.mapPage(granter.domain.id, ref, 'readwrite', {
        clearByte: BYTE,
        port,
      });
      if (typeof mapping === 'number') throw new Error(`not mapped: ${mapping}`);
      // The channel's own beginning may count as an event.
      await granter.quiet();
      const before = heard();
      mapping.unmap();
      await untilHeard(() => heard() - before);
      expect(pages.area.bytes[BYTE]).toBe(0);
      pages.end();
      for (const host of [granter, mapper]) host.close();
    });

    it('a page no longer shared clears its byte and sends the event', async () => {
      const granter = await openProbedHost(64);
      const mapper = await openProbedHost(64);
      const { port, heard } = channel(granter, mapper);
      const pages = granter.domain.grants.sharePage(mapper.domain.id, 'readwrite', { clearByte: BYTE, port });
      if (pages === undefined) throw new Error('nothing shared');
      pages.area.bytes[BYTE] = 1;
      const mapping = mapper.domain.foreign.map(granter.domain.id, pages.refs, 'readwrite');
      if (typeof mapping === 'number') throw new Error(`not mapped: ${mapping}`);
      await mapper.quiet();
      const before = heard();
      pages.end();
      await untilHeard(() => heard() - before);
      expect(mapping.area.bytes[mapping.area.base + BYTE]).toBe(0);
      mapping.unmap();
      for (const host of [granter, mapper]) host.close();
    });
  });
}
