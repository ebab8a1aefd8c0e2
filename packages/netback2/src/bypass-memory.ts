import { initialiseControlPage, RING_A, RING_B, ringStructWord } from '@netchannel2/netchannel2';
import { type Domain, type DomainId, type GrantRef, NO_GRANT_REF, type PageArea } from '@netchannel2/xen';

/** References by which one guest reaches the rings. */
export interface BypassRefs {
  readonly control: GrantRef;
  readonly a: readonly GrantRef[];
  readonly b: readonly GrantRef[];
}

/** The rings of a bypass: pages of the middle, granted to both guests. */
export class BypassMemory {
  private lastA = 0;
  private lastB = 0;

  private constructor(
    private readonly domain: Domain,
    private readonly areas: readonly PageArea[],
    private readonly refs: readonly GrantRef[],
    /** The frontend-like end's, which produces on ring A. */
    readonly front: BypassRefs,
    readonly back: BypassRefs,
  ) {}

  /**
   * @param pages of each ring, a power of two.
   * @returns `undefined` when pages or references are exhausted, or this domain writes no grant entries of its own.
   */
  static create(domain: Domain, front: DomainId, back: DomainId, pages: number): BypassMemory | undefined {
    const { entries } = domain.grants;
    if (entries === undefined) return undefined;
    const areas: PageArea[] = [];
    const refs: GrantRef[] = [];
    const allocate = (count: number): PageArea | undefined => {
      const area = domain.memory.allocate(count);
      if (area !== undefined) areas.push(area);
      return area;
    };
    const grant = (area: PageArea, peer: DomainId, readonly: boolean): GrantRef[] =>
      area.pages.map((page) => {
        const ref = entries.allocate();
        if (ref === NO_GRANT_REF) return ref;
        refs.push(ref);
        entries.publishFullPage(ref, peer, page.frame, readonly);
        return ref;
      });
    const control = allocate(1);
    const a = allocate(pages);
    const b = allocate(pages);
    if (control !== undefined && a !== undefined && b !== undefined) {
      initialiseControlPage(control);
      const [frontControl = NO_GRANT_REF] = grant(control, front, false);
      const [backControl = NO_GRANT_REF] = grant(control, back, false);
      const toFront = { control: frontControl, a: grant(a, front, false), b: grant(b, front, true) };
      const toBack = { control: backControl, a: grant(a, back, true), b: grant(b, back, false) };
      if (refs.length === 2 + 4 * pages) return new BypassMemory(domain, areas, refs, toFront, toBack);
    }
    for (const ref of refs) if (entries.revoke(ref)) entries.free(ref);
    for (const area of areas) domain.memory.free(area);
    return undefined;
  }

  /** Both ends have written at least a start-up burst and BYPASS_READY. What they claim, not what they did. */
  get talking(): boolean {
    return this.produced(RING_A) >= ANNOUNCEMENT && this.produced(RING_B) >= ANNOUNCEMENT;
  }

  /**
   * Bytes the two ends wrote since the last sample, as they claim, by the producer indices: exact as long as less than 4 GiB
   * pass between two samples.
   */
  sample(): { readonly a: number; readonly b: number } {
    const a = this.produced(RING_A);
    const b = this.produced(RING_B);
    const sample = { a: (a - this.lastA) >>> 0, b: (b - this.lastB) >>> 0 };
    this.lastA = a;
    this.lastB = b;
    return sample;
  }

  /**
   * Ends all grants. Pages that a guest still maps are kept until it lets go.
   *
   * @param freed called when the last page is back, perhaps at once.
   */
  end(freed: () => void): void {
    const { entries } = this.domain.grants;
    let held = this.refs.length;
    const ended = () => {
      held -= 1;
      if (held > 0) return;
      for (const area of this.areas) this.domain.memory.free(area);
      freed();
    };
    for (const ref of this.refs) entries?.revokeDeferred(ref, ended);
  }

  private produced(ring: typeof RING_A | typeof RING_B): number {
    const [control] = this.areas;
    return control === undefined ? 0 : Atomics.load(control.words, ringStructWord(control, ring)) >>> 0;
  }
}

/** Bytes of the four messages an end announces itself by. */
const ANNOUNCEMENT = 32;
