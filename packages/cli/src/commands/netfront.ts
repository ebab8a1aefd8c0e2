import { openXenHost, XenHostError } from '@netchannel2/xen-host';
import { type Command, Option } from 'commander';
import { CommandFailure, ExitCode } from '../command-failure';
import { systemNetwork } from '../real/host-network';
import { FrontendServer } from '../real/serve-frontend';
import { untilStopped } from '../stop-signal';
import type { Terminal } from '../terminal';
import { parseCount, parseCountOrNone } from './arguments';

interface NetfrontFlags {
  readonly tap?: string;
  readonly mtu: number;
}

const NOTES = `
Gives this domain's user space a vif: the device in /local/domain/<own id>/device/vif/<number> is driven by this
process and appears as a TAP. The kernel's netfront must not drive the same device.

Exit code: 0 stopped, 1 it failed, 2 wrong usage, or this is no Xen domain it can use.

Examples:
  # nc2 netfront 0
  # nc2 netfront 1 --tap guest1 --mtu 9000
`;

/** `nc2 netfront`: a vif frontend in user space. */
export function registerNetfront(program: Command, terminal: Terminal): void {
  program
    .command('netfront')
    .summary('drive one vif of this Xen domain from user space')
    .description('Drive one vif of this Xen domain from user space, through a TAP.')
    .argument('<number>', 'number of the device', parseCountOrNone)
    .addOption(new Option('--tap <name>', 'name of the TAP (default: nc2vif<number>)'))
    .addOption(new Option('--mtu <bytes>', 'MTU of the TAP').argParser(parseCount).default(1500))
    .addHelpText('after', NOTES)
    .action((number: number, flags: NetfrontFlags) => run(number, flags, terminal));
}

async function run(number: number, flags: NetfrontFlags, terminal: Terminal): Promise<void> {
  const domain = await openXenHost().catch((error: unknown) => {
    if (error instanceof XenHostError) throw new CommandFailure(ExitCode.refused, error.message);
    throw error;
  });
  const server = new FrontendServer(domain, {
    number,
    tap: flags.tap ?? `nc2vif${number}`,
    mtu: flags.mtu,
    network: systemNetwork,
    log: (line) => terminal.out(`${line}\n`),
  });
  terminal.out(`driving vif ${number} of domain ${domain.id}\n`);
  await untilStopped(terminal);
  await server.close();
  domain.close();
}
