import { CtrlType, HashAlgorithm, HashType, TOEPLITZ_KEY_BYTES } from '@netchannel2/netif';
import type { ControlChannel } from './control-channel';

/** How a backend is to hash and spread what it sends over a frontend's queues (spec vif.md §9). */
export interface ReceiveHashOptions {
  /** What is hashed: packets of none of these kinds are spread as the backend likes. */
  readonly types: readonly (keyof typeof HashType)[];
  /** Toeplitz key, up to 40 bytes; shorter ones are padded with zeros. */
  readonly key: Uint8Array;
  /** Queue by hash modulo the table's size, up to 128 entries; left out: the hash modulo the number of queues. */
  readonly mapping?: readonly number[];
}

/** @throws RangeError naming what is out of range. */
export function checkReceiveHash(options: ReceiveHashOptions): ReceiveHashOptions {
  if (options.key.byteLength > TOEPLITZ_KEY_BYTES)
    throw new RangeError(
      `a receive hash key has up to ${TOEPLITZ_KEY_BYTES} bytes, not ${options.key.byteLength}`,
    );
  return options;
}

/** Tells the backend; `undefined` turns hashing off. The flags come last: until then nothing is hashed by halves. */
export async function configureReceiveHash(
  control: ControlChannel,
  options: ReceiveHashOptions | undefined,
): Promise<void> {
  if (options === undefined) {
    await control.request(CtrlType.setHashAlgorithm, HashAlgorithm.none);
    return;
  }
  const { types, key, mapping = [] } = options;
  await control.request(CtrlType.setHashAlgorithm, HashAlgorithm.toeplitz);
  await control.withPage(async ({ area, refs }) => {
    area.bytes.set(key, area.base);
    await control.request(CtrlType.setHashKey, refs[0], key.byteLength);
  });
  await control.request(CtrlType.setHashMappingSize, mapping.length);
  if (mapping.length > 0) {
    await control.withPage(async ({ area, refs }) => {
      area.words.set(mapping, area.base >> 2);
      await control.request(CtrlType.setHashMapping, refs[0], mapping.length, 0);
    });
  }
  const flags = types.reduce((mask, type) => mask | (1 << HashType[type]), 0);
  await control.request(CtrlType.setHashFlags, flags);
}
