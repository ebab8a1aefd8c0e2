import type { DeviceLink } from '@netchannel2/device-registry';
import { describe, expect, it } from 'vitest';
import { readFrontendNodes } from './frontend-nodes';

const GOOD: Record<string, string> = {
  'protocol-version': '1',
  'ring-layout': 'prod-cons',
  'ring-page-order': '1',
  'control-ring-ref': '8',
  'prod-ring-ref-0': '9',
  'prod-ring-ref-1': '10',
  'cons-ring-ref-0': '11',
  'cons-ring-ref-1': '12',
  'event-channel': '23',
};

/** A frontend's directory, read as often as asked, counted. */
function linkTo(nodes: Record<string, string | undefined>) {
  let reads = 0;
  const link = {
    readPeerAll: (names: readonly string[]) => {
      reads += 1;
      const found = names.flatMap((name) => {
        const value = nodes[name];
        return value === undefined ? [] : ([[name, value]] as const);
      });
      return Promise.resolve(new Map(found));
    },
  };
  return { link: link as unknown as DeviceLink, reads: () => reads };
}

describe('what a frontend published', () => {
  it('is read once', async () => {
    const { link, reads } = linkTo(GOOD);
    expect(await readFrontendNodes(link, 4)).toEqual({
      controlRef: 8,
      frontendRefs: [9, 10],
      backendRefs: [11, 12],
      port: 23,
      tableVersion: 2,
      bypass: false,
    });
    expect(reads()).toBe(1);
  });

  it('says of which version the grant table is, in case it is 1', async () => {
    for (const [node, tableVersion] of [
      ['1', 1],
      ['2', 2],
      ['x', 2],
    ] as const) {
      const { link } = linkTo({ ...GOOD, 'gnttab-version': node });
      expect(await readFrontendNodes(link, 4)).toMatchObject({ tableVersion });
    }
  });

  it('may leave out order and layout', async () => {
    const { link } = linkTo({ ...GOOD, 'ring-page-order': undefined, 'ring-layout': undefined });
    expect((await readFrontendNodes(link, 4)).frontendRefs).toEqual([9]);
  });

  it.each<[string, string | undefined]>([
    ['protocol-version', undefined],
    ['protocol-version', '2'],
    ['ring-layout', 'endpoint-owned'],
    ['ring-page-order', '5'],
    ['ring-page-order', '-1'],
    ['ring-page-order', '2'],
    ['ring-page-order', '1x'],
    ['control-ring-ref', undefined],
    ['control-ring-ref', 'eight'],
    ['prod-ring-ref-1', undefined],
    ['cons-ring-ref-0', '99999999999'],
    ['event-channel', undefined],
    ['event-channel', '23\n'],
  ])('is refused with %s = %s', async (node, value) => {
    const { link } = linkTo({ ...GOOD, [node]: value });
    await expect(readFrontendNodes(link, 4)).rejects.toMatchObject({ name: 'DeviceError' });
  });
});
