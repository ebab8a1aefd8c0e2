import { expect, it } from 'vitest';
import { netbackSettings } from './options';

it('offers all it has unless told otherwise', () => {
  const { features } = netbackSettings({ features: { gsoTcpv6: false } });
  expect(features).toMatchObject({
    rxCopy: true,
    scatterGather: true,
    gsoTcpv4: true,
    gsoTcpv6: false,
    maxQueues: 4,
  });
});

it.each([
  [{ receivePages: 31 }, 'receivePages is 31: give a whole number from 32'],
  [{ maxQueues: 9 }, 'maxQueues is 9: give a whole number from 1 to 8'],
  [{ transmitPages: 1.5 }, 'transmitPages is 1.5'],
])('refuses %j', (options, message) => {
  expect(() => netbackSettings(options)).toThrow(message);
});
