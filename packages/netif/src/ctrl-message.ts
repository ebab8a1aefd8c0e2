/**
 * Messages of the control ring (`io/netif.h`, spec vif.md §9).
 *
 * Request, 16 bytes: id u16 · type u16 · data u32 × 3. Response, 12 bytes: id u16 · type u16 · status u32 · data u32.
 *
 * @packageDocumentation
 */

export const CtrlType = {
  getHashFlags: 1,
  setHashFlags: 2,
  setHashKey: 3,
  getHashMappingSize: 4,
  setHashMappingSize: 5,
  setHashMapping: 6,
  setHashAlgorithm: 7,
  getGrefMappingSize: 8,
  addGrefMapping: 9,
  deleteGrefMapping: 10,
} as const;
export type CtrlType = (typeof CtrlType)[keyof typeof CtrlType];

export const CtrlStatus = { success: 0, notSupported: 1, invalidParameter: 2, bufferOverflow: 3 } as const;
export type CtrlStatus = (typeof CtrlStatus)[keyof typeof CtrlStatus];

/** Words of a control request. */
export const CTRL_REQUEST_WORDS = 4;

export function writeCtrlRequest(
  words: Int32Array,
  at: number,
  id: number,
  type: number,
  data0: number,
  data1: number,
  data2: number,
): void {
  words[at] = (id & 0xffff) | (type << 16);
  words[at + 1] = data0;
  words[at + 2] = data1;
  words[at + 3] = data2;
}
export function writeCtrlResponse(
  words: Int32Array,
  at: number,
  id: number,
  type: number,
  status: number,
  data: number,
): void {
  words[at] = (id & 0xffff) | (type << 16);
  words[at + 1] = status;
  words[at + 2] = data;
}
/** Takes a private copy of a request, one read per word. */
export function copyCtrlRequest(words: Int32Array, at: number, copy: Int32Array, copyAt: number): void {
  for (let word = 0; word < CTRL_REQUEST_WORDS; word++) copy[copyAt + word] = words[at + word] ?? 0;
}
/** Of request and response. */
export function ctrlId(words: Int32Array, at: number): number {
  return (words[at] ?? 0) & 0xffff;
}
/** Of request and response. */
export function ctrlType(words: Int32Array, at: number): number {
  return (words[at] ?? 0) >>> 16;
}
/** Word `index` (0 … 2) of a request's data, unsigned. */
export function ctrlRequestData(words: Int32Array, at: number, index: number): number {
  return (words[at + 1 + index] ?? 0) >>> 0;
}
export function ctrlResponseStatus(words: Int32Array, at: number): number {
  return (words[at + 1] ?? 0) >>> 0;
}
export function ctrlResponseData(words: Int32Array, at: number): number {
  return (words[at + 2] ?? 0) >>> 0;
}
