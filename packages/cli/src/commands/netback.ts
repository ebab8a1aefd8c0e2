import { existsSync } from 'node:fs';
import { domainId } from '@netchannel2/xen';
import { type Command, InvalidArgumentError, Option } from 'commander';
import { CommandFailure, ExitCode } from '../command-failure';
import { systemNetwork } from '../real/host-network';
import { openHost } from '../real/open-host';
import { GuestServer, type GuestServerOptions } from '../real/serve-guests';
import { untilStopped } from '../stop-signal';
import type { Terminal } from '../terminal';

interface NetbackFlags {
  readonly backendOf: GuestServerOptions['guests'];
  readonly bridge?: string;
  readonly tap?: true;
  readonly hotplug: GuestServerOptions['hotplug'];
  /** `false` with `--no-offloads`. */
  readonly offloads: boolean;
}

const NOTES = `
Serves the vifs of real guests in place of the kernel's netback, which must not be loaded (rmmod xen-netback):
it would take the devices. Each device gets a TAP named vif<domid>.<number>, as Xen's scripts expect. Start it
before "xl create"; it stays until it is interrupted, and then closes its devices.

Exit code: 0 stopped, 1 it failed, 2 wrong usage, or this is no Xen host it can use.

Examples:
  # nc2 netback --backend-of all --bridge xenbr0
  # nc2 netback --backend-of 5 --tap --hotplug none
`;

/** `nc2 netback`: the vif backend of guests on a real Xen host. */
export function registerNetback(program: Command, terminal: Terminal): void {
  program
    .command('netback')
    .summary("serve real guests' vifs on a Xen host")
    .description("Serve real guests' vifs on a Xen host, each through a TAP.")
    .addOption(
      new Option('--backend-of <domid>', 'the guest to serve, or all')
        .argParser(parseGuests)
        .makeOptionMandatory(),
    )
    .addOption(new Option('--bridge <name>', 'Linux bridge to put the TAPs on').conflicts('tap'))
    .addOption(new Option('--tap', 'leave the TAPs alone: no bridge'))
    .addOption(
      new Option(
        '--hotplug <who>',
        "who plugs in the host side: the toolstack's script (dom0), this process by running the script it names (driver domain), or this process without one",
      )
        .choices(['toolstack', 'script', 'none'])
        .default('toolstack'),
    )
    .addOption(new Option('--no-offloads', 'complete checksums, no large segments between guest and host'))
    .addHelpText('after', NOTES)
    .action((flags: NetbackFlags) => run(flags, terminal));
}

function parseGuests(text: string): GuestServerOptions['guests'] {
  if (text === 'all') return 'all';
  const domid = Number(text);
  if (!/^\d{1,5}$/.test(text) || domid >= 0x7ff0)
    throw new InvalidArgumentError('Give a domain id or "all".');
  return domainId(domid);
}

/** The kernel's netback, where it is loaded. */
const KERNEL_NETBACK = '/sys/module/xen_netback';

async function run(flags: NetbackFlags, terminal: Terminal): Promise<void> {
  if (existsSync(KERNEL_NETBACK)) {
    throw new CommandFailure(
      ExitCode.refused,
      "The kernel's own netback is loaded and would take the devices. Remove it: rmmod xen-netback.",
    );
  }
  const domain = await openHost();
  const server = new GuestServer(domain, {
    guests: flags.backendOf,
    bridge: flags.bridge,
    offloads: flags.offloads,
    hotplug: flags.hotplug,
    network: systemNetwork,
    log: (line) => terminal.out(`${line}\n`),
  });
  terminal.out(`serving ${flags.backendOf === 'all' ? 'all guests' : `domain ${flags.backendOf}`}\n`);
  await untilStopped(terminal);
  await server.close();
  domain.close();
}
