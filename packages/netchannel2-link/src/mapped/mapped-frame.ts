import { FragmentedFrame } from '@netchannel2/frames';
import { type Frame, type LeasedPage, PAGE_SIZE } from '@netchannel2/xen';
import type { MappedPacket } from './mapped-packet';

/**
 * A frame whose bytes behind the prefix are read where the peer has them: they may change from one look to the next. Its
 * pages are our own: asking for one copies the packet first, so that a device that sends it on grants no foreign page.
 */
export class MappedFrame extends FragmentedFrame implements Frame {
  private packet: MappedPacket | undefined;

  /** Shows `packet`, of `length` bytes, as one more holder; one lease of each of its pages is this frame's from now on. */
  show(packet: MappedPacket, length: number): void {
    packet.holders += 1;
    this.packet = packet;
    let left = length;
    for (let index = 0; index < packet.pageCount; index += 1) {
      this.addFragment(packet.page(index), 0, Math.min(left, PAGE_SIZE));
      left -= PAGE_SIZE;
    }
  }

  retain(): Frame | undefined {
    const { packet } = this;
    if (packet === undefined) return undefined;
    const kept = new MappedFrame();
    for (let index = 0; index < packet.pageCount; index += 1) packet.page(index).acquire();
    kept.show(packet, this.byteLength);
    kept.checksum = this.checksum;
    kept.checksumStart = this.checksumStart;
    kept.checksumOffset = this.checksumOffset;
    kept.segmentation = this.segmentation;
    kept.segmentSize = this.segmentSize;
    return kept;
  }

  release(): void {
    this.end();
  }

  /** Shows nothing any more. Idempotent. */
  end(): void {
    const { packet } = this;
    if (packet === undefined) return;
    this.packet = undefined;
    packet.letGo();
    this.releasePages();
  }

  override fragmentPage(index: number): LeasedPage {
    this.packet?.obtain();
    return super.fragmentPage(index);
  }

  override uint8(offset: number): number {
    const { packet } = this;
    if (packet === undefined || offset < packet.prefix || offset >= this.byteLength)
      return super.uint8(offset);
    packet.reach();
    return packet.copied ? super.uint8(offset) : packet.byte(offset);
  }

  override uint16(offset: number): number {
    return (this.uint8(offset) << 8) | this.uint8(offset + 1);
  }

  override copyTo(target: Uint8Array, targetOffset = 0, start = 0, length = this.byteLength - start): number {
    const { packet } = this;
    const from = Math.max(0, start);
    const count = Math.min(length, this.byteLength - from, target.byteLength - targetOffset);
    if (packet === undefined || count <= 0 || from + count <= packet.prefix)
      return super.copyTo(target, targetOffset, start, length);
    packet.reach();
    if (packet.copied) return super.copyTo(target, targetOffset, start, length);
    const inline = Math.max(0, packet.prefix - from);
    if (inline > 0) super.copyTo(target, targetOffset, from, inline);
    packet.copyOut(target, targetOffset + inline, from + inline, count - inline);
    return count;
  }
}
