import { DEVICE_CLASSES, type DeviceClass, type DeviceEntry, Toolstack } from '@netchannel2/device-registry';
import { type Command, Option } from 'commander';
import { CommandFailure, ExitCode } from '../command-failure';
import { domainNames, findDomain } from '../store/domain-argument';
import { asFailure } from '../store/registry-failure';
import { socketOption, withStore } from '../store/socket-option';
import type { Terminal } from '../terminal';

interface DetachFlags {
  readonly socket?: string;
  readonly type?: DeviceClass;
  readonly force?: true;
}

/** `nc2 network-detach`: takes a device from a running guest. */
export function registerNetworkDetach(program: Command, terminal: Terminal): void {
  program
    .command('network-detach')
    .summary('take a network device from a running domain')
    .description('Detach a network device: ask both ends to close, then remove its nodes.')
    .argument('<domain>', 'id or name')
    .argument('<device>', 'its number or its MAC, as network-list shows them')
    .addOption(socketOption())
    .addOption(
      new Option('--type <class>', 'needed where both classes have the number').choices(DEVICE_CLASSES),
    )
    .addOption(new Option('--force', 'do not wait for the guest'))
    .action((domain: string, device: string, flags: DetachFlags) => detach(domain, device, flags, terminal));
}

async function detach(domain: string, device: string, flags: DetachFlags, terminal: Terminal): Promise<void> {
  await withStore(flags.socket, async (store) => {
    const domid = findDomain(await domainNames(store), domain);
    const toolstack = new Toolstack(store);
    const entries = (await toolstack.list()).filter((entry) => entry.domid === domid);
    const { type, number } = choose(entries, device, flags.type);
    await toolstack.detach(domid, type, number, { force: flags.force === true });
    terminal.out(`${type} ${number} detached\n`);
  }).catch((error: unknown) => {
    throw asFailure(error);
  });
}

function choose(entries: readonly DeviceEntry[], device: string, type: DeviceClass | undefined): DeviceEntry {
  const wanted = device.toLowerCase();
  const found = entries.filter(
    (entry) =>
      (type === undefined || entry.type === type) &&
      (String(entry.number) === wanted || entry.mac === wanted),
  );
  const [first, second] = found;
  if (first === undefined) {
    const known = entries.map((entry) => `${entry.type} ${entry.number} ${entry.mac ?? ''}`.trimEnd());
    throw new CommandFailure(
      ExitCode.refused,
      `the domain has no device "${device}"; it has ${known.join(', ') || 'none'}`,
    );
  }
  if (second !== undefined)
    throw new CommandFailure(ExitCode.refused, `"${device}" is a vif and a vif2: say which with --type`);
  return first;
}
