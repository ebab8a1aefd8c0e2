import { type Command, InvalidArgumentError, Option } from 'commander';
import { generatorEnd, tapEnd } from '../real/frontend-end';
import { systemNetwork } from '../real/host-network';
import { openHost } from '../real/open-host';
import { FrontendServer } from '../real/serve-frontend';
import { untilStopped } from '../stop-signal';
import type { Terminal } from '../terminal';
import { parseCount, parseCountOrNone } from './arguments';

interface NetfrontFlags {
  readonly tap?: string;
  readonly mtu: number;
  /** Frames to send in place of joining a TAP. */
  readonly generate?: number;
  readonly size: number;
}

const NOTES = `
Gives this domain's user space a vif: the device in /local/domain/<own id>/device/vif/<number> is driven by this
process and appears as a TAP, or sends frames of its own making and ends. The kernel's netfront must not drive the
same device.

Exit code: 0 stopped, 1 it failed, 2 wrong usage, or this is no Xen domain it can use.

Examples:
  # nc2 netfront 0
  # nc2 netfront 1 --tap guest1 --mtu 9000
  # nc2 netfront 1 --generate 10000 --size 1514
`;

/** `nc2 netfront`: a vif frontend in user space. */
export function registerNetfront(program: Command, terminal: Terminal): void {
  program
    .command('netfront')
    .summary('drive one vif of this Xen domain from user space')
    .description('Drive one vif of this Xen domain from user space, through a TAP or with generated frames.')
    .argument('<number>', 'number of the device', parseCountOrNone)
    .addOption(new Option('--tap <name>', 'name of the TAP (default: nc2vif<number>)'))
    .addOption(new Option('--mtu <bytes>', 'MTU of the TAP').argParser(parseCount).default(1500))
    .addOption(
      new Option('--generate <frames>', 'no TAP: send so many broadcast frames once connected, then end')
        .argParser(parseCount)
        .conflicts('tap'),
    )
    .addOption(new Option('--size <bytes>', 'bytes of a generated frame').argParser(parseSize).default(1514))
    .addHelpText('after', NOTES)
    .action((number: number, flags: NetfrontFlags) => run(number, flags, terminal));
}

function parseSize(text: string): number {
  const bytes = Number(text);
  if (!/^\d{1,5}$/.test(text) || bytes < 60 || bytes > 65_535)
    throw new InvalidArgumentError('Give a number of bytes from 60 to 65535.');
  return bytes;
}

async function run(number: number, flags: NetfrontFlags, terminal: Terminal): Promise<void> {
  const domain = await openHost((opened) => opened.grants.open());
  const log = (line: string): void => terminal.out(`${line}\n`);
  let generated = (): void => {};
  const allGenerated = new Promise<void>((resolve) => {
    generated = resolve;
  });
  const end =
    flags.generate === undefined
      ? tapEnd(flags.tap ?? `nc2vif${number}`, flags.mtu, domain.memory, systemNetwork, log)
      : generatorEnd(flags.generate, flags.size, log, generated);
  const server = new FrontendServer(domain, { number, end, log });
  log(`driving vif ${number} of domain ${domain.id}`);
  await Promise.race([untilStopped(terminal), allGenerated]);
  await server.close();
  domain.close();
}
