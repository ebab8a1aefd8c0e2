import { type Domain, type EventChannelPort, eventChannelPort } from '@netchannel2/xen';
import { describe, expect, it } from 'vitest';
import { type DomainTrio, type DomainTrioFactory, portOf, withDomains } from './domain-trio';

interface Channel {
  readonly near: EventChannelPort;
  readonly far: EventChannelPort;
}

/** A channel the granter allocated and the grantee bound. */
function channelOf({ granter, grantee }: DomainTrio): Channel {
  const near = portOf(granter.events.allocateUnbound(grantee.id));
  const far = portOf(grantee.events.bindInterdomain(granter.id, near));
  return { near, far };
}

function closeBoth({ granter, grantee }: DomainTrio, { near, far }: Channel): void {
  granter.events.close(near);
  grantee.events.close(far);
}

/** Counts the calls of a port's handler. */
function heard(domain: Domain, port: EventChannelPort): { calls: number; stop: () => void } {
  const counter = { calls: 0, stop: () => {} };
  counter.stop = domain.events.listen(port, () => {
    counter.calls += 1;
  });
  return counter;
}

/** What every `EventChannels` must do (spec event-channels.md §4). */
export function describeEventChannels(name: string, factory: DomainTrioFactory): void {
  describe(`event channels: ${name}`, () => {
    it(
      'have ports from 1 on, each its own',
      withDomains(factory, ({ granter, grantee }) => {
        const ports = [1, 2, 3].map(() => portOf(granter.events.allocateUnbound(grantee.id)));
        expect(new Set(ports).size).toBe(3);
        expect(Math.min(...ports)).toBeGreaterThanOrEqual(1);
        for (const port of ports) granter.events.close(port);
      }),
    );

    it(
      'call the binder once without a notification, the allocator not',
      withDomains(factory, async (trio) => {
        const channel = channelOf(trio);
        const near = heard(trio.granter, channel.near);
        const far = heard(trio.grantee, channel.far);
        await trio.settle();
        expect([near.calls, far.calls]).toEqual([0, 1]);
        closeBoth(trio, channel);
      }),
    );

    it(
      'carry events both ways; several may become one',
      withDomains(factory, async (trio) => {
        const channel = channelOf(trio);
        const near = heard(trio.granter, channel.near);
        const far = heard(trio.grantee, channel.far);
        await trio.settle();
        const before = far.calls;
        for (let count = 0; count < 10; count += 1) trio.granter.events.notify(channel.near);
        await trio.settle();
        expect(far.calls - before).toBeGreaterThanOrEqual(1);
        expect(far.calls - before).toBeLessThanOrEqual(10);
        trio.grantee.events.notify(channel.far);
        await trio.settle();
        expect(near.calls).toBe(1);
        closeBoth(trio, channel);
      }),
    );

    it(
      'do not lose an event sent before anybody listened',
      withDomains(factory, async (trio) => {
        const channel = channelOf(trio);
        trio.grantee.events.notify(channel.far);
        await trio.settle();
        const near = heard(trio.granter, channel.near);
        await trio.settle();
        expect(near.calls).toBe(1);
        closeBoth(trio, channel);
      }),
    );

    it(
      'stay silent after listening stopped, and speak again to the next listener',
      withDomains(factory, async (trio) => {
        const channel = channelOf(trio);
        const near = heard(trio.granter, channel.near);
        near.stop();
        trio.grantee.events.notify(channel.far);
        await trio.settle();
        expect(near.calls).toBe(0);
        const next = heard(trio.granter, channel.near);
        await trio.settle();
        expect([near.calls, next.calls]).toEqual([0, 1]);
        closeBoth(trio, channel);
      }),
    );

    it(
      'run a handler to its end before it is called again',
      withDomains(factory, async (trio) => {
        const channel = channelOf(trio);
        let depth = 0;
        let deepest = 0;
        let rounds = 0;
        trio.granter.events.listen(channel.near, () => {
          depth += 1;
          deepest = Math.max(deepest, depth);
          if (rounds < 5) trio.granter.events.notify(channel.near);
          depth -= 1;
        });
        trio.grantee.events.listen(channel.far, () => {
          depth += 1;
          deepest = Math.max(deepest, depth);
          rounds += 1;
          if (rounds < 5) trio.grantee.events.notify(channel.far);
          depth -= 1;
        });
        await trio.settle();
        expect(rounds).toBe(5);
        expect(deepest).toBe(1);
        closeBoth(trio, channel);
      }),
    );

    it(
      'let a handler close its own port',
      withDomains(factory, async (trio) => {
        const channel = channelOf(trio);
        let calls = 0;
        trio.grantee.events.listen(channel.far, () => {
          calls += 1;
          trio.grantee.events.close(channel.far);
        });
        await trio.settle();
        trio.granter.events.notify(channel.near);
        await trio.settle();
        expect(calls).toBe(1);
        trio.granter.events.close(channel.near);
      }),
    );

    it(
      'lose what is sent to an end that closed, without an error and without an event of the close',
      withDomains(factory, async (trio) => {
        const channel = channelOf(trio);
        const near = heard(trio.granter, channel.near);
        await trio.settle();
        trio.grantee.events.close(channel.far);
        await trio.settle();
        expect(near.calls).toBe(0);
        trio.granter.events.notify(channel.near);
        await trio.settle();
        expect(near.calls).toBe(0);
        trio.granter.events.close(channel.near);
      }),
    );

    it(
      'can be bound again by the domain that closed its end',
      withDomains(factory, async (trio) => {
        const { granter, grantee, settle } = trio;
        const channel = channelOf(trio);
        grantee.events.close(channel.far);
        const again = portOf(grantee.events.bindInterdomain(granter.id, channel.near));
        const far = heard(grantee, again);
        await settle();
        granter.events.notify(channel.near);
        await settle();
        expect(far.calls).toBe(2);
        closeBoth(trio, { near: channel.near, far: again });
      }),
    );

    it(
      'are refused to another domain, to a second binder, and where no port is',
      withDomains(factory, (trio) => {
        const { granter, grantee, bystander, oneDomain } = trio;
        const near = portOf(granter.events.allocateUnbound(grantee.id));
        if (oneDomain !== true) expect(bystander.events.bindInterdomain(granter.id, near)).toBe('EINVAL');
        const far = portOf(grantee.events.bindInterdomain(granter.id, near));
        expect(grantee.events.bindInterdomain(granter.id, near)).toBe('EINVAL');
        expect(grantee.events.bindInterdomain(granter.id, eventChannelPort(40))).toBe('EINVAL');
        expect(grantee.events.bindInterdomain(granter.id, eventChannelPort(0))).toBe('EINVAL');
        expect(grantee.events.bindInterdomain(granter.id, eventChannelPort(100_000))).toBe('EINVAL');
        closeBoth(trio, { near, far });
      }),
    );

    it(
      'give a freed port number to its next user without the events of the last',
      withDomains(factory, async (trio) => {
        const channel = channelOf(trio);
        const first = heard(trio.granter, channel.near);
        await trio.settle();
        trio.grantee.events.notify(channel.far);
        closeBoth(trio, channel);
        const next = channelOf(trio);
        const second = heard(trio.granter, next.near);
        await trio.settle();
        expect([first.calls, second.calls]).toEqual([0, 0]);
        closeBoth(trio, next);
      }),
    );
  });
}
