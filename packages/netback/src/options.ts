import { type BackendFeatures, PACKET_BYTES_MAX, QUEUES_MAX } from '@netchannel2/netif';
import { PAGE_SIZE } from '@netchannel2/xen';

/** How a backend is set up. */
export interface NetbackOptions {
  /** Queues a frontend may use, 1 … 8, default 4. Pages below are for each queue in use. */
  readonly maxQueues?: number;
  /** Pages frames from the guest are copied into, 32 … 65536, default 128. Retained frames keep theirs. */
  readonly receivePages?: number;
  /**
   * Pages for frames to the guest that wait for buffers, were given as bytes, or are changed on their way: cut into
   * segments, their checksum completed. 17 … 65536, default 64.
   */
  readonly transmitPages?: number;
  /** Pages a frontend may have mapped for good as staging buffers, 0 … 512 for each queue, default 512. */
  readonly stagingPages?: number;
  /** Features to offer; all that this backend has are offered by default. `rxCopy` cannot be turned off. */
  readonly features?: Partial<
    Pick<
      BackendFeatures,
      | 'scatterGather'
      | 'gsoTcpv4'
      | 'gsoTcpv6'
      | 'ipv6ChecksumOffload'
      | 'multicastControl'
      | 'splitEventChannels'
      | 'controlRing'
    >
  >;
}

/** Options with all defaults filled in. */
export interface NetbackSettings {
  readonly receivePages: number;
  readonly transmitPages: number;
  readonly stagingPages: number;
  readonly features: BackendFeatures;
}

/** Pages of the largest packet. */
export const PACKET_PAGES_MAX = Math.ceil(PACKET_BYTES_MAX / PAGE_SIZE);

/** Fills in defaults. @throws RangeError naming the option that is out of its range. */
export function netbackSettings(options: NetbackOptions): NetbackSettings {
  const multicastControl = options.features?.multicastControl ?? true;
  return {
    receivePages: ranged('receivePages', options.receivePages ?? 128, 32, 65536),
    transmitPages: ranged('transmitPages', options.transmitPages ?? 64, PACKET_PAGES_MAX + 1, 65536),
    stagingPages: ranged('stagingPages', options.stagingPages ?? 512, 0, 512),
    features: {
      scatterGather: true,
      gsoTcpv4: true,
      gsoTcpv6: true,
      ipv6ChecksumOffload: true,
      splitEventChannels: true,
      controlRing: true,
      ...options.features,
      multicastControl,
      dynamicMulticastControl: multicastControl,
      rxCopy: true,
      maxQueues: ranged('maxQueues', options.maxQueues ?? 4, 1, QUEUES_MAX),
    },
  };
}

function ranged(name: string, value: number, least: number, most: number): number {
  if (Number.isInteger(value) && value >= least && value <= most) return value;
  throw new RangeError(`netback option ${name} is ${value}: give a whole number from ${least} to ${most}`);
}
