import { setImmediate } from 'node:timers/promises';
import { domainId, eventChannelPort } from '@netchannel2/xen';
import { describe, expect, it } from 'vitest';
import { HostEventChannels } from './host-event-channels';
import type { EventChannelLibrary } from './native/xen-libraries';

const EFBIG = -27;

/** A device whose ports are handed out by the test. */
function scriptedDevice() {
  const answers: (readonly number[] | number)[] = [];
  const log: string[] = [];
  let callback = (): void => {};
  const library: EventChannelLibrary = {
    allocateUnbound: () => 5,
    bindInterdomain: () => -22,
    unbind: (port) => {
      log.push(`unbind ${port}`);
      return 0;
    },
    notify: () => 0,
    receive: (ports) => {
      const answer = answers.shift() ?? [];
      if (typeof answer === 'number') return answer;
      ports.set(answer);
      return answer.length;
    },
    unmask: (ports, count) => {
      log.push(`unmask ${ports.subarray(0, count).join(',')}`);
    },
    reset: () => {
      log.push('reset');
    },
    whenReadable: (ready) => {
      callback = ready;
      return { close: () => log.push('closed') };
    },
    close: () => {},
  };
  return {
    library,
    log,
    give: (...next: (readonly number[] | number)[]) => {
      answers.push(...next);
      callback();
    },
    hold: (...next: (readonly number[] | number)[]) => answers.push(...next),
  };
}

const port = eventChannelPort;

describe('HostEventChannels', () => {
  it('unmasks all handled ports with one write, after their handlers', () => {
    const { library, log, give } = scriptedDevice();
    const events = new HostEventChannels(library);
    for (const each of [5, 6, 7]) events.listen(port(each), () => log.push(`event ${each}`));
    give([6, 5]);
    expect(log).toEqual(['event 6', 'event 5', 'unmask 6,5']);
  });

  it('answers errno names', () => {
    const events = new HostEventChannels(scriptedDevice().library);
    expect(events.bindInterdomain(domainId(3), port(1))).toBe('EINVAL');
    expect(events.allocateUnbound(domainId(3))).toBe(5);
  });

  it('forgets events of a port that was closed while they were being served', () => {
    const { library, log, give } = scriptedDevice();
    const events = new HostEventChannels(library);
    events.listen(port(5), () => {
      log.push('event 5');
      events.close(port(6));
      events.listen(port(6), () => log.push('the next user of 6'));
    });
    events.listen(port(6), () => log.push('event 6'));
    give([5, 6]);
    expect(log).toEqual(['event 5', 'unbind 6', 'unmask 5']);
  });

  it('keeps events of other ports that closing one found in the device', async () => {
    const { library, log, hold } = scriptedDevice();
    const events = new HostEventChannels(library);
    events.listen(port(7), () => log.push('event 7'));
    hold([6, 7]);
    events.close(port(6));
    await setImmediate();
    expect(log).toEqual(['unbind 6', 'event 7', 'unmask 7']);
  });

  it('lets every listener look when the kernel lost events', async () => {
    const { library, log, give } = scriptedDevice();
    const events = new HostEventChannels(library);
    events.listen(port(5), () => log.push('event 5'));
    give(EFBIG);
    await setImmediate();
    expect(log).toEqual(['reset', 'event 5', 'unmask 5']);
  });

  it('refuses a second listener and is silent once shut down', () => {
    const { library, log, give } = scriptedDevice();
    const events = new HostEventChannels(library);
    events.listen(port(5), () => log.push('event 5'));
    expect(() => events.listen(port(5), () => {})).toThrow('has a listener already');
    events.shutdown();
    events.shutdown();
    give([5]);
    expect(log).toEqual(['closed']);
  });
});
