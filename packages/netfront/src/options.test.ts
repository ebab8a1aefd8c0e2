import { expect, it } from 'vitest';
import { netfrontSettings } from './options';

it('asks for all it has unless told otherwise', () => {
  const { features, receiveBuffers } = netfrontSettings({ features: { gsoTcpv6: false } });
  expect(features).toMatchObject({
    rxCopy: true,
    rxNotify: true,
    scatterGather: true,
    gsoTcpv4: true,
    gsoTcpv6: false,
  });
  expect(receiveBuffers).toBe(256);
});

it.each([
  [{ receiveBuffers: 18 }, 'receiveBuffers is 18: give a whole number from 19 to 256'],
  [{ transmitPages: 17 }, 'transmitPages is 17'],
  [{ retainedPages: -1 }, 'retainedPages is -1'],
])('refuses %j', (options, message) => {
  expect(() => netfrontSettings(options)).toThrow(message);
});
