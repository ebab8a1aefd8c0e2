import { type Domain, type EventChannelPort, PAGE_SIZE, type SharedPages } from '@netchannel2/xen';
import { RawRing } from './raw-ring';

/** A control ring written word by word from the specification only: requests of 16 bytes, responses of 12, 128 slots. */
export class ScriptedControl {
  readonly ring: RawRing;
  /** A page for what requests name. */
  readonly page: SharedPages;
  private readonly shared: SharedPages;
  private readonly port: EventChannelPort;
  private produced = 0;

  constructor(
    private readonly domain: Domain,
    host: Domain,
  ) {
    const shared = domain.grants.share(host.id, 1, 'readwrite');
    const page = domain.grants.share(host.id, 1, 'readwrite');
    const port = domain.events.allocateUnbound(host.id);
    if (shared === undefined || page === undefined || typeof port === 'string')
      throw new Error('the test guest is too small');
    this.shared = shared;
    this.page = page;
    this.port = port;
    this.ring = new RawRing(shared.area, 0, 16, 128);
    this.ring.initialise();
  }

  get pageRef(): number {
    return this.page.refs[0] ?? 0;
  }

  nodes(): Record<string, string> {
    return { 'ctrl-ring-ref': String(this.shared.refs[0]), 'event-channel-ctrl': String(this.port) };
  }

  /** Writes a request; the id is its number. */
  put(type: number, ...data: readonly number[]): void {
    const [first = 0, second = 0, third = 0] = data;
    this.ring.write(this.produced, [2, this.produced], [2, type], [4, first], [4, second], [4, third]);
    this.produced += 1;
  }

  publish(producer = this.produced): void {
    this.ring.set32(RawRing.REQ_PROD, producer);
    this.domain.events.notify(this.port);
  }

  /** `[id, type, status, data]` of response `index`. */
  response(index: number): [number, number, number, number] {
    return [
      this.ring.signed16(index, 0) & 0xffff,
      this.ring.signed16(index, 2) & 0xffff,
      this.ring.unsigned32(index, 4),
      this.ring.unsigned32(index, 8),
    ];
  }

  get answered(): number {
    return this.ring.get32(RawRing.RSP_PROD);
  }

  /** Sends one request and answers `[status, data]` once `settle` returned. */
  async ask(
    settle: () => Promise<void>,
    type: number,
    ...data: readonly number[]
  ): Promise<[number, number]> {
    const index = this.produced;
    this.put(type, ...data);
    this.publish();
    await settle();
    if (this.answered !== index + 1) throw new Error(`request ${index} was not answered`);
    const [, , status, value] = this.response(index);
    return [status, value];
  }

  /** Fills the named page with 32-bit words. */
  fill(...words: readonly number[]): void {
    const { area } = this.page;
    area.bytes.fill(0, area.base, area.base + PAGE_SIZE);
    words.forEach((word, index) => {
      area.words[(area.base >> 2) + index] = word | 0;
    });
  }

  /** 32-bit word of the named page. */
  word(index: number): number {
    const { area } = this.page;
    return (area.words[(area.base >> 2) + index] ?? 0) >>> 0;
  }

  close(): void {
    this.domain.events.close(this.port);
    this.shared.end();
    this.page.end();
  }
}
