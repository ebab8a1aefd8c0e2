// A guest that writes nonsense into its ring: its own device is closed, its neighbours do not notice.
import { Lab, rawVif2FrontendDriver } from '@netchannel2/testing';
import { firstValueFrom, mergeMap } from 'rxjs';

const lab = await Lab.start();
const alice = await (await lab.addGuest({ name: 'alice' })).attach('vif2', { mac: '02:00:00:00:00:01' });
const bob = await (await lab.addGuest({ name: 'bob' })).attach('vif2', { mac: '02:00:00:00:00:02' });

// A frontend that does the handshake, and leaves every word of its rings to the test.
const raw = rawVif2FrontendDriver();
const mallory = await lab.addGuest({ name: 'mallory', frontends: { vif2: raw } });
await mallory.attachDevice({ type: 'vif2' });
const [device] = raw.devices;
device?.transmit([0x0008_0001, 64], [0xdead_beef, 0xffff_ffff, 0xffff_ffff, 0xffff_ffff]);

// Why it was given up is in xenstore, where a toolstack looks for it.
const failed = await firstValueFrom(
  lab.toolstack.devices$.pipe(mergeMap((devices) => devices.filter((entry) => entry.errors.length > 0))),
);
console.log(`${failed.type} of domain ${failed.domid} was closed: ${failed.errors[0]}`);

bob.frames$.subscribe((frame) => console.log(`bob received ${frame.byteLength} bytes`));
const frame = new Uint8Array(1514);
frame.set([2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 0x88, 0xb5]);
alice.send(frame);
await lab.settle();
await lab.stop();
