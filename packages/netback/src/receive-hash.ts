import {
  HashAlgorithm,
  HashType,
  TOEPLITZ_KEY_BYTES,
  ToeplitzHash,
  writeHashExtra,
} from '@netchannel2/netif';

/** Entries a mapping may have: what `GET_HASH_MAPPING_SIZE` answers. */
export const HASH_MAPPING_SIZE_MAX = 128;
/** All hash types there are, as the mask of `GET_HASH_FLAGS`. */
export const HASH_FLAGS_ALL = 0xf;

const ETHERTYPE_IPV4 = 0x0800;
const ETHERTYPE_IPV6 = 0x86dd;
const ETHERTYPE_VLAN = 0x8100;
const ETHERTYPE_SERVICE_VLAN = 0x88a8;
const TCP = 6;

/**
 * How a guest wants its packets hashed and spread over its queues, as it says on the control ring (spec vif.md §9).
 */
export class ReceiveHash {
  algorithm: number = HashAlgorithm.none;
  flags = 0;
  /** Queue by hash modulo size; empty: the hash modulo the number of queues. */
  mapping = new Uint32Array(0);
  /** What `compute` found. */
  value = 0;
  private type: HashType = HashType.ipv4;
  private toeplitz = new ToeplitzHash(new Uint8Array(TOEPLITZ_KEY_BYTES));
  private readonly input = new Uint8Array(36);
  private readonly words = new Int32Array(2);

  /** Whether packets are hashed at all. */
  get isOn(): boolean {
    return this.algorithm === HashAlgorithm.toeplitz && this.flags !== 0;
  }

  setKey(key: Uint8Array): void {
    this.toeplitz = new ToeplitzHash(key);
  }

  /** Everything as it was before the guest said anything. */
  reset(): void {
    this.algorithm = HashAlgorithm.none;
    this.flags = 0;
    this.mapping = new Uint32Array(0);
    this.setKey(new Uint8Array(0));
  }

  /** Hashes the packet whose Ethernet header begins at `start`. Answers whether it is of a kind the guest wants hashed. */
  compute(bytes: Uint8Array, start: number, end: number): boolean {
    let at = start + 12;
    let etherType = read16(bytes, at, end);
    if (etherType === ETHERTYPE_VLAN || etherType === ETHERTYPE_SERVICE_VLAN) {
      at += 4;
      etherType = read16(bytes, at, end);
    }
    const ip = at + 2;
    if (etherType === ETHERTYPE_IPV4 && ip + 20 <= end) {
      const isWhole = (read16(bytes, ip + 6, end) & 0x3fff) === 0;
      const ports = isWhole && bytes[ip + 9] === TCP ? ip + ((bytes[ip] as number) & 0xf) * 4 : 0;
      return this.hash(bytes, ip + 12, 8, ports, end, HashType.ipv4);
    }
    if (etherType === ETHERTYPE_IPV6 && ip + 40 <= end) {
      return this.hash(bytes, ip + 8, 32, bytes[ip + 6] === TCP ? ip + 40 : 0, end, HashType.ipv6);
    }
    return false;
  }

  /** The queue for the packet hashed last. */
  queue(queueCount: number): number {
    const { mapping, value } = this;
    return mapping.length === 0
      ? value % queueCount
      : (mapping[value % mapping.length] as number) % queueCount;
  }

  /** First word of the hash extra of the packet hashed last. */
  get extraFirst(): number {
    writeHashExtra(this.words, 0, this.type, this.algorithm, this.value, 0);
    return this.words[0] as number;
  }

  /** @param plain the hash over addresses; the one over ports as well is the next type. */
  private hash(
    bytes: Uint8Array,
    addresses: number,
    length: number,
    ports: number,
    end: number,
    plain: typeof HashType.ipv4 | typeof HashType.ipv6,
  ): boolean {
    const withPorts = plain === HashType.ipv4 ? HashType.ipv4Tcp : HashType.ipv6Tcp;
    const takesPorts = ports > 0 && ports + 4 <= end && (this.flags & (1 << withPorts)) !== 0;
    if (!takesPorts && (this.flags & (1 << plain)) === 0) return false;
    const { input } = this;
    for (let index = 0; index < length; index += 1) input[index] = bytes[addresses + index] as number;
    for (let index = 0; takesPorts && index < 4; index += 1)
      input[length + index] = bytes[ports + index] as number;
    this.type = takesPorts ? withPorts : plain;
    this.value = this.toeplitz.hash(input, takesPorts ? length + 4 : length);
    return true;
  }
}

function read16(bytes: Uint8Array, at: number, end: number): number {
  return at + 2 <= end ? ((bytes[at] as number) << 8) | (bytes[at + 1] as number) : 0;
}
