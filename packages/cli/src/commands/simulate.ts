import { type DeviceConfiguration, parseVifSpecification } from '@netchannel2/device-registry';
import { xenStoreSocketPath } from '@netchannel2/xenstore';
import { type Command, InvalidArgumentError, Option } from 'commander';
import { CommandFailure, ExitCode } from '../command-failure';
import type { GrantTableVersion } from '../replay/scenario';
import { GrantsSocket } from '../simulate/grants-socket';
import { Simulation } from '../simulate/simulation';
import { untilStopped } from '../stop-signal';
import { asFailure } from '../store/registry-failure';
import { socketOption } from '../store/socket-option';
import type { Terminal } from '../terminal';
import { parseCount, parseGrantTableVersion } from './arguments';

interface SimulateFlags {
  readonly socket?: string;
  readonly guests: number;
  readonly vif: readonly DeviceConfiguration[];
  readonly grantTable: GrantTableVersion;
}

const NOTES = `
Stays in the foreground, prints one line when every device is connected, and at SIGINT or SIGTERM detaches all
and says what was left behind (exit code 1 if anything was). While it runs, everything that talks xenstore works
on it from other processes. A second socket beside the store's, <socket>.grants, shows grant tables to nc2 grants.

Examples:
  $ nc2 simulate --guests 3 --vif type=vif2 --socket /tmp/xen.sock &
  $ export XENSTORED_PATH=/tmp/xen.sock
  $ nc2 network-attach guest2 mac=00:16:3e:00:00:07,bridge=xenbr0,type=vif2
  $ nc2 network-list
  $ nc2 grants guest2
  $ xenstore-ls -f /local/domain/2`;

/** `nc2 simulate`: a host to try things on. */
export function registerSimulate(program: Command, terminal: Terminal): void {
  program
    .command('simulate')
    .summary('run dom0 and guests with all drivers, and serve their xenstore')
    .description('Boot a simulated Xen host whose devices are attached and detached through its xenstore.')
    .addOption(socketOption())
    .addOption(new Option('-g, --guests <number>', 'guests beside dom0').argParser(parseCount).default(2))
    .addOption(
      new Option(
        '--vif <key=value,…>',
        "a device every guest starts with, in xl's words (MACs count on); repeatable",
      )
        .argParser(addDevice)
        .default([], 'none'),
    )
    .addOption(
      new Option('--grant-table <version>', 'grant table version of all domains: 1 or 2')
        .argParser(parseGrantTableVersion)
        .default(2),
    )
    .addHelpText('after', NOTES)
    .action((flags: SimulateFlags) => run(flags, terminal));
}

function addDevice(text: string, before: readonly DeviceConfiguration[]): readonly DeviceConfiguration[] {
  try {
    return [...before, parseVifSpecification(text)];
  } catch (error) {
    throw new InvalidArgumentError(error instanceof Error ? error.message : String(error));
  }
}

async function run(flags: SimulateFlags, terminal: Terminal): Promise<void> {
  const simulation = await Simulation.start({
    guests: flags.guests,
    devices: flags.vif,
    grantTableVersion: flags.grantTable,
  }).catch((error: unknown) => {
    throw asFailure(error);
  });
  const path = flags.socket ?? xenStoreSocketPath();
  let grants: GrantsSocket;
  try {
    await simulation.machine.store.listen(path);
    grants = await GrantsSocket.listen(simulation.machine, path);
  } catch (error) {
    await simulation.stop();
    throw new CommandFailure(ExitCode.refused, error instanceof Error ? error.message : String(error));
  }
  const stopped = untilStopped(terminal);
  terminal.out(`simulate: dom0 and ${flags.guests} guests, xenstore on ${path}\n`);
  await stopped;
  await grants.close();
  const leaks = await simulation.stop();
  if (leaks.length > 0) throw new CommandFailure(ExitCode.failed, `left behind: ${leaks.join('; ')}`);
}
