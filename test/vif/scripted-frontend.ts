import {
  type Domain,
  type EventChannelPort,
  eventChannelPort,
  type GrantRef,
  type Page,
  type PageArea,
} from '@netchannel2/xen';
import { RawRing } from './raw-ring';

export interface RawRequest {
  readonly gref?: number;
  readonly offset?: number;
  readonly flags?: number;
  readonly id?: number;
  readonly size: number;
}

export interface RawExtra {
  readonly type: number;
  readonly more?: boolean;
  readonly body?: readonly number[];
}

/** A frontend that does exactly what the test says, written from the specification only. */
export class ScriptedFrontend {
  readonly tx: RawRing;
  readonly rx: RawRing;
  readonly pages: PageArea;
  readonly refs: GrantRef[] = [];
  readonly port: EventChannelPort;
  events = 0;
  txProduced = 0;
  rxProduced = 0;
  private readonly rings: NonNullable<ReturnType<Domain['grants']['share']>>;

  /** @param pageCount data pages granted writable to the host; page k is filled with the byte 0x10 + k. */
  constructor(
    readonly domain: Domain,
    readonly host: Domain,
    pageCount = 4,
  ) {
    const entries = domain.grants.entries;
    const rings = domain.grants.share(host.id, 2, 'readwrite');
    const pages = domain.memory.allocate(pageCount);
    const port = domain.events.allocateUnbound(host.id);
    if (entries === undefined || rings === undefined || pages === undefined || typeof port === 'string') {
      throw new Error('the test guest is too small');
    }
    this.rings = rings;
    this.pages = pages;
    this.port = port;
    this.tx = new RawRing(rings.area, 0, 12);
    this.rx = new RawRing(rings.area, 4096, 8);
    this.tx.initialise();
    this.rx.initialise();
    pages.pages.forEach((page, index) => {
      page.bytes.fill(0x10 + index, page.base, page.base + 4096);
      const ref = entries.allocate();
      entries.publishFullPage(ref, host.id, page.frame, false);
      this.refs.push(ref);
    });
    domain.events.listen(port, () => {
      this.events += 1;
    });
  }

  /** Where the rings are, below `prefix`. */
  ringNodes(prefix = ''): Record<string, string> {
    const [txRef, rxRef] = this.rings.refs;
    return {
      [`${prefix}tx-ring-ref`]: String(txRef),
      [`${prefix}rx-ring-ref`]: String(rxRef),
      [`${prefix}event-channel`]: String(this.port),
    };
  }

  nodes(): Record<string, string> {
    return {
      ...this.ringNodes(),
      'request-rx-copy': '1',
      'feature-rx-notify': '1',
      'feature-sg': '1',
      'feature-gso-tcpv4': '1',
      'feature-gso-tcpv6': '1',
    };
  }

  page(index: number): Page {
    const page = this.pages.pages[index];
    if (page === undefined) throw new Error(`no page ${index}`);
    return page;
  }

  /** Writes TX slots without publishing them. */
  put(...slots: readonly (RawRequest | RawExtra)[]): void {
    for (const slot of slots) {
      if ('size' in slot) {
        this.tx.write(
          this.txProduced,
          [4, slot.gref ?? this.refs[0] ?? 0],
          [2, slot.offset ?? 0],
          [2, slot.flags ?? 0],
          [2, slot.id ?? this.txProduced],
          [2, slot.size],
        );
      } else {
        const body = (slot.body ?? []).map((byte) => [1, byte] as const);
        this.tx.write(this.txProduced, [1, slot.type], [1, slot.more ? 1 : 0], ...body);
      }
      this.txProduced += 1;
    }
  }

  /** Publishes what was put, all of it or up to `producer`, and notifies. */
  publish(producer = this.txProduced): void {
    this.tx.set32(RawRing.REQ_PROD, producer);
    this.domain.events.notify(this.port);
  }

  /** Posts RX buffers. */
  post(...grefs: readonly number[]): void {
    for (const gref of grefs) {
      this.rx.write(this.rxProduced, [2, this.rxProduced], [2, 0], [4, gref]);
      this.rxProduced += 1;
    }
    this.rx.set32(RawRing.REQ_PROD, this.rxProduced);
    this.domain.events.notify(this.port);
  }

  /** `[id, status]` of TX responses so far. */
  txResponses(): [number, number][] {
    const count = this.tx.get32(RawRing.RSP_PROD);
    return Array.from({ length: count }, (_, index) => [
      this.tx.signed16(index, 0) & 0xffff,
      this.tx.signed16(index, 2),
    ]);
  }

  /** `[id, offset, flags, status]` of RX responses so far. */
  rxResponses(): [number, number, number, number][] {
    const count = this.rx.get32(RawRing.RSP_PROD);
    return Array.from({ length: count }, (_, index) => [
      this.rx.signed16(index, 0) & 0xffff,
      this.rx.signed16(index, 2) & 0xffff,
      this.rx.signed16(index, 4) & 0xffff,
      this.rx.signed16(index, 6),
    ]);
  }

  close(): void {
    this.domain.events.close(this.port);
    for (const ref of this.refs) {
      if (this.domain.grants.entries?.revoke(ref)) this.domain.grants.entries.free(ref);
    }
    this.rings.end();
    this.domain.memory.free(this.pages);
  }
}

/** Remote port of another domain's scripted peer. */
export const portFrom = (text: string | undefined): EventChannelPort => eventChannelPort(Number(text));
