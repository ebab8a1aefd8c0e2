/**
 * Operations on grants, through the ports a driver uses: a guest publishes and revokes, dom0 maps and copies; each alone on
 * the machine, or beside a rival on a thread of its own that works on the same table all the time.
 */
import { measureRate, type Rate, type RateOptions } from '../rate';
import { type GranteeWork, granteeWork, refsFor } from './grantee-work';
import { Granter, type GrantTableVersion } from './granter';
import { Rival } from './rival';

export type GrantOperation = GranteeWork | { readonly kind: 'publish-revoke' };

/** What the rival of a guest that publishes does: what a backend does most. */
const COPIES: GranteeWork = { kind: 'copy', bytes: 64, batch: 32 };

function publishing(granter: Granter): (count: number) => void {
  const { entries, dom0 } = granter;
  const ref = entries.allocate();
  const page = granter.frame(0);
  return (count) => {
    for (let done = 0; done < count; done++) {
      entries.publishFullPage(ref, dom0.id, page, true);
      if (!entries.revoke(ref)) throw new Error('in use by nobody');
    }
  };
}

function working(granter: Granter, operation: GrantOperation): (count: number) => void {
  if (operation.kind === 'publish-revoke') return publishing(granter);
  const refs = granter.grantTo(granter.dom0.id, refsFor(operation));
  return granteeWork(granter.dom0, granter.guest.id, refs, operation);
}

/** Operations per second of one thread that has the machine for itself. */
export async function oneThreadGrantRate(
  version: GrantTableVersion,
  operation: GrantOperation,
  options: RateOptions,
): Promise<Rate> {
  const granter = new Granter(version);
  const rate = await measureRate(working(granter, operation), options);
  granter.machine.shutdown();
  return rate;
}

/**
 * Operations per second of one thread while a second domain, on another, does the same: with the same granter's table, or, as a
 * baseline, on a machine of its own. What two busy threads cost each other without sharing anything is the processor's.
 */
export async function twoWorkersGrantRate(
  version: GrantTableVersion,
  operation: GrantOperation,
  options: RateOptions,
  table: 'shared' | 'apart',
): Promise<Rate> {
  const granter = new Granter(version);
  // Takes the locks of a machine with several threads, with or without a rival in it.
  granter.machine.hypervisor.goConcurrent();
  const rivalled = table === 'shared' ? granter : new Granter(version);
  const rival = await Rival.start(
    rivalled,
    version,
    operation.kind === 'publish-revoke' ? COPIES : operation,
  );
  try {
    const work = working(granter, operation);
    const before = rival.rounds;
    const rate = await measureRate(work, options);
    if (rival.rounds === before) throw new Error('the rival did nothing');
    return rate;
  } finally {
    await rival.stop();
    if (rivalled !== granter) rivalled.machine.shutdown();
    granter.machine.shutdown();
  }
}
