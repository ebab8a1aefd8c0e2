import type { MemoryArea } from '@netchannel2/xen';
import { initialiseControlPage } from './control-page';

/** An area of plain shared memory, for tests. */
export function memoryArea(byteLength: number, base = 0): MemoryArea {
  const buffer = new SharedArrayBuffer(base + byteLength);
  return { bytes: new Uint8Array(buffer), words: new Int32Array(buffer), base, byteLength };
}

/** A fresh control page and one ring. */
export function freshRing(ringBytes: number) {
  const control = memoryArea(4096, 4096);
  initialiseControlPage(control);
  return { control, payload: memoryArea(ringBytes, 8192) };
}

export function bytesFromHex(text: string): Uint8Array {
  return Uint8Array.from(text.trim().split(/\s+/), (byte) => Number.parseInt(byte, 16));
}

export function hexOf(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join(' ');
}

/** Bytes of the words `[at, at + size / 4)`. */
export function messageBytes(words: Int32Array, at: number, size: number): Uint8Array {
  return Uint8Array.from(new Uint8Array(words.buffer, words.byteOffset + 4 * at, size));
}
