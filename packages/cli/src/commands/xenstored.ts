import { DEFAULT_QUOTAS, type QuotaName, type Quotas } from '@netchannel2/xenstore';
import { type Command, InvalidArgumentError, Option } from 'commander';
import { CommandFailure, ExitCode } from '../command-failure';
import { untilStopped } from '../stop-signal';
import { socketOption } from '../store/socket-option';
import { StoreDaemon } from '../store/store-daemon';
import type { Terminal } from '../terminal';

interface XenstoredFlags {
  readonly socket?: string;
  readonly dump?: string;
  readonly quota: Partial<Quotas>;
}

const NOTES = `
Stays in the foreground, prints one line when it is ready, and ends at SIGINT or SIGTERM. SIGUSR2 writes the
dump at once. The socket has mode 0600; a stale one is replaced, one that answers is not.

Examples:
  $ nc2 xenstored --socket /tmp/xenstored.sock --dump /tmp/xenstored.json &
  $ XENSTORED_PATH=/tmp/xenstored.sock xenstore-ls -f`;

/** `nc2 xenstored`: the daemon by itself. */
export function registerXenstored(program: Command, terminal: Terminal): void {
  program
    .command('xenstored')
    .summary('run a xenstore daemon')
    .description('Serve a xenstore on a unix socket, for Xen’s own tools and for ours.')
    .addOption(socketOption())
    .addOption(new Option('--dump <file>', 'load the tree from this file, and keep it there at the end'))
    .addOption(
      new Option('-q, --quota <name=value>', `repeatable; names: ${Object.keys(DEFAULT_QUOTAS).join(', ')}`)
        .argParser(addQuota)
        .default({}, 'those of a fresh daemon'),
    )
    .addHelpText('after', NOTES)
    .action((flags: XenstoredFlags) => run(flags, terminal));
}

function addQuota(text: string, before: Partial<Quotas>): Partial<Quotas> {
  const [name = '', value = ''] = text.split('=', 2);
  if (!Object.hasOwn(DEFAULT_QUOTAS, name) || !/^\d{1,10}$/.test(value))
    throw new InvalidArgumentError('Give a quota as name=number; 0 lifts it.');
  return { ...before, [name as QuotaName]: Number(value) };
}

async function run(flags: XenstoredFlags, terminal: Terminal): Promise<void> {
  const daemon = await StoreDaemon.start({
    socket: flags.socket,
    dump: flags.dump,
    quotas: flags.quota,
    print: (text) => terminal.error(`xenstored: ${text}\n`),
  }).catch((error: Error) => {
    throw new CommandFailure(ExitCode.refused, error.message);
  });
  const dump = () => {
    daemon.dump().catch((error: Error) => terminal.error(`nc2: the dump failed: ${error.message}\n`));
  };
  process.on('SIGUSR2', dump);
  const stopped = untilStopped(terminal);
  terminal.out(`xenstored: ready on ${daemon.socket}\n`);
  await stopped;
  process.off('SIGUSR2', dump);
  await daemon.stop();
}
