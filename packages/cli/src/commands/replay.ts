import { type FaultOptions, readCapture } from '@netchannel2/bridge';
import type { DeviceClass } from '@netchannel2/device-registry';
import { type Command, Option } from 'commander';
import { bundledCapture } from '../bundled-capture';
import { CommandFailure, ExitCode } from '../command-failure';
import { ReceivedCapture } from '../replay/received-capture';
import { replay } from '../replay/replay';
import type { GrantTableVersion } from '../replay/scenario';
import { replayJson } from '../report/replay-json';
import { replayText } from '../report/replay-text';
import { paintFor, type Terminal } from '../terminal';
import {
  parseCount,
  parseCountOrNone,
  parseDeviceClasses,
  parseFaults,
  parseGrantTableVersion,
} from './arguments';
import { COMPARE_DEFAULTS, runCompare } from './compare';

interface ReplayFlags {
  readonly capture?: string;
  readonly rounds: number;
  readonly warmUp: number;
  readonly class: readonly DeviceClass[];
  readonly dom0: GrantTableVersion;
  readonly guest1: GrantTableVersion;
  readonly guest2: GrantTableVersion;
  /** `false` with `--no-output`. */
  readonly output: string | false;
  readonly faults?: FaultOptions;
  readonly compare?: true;
  readonly json?: true;
}

const NOTES = `
Boots a simulated Xen with dom0 and two guests, attaches a vif and a vif2 to each guest with all backends
on one bridge in dom0, and lets the hosts of a capture talk through them: guest 1 sends what the busiest
host sent, guest 2 the rest. Each frame is checked where it arrives.

Exit code: 0 all frames crossed, 1 one did not (the message names it), 2 wrong usage or a capture that
cannot be replayed.

Examples:
  $ nc2 replay                                     the capture that comes with netchannel2
  $ nc2 replay my.pcapng --class vif2 --rounds 100
  $ nc2 replay --dom0 1 --guest2 1 --json | jq .paths
`;

/** `nc2 replay`: the main job. */
export function registerReplay(program: Command, terminal: Terminal): void {
  program
    .command('replay')
    .summary('replay a capture between two guests over vif and vif2, check and compare')
    .description(
      'Replay a capture between two guests over vif, then over vif2; check every frame; compare the cost.',
    )
    .argument('[capture]', 'pcap or pcapng file (default: a recording of two Linux hosts that comes along)')
    .addOption(new Option('-c, --capture <file>', 'the same as the argument'))
    .addOption(
      new Option('-r, --rounds <number>', 'how often the capture crosses each path')
        .argParser(parseCount)
        .default(50),
    )
    .addOption(
      new Option('-w, --warm-up <number>', 'rounds before that, checked but left out of the figures')
        .argParser(parseCountOrNone)
        .default(10),
    )
    .addOption(
      new Option('--class <class>', 'class of the devices: vif, vif2 or both')
        .argParser(parseDeviceClasses)
        .default(parseDeviceClasses('both'), 'both'),
    )
    .addOption(tableVersion('dom0', 2))
    .addOption(tableVersion('guest1', 1))
    .addOption(tableVersion('guest2', 2))
    .addOption(
      new Option('-o, --output <file>', 'where to write what guest 2 received in the first round').default(
        'out/guest2.pcapng',
      ),
    )
    .addOption(new Option('--no-output', 'write no capture'))
    .addOption(
      new Option(
        '--faults <list>',
        'a bad wire, to see what the check finds, for example loss=0.01,duplicate=0.01,reorder=0.01,seed=1',
      ).argParser(parseFaults),
    )
    .addOption(new Option('--compare', 'then run nc2 compare'))
    .addOption(new Option('--json', 'print one line of JSON and nothing else'))
    .addHelpText('after', NOTES)
    .action((file: string | undefined, flags: ReplayFlags) => run(file, flags, terminal));
}

function tableVersion(domain: string, version: GrantTableVersion): Option {
  return new Option(`--${domain} <version>`, `grant table version of ${domain}: 1 or 2`)
    .argParser(parseGrantTableVersion)
    .default(version);
}

async function run(file: string | undefined, flags: ReplayFlags, terminal: Terminal): Promise<void> {
  if (file !== undefined && flags.capture !== undefined)
    throw new CommandFailure(ExitCode.refused, 'the capture is named twice, as argument and by --capture');
  const capture = readCapture(file ?? flags.capture ?? bundled());
  const received = flags.output === false ? undefined : ReceivedCapture.create(flags.output);
  const report = await replay({
    capture,
    classes: flags.class,
    rounds: flags.rounds,
    warmUp: flags.warmUp,
    versions: { dom0: flags.dom0, guest1: flags.guest1, guest2: flags.guest2 },
    received,
    faults: flags.faults,
  });
  received?.close();
  if (flags.json) {
    terminal.out(`${JSON.stringify(replayJson(report))}\n`);
  } else {
    terminal.out(replayText(report, paintFor(terminal)));
    if (received !== undefined) terminal.out(`      what guest 2 received: ${received.file}\n`);
  }
  if (flags.compare && !flags.json) {
    terminal.out('\n');
    await runCompare(COMPARE_DEFAULTS, terminal);
  }
  if (!report.ok) throw new CommandFailure(ExitCode.failed, report.complaints.join('\nnc2: '));
}

function bundled(): string {
  const file = bundledCapture();
  if (file === undefined)
    throw new CommandFailure(ExitCode.refused, 'name a capture file: none comes with this installation');
  return file;
}
