import { type HostDomain, openXenHost, XenHostError } from '@netchannel2/xen-host';
import { CommandFailure, ExitCode } from '../command-failure';

/**
 * The Xen domain this process runs in. `prepare` opens what the command will need later.
 *
 * @throws CommandFailure saying what is missing and what to do.
 */
export async function openHost(prepare: (domain: HostDomain) => void = () => {}): Promise<HostDomain> {
  let domain: HostDomain | undefined;
  try {
    domain = await openXenHost();
    prepare(domain);
    return domain;
  } catch (error) {
    domain?.close();
    if (error instanceof XenHostError) throw new CommandFailure(ExitCode.refused, error.message);
    throw error;
  }
}
