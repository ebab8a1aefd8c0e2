import { DeviceError, type DeviceLink } from '@netchannel2/device-registry';

/** Newest protocol version this frontend speaks, and the oldest. */
export const PROTOCOL_VERSION = 1;

const NODES = ['protocol-version', 'max-ring-page-order', 'feature-receiver-copy', 'feature-bypass'];

export interface BackendFeatures {
  readonly maxRingPageOrder: number;
  readonly receiverCopy: boolean;
  /** It may offer bypasses. */
  readonly bypass: boolean;
}

/**
 * Reads what the backend offers, with the fallbacks of spec vif2.md §8.3: missing nodes mean version 1, order 0 and no
 * receiver_copy.
 *
 * @throws {DeviceError} when the backend's version is none we speak.
 */
export async function readBackendFeatures(link: DeviceLink): Promise<BackendFeatures> {
  const nodes = await link.readPeerAll(NODES);
  const version = decimal(nodes.get('protocol-version'), PROTOCOL_VERSION);
  if (version < PROTOCOL_VERSION) {
    throw new DeviceError('EOPNOTSUPP', `backend speaks vif2 version ${version}, version 1 is needed`);
  }
  return {
    maxRingPageOrder: Math.min(4, decimal(nodes.get('max-ring-page-order'), 0)),
    receiverCopy: nodes.get('feature-receiver-copy') === '1',
    bypass: nodes.get('feature-bypass') === '1',
  };
}

/** A decimal node; anything else reads as `otherwise`. */
function decimal(text: string | undefined, otherwise: number): number {
  return text !== undefined && /^\d{1,9}$/.test(text) ? Number(text) : otherwise;
}
