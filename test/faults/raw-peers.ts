/** A hostile guest with a raw frontend of either class, and the few messages the tests of faults need of it. */
import type { DeviceClass } from '@netchannel2/device-registry';
import { CONS, MessageType, messageFlags, messageSize, messageType, PROD } from '@netchannel2/netchannel2';
import { REQ_PROD, RSP_PROD, TxFlag, txResponseStatus } from '@netchannel2/netif';
import {
  type LabGuestOptions,
  type RawVif2Frontend,
  type RawVifFrontend,
  rawVif2FrontendDriver,
  rawVifFrontendDriver,
} from '@netchannel2/testing';
import type { GrantRef } from '@netchannel2/xen';

/** What became of a packet. */
export type Outcome = 'taken' | 'refused';

/** A frontend whose every word the test writes. */
export interface RawPeer {
  readonly guestOptions: Pick<LabGuestOptions, 'frontends'>;
  /** Sends a frame whose payload lies at the start of the page of `ref`. @param header Ethernet header and two bytes more. */
  send(ref: GrantRef, length: number, header: Uint8Array): void;
  /** What the backend answered for packets so far, in order. */
  outcomes(): Outcome[];
  /** Claims to have produced far more than a ring holds. */
  runAhead(): void;
  /** Claims to have consumed what was never produced; in class vif, to have posted more buffers than there are slots. */
  consumeAhead(): void;
  /** Sends a packet of more pieces or bytes than its class has any. */
  sendOversize(ref: GrantRef): void;
}

/** What a frontend publishes in place of the honest nodes. */
export type NodeChange = (nodes: Record<string, string>) => Record<string, string>;

export function rawPeer(deviceClass: DeviceClass, change?: NodeChange): RawPeer {
  return deviceClass === 'vif' ? new RawVifPeer(change) : new RawVif2Peer(change);
}

class RawVifPeer implements RawPeer {
  readonly guestOptions;
  private readonly driver;

  constructor(change?: NodeChange) {
    this.driver = rawVifFrontendDriver(change);
    this.guestOptions = { frontends: { vif: this.driver } };
  }

  private get device(): RawVifFrontend {
    return newest(this.driver.devices);
  }

  /** The header is in the page, as everything is in this class. */
  send(gref: GrantRef, size: number): void {
    this.device.transmit([{ gref, size }]);
  }

  outcomes(): Outcome[] {
    const { device } = this;
    return Array.from({ length: device.index('tx', RSP_PROD) }, (_, index) =>
      txResponseStatus(device.words[device.slot('tx', index)] ?? 0) === 0 ? 'taken' : 'refused',
    );
  }

  runAhead(): void {
    this.device.setIndex('tx', REQ_PROD, 0x7000_0000);
    this.device.notify();
  }

  consumeAhead(): void {
    this.device.setIndex('rx', REQ_PROD, 0x7000_0000);
    this.device.notify();
  }

  sendOversize(gref: GrantRef): void {
    const pieces = Array.from({ length: 30 }, (_, index) => ({
      gref,
      size: index === 0 ? 65535 : 4000,
      flags: index < 29 ? TxFlag.moreData : 0,
    }));
    this.device.transmit(pieces);
  }
}

const RECEIVER_COPY = 1;
/** Flag of a FINISH: the receiver did not get the bytes. */
const NOT_OBTAINED = 1;
const SET_MAX_PACKETS_64 = [0x0008_0001, 64];
const SET_MAX_FRAGMENTS_18 = [0x0008_0005, 18];

class RawVif2Peer implements RawPeer {
  readonly guestOptions;
  private readonly driver;
  private nextId = 0;
  private started = false;

  constructor(change?: NodeChange) {
    this.driver = rawVif2FrontendDriver(change);
    this.guestOptions = { frontends: { vif2: this.driver } };
  }

  private get device(): RawVif2Frontend {
    const device = newest(this.driver.devices);
    if (!this.started) {
      this.started = true;
      device.transmit(SET_MAX_PACKETS_64, SET_MAX_FRAGMENTS_18);
    }
    return device;
  }

  send(ref: GrantRef, length: number, header: Uint8Array): void {
    this.device.transmit(this.packet([[ref, length - header.byteLength]], header));
  }

  outcomes(): Outcome[] {
    const { device } = this;
    const end = device.ring.index('consume', PROD);
    const outcomes: Outcome[] = [];
    for (let at = 0; at < end; ) {
      const word = device.receivedWord(at);
      if (messageType(word) === MessageType.finishPacket)
        outcomes.push((messageFlags(word) & NOT_OBTAINED) === 0 ? 'taken' : 'refused');
      at += Math.max(8, messageSize(word));
    }
    return outcomes;
  }

  runAhead(): void {
    this.device.ring.setIndex('produce', PROD, 0x7000_0000);
    this.device.notify();
  }

  consumeAhead(): void {
    this.device.ring.setIndex('consume', CONS, 0x7000_0000);
    this.device.notify();
  }

  sendOversize(ref: GrantRef): void {
    // 70 pieces, more than a sane sender ever makes of 64 KiB.
    this.device.transmit(
      this.packet(
        Array.from({ length: 70 }, () => [ref, 4096] as const),
        new Uint8Array(0),
      ),
    );
  }

  private packet(fragments: readonly (readonly [GrantRef, size: number])[], prefix: Uint8Array): number[] {
    const inline = new Uint32Array(prefix.slice().buffer);
    const words = 5 + 2 * fragments.length + inline.length;
    const padding = words & 1;
    return [
      ((4 * (words + padding)) << 16) | MessageType.packet,
      this.nextId++,
      RECEIVER_COPY,
      prefix.byteLength,
      0,
      ...fragments.flatMap(([ref, size]) => [size, ref]),
      ...inline,
      ...new Array<number>(padding).fill(0),
    ];
  }
}

function newest<Device>(devices: readonly Device[]): Device {
  const device = devices.at(-1);
  if (device === undefined) throw new Error('the device was not attached');
  return device;
}
