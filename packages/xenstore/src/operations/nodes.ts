/**
 * READ, WRITE, MKDIR, RM, DIRECTORY, DIRECTORY_PART, GET_PERMS and SET_PERMS.
 *
 * @packageDocumentation
 */
import {
  makeDirectory,
  type NodeAccess,
  readNode,
  removeNode,
  setPermissions,
  writeNode,
} from '../node-operations';
import { nodeOrSpecialPath, nodePath } from '../paths';
import { formatPermissions, type PermissionEntry, parsePermission } from '../permissions';
import { exceeds } from '../quotas';
import { refuse } from '../refusal';
import { decimal, oneArgument, stringAndRest, stringArguments } from '../request-parsing';
import { PAYLOAD_MAX } from '../wire';
import { OK, type Operation, type Request } from './context';

function access({ connection, view }: Request): NodeAccess {
  return { view, identity: connection, quotas: connection.quotas };
}

export const read: Operation = {
  serve(request) {
    const path = nodePath(oneArgument(request.payload), request.connection);
    return readNode(access(request), path).value;
  },
};

export const directory: Operation = {
  serve(request) {
    const path = nodePath(oneArgument(request.payload), request.connection);
    const { children } = readNode(access(request), path);
    if (children.byteLength > PAYLOAD_MAX) refuse('E2BIG');
    return children.concatenated();
  },
};

export const directoryPart: Operation = {
  serve(request) {
    const [rawPath = '', rawOffset] = stringArguments(request.payload, 2, 2);
    const path = nodePath(rawPath, request.connection);
    const offset = decimal(rawOffset, Number.MAX_SAFE_INTEGER);
    const { children, generation } = readNode(access(request), path);
    const head = `${generation}\0`;
    if (offset >= children.byteLength) return `${head}\0`;
    const room = PAYLOAD_MAX - head.length - 1;
    const text = children.concatenated();
    if (text.length - offset <= room) return `${head}${text.slice(offset)}\0`;
    const end = text.lastIndexOf('\0', offset + room - 1) + 1;
    return head + text.slice(offset, Math.max(offset, end));
  },
};

export const write: Operation = {
  serve(request) {
    const [rawPath, value] = stringAndRest(request.payload);
    writeNode(access(request), nodePath(rawPath, request.connection), value);
    return OK;
  },
};

export const mkdir: Operation = {
  serve(request) {
    makeDirectory(access(request), nodePath(oneArgument(request.payload), request.connection));
    return OK;
  },
};

export const rm: Operation = {
  serve(request) {
    removeNode(access(request), nodePath(oneArgument(request.payload), request.connection));
    return OK;
  },
};

export const getPermissions: Operation = {
  serve(request) {
    const path = nodeOrSpecialPath(oneArgument(request.payload), request.connection);
    const text = formatPermissions(readNode(access(request), path).permissions);
    return text.length > PAYLOAD_MAX ? refuse('E2BIG') : text;
  },
};

export const setPermissionList: Operation = {
  serve(request) {
    const { connection, state } = request;
    const [rawPath = '', ...texts] = stringArguments(request.payload, 2);
    if (!connection.privileged && exceeds(texts.length, connection.quotas['node-permissions']))
      refuse('ENOSPC');
    const [owner, ...others] = texts.map(parsePermission);
    if (owner === undefined) refuse('EINVAL');
    const path = nodeOrSpecialPath(rawPath, connection);
    if (!state.domainExists(owner.domid)) refuse('ENOENT');
    const entries: PermissionEntry[] = others.map((entry) => ({
      ...entry,
      ignored: !state.domainExists(entry.domid),
    }));
    setPermissions(access(request), path, [owner, ...entries]);
    return OK;
  },
};
