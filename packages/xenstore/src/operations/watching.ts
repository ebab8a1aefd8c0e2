/**
 * WATCH, UNWATCH and RESET_WATCHES.
 *
 * @packageDocumentation
 */
import { isSpecial, nodeOrSpecialPath } from '../paths';
import { exceeds } from '../quotas';
import { refuse } from '../refusal';
import { decimal, stringArguments } from '../request-parsing';
import { PAYLOAD_MAX } from '../wire';
import { OK, type Operation, type Request } from './context';

const MAX_DEPTH = 0x7fffffff;

function watchKey(path: string, token: string): string {
  return `${path}\0${token}`;
}

export const watch: Operation = {
  ignoresTransaction: true,
  serve({ connection, payload, state }: Request): string {
    const [raw = '', token = '', rawDepth] = stringArguments(payload, 2, 3);
    const depth = rawDepth === undefined ? undefined : decimal(rawDepth, MAX_DEPTH);
    const path = nodeOrSpecialPath(raw, connection);
    const key = watchKey(path, token);
    if (connection.watches.has(key)) refuse('EEXIST');
    const { domain } = connection;
    if (!connection.privileged && exceeds(domain.watches + 1, connection.quotas.watches)) refuse('ENOSPC');
    const relativeTo = isSpecial(raw) || raw.startsWith('/') ? undefined : connection.base;
    const registered = { watcher: connection, path, token, depth, relativeTo };
    connection.watches.set(key, registered);
    domain.watches += 1;
    state.watches.add(registered);
    return OK;
  },
  afterReply({ connection, payload }: Request): void {
    const [raw, token] = payload.split('\0', 2);
    const event = `${raw}\0${token}\0`;
    if (event.length <= PAYLOAD_MAX) connection.deliver(event);
  },
};

export const unwatch: Operation = {
  ignoresTransaction: true,
  serve({ connection, payload, state }: Request): string {
    const [raw = '', token = ''] = stringArguments(payload, 2, 2);
    const key = watchKey(nodeOrSpecialPath(raw, connection), token);
    const registered = connection.watches.get(key);
    if (registered === undefined) refuse('ENOENT');
    connection.watches.delete(key);
    connection.domain.watches -= 1;
    state.watches.delete(registered);
    return OK;
  },
};

export const resetWatches: Operation = {
  serve({ connection, state }: Request): string {
    state.resetConnection(connection);
    return OK;
  },
};
