import { DeviceError, type DeviceLink } from '@netchannel2/device-registry';
import {
  CONTROL_NODES,
  CTRL_RING,
  CtrlStatus,
  ctrlId,
  ctrlResponseData,
  ctrlResponseStatus,
  ctrlType,
  FrontRing,
  initialiseRing,
  RING_BROKEN,
  writeCtrlRequest,
} from '@netchannel2/netif';
import type { EventChannelPort, SharedPages } from '@netchannel2/xen';
import type { Subscription } from 'rxjs';

/** Milliseconds a backend may take to answer. */
const ANSWER_TIMEOUT = 5000;

/** A control request the backend refused. `status` is a `XEN_NETIF_CTRL_STATUS_*`. */
export class ControlError extends Error {
  override readonly name = 'ControlError';
  constructor(
    readonly type: number,
    readonly status: number,
  ) {
    super(`the backend answered control request ${type} with ${STATUS_NAMES[status] ?? `status ${status}`}`);
  }
}

const STATUS_NAMES: Readonly<Record<number, string>> = {
  [CtrlStatus.notSupported]: 'NOT_SUPPORTED',
  [CtrlStatus.invalidParameter]: 'INVALID_PARAMETER',
  [CtrlStatus.bufferOverflow]: 'BUFFER_OVERFLOW',
};

interface Pending {
  readonly type: number;
  readonly resolve: (data: number) => void;
  readonly reject: (error: Error) => void;
  readonly timeout: Subscription;
}

/** The frontend's end of a control ring: requests go out one by one and are answered in any order. */
export class ControlChannel {
  private open = true;
  private readonly ring: FrontRing;
  private readonly port: EventChannelPort;
  private readonly pages: SharedPages;
  private readonly pending = new Map<number, Pending>();
  private readonly stopListening: () => void;
  private lastId = 0;

  /** @throws DeviceError when a resource is short; nothing is held then. */
  constructor(
    private readonly link: DeviceLink,
    private readonly broken: (reason: string) => void,
  ) {
    const { domain, peer } = link;
    const pages = domain.grants.share(peer, 1, 'readwrite');
    if (pages === undefined)
      throw new DeviceError('ENOMEM', 'no page or grant reference for the control ring');
    const port = domain.events.allocateUnbound(peer);
    if (typeof port === 'string') {
      pages.end();
      throw new DeviceError(port, 'no event channel for the control ring');
    }
    this.pages = pages;
    this.port = port;
    const { words, base } = pages.area;
    initialiseRing(words, base >> 2);
    this.ring = new FrontRing(words, base >> 2, CTRL_RING);
    this.stopListening = domain.events.listen(port, () => this.onEvent());
  }

  /** The nodes that tell the backend where the ring is. */
  nodes(): Record<string, string> {
    return { [CONTROL_NODES.ring]: String(this.pages.refs[0]), [CONTROL_NODES.port]: String(this.port) };
  }

  /**
   * Sends a request.
   *
   * @returns the response's data. Rejects with {@link ControlError} when the backend refuses, with a `DeviceError` when it
   * does not answer or the connection ends.
   */
  request(type: number, first = 0, second = 0, third = 0): Promise<number> {
    const { ring, link } = this;
    if (!this.open) return Promise.reject(new DeviceError('ENOTCONN', 'the control ring is closed'));
    if (ring.free === 0) return Promise.reject(new DeviceError('EBUSY', 'the control ring is full'));
    const id = this.freeId();
    writeCtrlRequest(ring.words, ring.slot(ring.requestIndex), id, type, first, second, third);
    ring.requestIndex = (ring.requestIndex + 1) | 0;
    const answer = new Promise<number>((resolve, reject) => {
      const timeout = link.domain.scheduler.schedule(() => {
        reject(new DeviceError('ETIMEDOUT', `the backend did not answer control request ${type}`));
      }, ANSWER_TIMEOUT);
      this.pending.set(id, { type, resolve, reject, timeout });
    });
    if (ring.pushRequests()) link.domain.events.notify(this.port);
    return answer;
  }

  /** Shares a page for one request that names it. */
  async withPage<Result>(use: (page: SharedPages) => Promise<Result>): Promise<Result> {
    const page = this.link.domain.grants.share(this.link.peer, 1, 'readwrite');
    if (page === undefined)
      throw new DeviceError('ENOMEM', 'no page or grant reference for a control request');
    try {
      return await use(page);
    } finally {
      page.end();
    }
  }

  /** Leaves the ring alone from here on. */
  halt(): void {
    if (!this.open) return;
    this.open = false;
    for (const { reject, timeout } of this.pending.values()) {
      timeout.unsubscribe();
      reject(new DeviceError('ENOTCONN', 'the connection ended before the backend answered'));
    }
    this.pending.clear();
  }

  close(): void {
    this.halt();
    this.stopListening();
    this.link.domain.events.close(this.port);
    this.pages.end();
  }

  private onEvent(): void {
    const { ring } = this;
    while (this.open) {
      const waiting = ring.finalCheckResponses();
      if (waiting === 0) return;
      if (waiting === RING_BROKEN) this.fail('control response index out of range');
      else if (!this.takeResponse()) this.fail('control response to a request not made');
    }
  }

  private takeResponse(): boolean {
    const { ring, pending } = this;
    const at = ring.slot(ring.responseIndex);
    const response = Int32Array.from([ring.words[at] ?? 0, ring.words[at + 1] ?? 0, ring.words[at + 2] ?? 0]);
    ring.responseIndex = (ring.responseIndex + 1) | 0;
    const id = ctrlId(response, 0);
    const request = pending.get(id);
    if (request === undefined || request.type !== ctrlType(response, 0)) return false;
    pending.delete(id);
    request.timeout.unsubscribe();
    const status = ctrlResponseStatus(response, 0);
    if (status === CtrlStatus.success) request.resolve(ctrlResponseData(response, 0));
    else request.reject(new ControlError(request.type, status));
    return true;
  }

  /** A request that was not answered in time keeps its id: the answer may still come. */
  private freeId(): number {
    do {
      this.lastId = (this.lastId + 1) & 0xffff;
    } while (this.pending.has(this.lastId));
    return this.lastId;
  }

  private fail(reason: string): void {
    this.halt();
    this.broken(reason);
  }
}
