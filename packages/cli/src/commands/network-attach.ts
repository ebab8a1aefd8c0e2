import { parseVifSpecification, Toolstack } from '@netchannel2/device-registry';
import { type Command, Option } from 'commander';
import { deviceJson } from '../store/device-table';
import { domainNames, findDomain } from '../store/domain-argument';
import { asFailure } from '../store/registry-failure';
import { socketOption, withStore } from '../store/socket-option';
import type { Terminal } from '../terminal';

interface AttachFlags {
  readonly socket?: string;
  readonly wait: boolean;
  readonly json?: true;
}

const NOTES = `
Keys are xl's: type (vif, vif2, ioemu), mac, bridge, backend, mtu, rate, model, script, ip, vifname, gatewaydev,
vlan, devid, trusted; and fallback=1, which makes a vif where an end cannot serve the vif2 asked for.

Examples:
  $ nc2 network-attach guest1 mac=00:16:3e:00:00:07,bridge=xenbr0,type=vif2
  $ nc2 network-attach 2 type=vif2 fallback=1 rate=10Mb/s`;

/** `nc2 network-attach`: a device for a running guest. */
export function registerNetworkAttach(program: Command, terminal: Terminal): void {
  program
    .command('network-attach')
    .summary('give a running domain a network device')
    .description('Attach a network device to a domain and wait until both ends are connected.')
    .argument('<domain>', 'id or name')
    .argument('[key=value...]', "the device in xl's words, separated by commas or blanks")
    .addOption(socketOption())
    .addOption(new Option('--no-wait', 'return when the nodes are written; a fallback is then not decided'))
    .addOption(new Option('--json', 'print the device as one line of JSON'))
    .addHelpText('after', NOTES)
    .action((domain: string, words: readonly string[], flags: AttachFlags) =>
      attach(domain, words, flags, terminal),
    );
}

async function attach(
  domain: string,
  words: readonly string[],
  flags: AttachFlags,
  terminal: Terminal,
): Promise<void> {
  await withStore(flags.socket, async (store) => {
    const names = await domainNames(store);
    const domid = findDomain(names, domain);
    const byName = (name: string) => [...names].find((each) => each[1] === name)?.[0];
    const toolstack = new Toolstack(store);
    const entry = await toolstack.attach(
      domid,
      parseVifSpecification(words.join(','), { domainByName: byName }),
      { until: flags.wait ? 'connected' : 'created' },
    );
    if (flags.json) terminal.out(`${JSON.stringify(deviceJson(entry))}\n`);
    else if (entry.requestedType === undefined) terminal.out(`${entry.type} ${entry.number}\n`);
    else terminal.out(`${entry.type} ${entry.number} (fallback from ${entry.requestedType})\n`);
  }).catch((error: unknown) => {
    throw asFailure(error);
  });
}
