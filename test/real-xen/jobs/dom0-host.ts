import { setImmediate, setTimeout } from 'node:timers/promises';
import { type EventChannelPort, eventChannelPort } from '@netchannel2/xen';
import { type HostDomain, openXenHost } from '@netchannel2/xen-host';

/** A processes' view of dom0 with a way to know that all events sent before have arrived. */
export interface ProbedHost {
  readonly domain: HostDomain;
  /** Resolves when an event sent now came back: those sent before it came as well, if they went the same way. */
  quiet(): Promise<void>;
  close(): void;
}

function portOf(answer: EventChannelPort | string): EventChannelPort {
  if (typeof answer === 'string') throw new Error(`no event channel: ${answer}`);
  return answer;
}

/** Opens dom0 as a backend or a frontend process would, with a channel to itself. */
export async function openProbedHost(memoryPages = 8192): Promise<ProbedHost> {
  // The kernel's own bound is as good as any; that the library takes one is shown on the way.
  const domain = await openXenHost({ memoryPages, maximumMappings: 8192 });
  const { events } = domain;
  const near = portOf(events.allocateUnbound(domain.id));
  const far = portOf(events.bindInterdomain(domain.id, eventChannelPort(near)));
  let waiting: (() => void)[] = [];
  events.listen(near, () => {
    const ready = waiting;
    waiting = [];
    for (const resolve of ready) resolve();
  });
  events.listen(far, () => {});
  return {
    domain,
    async quiet() {
      const back = new Promise<void>((resolve) => waiting.push(resolve));
      events.notify(far);
      await back;
      await setImmediate();
    },
    close() {
      domain.close();
    },
  };
}

/** Lets events chase each other to their end on all hosts. */
export async function settleHosts(hosts: readonly ProbedHost[], rounds = 6): Promise<void> {
  for (let round = 0; round < rounds; round++) {
    for (const host of hosts) await host.quiet();
    await setTimeout(2);
  }
}
