/**
 * Kinds of VIRQ (spec event-channels.md §3.1).
 */
export const Virq = {
  timer: 0,
  debug: 1,
  console: 2,
  /** A domain has crashed or gone; how xenstored learns of it. */
  domainException: 3,
  xenprof: 7,
  argo: 11,
  xenpmu: 13,
} as const;

export type VirqScope = 'vcpu' | 'domain' | 'global';

/** Per vCPU, per domain, or for one domain of the machine (dom0). */
export function virqScope(virq: number): VirqScope {
  switch (virq) {
    case Virq.timer:
    case Virq.debug:
    case Virq.xenprof:
    case Virq.xenpmu:
      return 'vcpu';
    case Virq.argo:
      return 'domain';
    default:
      return 'global';
  }
}
