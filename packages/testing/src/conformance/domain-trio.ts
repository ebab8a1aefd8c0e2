import type { Domain, EventChannelPort, MappedPages } from '@netchannel2/xen';

/** Three domains of one Xen, made anew for each test. None of them may control another. */
export interface DomainTrio {
  /** Shares pages, publishes grants, allocates ports. */
  readonly granter: Domain;
  /** The one the granter names. */
  readonly grantee: Domain;
  /** Another domain, which the granter never names unless a test says so. */
  readonly bystander: Domain;
  /**
   * The three are one domain with one id, as where a domain of a real host tests itself: nobody can be kept out, so what is
   * said of strangers is not tried.
   */
  readonly oneDomain?: boolean;
  /** Runs all that is due: pending events, deferred work, and retries of what waits for a peer to let go. */
  settle(): Promise<void>;
  /** Destroys the domains; fails where the test left something behind. */
  close(): Promise<void>;
}

/** Makes the domains for one test. */
export type DomainTrioFactory = () => DomainTrio | Promise<DomainTrio>;

/** Runs a test with domains of its own, and closes them also where it fails. */
export function withDomains(
  factory: DomainTrioFactory,
  body: (trio: DomainTrio) => void | Promise<void>,
): () => Promise<void> {
  return async () => {
    const trio = await factory();
    try {
      await body(trio);
    } catch (error) {
      // The test's own failure says more than the leak it causes.
      await trio.close().catch(() => undefined);
      throw error;
    }
    await trio.close();
  };
}

/** What `SharedPages.end` answers for pages in use: their number, or 0 where the platform does not learn it. */
export function knownInUse({ capabilities }: Domain, pages: number): number {
  return capabilities.revokeResult ? pages : 0;
}

/** A value that the test needs in order to go on. */
export function required<Value>(value: Value | undefined, what: string): Value {
  if (value === undefined) throw new Error(`${what} expected, got undefined`);
  return value;
}

/** The mapping, where the answer is not a status. */
export function mappingOf(answer: MappedPages | number): MappedPages {
  if (typeof answer === 'number') throw new Error(`a mapping expected, got status ${answer}`);
  return answer;
}

/** The port, where the answer is not an errno. */
export function portOf(answer: EventChannelPort | string): EventChannelPort {
  if (typeof answer === 'string') throw new Error(`a port expected, got ${answer}`);
  return answer;
}
