import type { Frame, FramePort } from '@netchannel2/xen';
import { defer, Observable, reduce, type Subscription, tap } from 'rxjs';

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

/** The port went for good while frames were still waiting for room. */
export class TransmitPortGoneError extends Error {
  override readonly name = 'TransmitPortGoneError';
  constructor(
    readonly port: string,
    /** Frames the port had taken by then. */
    readonly sent: number,
  ) {
    super(
      `${port} went away after it had taken ${sent} frames: end the transmission before removing the device`,
    );
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
  // Operators rather than a subscriber of our own: when one throws, a source that emits synchronously stops at once.
  return defer(() =>
    source$.pipe(
      tap({ complete: () => port.flush() }),
      reduce(
        (counters, frame) => {
          if (port.send(frame)) counters.sent += 1;
          else if (options.overflow === 'drop') counters.dropped += 1;
          else throw new TransmitOverflowError(port.name);
          return counters;
        },
        { sent: 0, dropped: 0 },
      ),
    ),
  );
}

/**
 * Sends the frames of an iterable, pausing whenever the port is full and going on when it is writable. The source is
 * asked for a frame only when there is room for it, or for one frame more.
 *
 * @returns a cold observable that emits the counters at the end; `dropped` is always 0. Errors with
 * {@link TransmitPortGoneError} when the port goes before the source ends.
 */
export function transmitAll(
  port: FramePort,
  source: Iterable<Frame | Uint8Array>,
): Observable<TransmitCounters> {
  return new Observable((subscriber) => {
    const iterator = source[Symbol.iterator]();
    let waiting: Frame | Uint8Array | undefined;
    let sent = 0;
    let running = false;
    let again = false;

    const sendWhileThereIsRoom = () => {
      while (!subscriber.closed) {
        if (waiting === undefined) {
          const next = iterator.next();
          if (next.done === true) {
            port.flush();
            subscriber.next({ sent, dropped: 0 });
            subscriber.complete();
            return;
          }
          waiting = next.value;
        }
        if (!port.send(waiting)) return;
        waiting = undefined;
        sent += 1;
      }
    };

    // A flush may free room on the spot and make the port writable before it returns: that call only leaves a note, so
    // the frame in hand is never sent twice.
    const advance = () => {
      if (running) {
        again = true;
        return;
      }
      running = true;
      try {
        do {
          again = false;
          sendWhileThereIsRoom();
          if (!subscriber.closed) port.flush();
        } while (again && !subscriber.closed);
      } catch (error) {
        subscriber.error(error);
      } finally {
        running = false;
      }
    };

    subscriber.add(() => iterator.return?.());
    const writable: Subscription = port.writable$.subscribe({
      next: advance,
      error: (error: unknown) => subscriber.error(error),
      complete: () => subscriber.error(new TransmitPortGoneError(port.name, sent)),
    });
    subscriber.add(writable);
    if (!subscriber.closed) advance();
  });
}
