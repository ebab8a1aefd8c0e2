import { xenStoreSocketPath } from '@netchannel2/xenstore';
import { type Command, Option } from 'commander';
import { CommandFailure, ExitCode } from '../command-failure';
import { grantsText } from '../report/grants-text';
import { askForGrants, grantsSocketPath } from '../simulate/grants-socket';
import { domainNames, findDomain } from '../store/domain-argument';
import { socketOption, withStore } from '../store/socket-option';
import type { Terminal } from '../terminal';

interface GrantsFlags {
  readonly socket?: string;
  readonly json?: true;
}

const NOTES = `
One line for each reference that holds an entry or is in use. Flags, To, Frame and Range are what the domain wrote
(ro: read only, sub: sub page; Range is offset+length; Frame of a transitive entry is domain/reference). Status is
Xen's in-use bits. Pins, By, MFN and Source are Xen's own record of the use: maps and copies under way by host (h) or
device (d), to read (r) or write (w); who uses it; the machine frame; and whose page it is where it is another
domain's. Needs a simulation that runs; on a real Xen, its debug key g prints the like: xl debug-keys g; xl dmesg.

Examples:
  $ nc2 grants guest1 --socket /tmp/xen.sock
  $ nc2 grants 2 --json | jq '.entries[] | select(.use)'`;

/** `nc2 grants`: a domain's grant table. */
export function registerGrants(program: Command, terminal: Terminal): void {
  program
    .command('grants')
    .summary('print the grant table of a domain of a running simulation')
    .description("Print what a simulated domain grants, and Xen's record of its use, as debug key g does.")
    .argument('<domain>', 'id or name')
    .addOption(socketOption())
    .addOption(new Option('--json', 'one line of JSON, an object'))
    .addHelpText('after', NOTES)
    .action((domain: string, flags: GrantsFlags) => print(domain, flags, terminal));
}

async function print(domain: string, flags: GrantsFlags, terminal: Terminal): Promise<void> {
  const names = await withStore(flags.socket, domainNames);
  const domid = findDomain(names, domain);
  const path = grantsSocketPath(flags.socket ?? xenStoreSocketPath());
  const table = await askForGrants(path, domid).catch((error: NodeJS.ErrnoException) => {
    throw new CommandFailure(
      ExitCode.refused,
      `no simulation shows grant tables at ${path}: ${error.code ?? error.message}; nc2 simulate does, beside its xenstore`,
    );
  });
  if (table === undefined)
    throw new CommandFailure(ExitCode.failed, `domain ${domid} is in xenstore and does not run`);
  terminal.out(
    flags.json === true
      ? `${JSON.stringify({ domain: domid, ...table })}\n`
      : grantsText(names.get(domid) ?? `Domain-${domid}`, domid, table),
  );
}
