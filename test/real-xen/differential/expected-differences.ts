import type { ScriptOperation } from './grant-script';
import type { ScriptRunner } from './script-runner';

const OKAY = 0;
const GENERAL_ERROR = -1;
const PERMISSION_DENIED = -8;
const BAD_PAGE = -9;
const DOMID_SELF = 0x7ff0;

type Copy = Extract<ScriptOperation, { op: 'copy' }>;

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
 * Differences between Xen 4.17 and the simulation that are deliberate (docs/real-xen.md), each recognised exactly: by the
 * operation, the state before it, and both statuses.
 */
export class ExpectedDifferences {
  /** How often each was met. */
  readonly met = { changedReadOnlyGrant: 0, foreignPageMidBatch: 0 };

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

  /** Whether every difference between the answers is one of those expected. Pages may differ only behind the first of them. */
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
    let refused = 0;
    for (const [index, status] of real.statuses.entries()) {
      const other = ours.statuses[index];
      if (status === other) continue;
      if (status === OKAY && other === GENERAL_ERROR && changed.has(index)) copied += 1;
      else if (status === BAD_PAGE && other === PERMISSION_DENIED && sharesDomains(operation, index))
        refused += 1;
      else return false;
    }
    if (copied === 0 && real.pages !== ours.pages) return false;
    this.met.changedReadOnlyGrant += copied;
    this.met.foreignPageMidBatch += refused;
    return copied + refused > 0;
  }
}

/** Whether an element names another domain's page by its frame, and the same two domains as the element before it. */
function sharesDomains({ segments }: Copy, index: number): boolean {
  const element = segments[index];
  const before = segments[index - 1];
  if (element === undefined || before === undefined) return false;
  const byFrame = [element.source, element.target].some(
    (side) => !('ref' in side) && side.domain !== DOMID_SELF,
  );
  return (
    byFrame &&
    element.source.domain === before.source.domain &&
    element.target.domain === before.target.domain
  );
}
