/**
 * The operations on nodes, inside a transaction or outside, in terms of requests.
 *
 * @packageDocumentation
 */
import { domainId, XenStoreError, type XenStoreOperations, type XenStorePermission } from '@netchannel2/xen';
import { byteString, bytesOf, type MessageName, utf8ByteString, utf8Text } from './wire';

/** Sends a request and answers the payload of its reply. */
export type SendRequest = (
  operation: MessageName,
  payload: string,
  transactionId: number,
  path: string,
) => Promise<string>;

const LETTERS = { none: 'n', read: 'r', write: 'w', both: 'b' } as const;
const ACCESS = { n: 'none', r: 'read', w: 'write', b: 'both' } as const;

/** How often a long list is read anew because it changed meanwhile. */
const LIST_ATTEMPTS = 32;

/** Whether an error says that a node is missing or hidden. */
function isMissing(error: unknown): boolean {
  return error instanceof XenStoreError && (error.code === 'ENOENT' || error.code === 'EACCES');
}

/** The NUL-terminated strings of a reply. */
export function replyStrings(payload: string): string[] {
  const strings = payload.split('\0');
  strings.pop();
  return strings;
}

function parsePermission(text: string): XenStorePermission {
  const access = ACCESS[text.charAt(0) as keyof typeof ACCESS] ?? 'none';
  return { domid: domainId(Number(text.slice(1))), access };
}

export class ClientOperations implements XenStoreOperations {
  readonly #send: SendRequest;
  readonly #transactionId: number;

  constructor(send: SendRequest, transactionId = 0) {
    this.#send = send;
    this.#transactionId = transactionId;
  }

  async read(path: string): Promise<string> {
    return utf8Text(await this.#request('READ', path));
  }

  async readBytes(path: string): Promise<Uint8Array> {
    return bytesOf(await this.#request('READ', path));
  }

  async tryRead(path: string): Promise<string | undefined> {
    try {
      return await this.read(path);
    } catch (error) {
      if (isMissing(error)) return undefined;
      throw error;
    }
  }

  async write(path: string, value: string | Uint8Array): Promise<void> {
    await this.#request('WRITE', path, typeof value === 'string' ? utf8ByteString(value) : byteString(value));
  }

  async makeDirectory(path: string): Promise<void> {
    await this.#request('MKDIR', path);
  }

  async remove(path: string): Promise<void> {
    await this.#request('RM', path);
  }

  async list(path: string): Promise<string[]> {
    try {
      return replyStrings(await this.#request('DIRECTORY', path));
    } catch (error) {
      if (!(error instanceof XenStoreError && error.code === 'E2BIG')) throw error;
    }
    for (let attempt = 0; attempt < LIST_ATTEMPTS; attempt++) {
      const names = await this.#listInParts(path);
      if (names !== undefined) return names;
    }
    throw new XenStoreError('EAGAIN', 'DIRECTORY_PART', path);
  }

  async getPermissions(path: string): Promise<XenStorePermission[]> {
    return replyStrings(await this.#request('GET_PERMS', path)).map(parsePermission);
  }

  async setPermissions(path: string, permissions: readonly XenStorePermission[]): Promise<void> {
    const texts = permissions.map(({ access, domid }) => `${LETTERS[access]}${domid}\0`);
    await this.#request('SET_PERMS', path, texts.join(''));
  }

  /** The names, or `undefined` when the list changed while it was read. */
  async #listInParts(path: string): Promise<string[] | undefined> {
    let names = '';
    let first: string | undefined;
    while (!names.endsWith('\0\0')) {
      const part = await this.#request('DIRECTORY_PART', path, `${names.length}\0`);
      const end = part.indexOf('\0');
      const generation = part.slice(0, end);
      first ??= generation;
      const more = part.slice(end + 1);
      if (generation !== first) return undefined;
      if (end < 0 || more.length === 0) throw new XenStoreError('EIO', 'DIRECTORY_PART', path);
      names += more;
      if (names === '\0') break;
    }
    return replyStrings(names.slice(0, -1));
  }

  #request(operation: MessageName, path: string, rest = ''): Promise<string> {
    const bytes = utf8ByteString(path);
    if (bytes.includes('\0')) return Promise.reject(new XenStoreError('EINVAL', operation, path));
    return this.#send(operation, `${bytes}\0${rest}`, this.#transactionId, path);
  }
}
