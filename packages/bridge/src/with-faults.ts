import type { Frame, FramePort } from '@netchannel2/xen';
import { Observable, type Subscriber, type Subscription, share } from 'rxjs';
import { PortDecorator } from './port-decorator';
import { SeededChance } from './seeded-chance';

/** Faults of a bad wire. Probabilities are 0 … 1, default 0. */
export interface FaultOptions {
  /** A frame disappears, in either direction. */
  readonly loss?: number;
  /** A frame is there twice, in either direction. */
  readonly duplicate?: number;
  /** A frame that is sent waits, and follows the next one. `flush` ends the wait, so none is held for good. */
  readonly reorder?: number;
  /** Same seed and same frames: same faults. */
  readonly seed: number;
}

/** What was done to the frames. */
export interface FaultCounters {
  readonly lost: number;
  readonly duplicated: number;
  readonly reordered: number;
}

/** A port behind a bad wire. */
export interface FaultyPort extends FramePort {
  readonly faults: FaultCounters;
}

/**
 * The same port, with frames lost, doubled and swapped on their way in and out.
 *
 * @throws RangeError when a probability is not within 0 … 1.
 */
export function withFaults(port: FramePort, options: FaultOptions): FaultyPort {
  for (const fault of ['loss', 'duplicate', 'reorder'] as const) {
    const probability = options[fault] ?? 0;
    if (!(probability >= 0 && probability <= 1))
      throw new RangeError(`fault option ${fault} is ${probability}: give a probability from 0 to 1`);
  }
  return new WiredWithFaults(port, options);
}

class WiredWithFaults extends PortDecorator implements FaultyPort {
  readonly faults = { lost: 0, duplicated: 0, reordered: 0 };
  private readonly loss: number;
  private readonly duplicate: number;
  private readonly reorder: number;
  private readonly chance: SeededChance;
  private held: Uint8Array | undefined;

  constructor(port: FramePort, options: FaultOptions) {
    // The field initializers run after this call; the functions below run later still.
    super(port, new Observable<Frame>((subscriber) => this.receive(subscriber)).pipe(share()));
    this.loss = options.loss ?? 0;
    this.duplicate = options.duplicate ?? 0;
    this.reorder = options.reorder ?? 0;
    this.chance = new SeededChance(options.seed);
  }

  private receive(subscriber: Subscriber<Frame>): Subscription {
    return this.port.frames$.subscribe({
      next: (frame) => {
        if (this.loses()) return;
        subscriber.next(frame);
        if (this.doubles()) subscriber.next(frame);
      },
      error: (error: unknown) => subscriber.error(error),
      complete: () => subscriber.complete(),
    });
  }

  override send(frame: Frame | Uint8Array): boolean {
    if (this.loses()) return true;
    if (this.held === undefined && this.chance.happens(this.reorder)) {
      this.held = frame instanceof Uint8Array ? frame.slice() : frame.toBytes();
      this.faults.reordered += 1;
      return true;
    }
    const copy = this.doubles() ? (frame instanceof Uint8Array ? frame : frame.toBytes()) : undefined;
    if (!this.port.send(frame)) {
      if (copy !== undefined) this.faults.duplicated -= 1;
      return false;
    }
    if (copy !== undefined && !this.port.send(copy)) this.faults.duplicated -= 1;
    this.sendHeld();
    return true;
  }

  override flush(): void {
    this.sendHeld();
    super.flush();
  }

  /** A held frame the port has no room for stays held until the next chance. */
  private sendHeld(): void {
    if (this.held !== undefined && this.port.send(this.held)) this.held = undefined;
  }

  private loses(): boolean {
    const lost = this.chance.happens(this.loss);
    if (lost) this.faults.lost += 1;
    return lost;
  }

  private doubles(): boolean {
    const doubled = this.chance.happens(this.duplicate);
    if (doubled) this.faults.duplicated += 1;
    return doubled;
  }
}
