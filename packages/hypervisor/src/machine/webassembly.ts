/**
 * The few WebAssembly types the machine needs, without the browser's type library.
 */
export interface WasmMemory {
  readonly buffer: SharedArrayBuffer;
}

interface WasmInstance {
  readonly exports: Readonly<Record<string, unknown>>;
}

interface WasmApi {
  readonly Memory: new (descriptor: { initial: number; maximum: number; shared: boolean }) => WasmMemory;
  readonly Module: new (code: Uint8Array) => object;
  readonly Instance: new (
    module: object,
    imports: Readonly<Record<string, Readonly<Record<string, WasmMemory>>>>,
  ) => WasmInstance;
}

export const wasm = (globalThis as unknown as { readonly WebAssembly: WasmApi }).WebAssembly;
/** Bytes of a page of WebAssembly memory; machine pages are 4096. */
export const WASM_PAGE_SIZE = 65_536;
