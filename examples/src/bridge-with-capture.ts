// Three guests on one bridge, and a fourth port that records what is flooded, as a file Wireshark opens.
import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { CapturePort, PcapngWriter } from '@netchannel2/bridge';
import { Lab } from '@netchannel2/testing';

const blocks: Uint8Array[] = [];
const writer = new PcapngWriter((block) => blocks.push(block), 'bridge-with-capture');
const monitor = writer.addInterface('monitor', 'a port of the bridge');

const lab = await Lab.start();
lab.bridge.add(
  new CapturePort(
    'monitor',
    writer.sink(monitor, () => BigInt(Date.now()) * 1_000_000n),
  ),
);

const ports = [];
for (const [index, deviceClass] of (['vif', 'vif2', 'vif2'] as const).entries()) {
  const guest = await lab.addGuest({ name: `guest${index + 1}` });
  const port = await guest.attach(deviceClass, { mac: `02:00:00:00:00:0${index + 1}` });
  port.frames$.subscribe((frame) => console.log(`${guest.name} received ${frame.byteLength} bytes`));
  ports.push(port);
}

const frame = (target: number, source: number, length: number): Uint8Array => {
  const bytes = new Uint8Array(length);
  bytes.fill(0xff, 0, 6);
  if (target > 0) bytes.set([2, 0, 0, 0, 0, target]);
  bytes.set([2, 0, 0, 0, 0, source, 0x88, 0xb5], 6);
  return bytes;
};
ports[0]?.send(frame(0, 1, 60)); // a broadcast: everybody gets it
await lab.settle();
ports[1]?.send(frame(1, 2, 1514)); // to guest 1, which the bridge knows by now
await lab.settle();

for (const { mac, port } of lab.bridge.addresses()) console.log(`${mac} is behind ${port.name}`);
await lab.stop();

const file = process.argv[2] ?? 'out/monitor.pcapng';
mkdirSync(dirname(file), { recursive: true });
writeFileSync(file, Buffer.concat(blocks));
console.log(`recorded: ${file}`);
