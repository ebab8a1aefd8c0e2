/** Why a vif2 gave a frame up; the keys of its `counters.dropped`. */
export const DROP_REASONS = [
  'fragmentLimit',
  'fragmentRange',
  'length',
  'checksumRange',
  'segmentation',
  'notObtained',
  'noBuffer',
  'noSubscriber',
  'sourceMac',
  'targetMac',
  'bypassLost',
  'sendLength',
  'sendFragments',
  'sendChecksum',
  'sendSegmentation',
] as const;
export type DropReason = (typeof DROP_REASONS)[number];
