import {
  type Domain,
  type EventChannelPort,
  eventChannelPort,
  grantRef,
  type MappedPages,
} from '@netchannel2/xen';
import { RawRing } from './raw-ring';

/** A backend that does exactly what the test says, written from the specification only. */
export class ScriptedBackend {
  readonly tx: RawRing;
  readonly rx: RawRing;
  readonly port: EventChannelPort;
  events = 0;
  private readonly mappings: MappedPages[];

  constructor(
    readonly domain: Domain,
    readonly guest: Domain,
    nodes: ReadonlyMap<string, string>,
  ) {
    const number = (node: string) => Number(nodes.get(node));
    const map = (ref: number) => {
      const pages = domain.foreign.map(guest.id, [grantRef(ref)], 'readwrite');
      if (typeof pages === 'number') throw new Error(`ring grant ${ref}: status ${pages}`);
      return pages;
    };
    const txPages = map(number('tx-ring-ref'));
    const rxPages = map(number('rx-ring-ref'));
    this.mappings = [txPages, rxPages];
    this.tx = new RawRing(txPages.area, 0, 12);
    this.rx = new RawRing(rxPages.area, 0, 8);
    const port = domain.events.bindInterdomain(guest.id, eventChannelPort(number('event-channel')));
    if (typeof port === 'string') throw new Error(`event channel: ${port}`);
    this.port = port;
    domain.events.listen(port, () => {
      this.events += 1;
    });
  }

  static readonly features: Readonly<Record<string, string>> = {
    'feature-rx-copy': '1',
    'feature-sg': '1',
    'feature-gso-tcpv4': '1',
  };

  /** Writes the response in slot `index` of the TX ring. */
  answerTx(index: number, id: number, status: number): void {
    this.tx.write(index, [2, id], [2, status]);
  }

  answerRx(index: number, fields: { id?: number; offset?: number; flags?: number; status: number }): void {
    this.rx.write(
      index,
      [2, fields.id ?? index],
      [2, fields.offset ?? 0],
      [2, fields.flags ?? 0],
      [2, fields.status],
    );
  }

  publishTx(producer: number): void {
    this.tx.set32(RawRing.RSP_PROD, producer);
    this.domain.events.notify(this.port);
  }

  publishRx(producer: number): void {
    this.rx.set32(RawRing.RSP_PROD, producer);
    this.domain.events.notify(this.port);
  }

  close(): void {
    for (const mapping of this.mappings) mapping.unmap();
    this.domain.events.close(this.port);
  }
}
