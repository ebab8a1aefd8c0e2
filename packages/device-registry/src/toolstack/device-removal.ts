/**
 * A detach: the ends are asked to close, or not, and every node of the device goes.
 *
 * @packageDocumentation
 */
import type { DomainId, XenStore } from '@netchannel2/xen';
import createDebug from 'debug';
import type { SchedulerLike } from 'rxjs';
import { domainPath, errorPath, libxlPath, parentPath } from '../device-paths';
import { removeIfThere, removeWithEmptyParents } from '../state-node';
import { parseXenbusState, XenbusState } from '../xenbus-state';
import { endPaths } from './device-ends';
import type { DeviceIdentity } from './device-nodes';
import type { HostSide } from './host-side';
import { waitForNodes } from './wait-for-nodes';

const debug = createDebug('netchannel2:toolstack');

/** Milliseconds, as libxl has them. */
export const REMOVE_TIMEOUT = 10_000;

export class DeviceRemoval {
  constructor(
    private readonly store: XenStore,
    private readonly scheduler: SchedulerLike,
    /** The toolstack's own: directories of backends elsewhere are their domain's to remove. */
    private readonly domid: DomainId,
    private readonly host: HostSide,
  ) {}

  /** Asks, waits for the backend to close, and removes every node; by force where there is no answer. */
  async remove(device: DeviceIdentity, script: string | undefined): Promise<void> {
    if (!(await this.askToClose(device))) return this.force(device, script);
    await this.host.plug('offline', device, script ?? '').catch(() => {});
    await this.removeNodes(device);
  }

  /** Asks the ends to close; answers whether the backend did. */
  private async askToClose(device: DeviceIdentity): Promise<boolean> {
    const { backend } = endPaths(device);
    const there = await this.store.transaction(async (transaction) => {
      const state = await transaction.tryRead(`${backend}/state`);
      if (state === undefined) return false;
      await transaction.write(`${backend}/online`, '0');
      if (state === '6') return true;
      if (device.type === 'vif2') await transaction.write(`${backend}/shutdown-request`, 'normal');
      else if (state !== '5') await transaction.write(`${backend}/state`, '5');
      return true;
    });
    if (!there) return true;
    return this.waitForBackendClosed(device, REMOVE_TIMEOUT);
  }

  private async waitForBackendClosed(device: DeviceIdentity, timeout: number): Promise<boolean> {
    const node = `${endPaths(device).backend}/state`;
    const answer = await waitForNodes(this.store, this.scheduler, [node], timeout, async () => {
      const state = parseXenbusState(await this.store.tryRead(node));
      return state === XenbusState.Closed || state === 'gone' ? true : undefined;
    });
    return answer === true;
  }

  /** The frontend goes first, so that the backend sees it gone and lets go. */
  async force(device: DeviceIdentity, script = ''): Promise<void> {
    const { frontend, backend } = endPaths(device);
    const waits = await this.store.transaction(async (transaction) => {
      await removeIfThere(transaction, frontend);
      const state = await transaction.tryRead(`${backend}/state`);
      if (state === undefined) return false;
      await transaction.write(`${backend}/online`, '0');
      if (device.type === 'vif2') await transaction.write(`${backend}/shutdown-request`, 'force');
      else if (state !== '5' && state !== '6') await transaction.write(`${backend}/state`, '5');
      // Nobody has touched it yet: there may be no driver to answer.
      return state !== '1';
    });
    if (waits) await this.waitForBackendClosed(device, REMOVE_TIMEOUT);
    await this.host.plug('offline', device, script).catch(() => {});
    await this.removeNodes(device, true);
  }

  private async removeNodes(device: DeviceIdentity, force = false): Promise<void> {
    const { frontend, backend } = endPaths(device);
    if (device.backend !== this.domid && !force) await this.waitForDriverDomain(device);
    const guest = domainPath(device.domid);
    const host = domainPath(device.backend);
    await this.store.transaction(async (transaction) => {
      await removeWithEmptyParents(transaction, frontend, `${guest}/device`);
      await removeWithEmptyParents(
        transaction,
        libxlPath(device.domid, device.type, device.number),
        '/libxl',
      );
      await removeWithEmptyParents(transaction, backend, host);
      for (const [home, path] of [[guest, frontend] as const, [host, backend] as const]) {
        const error = errorPath(home, path);
        if ((await transaction.tryRead(error)) === undefined) continue;
        await removeWithEmptyParents(transaction, parentPath(error), `${home}/error`);
      }
    });
  }

  /** A driver domain removes its own directory. */
  private async waitForDriverDomain(device: DeviceIdentity): Promise<void> {
    const { backend } = endPaths(device);
    const gone = await waitForNodes(this.store, this.scheduler, [backend], REMOVE_TIMEOUT, async () =>
      (await this.store.tryRead(backend)) === undefined ? true : undefined,
    );
    if (gone !== true) debug('%s was left behind by its driver domain', backend);
  }
}
