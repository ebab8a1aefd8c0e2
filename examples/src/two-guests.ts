// Two guests of a simulated Xen talk to each other: one by a vif2, the other by a classic vif.
import { Lab } from '@netchannel2/testing';

// A host: dom0 with a toolstack, backends of both classes, and a bridge they are put on.
const lab = await Lab.start();
const alice = await lab.addGuest({ name: 'alice', grantTableVersion: 2 });
const bob = await lab.addGuest({ name: 'bob', grantTableVersion: 1 });

// Attached through xenstore and the xenbus handshake, as on any Xen host.
const near = await alice.attach('vif2', { mac: '02:00:00:00:00:0a' });
const far = await bob.attach('vif', { mac: '02:00:00:00:00:0b' });

// Frames stream while the ring is drained; a frame is valid until the subscriber returns.
far.frames$.subscribe((frame) => {
  console.log(`bob received ${frame.byteLength} bytes of EtherType 0x${frame.uint16(12).toString(16)}`);
});

const frame = new Uint8Array(1514);
frame.set([2, 0, 0, 0, 0, 0x0b, 2, 0, 0, 0, 0, 0x0a, 0x88, 0xb5]);
near.send(frame);
await lab.settle();

for (const { id, name } of [lab.dom0, alice, bob]) {
  const { grantOperations, bytesCopiedBy } = lab.machine.accounting(id) ?? {};
  console.log(`${name}: ${grantOperations} grant operations, ${bytesCopiedBy} bytes copied`);
}

// Everything is detached; whatever was still held between domains would be an error.
await lab.stop();
