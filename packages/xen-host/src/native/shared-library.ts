import koffi, { type LibraryHandle } from 'koffi';
import { XenHostError } from '../xen-host-error';

/** A C function whose arguments and result are numbers, typed arrays and pointers. */
export type NativeFunction = (...values: readonly unknown[]) => number;

/** A shared library, loaded when it is first asked for. */
export class SharedLibrary {
  #handle: LibraryHandle | undefined;

  /** @param provider the Debian package that holds the library. */
  constructor(
    private readonly file: string,
    private readonly provider: string,
  ) {}

  /** @throws XenHostError naming the package where the library, or this function in it, is missing. */
  func(prototype: string): NativeFunction {
    this.#handle ??= this.#load();
    try {
      return this.#handle.func(prototype) as unknown as NativeFunction;
    } catch (error) {
      throw new XenHostError(
        `${this.file} is too old: ${messageOf(error)}. Install a newer ${this.provider}.`,
      );
    }
  }

  #load(): LibraryHandle {
    try {
      return koffi.load(this.file);
    } catch (error) {
      throw new XenHostError(
        `${this.file} cannot be loaded (${messageOf(error)}). Install the package ${this.provider} (Debian's name) of your Xen.`,
      );
    }
  }
}

/** Functions of the C library this process runs on, whichever it is. */
export function systemFunction(prototype: string): NativeFunction {
  system ??= koffi.load(null);
  return system.func(prototype) as unknown as NativeFunction;
}

let system: LibraryHandle | undefined;

/** The errno of the last native call of this thread, negative as results carry it. */
export function negativeErrno(): number {
  return -koffi.errno();
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
