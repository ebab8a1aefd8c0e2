import type { Frame, FramePort } from '@netchannel2/xen';
import { Observable, type Subscription } from 'rxjs';

/**
 * What to do with a frame the port has no room for. The ring is the only queue, so there are just these:
 * `drop` gives it up and counts it, `fail` ends the transmission with {@link TransmitOverflowError}.
 */
export type OverflowPolicy = 'drop' | 'fail';

/** What came of a transmission. */
export interface TransmitCounters {
  readonly sent: number;
  readonly dropped: number;
}

/** The port had no room, and the policy was `fail`. */
export class TransmitOverflowError extends Error {
  override readonly name = 'TransmitOverflowError';
  constructor(readonly port: string) {
    super(`${port} has no room for the next frame: slow the source down, or transmit with overflow "drop"`);
  }
}

/**
 * Sends what an observable emits. A source that pushes cannot be asked to wait, so what does not fit meets `overflow`.
 *
 * @returns a cold observable: subscribing starts, unsubscribing stops; emits the counters once the source completed.
 */
export function transmit(
  port: FramePort,
  source$: Observable<Frame | Uint8Array>,
  options: { readonly overflow: OverflowPolicy },
): Observable<TransmitCounters> {
  return new Observable((subscriber) => {
    let sent = 0;
    let dropped = 0;
    return source$.subscribe({
      next: (frame) => {
        if (port.send(frame)) sent += 1;
        else if (options.overflow === 'drop') dropped += 1;
        else subscriber.error(new TransmitOverflowError(port.name));
      },
      error: (error: unknown) => subscriber.error(error),
      complete: () => {
        port.flush();
        subscriber.next({ sent, dropped });
        subscriber.complete();
      },
    });
  });
}

/**
 * Sends the frames of an iterable, pausing whenever the port is full and going on when it is writable. The source is
 * asked for a frame only when there is room for it, or for one frame more.
 *
 * @returns a cold observable that emits the counters at the end; `dropped` is always 0.
 */
export function transmitAll(
  port: FramePort,
  source: Iterable<Frame | Uint8Array>,
): Observable<TransmitCounters> {
  return new Observable((subscriber) => {
    const iterator = source[Symbol.iterator]();
    let waiting: Frame | Uint8Array | undefined;
    let sent = 0;
    let writable: Subscription | undefined;

    const advance = () => {
      while (!subscriber.closed) {
        if (waiting === undefined) {
          const next = iterator.next();
          if (next.done === true) {
            port.flush();
            writable?.unsubscribe();
            subscriber.next({ sent, dropped: 0 });
            subscriber.complete();
            return;
          }
          waiting = next.value;
        }
        if (!port.send(waiting)) {
          port.flush();
          return;
        }
        waiting = undefined;
        sent += 1;
      }
    };

    writable = port.writable$.subscribe(advance);
    subscriber.add(writable);
    subscriber.add(() => iterator.return?.());
    advance();
  });
}
