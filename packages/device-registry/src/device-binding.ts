/**
 * Finds the devices of one class in a domain and keeps a runner for each.
 *
 * @packageDocumentation
 */
import type { Domain } from '@netchannel2/xen';
import createDebug from 'debug';
import { concat, defer, from, map, type Observable, Subject, type Subscription } from 'rxjs';
import { relativeParts } from './device-paths';
import type { DeviceConnection, DeviceLife, DeviceRunner, RunnerHost } from './device-runner';
import type { DeviceClass } from './driver';
import { childrenOf } from './state-node';

const debug = createDebug('netchannel2:xenbus');

/** A driver bound to its devices in one domain. */
export interface DeviceBinding<Device> {
  /** The devices there are now. */
  readonly devices: readonly Device[];
  /**
   * Those there are now, then each one found later: at start, by hotplug, when a directory is made anew. A device that
   * reconnects is the same device and is not repeated. Completes on `close`.
   */
  readonly devices$: Observable<Device>;
  /** The same, with state and error of each. */
  readonly connections: readonly DeviceConnection<Device>[];
  readonly connections$: Observable<DeviceConnection<Device>>;
  /** Closes all devices, waits for their other ends within bounds, and leaves no watch. */
  close(): Promise<void>;
}

/** How the devices of one side lie below its directory. */
export interface DeviceTree<Runner> {
  /** The directory watched: `/local/domain/F/device/vif` or `/local/domain/B/backend/vif`. */
  readonly root: string;
  /** Names between the root and a device's own nodes: 1 for frontends, 2 for backends. */
  readonly depth: number;
  /** A runner for a device directory; `undefined` when its names are no numbers. */
  create(names: readonly string[], ownPath: string): Runner | undefined;
}

export class RunnerBinding<Device extends DeviceLife, Runner extends DeviceRunner<Device>>
  implements DeviceBinding<Device>, RunnerHost<Device>
{
  readonly connections$: Observable<DeviceConnection<Device>>;
  readonly devices$: Observable<Device>;
  protected readonly runners = new Map<string, Runner>();
  private readonly open = new Set<DeviceConnection<Device>>();
  private readonly found = new Subject<DeviceConnection<Device>>();
  private readonly watch: Subscription;
  private closing: Promise<void> | undefined;

  constructor(
    readonly domain: Domain,
    readonly deviceClass: DeviceClass,
    private readonly tree: DeviceTree<Runner>,
  ) {
    this.connections$ = defer(() => concat(from([...this.open]), this.found));
    this.devices$ = this.connections$.pipe(map((connection) => connection.device));
    this.watch = domain.store.watch(tree.root).subscribe({
      next: (event) => this.changed(event.path),
      error: (error: unknown) => debug('watch of %s lost: %o', tree.root, error),
    });
    // What a domain owned goes with it, and of that only this event tells.
    const released = domain.store.watch('@releaseDomain').subscribe({
      next: () => {
        for (const runner of this.runners.values()) runner.touchPeer();
      },
      error: (error: unknown) => debug('watch of @releaseDomain lost: %o', error),
    });
    this.watch.add(released);
  }

  get connections(): readonly DeviceConnection<Device>[] {
    return [...this.open];
  }

  get devices(): readonly Device[] {
    return this.connections.map((connection) => connection.device);
  }

  close(): Promise<void> {
    this.closing ??= this.closeAll();
    return this.closing;
  }

  opened(connection: DeviceConnection<Device>): void {
    this.open.add(connection);
    this.found.next(connection);
  }

  gone(connection: DeviceConnection<Device>): void {
    this.open.delete(connection);
  }

  dropped(ownPath: string): void {
    this.runners.delete(ownPath);
  }

  private async closeAll(): Promise<void> {
    await Promise.all([...this.runners.values()].map((runner) => runner.close()));
    this.watch.unsubscribe();
    this.runners.clear();
    this.found.complete();
  }

  private changed(path: string): void {
    const parts = relativeParts(this.tree.root, path);
    if (parts === undefined) return;
    if (parts.length >= this.tree.depth) {
      this.report(parts.slice(0, this.tree.depth), parts.slice(this.tree.depth).join('/'));
      return;
    }
    // A directory above the devices was made or removed, or this is the watch's first event.
    const prefix = `${path}/`;
    for (const [ownPath, runner] of this.runners) if (ownPath.startsWith(prefix)) runner.touch('');
    this.scan(parts).catch((error: unknown) => debug('cannot list %s: %o', path, error));
  }

  private async scan(parts: readonly string[]): Promise<void> {
    const path = [this.tree.root, ...parts].join('/');
    for (const name of await childrenOf(this.domain.store, path)) {
      const names = [...parts, name];
      if (names.length === this.tree.depth) this.report(names, '');
      else await this.scan(names);
    }
  }

  private report(names: readonly string[], node: string): void {
    const ownPath = [this.tree.root, ...names].join('/');
    const known = this.runners.get(ownPath);
    if (known !== undefined) {
      known.touch(node);
      return;
    }
    if (this.closing !== undefined) return;
    const runner = this.tree.create(names, ownPath);
    if (runner === undefined) return;
    this.runners.set(ownPath, runner);
    runner.touch('');
  }
}
