/**
 * Which flow a packet belongs to, as a number: addresses and, of whole TCP and UDP packets, ports. A sender with several
 * queues keeps each flow on one of them; any spread will do, the receiver takes every packet on every queue (§8).
 *
 * @param start first byte of the Ethernet header in `bytes`.
 * @param end end of the bytes that may be looked at; what lies beyond does not count.
 * @returns an unsigned 32-bit hash; of packets that are not IP the hash of their Ethernet addresses.
 */
export function flowHash(bytes: Uint8Array, start: number, end: number): number {
  let at = start + 12;
  let etherType = read16(bytes, at, end);
  if (etherType === VLAN || etherType === SERVICE_VLAN) {
    at += 4;
    etherType = read16(bytes, at, end);
  }
  const ip = at + 2;
  if (etherType === IPV4 && ip + 20 <= end) return ipv4Flow(bytes, ip, end);
  if (etherType === IPV6 && ip + 40 <= end) return ipv6Flow(bytes, ip, end);
  return mix(mixRange(0, bytes, start, start + 8, end), read32(bytes, start + 8, end));
}

const IPV4 = 0x0800;
const IPV6 = 0x86dd;
const VLAN = 0x8100;
const SERVICE_VLAN = 0x88a8;
const TCP = 6;
const UDP = 17;

function ipv4Flow(bytes: Uint8Array, ip: number, end: number): number {
  const addresses = mixRange(0, bytes, ip + 12, ip + 20, end);
  const isFragment = (read16(bytes, ip + 6, end) & 0x3fff) !== 0;
  const protocol = bytes[ip + 9] ?? 0;
  if (isFragment || (protocol !== TCP && protocol !== UDP)) return finish(addresses);
  const transport = ip + ((bytes[ip] ?? 0) & 0xf) * 4;
  return finish(mix(addresses, read32(bytes, transport, end)));
}

function ipv6Flow(bytes: Uint8Array, ip: number, end: number): number {
  const addresses = mixRange(0, bytes, ip + 8, ip + 40, end);
  const next = bytes[ip + 6] ?? 0;
  if (next !== TCP && next !== UDP) return finish(addresses);
  return finish(mix(addresses, read32(bytes, ip + 40, end)));
}

function mixRange(initial: number, bytes: Uint8Array, from: number, to: number, end: number): number {
  let hash = initial;
  for (let at = from; at < to; at += 4) hash = mix(hash, read32(bytes, at, end));
  return hash;
}

/** One step of MurmurHash3's 32-bit mixing. */
function mix(hash: number, word: number): number {
  let mixed = Math.imul(word, 0xcc9e2d51);
  mixed = Math.imul((mixed << 15) | (mixed >>> 17), 0x1b873593) ^ hash;
  return (Math.imul((mixed << 13) | (mixed >>> 19), 5) + 0xe6546b64) >>> 0;
}

function finish(hash: number): number {
  let mixed = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  mixed = Math.imul(mixed ^ (mixed >>> 13), 0xc2b2ae35);
  return (mixed ^ (mixed >>> 16)) >>> 0;
}

function read16(bytes: Uint8Array, at: number, end: number): number {
  return at + 2 <= end ? ((bytes[at] ?? 0) << 8) | (bytes[at + 1] ?? 0) : 0;
}

function read32(bytes: Uint8Array, at: number, end: number): number {
  return at + 4 <= end ? (read16(bytes, at, end) << 16) | read16(bytes, at + 2, end) : 0;
}
