import koffi from 'koffi';
import { SharedLibrary } from './shared-library';

/** One more than the gravest level. */
const XTL_NUM_LEVELS = 10;

/**
 * A logger for Xen's libraries that says nothing: without one they write each refused mapping to standard error, and what
 * a peer does must not fill our log. `null`, the libraries' own choice, where there is no such logger.
 */
export function quietLogger(): unknown {
  logger ??= createLogger();
  return logger.pointer;
}

let logger: { readonly pointer: unknown } | undefined;

function createLogger(): { readonly pointer: unknown } {
  try {
    const create = new SharedLibrary('libxentoollog.so.1', 'libxentoollog1').func(
      'void *xtl_createlogger_stdiostream(void *file, int level, unsigned int flags)',
    );
    const stderr: unknown = koffi.decode(koffi.load(null).symbol('stderr'), 'void *');
    return { pointer: create(stderr, XTL_NUM_LEVELS, 0) };
  } catch {
    return { pointer: null };
  }
}
