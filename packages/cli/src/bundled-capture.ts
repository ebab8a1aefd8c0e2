import { existsSync } from 'node:fs';
import { relative } from 'node:path';
import { fileURLToPath } from 'node:url';

/**
 * The recording of two Linux hosts in the repository's `examples/captures`, as a path from the working directory.
 *
 * @returns undefined where only the package is installed.
 */
export function bundledCapture(): string | undefined {
  // As far up from the sources as from the build.
  const file = fileURLToPath(new URL('../../../examples/captures/linux-veth.pcap', import.meta.url));
  if (!existsSync(file)) return undefined;
  const short = relative(process.cwd(), file);
  return short.startsWith('..') ? file : short;
}
