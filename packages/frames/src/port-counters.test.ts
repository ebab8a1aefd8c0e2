import { expect, it } from 'vitest';
import { PortCounters } from './port-counters';

it('starts with every reason at 0, so that counting allocates nothing', () => {
  const counters = new PortCounters(['no subscriber', 'bad grant']);
  counters.dropped['bad grant'] += 1;
  expect(counters.dropped).toEqual({ 'no subscriber': 0, 'bad grant': 1 });
  expect(counters.framesSent + counters.framesReceived + counters.sendRefused).toBe(0);
});
