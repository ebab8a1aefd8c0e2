/**
 * The WebAssembly kernels that work inside the machine memory (sources: the package’s `kernels`).
 */
import type { EntryAccess } from '@netchannel2/grant-table';
import { bytesKernel, grantsKernel } from './kernels.generated';
import { type WasmMemory, wasm } from './webassembly';

export interface Kernels {
  /** Moves bytes; ranges may overlap. Addresses are byte offsets into the machine memory. */
  readonly copy: (target: number, source: number, length: number) => void;
  readonly fill: (target: number, value: number, length: number) => void;
  /** RFC 1071 sum in network order, folded to 16 bits, not complemented. */
  readonly checksum: (address: number, length: number, initial: number) => number;
  /** Runs of usual elements of `GNTTABOP_copy`; see `GrantTableHost.copyPlain`. */
  readonly copyPlain: (caller: number, address: number, count: number) => number;
  /** Runs of forwarding elements of `GNTTABOP_copy`; see `GrantTableHost.copyForwarded`. */
  readonly copyForwarded: (caller: number, address: number, count: number, transitive: number) => number;
  /** Runs of usual elements of `GNTTABOP_map_grant_ref` and `GNTTABOP_unmap_grant_ref`; see `GrantTableHost.mapUsual`. */
  readonly mapUsual: (caller: number, address: number, count: number) => number;
  readonly unmapUsual: (caller: number, address: number, count: number) => number;
  /** Tells the kernels of grants which thread this is, from 0: each works on cache lines of its own. */
  readonly useLane: (thread: number) => void;
  /** A guest's publishing and revoking. */
  readonly entries: EntryAccess;
}

/** @param base64 a module that imports `machine.memory`. */
export function instantiate(base64: string, memory: WasmMemory): Readonly<Record<string, unknown>> {
  const module = new wasm.Module(Buffer.from(base64, 'base64'));
  return new wasm.Instance(module, { machine: { memory } }).exports;
}

/** Kernels bound to one machine memory, for the calling thread. */
export function loadKernels(memory: WasmMemory): Kernels {
  const bytes = instantiate(bytesKernel, memory);
  const grants = instantiate(grantsKernel, memory);
  return {
    copy: bytes.copy as Kernels['copy'],
    fill: bytes.fill as Kernels['fill'],
    checksum: bytes.checksum as Kernels['checksum'],
    copyPlain: grants.copyPlain as Kernels['copyPlain'],
    copyForwarded: grants.copyForwarded as Kernels['copyForwarded'],
    mapUsual: grants.mapUsual as Kernels['mapUsual'],
    unmapUsual: grants.unmapUsual as Kernels['unmapUsual'],
    useLane: grants.useLane as Kernels['useLane'],
    entries: {
      publishV1: grants.publishV1 as EntryAccess['publishV1'],
      publishV2: grants.publishV2 as EntryAccess['publishV2'],
      revokeV1: grants.revokeV1 as EntryAccess['revokeV1'],
      revokeV2: grants.revokeV2 as EntryAccess['revokeV2'],
      publishRunV1: grants.publishRunV1 as EntryAccess['publishRunV1'],
      publishRunV2: grants.publishRunV2 as EntryAccess['publishRunV2'],
      revokeRunV1: grants.revokeRunV1 as EntryAccess['revokeRunV1'],
      revokeRunV2: grants.revokeRunV2 as EntryAccess['revokeRunV2'],
    },
  };
}
