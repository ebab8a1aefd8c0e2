import { describe, expect, it } from 'vitest';
import { dom0Saving, type RouteRound, routeResult } from './route-result';

/** A round of 100 frames in which dom0 spent so much on each. */
const round = (dom0NsPerFrame: number, seconds = 1, notifications = 0): RouteRound => ({
  frames: 100,
  seconds,
  domains: [
    {
      role: 'sender',
      cpuNanoseconds: 1000,
      bytesCopied: 12_800,
      grantOperations: 200,
      notifications: 0,
    },
    {
      role: 'dom0',
      cpuNanoseconds: dom0NsPerFrame * 100,
      bytesCopied: 151_400,
      grantOperations: 100,
      notifications,
    },
  ],
});

describe('routeResult', () => {
  it('takes the median of times, and all rounds together of counts', () => {
    const route = { class: 'vif2', from: 'guest', to: 'dom0', way: 'copy' } as const;
    expect(routeResult(route, [round(200, 1, 3), round(100, 2, 0), round(900, 4, 0)])).toEqual({
      ...route,
      frames: 300,
      framesPerSecond: 50,
      domains: [
        {
          role: 'sender',
          nsPerFrame: 10,
          bytesCopiedPerFrame: 128,
          grantOperationsPerFrame: 2,
          notificationsPerFrame: 0,
        },
        {
          role: 'dom0',
          nsPerFrame: 200,
          bytesCopiedPerFrame: 1514,
          grantOperationsPerFrame: 1,
          notificationsPerFrame: 0.01,
        },
      ],
    });
  });
});

describe('dom0Saving', () => {
  it('is what was saved within a round, not between the medians of both', () => {
    // Half in every round; the machine slowed down after the first.
    const against = [round(100), round(170), round(170)];
    expect(dom0Saving([round(50), round(85), round(85)], against)).toBe(0.5);
    expect(dom0Saving([round(50), round(50), round(85)], against)).toBe(0.5);
  });

  it('is negative where it costs more, all where nothing is spent, and 0 where there is nothing to save', () => {
    expect(dom0Saving([round(150)], [round(100)])).toBe(-0.5);
    expect(dom0Saving([round(0)], [round(100)])).toBe(1);
    expect(dom0Saving([round(10)], [round(0)])).toBe(0);
  });
});
