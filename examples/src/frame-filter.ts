// A firewall in dom0: RxJS operators between the backends of two guests, in place of a bridge.
import { transmit } from '@netchannel2/frames';
import { Lab } from '@netchannel2/testing';
import type { Frame, FramePort } from '@netchannel2/xen';
import { filter, merge } from 'rxjs';

const backends: FramePort[] = [];
const lab = await Lab.start({ plug: (backend) => backends.push(backend) });
const inside = await lab.addGuest({ name: 'inside' });
const outside = await lab.addGuest({ name: 'outside' });
const insidePort = await inside.attach('vif');
const outsidePort = await outside.attach('vif');
const [toInside, toOutside] = backends;
if (toInside === undefined || toOutside === undefined) throw new Error('each guest has a backend');

const ARP = 0x0806;
const IPV4 = 0x0800;
const UDP = 17;

// The inside may say anything; from outside come ARP and UDP, and nothing else. Frames pass where they lie.
const isWelcome = (frame: Frame): boolean =>
  frame.uint16(12) === ARP || (frame.uint16(12) === IPV4 && frame.uint8(23) === UDP);
const wires = merge(
  transmit(toOutside, toInside.frames$, { overflow: 'drop' }),
  transmit(toInside, toOutside.frames$.pipe(filter(isWelcome)), { overflow: 'drop' }),
).subscribe();

insidePort.frames$.subscribe((frame) => console.log(`inside received ${frame.byteLength} bytes`));
outsidePort.frames$.subscribe((frame) => console.log(`outside received ${frame.byteLength} bytes`));

const packet = (length: number, etherType: number, protocol = 0): Uint8Array => {
  const frame = new Uint8Array(length);
  frame.set([etherType >> 8, etherType & 0xff], 12);
  frame[23] = protocol;
  return frame;
};
insidePort.send(packet(60, IPV4, 6));
outsidePort.send(packet(42, ARP));
outsidePort.send(packet(500, IPV4, UDP));
outsidePort.send(packet(1514, IPV4, 6)); // TCP: dropped
await lab.settle();

wires.unsubscribe();
await lab.stop();
