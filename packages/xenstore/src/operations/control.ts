/**
 * CONTROL: what `xenstore-control` asks for (spec §11).
 *
 * @packageDocumentation
 */
import { QUOTA_NAMES } from '../quotas';
import { refuse } from '../refusal';
import { decimal, stringArguments } from '../request-parsing';
import { OK, type Operation, type Request } from './context';
import { quotaDomain, quotaName } from './quota';

type Command = (request: Request, strings: readonly string[]) => string;

const HELP = [
  'check',
  'help',
  'log on|off',
  'print <text>',
  'quota [set <name> <value>|<domid>]',
  'statistics',
].join('\n');

const COMMANDS: Readonly<Record<string, Command>> = {
  help: () => `${HELP}\n\0`,
  check: () => OK,
  print({ state }, strings) {
    if (strings.length !== 1) refuse('EINVAL');
    state.print(strings[0] ?? '');
    return OK;
  },
  log(_request, strings) {
    return strings.length === 1 && (strings[0] === 'on' || strings[0] === 'off') ? OK : refuse('EINVAL');
  },
  quota,
  statistics({ state }) {
    const lines = Object.entries(state.statistics()).map(([name, value]) => `${name}: ${value}\n`);
    return `${lines.join('')}\0`;
  },
};

export const control: Operation = {
  privileged: true,
  serve(request: Request): string {
    const [name = '', ...strings] = stringArguments(request.payload, 1);
    const command = Object.hasOwn(COMMANDS, name) ? COMMANDS[name] : undefined;
    return command === undefined ? refuse('EINVAL') : command(request, strings);
  },
};

function quota(request: Request, strings: readonly string[]): string {
  const [word, rawName, rawValue] = strings;
  const { quotas, domains, tree } = request.state;
  if (word === 'set') {
    if (strings.length !== 3) refuse('EINVAL');
    quotas.set(quotaName(rawName), decimal(rawValue, 0xffffffff));
    return OK;
  }
  if (strings.length > 1) refuse('EINVAL');
  const domid = word === undefined ? undefined : quotaDomain(request, word);
  const values = quotas.get(domid);
  const lines = QUOTA_NAMES.map((name) => `${name}: ${values[name]}\n`);
  if (domid !== undefined) {
    const domain = domains.get(domid);
    lines.push(`nodes in use: ${tree.ownedNodes(domid)}\n`);
    lines.push(`watches in use: ${domain?.watches ?? 0}\n`);
    lines.push(`transactions in use: ${domain?.transactions ?? 0}\n`);
  }
  return `${lines.join('')}\0`;
}
