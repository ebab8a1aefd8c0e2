import { closeSync, writeSync } from 'node:fs';
import { PcapngWriter } from '@netchannel2/bridge';
import type { DeviceClass } from '@netchannel2/device-registry';
import type { Frame } from '@netchannel2/xen';
import { openOutput } from '../report/open-output';

/**
 * What guest 2 received, as a pcapng file with one interface per device. Blocks wait in memory until `close`, so that
 * recording costs the run a copy of each frame and no system call.
 */
export class ReceivedCapture {
  private readonly blocks: Uint8Array[] = [];
  private readonly writer: PcapngWriter;

  private constructor(
    readonly file: string,
    private readonly descriptor: number,
  ) {
    this.writer = new PcapngWriter((block) => this.blocks.push(block), 'netchannel2 nc2 replay');
  }

  /** Creates the file, and its directory. @throws CommandFailure when it cannot be written. */
  static create(file: string): ReceivedCapture {
    return new ReceivedCapture(file, openOutput(file));
  }

  /** A recorder for what guest 2's device of one class receives from now on. */
  on(deviceClass: DeviceClass): (frame: Frame) => void {
    const number = this.writer.addInterface(`guest2-${deviceClass}`, `guest 2's ${deviceClass} device`);
    const { writer } = this;
    return (frame) =>
      writer.write({ interface: number, timestamp: wallClockNanoseconds(), direction: 'in', frame });
  }

  /** Writes the file out. */
  close(): void {
    try {
      for (const block of this.blocks) {
        for (let written = 0; written < block.byteLength; )
          written += writeSync(this.descriptor, block, written);
      }
    } finally {
      closeSync(this.descriptor);
    }
  }
}

function wallClockNanoseconds(): bigint {
  return BigInt(Math.round((performance.timeOrigin + performance.now()) * 1000)) * 1000n;
}
