import {
  BYPASS_MESSAGE_SIZE,
  bypassHandle,
  MessageType,
  messageType,
  readBypassSetup,
  writeBypassFrontendReady,
  writeBypassHandle,
} from '@netchannel2/netchannel2';
import { type DeferredWork, type Errno, errnoNumber, type Frame } from '@netchannel2/xen';
import type { Vif2Link } from '../link';
import { connectBypassRings } from './bypass-rings';
import { GuestBypass } from './guest-bypass';
import type { GuestBypassInfo, GuestSite } from './guest-site';

/** Bypass messages that may wait to be dealt with: two passes full. */
const MOST_WAITING = 128;

/** `bypassHandle` reads the word after the one it is given; an offer has its handle in word 3. */
const OFFER_HANDLE_WORD = 2;

type OfferType = typeof MessageType.bypassFrontend | typeof MessageType.bypassBackend;

/** What a frontend agrees to. */
export interface BypassAcceptance {
  /** Bypasses it takes part in at the same time. */
  readonly most: number;
}

/**
 * All bypasses of one parent connection at a guest: answers the middle, and finds the way of each frame. Messages are dealt
 * with between passes, in order: connecting a bypass amid a pass of the parent would let its packets overtake.
 */
export class GuestBypasses {
  private live: readonly GuestBypass[] = [];
  private readonly waiting: Int32Array[] = [];
  private readonly work: DeferredWork = { deferred: false, run: () => this.takeWaiting() };
  private ended = false;
  private closing = false;

  /**
   * @param acceptance `undefined`: every offer is refused.
   * @param changed told about each change, with all bypasses there are now.
   */
  constructor(
    private readonly site: GuestSite,
    private readonly acceptance: BypassAcceptance | undefined,
    private readonly changed: (bypasses: readonly GuestBypassInfo[]) => void,
  ) {}

  get count(): number {
    return this.live.length;
  }

  get unfinished(): number {
    return this.live.reduce((sum, bypass) => sum + bypass.unfinished, 0);
  }

  /** @param message of the middle, whole and private. @returns what ends the connection, or `undefined`. */
  receive(message: Int32Array): string | undefined {
    if (this.waiting.length === MOST_WAITING) return 'bypass messages faster than anybody could answer them';
    this.waiting.push(message);
    this.site.domain.defer(this.work);
    return undefined;
  }

  /** As {@link Vif2Link.send}, by whichever way the frame's destination asks for. */
  send(frame: Frame | Uint8Array): boolean {
    const live = this.live;
    for (let index = 0; index < live.length; index += 1) {
      const bypass = live[index];
      if (bypass !== undefined && goesTo(frame, bypass.macHigh, bypass.macLow)) return bypass.send(frame);
    }
    return this.site.parent.send(frame);
  }

  flush(): void {
    for (const bypass of this.live) bypass.flush();
  }

  /** The parent connection is about to end: nothing new is sent or agreed to. @returns links that may carry something yet. */
  windDown(): readonly Vif2Link[] {
    this.closing = true;
    return this.live.map((bypass) => bypass.windDown());
  }

  /** The parent connection ends. */
  end(): void {
    this.ended = true;
    this.waiting.length = 0;
    for (const bypass of this.live) bypass.close();
  }

  private takeWaiting(): void {
    for (let message = this.waiting.shift(); message !== undefined; message = this.waiting.shift())
      this.take(message);
  }

  private take(message: Int32Array): void {
    const type = messageType(message[0] ?? 0);
    if (type === MessageType.bypassFrontend || type === MessageType.bypassBackend) {
      this.consider(message, type);
      return;
    }
    const handle = bypassHandle(message, 0);
    const bypass = this.live.find((one) => one.handle === handle);
    const disable = type === MessageType.bypassDisable;
    if (bypass !== undefined) bypass.post(disable ? 'disable' : 'detach');
    else this.answer(disable ? MessageType.bypassDisabled : MessageType.bypassDetached, handle);
  }

  /** An offer: accepts or refuses it. Refusing costs the middle nothing but the bypass. */
  private consider(message: Int32Array, type: OfferType): void {
    const frontend = type === MessageType.bypassFrontend;
    const bypass = this.accept(message);
    if (typeof bypass !== 'string') {
      this.live = [...this.live, bypass];
      if (frontend) this.answerReady(bypass.port);
      bypass.start();
      this.note(bypass);
      return;
    }
    this.site.counters.bypassesRefused += 1;
    if (frontend) this.answerReady(-errnoNumber(bypass));
    else this.answer(MessageType.bypassDetached, bypassHandle(message, OFFER_HANDLE_WORD));
  }

  /** @returns the bypass, connected, or why it is refused. */
  private accept(message: Int32Array): GuestBypass | Errno {
    const { domain, middle, ownMac } = this.site;
    if (this.acceptance === undefined || this.closing) return 'EOPNOTSUPP';
    const setup = readBypassSetup(message, 0, middle, domain.id);
    if (typeof setup === 'string') return 'EINVAL';
    const { handle, remoteMac } = setup;
    if (ownMac !== undefined && sameMac(remoteMac, ownMac)) return 'EINVAL';
    if (this.live.some((one) => one.handle === handle || sameMac(one.remoteMac, remoteMac))) return 'EINVAL';
    if (this.live.length >= this.acceptance.most) return 'ENOSPC';
    const rings = connectBypassRings(domain, middle, setup);
    if (typeof rings === 'string') return rings;
    return new GuestBypass(this.site, setup, rings, (one) => this.note(one));
  }

  private note(bypass: GuestBypass): void {
    if (bypass.state === 'gone') this.live = this.live.filter((one) => one !== bypass);
    if (!this.ended || this.live.length === 0) this.changed(this.live);
  }

  private answerReady(port: number): void {
    const message = new Int32Array(BYPASS_MESSAGE_SIZE / 4);
    writeBypassFrontendReady(message, 0, port);
    this.site.parent.sendControl(message, true);
  }

  private answer(
    type: typeof MessageType.bypassDisabled | typeof MessageType.bypassDetached,
    handle: number,
  ): void {
    const message = new Int32Array(BYPASS_MESSAGE_SIZE / 4);
    writeBypassHandle(message, 0, type, handle);
    this.site.parent.sendControl(message, true);
  }
}

function goesTo(frame: Frame | Uint8Array, high: number, low: number): boolean {
  if (frame instanceof Uint8Array) {
    const byte = (index: number) => frame[index] as number;
    return (
      ((byte(0) << 8) | byte(1)) === high &&
      ((byte(2) << 24) | (byte(3) << 16) | (byte(4) << 8) | byte(5)) >>> 0 === low
    );
  }
  return frame.uint32(2) === low && frame.uint16(0) === high;
}

function sameMac(one: Uint8Array, other: Uint8Array): boolean {
  for (let byte = 0; byte < 6; byte += 1) if (one[byte] !== other[byte]) return false;
  return true;
}
