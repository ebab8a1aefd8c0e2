import type { DomainId } from '@netchannel2/xen';

/** The link that packets of a run came from. */
export interface RunOrigin {
  readonly owner: DomainId;
  /** The sender's device has gone: nobody waits for its packets any more. */
  readonly gone: boolean;
  /**
   * Nobody reaches these packets any more.
   *
   * @param ids as their sender numbered them. @param obtained 1 for each whose receiver got the bytes, else 0.
   */
  finishRun(ids: Int32Array, obtained: Uint8Array, count: number): void;
}

/**
 * Which packets under way were handed on in a run, and from where. They go back in runs too: their origin is told of all that
 * end one after the other by one call.
 */
export class ForwardedPackets {
  private readonly origins: (RunOrigin | undefined)[];
  /** Ids that the packets have with their sender. */
  private readonly sourceIds: Int32Array;
  private readonly returned: Int32Array;
  private readonly returnedObtained: Uint8Array;
  private returnedTo: RunOrigin | undefined;
  private count = 0;

  /**
   * @param capacity ids 0 … capacity − 1.
   * @param unparked so many packets of `owner` wait no more.
   */
  constructor(
    capacity: number,
    private readonly unparked: (owner: DomainId, count: number) => void,
  ) {
    this.origins = new Array<RunOrigin | undefined>(capacity).fill(undefined);
    this.sourceIds = new Int32Array(capacity);
    this.returned = new Int32Array(capacity);
    this.returnedObtained = new Uint8Array(capacity);
  }

  /** Where packet `id` came from; `undefined` if it was not handed on in a run. */
  origin(id: number): RunOrigin | undefined {
    return this.origins[id];
  }

  add(id: number, origin: RunOrigin, sourceId: number): void {
    this.origins[id] = origin;
    this.sourceIds[id] = sourceId;
  }

  /** Packet `id` of `origin` is over; {@link flush} says so. */
  remove(id: number, origin: RunOrigin, obtained: boolean): void {
    this.origins[id] = undefined;
    if (origin !== this.returnedTo) {
      this.flush();
      this.returnedTo = origin;
    }
    const { count } = this;
    this.returned[count] = this.sourceIds[id] as number;
    this.returnedObtained[count] = obtained ? 1 : 0;
    this.count = count + 1;
  }

  /** Tells the origins of what was removed. */
  flush(): void {
    const { returnedTo, count } = this;
    if (returnedTo === undefined) return;
    this.returnedTo = undefined;
    this.count = 0;
    this.unparked(returnedTo.owner, count);
    if (!returnedTo.gone) returnedTo.finishRun(this.returned, this.returnedObtained, count);
  }
}
