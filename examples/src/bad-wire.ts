// A bad wire: a decorator around any port loses, doubles and swaps frames, the same ones for the same seed.
import { withFaults } from '@netchannel2/bridge';
import { frameNumber, frameSequence, Lab } from '@netchannel2/testing';

const lab = await Lab.start({
  plug: (backend, bridge) =>
    bridge.add(withFaults(backend, { loss: 0.1, duplicate: 0.05, reorder: 0.05, seed: 42 })),
});
const sender = await (await lab.addGuest({ name: 'sender' })).attach('vif2', { mac: '02:00:00:00:00:01' });
const receiver = await (await lab.addGuest({ name: 'receiver' })).attach('vif2', {
  mac: '02:00:00:00:00:02',
});

const arrived: number[] = [];
receiver.frames$.subscribe((frame) => arrived.push(frameNumber(frame.toBytes()) ?? -1));

// Numbered frames with random payload, from 02:…:01 to 02:…:02.
for (const frame of frameSequence(7, { count: 40, sizes: { low: 64, high: 1514 } })) {
  sender.send(frame);
  await lab.settle();
}

const missing = Array.from({ length: 40 }, (_, number) => number).filter(
  (number) => !arrived.includes(number),
);
const doubled = arrived.filter((number, index) => arrived.indexOf(number) !== index);
const late = arrived.filter((number, index) => index > 0 && number < (arrived[index - 1] ?? 0));
console.log(`lost: ${missing.join(', ')}`);
console.log(`twice: ${doubled.join(', ')}`);
console.log(`late: ${late.join(', ')}`);
await lab.stop();
