import type { ScriptOperation } from './grant-script';
import type { ScriptRunner } from './script-runner';

const OKAY = 0;
const GENERAL_ERROR = -1;

interface CopyAnswer {
  readonly statuses: readonly number[];
  /** Result and entries: what no rule excuses. */
  readonly rest: string;
  readonly pages: string;
}

function parse(answer: string): CopyAnswer | undefined {
  const match = /^(\S+) status (\S+) (entries \S+) pages (\S+)$/.exec(answer);
  if (match === null) return undefined;
  const [, result = '', statuses = '', entries = '', pages = ''] = match;
  return { statuses: statuses.split(',').map(Number), rest: `${result} ${entries}`, pages };
}

/**
 * The difference between Xen 4.17.7 and the simulation that is deliberate (docs/real-xen.md): the rule of XSA-500, which is newer.
 * Recognised exactly: by the operation, the state before it, and both statuses.
 */
export class ExpectedDifferences {
  /** How often each was met. */
  met = 0;

  /** @param real the machine as it is before the operation, when {@link prepare} is called. */
  constructor(private readonly real: ScriptRunner) {}

  /** Elements whose target is a grant that is only mapped for reading and whose entry has come to name another frame. */
  prepare(operation: ScriptOperation): ReadonlySet<number> {
    const changed = new Set<number>();
    if (operation.op !== 'copy') return changed;
    operation.segments.forEach(({ target }, index) => {
      if (!('ref' in target)) return;
      const mappings = this.real.mappingsOf(target.domain, target.ref);
      const first = mappings[0];
      if (first === undefined || mappings.some((each) => !each.readonly)) return;
      if (this.real.frameNamed(target.domain, target.ref) !== first.busAddress >> 12n) changed.add(index);
    });
    return changed;
  }

  /** Whether every difference between the answers is the expected one. */
  explain(
    operation: ScriptOperation,
    changed: ReadonlySet<number>,
    truth: string,
    simulated: string,
  ): boolean {
    const real = parse(truth);
    const ours = parse(simulated);
    if (operation.op !== 'copy' || real === undefined || ours === undefined || real.rest !== ours.rest)
      return false;
    let copied = 0;
    for (const [index, status] of real.statuses.entries()) {
      const other = ours.statuses[index];
      if (status === other) continue;
      if (status !== OKAY || other !== GENERAL_ERROR || !changed.has(index)) return false;
      copied += 1;
    }
    this.met += copied;
    return copied > 0;
  }
}
