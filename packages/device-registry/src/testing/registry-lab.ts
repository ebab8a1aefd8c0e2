/**
 * A xenstore with a toolstack and a few domains in it, virtual time, and a trace of every state written.
 *
 * @packageDocumentation
 */
import { type Domain, type DomainId, domainId, type XenStore } from '@netchannel2/xen';
import { XenStoreClient, XenStoreServer } from '@netchannel2/xenstore';
import { VirtualTimeScheduler } from 'rxjs';
import { Toolstack, type ToolstackOptions } from '../toolstack/toolstack';
import { tracedStore } from './traced-store';

const GUEST_DIRECTORIES = ['control', 'data', 'drivers', 'feature', 'attr', 'error'];

export class RegistryLab {
  readonly server = new XenStoreServer();
  readonly scheduler = new VirtualTimeScheduler(undefined, 0);
  /** `F:4`, `B:2` by the end's own driver, `T:B:5` by the toolstack, in order. */
  readonly trace: string[] = [];
  readonly root: XenStore = this.client(0, true);
  /** Called after each state that is noted, with the trace's new entry. */
  wrote: (entry: string) => void = () => {};

  client(domid: number, privileged = domid === 0): XenStore {
    return new XenStoreClient(this.server.connect({ domid, privileged }));
  }

  /** Makes the home of a domain. */
  async build(domid: number): Promise<void> {
    if (domid !== 0) this.server.introduceDomain(domid);
    const home = `/local/domain/${domid}`;
    await this.root.write(`${home}/name`, `guest${domid}`);
    if (domid === 0) {
      await this.root.makeDirectory(`${home}/error`);
      return this.root.makeDirectory('/libxl');
    }
    const guest = domainId(domid);
    await this.root.setPermissions(home, [
      { domid: domainId(0), access: 'none' },
      { domid: guest, access: 'read' },
    ]);
    await this.root.makeDirectory(`${home}/device`);
    for (const name of GUEST_DIRECTORIES) {
      await this.root.makeDirectory(`${home}/${name}`);
      await this.root.setPermissions(`${home}/${name}`, [{ domid: guest, access: 'none' }]);
    }
  }

  /** Makes the home of a domain again, where it is gone. */
  async domainReturns(domid: number): Promise<void> {
    if (
      (await this.root.tryRead(`/local/domain/${domid}/device`)) === undefined ||
      !this.server.isDomainIntroduced(domid)
    ) {
      await this.build(domid);
    }
  }

  /** A domain as drivers see it, reduced to what the registry uses. */
  domain(domid: number, store: XenStore = this.client(domid)): Domain {
    const traced = tracedStore(store, (path, value) => this.note('', path, value));
    const parts: Pick<Domain, 'id' | 'store' | 'scheduler'> = {
      id: domainId(domid),
      store: traced,
      scheduler: this.scheduler,
    };
    return parts as Domain;
  }

  toolstack(options: ToolstackOptions = {}): Toolstack {
    const traced = tracedStore(this.client(0), (path, value) => this.note('T:', path, value));
    return new Toolstack(traced, { scheduler: this.scheduler, random: () => 0.5, ...options });
  }

  /** Lets everything that needs no time happen. */
  async settle(): Promise<void> {
    let quiet = 0;
    let seen = -1;
    while (quiet < 3) {
      await new Promise((resolve) => setImmediate(resolve));
      const { requests } = this.server.statistics();
      quiet = requests === seen ? quiet + 1 : 0;
      seen = requests;
    }
  }

  /** Lets `milliseconds` pass. */
  async advance(milliseconds: number): Promise<void> {
    await this.settle();
    const { scheduler } = this;
    const until = scheduler.frame + milliseconds;
    scheduler.maxFrames = until;
    scheduler.flush();
    scheduler.frame = until;
    await this.settle();
  }

  /** The trace since last asked. */
  take(): string[] {
    return this.trace.splice(0);
  }

  frontendState(domid: number, number = 0, type = 'vif'): Promise<string | undefined> {
    return this.root.tryRead(`/local/domain/${domid}/device/${type}/${number}/state`);
  }

  backendState(domid: number, number = 0, type = 'vif', backend = 0): Promise<string | undefined> {
    return this.root.tryRead(`/local/domain/${backend}/backend/${type}/${domid}/${number}/state`);
  }

  /** What must be the same before and after: nodes, watches, transactions, pending timers. */
  residue(): Readonly<Record<string, number>> {
    const { nodes, watches, transactions } = this.server.statistics();
    return { nodes, watches, transactions, timers: this.scheduler.actions.length };
  }

  private note(who: string, path: string, value: string): void {
    if (!path.endsWith('/state') || path.startsWith('/libxl')) return;
    const entry = `${who}${path.includes('/backend/') ? 'B' : 'F'}:${value}`;
    this.trace.push(entry);
    this.wrote(entry);
  }
}

export async function startLab(domids: readonly number[] = [0, 1]): Promise<RegistryLab> {
  const lab = new RegistryLab();
  for (const domid of domids) await lab.build(domid);
  await lab.settle();
  return lab;
}

export const GUEST: DomainId = domainId(1);
export const DOM0: DomainId = domainId(0);
