/**
 * When a bypass is worth its memory (spec vif2.md §6.4): pure decisions, fed with counts once a window.
 *
 * @packageDocumentation
 */

/** Thresholds of the automatic policy. */
export interface BypassThresholds {
  /** Milliseconds of one window. Default 1000. */
  readonly window?: number;
  /** Packets of one ordered pair in a window that earn a bypass. Default 1000. */
  readonly packets?: number;
  /** Bytes of one ordered pair in a window that earn one, too. Default 4 MiB. */
  readonly bytes?: number;
  /** Windows in a row it takes. Default 2. */
  readonly windows?: number;
  /** Bytes in the rings of a bypass, both directions together, below which it is idle. Default 4 KiB. */
  readonly idleBytes?: number;
  /** Milliseconds of idleness after which it is taken down. Default 10 000. */
  readonly idleTime?: number;
  /** Milliseconds a pair is left alone after its bypass was taken down. Default 30 000. */
  readonly holdDown?: number;
}

/**
 * - `never`: no bypass is proposed, and none is agreed on with frontends that connect meanwhile.
 * - `manual`: only those the user asks for by `propose`; they stay until withdrawn.
 * - `always`: one for each pair of guests from its first forwarded packet on; it stays.
 * - `automatic`: for pairs whose traffic earns it, as long as it does.
 */
export type BypassPolicy =
  | { readonly kind: 'never' }
  | { readonly kind: 'manual' }
  | { readonly kind: 'always' }
  | ({ readonly kind: 'automatic' } & BypassThresholds);

export type Thresholds = Required<BypassThresholds>;

const DEFAULTS: Thresholds = {
  window: 1000,
  packets: 1000,
  bytes: 4 << 20,
  windows: 2,
  idleBytes: 4096,
  idleTime: 10_000,
  holdDown: 30_000,
};

/** @throws RangeError when a threshold is not a positive number (`windows`: a whole one). */
export function thresholdsOf(policy: BypassPolicy): Thresholds {
  const thresholds: Thresholds = policy.kind === 'automatic' ? { ...DEFAULTS, ...policy } : DEFAULTS;
  for (const name of Object.keys(DEFAULTS) as (keyof Thresholds)[]) {
    const value = thresholds[name];
    if (
      !(value > 0) ||
      value === Number.POSITIVE_INFINITY ||
      (name === 'windows' && !Number.isInteger(value))
    )
      throw new RangeError(`bypass threshold ${name} is ${value}: give a positive number`);
  }
  return thresholds;
}

/** Traffic of one ordered pair of guests through the middle. */
export class PairTraffic {
  /** In the window under way. */
  packets = 0;
  bytes = 0;
  /** Windows in a row that earned a bypass. */
  streak = 0;

  /** Nothing is counted and nothing remembered: the pair needs no look at the end of the window. */
  get quiet(): boolean {
    return this.packets === 0 && this.streak === 0;
  }

  /** A window is over. @returns whether the pair has earned a bypass. */
  closeWindow({ packets, bytes, windows }: Thresholds): boolean {
    const busy = this.packets >= packets || this.bytes >= bytes;
    this.streak = busy ? this.streak + 1 : 0;
    this.packets = 0;
    this.bytes = 0;
    return this.streak >= windows;
  }

  /** The source asks for a bypass: counts as one busy window, but never as the last. */
  suggest({ windows }: Thresholds): void {
    if (windows > 1) this.streak = Math.max(this.streak, 1);
  }

  forget(): void {
    this.packets = 0;
    this.bytes = 0;
    this.streak = 0;
  }
}

/** How long a bypass has been idle. */
export class BypassIdleness {
  private bytes = 0;
  private since: number;

  constructor(now: number) {
    this.since = now;
  }

  /** @param bytes that crossed since the last look. @returns whether the bypass has been idle for its time. */
  look(bytes: number, now: number, { idleBytes, idleTime }: Thresholds): boolean {
    this.bytes += bytes;
    if (this.bytes >= idleBytes) {
      this.bytes = 0;
      this.since = now;
      return false;
    }
    return now - this.since >= idleTime;
  }
}
