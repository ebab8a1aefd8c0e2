import { TapPort } from '@netchannel2/tap';
import type { DomainMemory, FramePort } from '@netchannel2/xen';
import { Subscription } from 'rxjs';
import { cable } from './cable';
import type { HostNetwork } from './host-network';

/** What stands behind a vif of this domain. */
export interface FrontendEnd {
  /** Joins a device, until the subscription ends. */
  join(device: FramePort): Subscription;
  /** The device is connected, or no longer. */
  setCarrier(up: boolean): void;
  close(): void;
}

/** The domain's own network, through a TAP. @throws TapError when the TAP cannot be made. */
export function tapEnd(
  name: string,
  mtu: number,
  memory: DomainMemory,
  network: HostNetwork,
  log: (line: string) => void,
): FrontendEnd {
  // The kernel can only give a whole packet to a TAP it told of offloads, so both are asked for or neither.
  const tap = new TapPort({ name, memory });
  tap.setCarrier(false);
  void network.plug(tap.name, mtu, undefined).catch((error: unknown) => log(String(error)));
  return {
    join: (device) => cable(device, tap),
    setCarrier: (up) => tap.setCarrier(up),
    close: () => tap.close(),
  };
}

/** EtherType for local experiments (IEEE 802). */
const LOCAL_EXPERIMENT = 0x88b5;
const ADDRESSES = 12;
/** Frames between two flushes. */
const BATCH = 32;

/**
 * No network: sends `count` broadcast frames of `bytes` bytes as fast as the peer takes them, once, and counts what comes.
 * `done` is called when the last was taken.
 */
export function generatorEnd(
  count: number,
  bytes: number,
  log: (line: string) => void,
  done: () => void,
): FrontendEnd {
  const frame = new Uint8Array(bytes);
  frame.fill(0xff, 0, ADDRESSES / 2);
  frame[ADDRESSES / 2] = 0x02;
  frame[ADDRESSES] = LOCAL_EXPERIMENT >> 8;
  frame[ADDRESSES + 1] = LOCAL_EXPERIMENT & 0xff;
  let device: FramePort | undefined;
  let connected = false;
  let sent = 0;
  let received = 0;
  const send = (): void => {
    if (device === undefined || !connected || sent === count) return;
    while (sent < count && device.send(frame)) {
      sent += 1;
      if (sent % BATCH === 0) device.flush();
    }
    device.flush();
    if (sent < count) return;
    log(`sent ${sent} frames of ${bytes} bytes, received ${received}`);
    done();
  };
  return {
    join(next) {
      device = next;
      const joined = new Subscription(() => {
        device = undefined;
      });
      joined.add(
        next.frames$.subscribe(() => {
          received += 1;
        }),
      );
      joined.add(next.writable$.subscribe(send));
      return joined;
    },
    setCarrier(up) {
      connected = up;
      send();
    },
    close: () => {},
  };
}
