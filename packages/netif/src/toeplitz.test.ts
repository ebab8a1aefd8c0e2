import { expect, it } from 'vitest';
import { ToeplitzHash } from './index';

const KEY = '6d5a56da255b0ec24167253d43a38fb0d0ca2bcbae7b30b477cb2da38030f20c6a42b73bbeac01fa';
const fromHex = (hex: string) =>
  new Uint8Array((hex.match(/../g) ?? []).map((byte) => Number.parseInt(byte, 16)));
const address = (text: string) => text.split('.').map(Number);
const port = (text: string | undefined) => [Number(text) >> 8, Number(text) & 0xff];

it.each([
  ['66.9.149.187:2794', '161.142.100.80:1766', '323e8fc2', '51ccc178'],
  ['199.92.111.2:14230', '65.69.140.83:4739', 'd718262a', 'c626b0ea'],
  ['24.19.198.95:12898', '12.22.207.184:38024', 'd2d0a5de', '5c2b394a'],
  ['38.27.205.30:48228', '209.142.163.6:2217', '82989176', 'afc7327f'],
  ['153.39.163.191:44251', '202.188.127.2:1303', '5d1809c5', '10e828a2'],
])('Toeplitz of %s to %s', (source, destination, ipv4, ipv4Tcp) => {
  const [from = '', fromPort] = source.split(':');
  const [to = '', toPort] = destination.split(':');
  const hash = new ToeplitzHash(fromHex(KEY));
  const hosts = [...address(from), ...address(to)];
  expect(hash.hash(new Uint8Array(hosts))).toBe(Number.parseInt(ipv4, 16));
  expect(hash.hash(new Uint8Array([...hosts, ...port(fromPort), ...port(toPort)]))).toBe(
    Number.parseInt(ipv4Tcp, 16),
  );
});
