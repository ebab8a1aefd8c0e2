import koffi, { type LibraryHandle } from 'koffi';
import { XenHostError } from '../xen-host-error';

/** A C function whose arguments and result are numbers, typed arrays and pointers. */
export type NativeFunction = (...values: readonly unknown[]) => number;

/** A shared library, loaded when it is first asked for. */
export class SharedLibrary {
  #handle: LibraryHandle | undefined;
  /** Describing a function to koffi costs far more than calling it. */
  readonly #functions = new Map<string, NativeFunction>();

  /** @param file `null` is what the process itself is linked with. @param provider the Debian package that holds the library. */
  constructor(
    private readonly file: string | null,
    private readonly provider: string,
  ) {}

  /** @throws XenHostError naming the package where the library, or this function in it, is missing. */
  func(prototype: string): NativeFunction {
    const known = this.#functions.get(prototype);
    if (known !== undefined) return known;
    this.#handle ??= this.#load();
    try {
      const found = this.#handle.func(prototype) as unknown as NativeFunction;
      this.#functions.set(prototype, found);
      return found;
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
  return system.func(prototype);
}

const system = new SharedLibrary(null, 'libc6');

/** The errno of the last native call of this thread, negative as results carry it. */
export function negativeErrno(): number {
  return -koffi.errno();
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
