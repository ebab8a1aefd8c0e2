import { type DeviceEntry, Toolstack } from '@netchannel2/device-registry';
import type { DomainId, XenStore } from '@netchannel2/xen';
import { type Command, Option } from 'commander';
import { concatMap } from 'rxjs';
import { untilStopped } from '../stop-signal';
import { deviceJson, deviceTable } from '../store/device-table';
import { domainNames, findDomain } from '../store/domain-argument';
import { asFailure } from '../store/registry-failure';
import { socketOption, withStore } from '../store/socket-option';
import type { Terminal } from '../terminal';

interface ListFlags {
  readonly socket?: string;
  readonly watch?: true;
  readonly json?: true;
}

/** `nc2 network-list`: the devices there are. */
export function registerNetworkList(program: Command, terminal: Terminal): void {
  program
    .command('network-list')
    .summary('list network devices, their ends and their states')
    .description('List the network devices of both classes, of all domains or of those named.')
    .argument('[domain...]', 'ids or names')
    .addOption(socketOption())
    .addOption(new Option('-w, --watch', 'print the list again after every change, until interrupted'))
    .addOption(new Option('--json', 'one line of JSON, an array'))
    .action((domains: readonly string[], flags: ListFlags) => list(domains, flags, terminal));
}

async function list(domains: readonly string[], flags: ListFlags, terminal: Terminal): Promise<void> {
  await withStore(flags.socket, async (store) => {
    const toolstack = new Toolstack(store);
    const names = await domainNames(store);
    const wanted = domains.map((domain) => findDomain(names, domain));
    const show = async (entries: readonly DeviceEntry[]) =>
      terminal.out(await render(store, entries, wanted, flags.json === true));
    if (flags.watch !== true) return show(await toolstack.list());
    await new Promise<void>((resolve, reject) => {
      const live = toolstack.devices$.pipe(concatMap(show)).subscribe({ error: reject });
      void untilStopped(terminal).then(() => {
        live.unsubscribe();
        resolve();
      });
    });
  }).catch((error: unknown) => {
    throw asFailure(error);
  });
}

async function render(
  store: XenStore,
  entries: readonly DeviceEntry[],
  wanted: readonly DomainId[],
  json: boolean,
): Promise<string> {
  const shown = entries.filter((entry) => wanted.length === 0 || wanted.includes(entry.domid));
  if (json) return `${JSON.stringify(shown.map(deviceJson))}\n`;
  return deviceTable(shown, await domainNames(store));
}
