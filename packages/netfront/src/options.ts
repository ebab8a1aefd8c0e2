import { DATA_SLOTS_MIN, type FrontendFeatures, QUEUES_MAX, RX_RING } from '@netchannel2/netif';
import { checkReceiveHash, type ReceiveHashOptions } from './receive-hash';

/** How a frontend is set up; every field has a default that suits a guest with some tens of megabytes. */
export interface NetfrontOptions {
  /** Queues to use if the backend offers as many, 1 … 8, default 1. Pages and buffers below are for each. */
  readonly queues?: number;
  /** Pages for bytes that are copied before they are sent, 18 … 4096, default 128. Frames in pages of this domain need none. */
  readonly transmitPages?: number;
  /** Buffers posted for the backend at a time, 19 … 256, default 256. */
  readonly receiveBuffers?: number;
  /** Pages beyond the posted ones, for frames that subscribers retain, 0 … 65536, default 64. */
  readonly retainedPages?: number;
  /** Uses an event channel for each direction when the backend offers it; default off: one for both. */
  readonly splitEventChannels?: boolean;
  /**
   * Copies frames through pages that are granted once for the whole connection, and has the backend map them if its control
   * ring offers that; default off: each frame's pages are granted where they lie. Frees the backend of grant operations.
   */
  readonly staging?: boolean;
  /** How the backend is to spread what it sends over the queues, where it has a control ring. */
  readonly receiveHash?: ReceiveHashOptions;
  /** Features to ask for; all that this frontend has are asked for by default. `rxCopy` cannot be turned off. */
  readonly features?: Partial<Omit<FrontendFeatures, 'rxCopy'>>;
}

/** Options with all defaults filled in. */
export interface NetfrontSettings {
  readonly queues: number;
  readonly transmitPages: number;
  readonly receiveBuffers: number;
  readonly retainedPages: number;
  readonly splitEventChannels: boolean;
  readonly staging: boolean;
  readonly receiveHash: ReceiveHashOptions | undefined;
  readonly features: FrontendFeatures;
}

/** Least posted buffers with which a packet of any size can be received. */
const RECEIVE_BUFFERS_MIN = DATA_SLOTS_MIN + 1;

/** Fills in defaults. @throws RangeError naming the option that is out of its range. */
export function netfrontSettings(options: NetfrontOptions): NetfrontSettings {
  return {
    queues: ranged('queues', options.queues ?? 1, 1, QUEUES_MAX),
    transmitPages: ranged('transmitPages', options.transmitPages ?? 128, DATA_SLOTS_MIN, 4096),
    receiveBuffers: ranged(
      'receiveBuffers',
      options.receiveBuffers ?? RX_RING.slotCount,
      RECEIVE_BUFFERS_MIN,
      RX_RING.slotCount,
    ),
    retainedPages: ranged('retainedPages', options.retainedPages ?? 64, 0, 65536),
    splitEventChannels: options.splitEventChannels ?? false,
    staging: options.staging ?? false,
    receiveHash: options.receiveHash === undefined ? undefined : checkReceiveHash(options.receiveHash),
    features: {
      rxNotify: true,
      scatterGather: true,
      gsoTcpv4: true,
      gsoTcpv6: true,
      ipv6ChecksumOffload: true,
      noChecksumOffload: false,
      multicastControl: false,
      ...options.features,
      rxCopy: true,
    },
  };
}

function ranged(name: string, value: number, least: number, most: number): number {
  if (Number.isInteger(value) && value >= least && value <= most) return value;
  throw new RangeError(`netfront option ${name} is ${value}: give a whole number from ${least} to ${most}`);
}
