import type { DeviceLink } from '@netchannel2/device-registry';
import { describe, expect, it } from 'vitest';
import { readBackendFeatures } from './backend-features';
import { netfront2Driver } from './netfront2';

const linkTo = (nodes: Record<string, string>) =>
  ({ readPeerAll: () => Promise.resolve(new Map(Object.entries(nodes))) }) as unknown as DeviceLink;

describe('what a backend offers', () => {
  it.each<[string, Record<string, string>, number, boolean]>([
    [
      'everything',
      { 'protocol-version': '1', 'max-ring-page-order': '4', 'feature-receiver-copy': '1' },
      4,
      true,
    ],
    ['a newer version', { 'protocol-version': '3', 'max-ring-page-order': '2' }, 2, false],
    ['nothing: version 1, one page, receiver_map', {}, 0, false],
    ['more pages than we take', { 'max-ring-page-order': '9' }, 4, false],
    ['nonsense', { 'max-ring-page-order': '-3', 'feature-receiver-copy': 'yes' }, 0, false],
  ])('%s', async (_, nodes, maxRingPageOrder, receiverCopy) => {
    const features = { maxRingPageOrder, receiverCopy, bypass: false };
    expect(await readBackendFeatures(linkTo(nodes))).toEqual(features);
    expect(await readBackendFeatures(linkTo({ ...nodes, 'feature-bypass': '1' }))).toEqual({
      ...features,
      bypass: true,
    });
  });

  it('version 0 is refused', async () => {
    await expect(readBackendFeatures(linkTo({ 'protocol-version': '0' }))).rejects.toMatchObject({
      code: 'EOPNOTSUPP',
    });
  });
});

describe('options', () => {
  const link = { domain: { id: 1 }, peer: 0, number: 0 } as unknown as DeviceLink;
  it.each([
    { prefix: 13 },
    { prefix: 257 },
    { ringPageOrder: 5 },
    { maxPackets: 0 },
    { maxFragments: 19 },
    { poolPages: 0 },
  ])('%o are refused with a message that names the option and its range', (options) => {
    const name = Object.keys(options)[0] ?? '';
    expect(() => netfront2Driver(options).create(link)).toThrow(new RegExp(`${name}.*integer from`));
  });
});
