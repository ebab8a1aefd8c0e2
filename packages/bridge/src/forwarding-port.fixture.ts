import { HeadView } from '@netchannel2/frames';
import {
  domainId,
  type ForwardingSource,
  type ForwardingTarget,
  FrameChecksum,
  type FrameForwarder,
  FrameSegmentation,
  type GrantedFrame,
  type GrantedFrameHold,
  grantRef,
} from '@netchannel2/xen';
import { MemoryPort } from './memory-port.fixture';

const HEAD = 64;

/** A port that forwards in grants as a backend does; the test says whether it is willing and when its peer is done. */
export class ForwardingMemoryPort extends MemoryPort implements ForwardingSource, ForwardingTarget {
  forwarder: FrameForwarder | undefined;
  accepting = true;
  /** What `deliverEarlier` is to answer. */
  here = true;
  earlier = 0;
  /** Packets handed to this port that its peer has not finished. */
  readonly held: GrantedFrameHold[] = [];
  /** Of packets from this port: holds taken and not released. */
  holders = 0;

  divert(forwarder: FrameForwarder | undefined): void {
    this.forwarder = forwarder;
  }

  acceptsGranted(): boolean {
    return this.accepting;
  }

  sendGranted(frame: GrantedFrame): boolean {
    if (!this.hasRoom) return false;
    this.held.push(frame.hold());
    return true;
  }

  /** The other end sends in grants: shown to the forwarder first, as a device does. */
  override receive(bytes: Uint8Array): void {
    if (this.forwarder?.forward(this.granted(bytes)) !== true) super.receive(bytes);
  }

  private granted(bytes: Uint8Array): GrantedFrame {
    const area = {
      bytes: bytes.slice(),
      words: new Int32Array(0),
      base: 0,
      byteLength: bytes.byteLength,
    };
    const head = new HeadView(area);
    head.load(0, Math.min(HEAD, bytes.byteLength));
    return {
      byteLength: bytes.byteLength,
      head,
      headIsPrefix: true,
      checksum: FrameChecksum.unknown,
      checksumStart: 0,
      checksumOffset: 0,
      segmentation: FrameSegmentation.none,
      segmentSize: 0,
      owner: domainId(1),
      transitive: true,
      fragmentCount: 1,
      fragmentRef: () => grantRef(8),
      fragmentOffset: () => HEAD,
      fragmentLength: () => bytes.byteLength - HEAD,
      deliverEarlier: () => {
        this.earlier += 1;
        return this.here;
      },
      hold: () => {
        this.holders += 1;
        return { release: () => (this.holders -= 1), gone: false };
      },
    };
  }
}
