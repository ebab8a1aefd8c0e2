import { describe, expect, it } from 'vitest';
import {
  parseRate,
  parseSwitch,
  parseUnsigned,
  readBackendFeatures,
  readFrontendFeatures,
  readQueueCount,
  readQueueNodes,
  writeBackendFeatures,
  writeFrontendFeatures,
} from './index';

const nodes = (record: Record<string, string>) => new Map(Object.entries(record));

describe('node values', () => {
  it.each([
    ['0', 0],
    ['8', 8],
    ['4294967295', 4294967295],
    ['4294967296', undefined],
    ['-1', undefined],
    ['', undefined],
    ['0x10', undefined],
    ['7 ', undefined],
    ['99999999999999999999', undefined],
    [undefined, undefined],
  ])('%j reads as %j', (text, value) => {
    expect(parseUnsigned(text)).toBe(value);
  });
  it.each([
    ['1', true],
    ['2', true],
    ['0', false],
    ['yes', false],
    [undefined, false],
  ])('switch %j is %j', (text, on) => {
    expect(parseSwitch(text)).toBe(on);
  });
  it.each([
    ['1000,1000000', { bytes: 1000, microseconds: 1000000 }],
    ['1000', undefined],
    ['1000,', undefined],
    ['-1,5', undefined],
    [undefined, undefined],
  ])('rate %j', (text, rate) => {
    expect(parseRate(text)).toEqual(rate);
  });
});

describe('features', () => {
  it('missing backend nodes mean off and one queue', () => {
    expect(readBackendFeatures(nodes({}))).toEqual({
      rxCopy: false,
      scatterGather: false,
      gsoTcpv4: false,
      gsoTcpv6: false,
      ipv6ChecksumOffload: false,
      multicastControl: false,
      dynamicMulticastControl: false,
      splitEventChannels: false,
      maxQueues: 0,
      controlRing: false,
    });
  });
  it('what a backend writes, a frontend reads', () => {
    const features = {
      rxCopy: true,
      scatterGather: true,
      gsoTcpv4: true,
      gsoTcpv6: false,
      ipv6ChecksumOffload: true,
      multicastControl: true,
      dynamicMulticastControl: true,
      splitEventChannels: true,
      maxQueues: 4,
      controlRing: false,
    };
    expect(readBackendFeatures(nodes(writeBackendFeatures(features)))).toEqual(features);
  });
  it('what a frontend writes, a backend reads', () => {
    const features = {
      rxCopy: true,
      rxNotify: true,
      scatterGather: true,
      gsoTcpv4: false,
      gsoTcpv6: true,
      ipv6ChecksumOffload: false,
      noChecksumOffload: true,
      multicastControl: false,
    };
    expect(readFrontendFeatures(nodes(writeFrontendFeatures(features)))).toEqual(features);
  });
});

describe('queues', () => {
  it('takes the pair of event channels before the single one', () => {
    const pair = { 'event-channel': '3', 'event-channel-tx': '4', 'event-channel-rx': '5' };
    const rings = { 'tx-ring-ref': '8', 'rx-ring-ref': '9' };
    expect(readQueueNodes(nodes({ ...rings, ...pair }))).toEqual({
      txRing: 8,
      rxRing: 9,
      txPort: 4,
      rxPort: 5,
    });
    expect(readQueueNodes(nodes({ ...rings, 'event-channel': '3' }))).toEqual({
      txRing: 8,
      rxRing: 9,
      txPort: 3,
      rxPort: 3,
    });
  });
  it.each([
    [{ 'rx-ring-ref': '9', 'event-channel': '3' }, 'tx-ring-ref is missing'],
    [
      { 'tx-ring-ref': 'abc', 'rx-ring-ref': '9', 'event-channel': '3' },
      'tx-ring-ref is "abc", not a number',
    ],
    [{ 'tx-ring-ref': '9', 'rx-ring-ref': '9', 'event-channel': '3' }, 'name the same grant'],
    [{ 'tx-ring-ref': '8', 'rx-ring-ref': '9' }, 'event-channel is missing'],
    [
      { 'tx-ring-ref': '8', 'rx-ring-ref': '9', 'event-channel': '-3' },
      'event-channel is "-3", not a number',
    ],
  ])('refuses %j', (record, text) => {
    expect(readQueueNodes(nodes(record))).toContain(text);
  });
  it.each([
    [undefined, 8, 1],
    ['1', 8, 1],
    ['8', 8, 8],
  ])('queue count %j of %i', (text, max, count) => {
    expect(readQueueCount(nodes(text === undefined ? {} : { 'multi-queue-num-queues': text }), max)).toBe(
      count,
    );
  });
  it.each(['0', '9', 'many'])('queue count %j of 8 is refused', (text) => {
    expect(readQueueCount(nodes({ 'multi-queue-num-queues': text }), 8)).toContain('must be 1 to 8');
  });
});
