import type { DeviceConnection } from '@netchannel2/device-registry';
import type { Domain, XenStorePermission } from '@netchannel2/xen';
import { filter, firstValueFrom } from 'rxjs';

/** What a toolstack writes for a vif, as the specification's table of nodes orders it. */
export class HandToolstack {
  readonly front: string;
  readonly back: string;

  constructor(
    private readonly host: Domain,
    private readonly guest: Domain,
    number = 0,
  ) {
    this.front = `/local/domain/${guest.id}/device/vif/${number}`;
    this.back = `/local/domain/${host.id}/backend/vif/${guest.id}/${number}`;
  }

  async attach(extra: { front?: Record<string, string>; back?: Record<string, string> } = {}): Promise<void> {
    const mac = '00:16:3e:00:00:01';
    const devices = `/local/domain/${this.guest.id}/device`;
    await this.host.store.makeDirectory(devices);
    await this.host.store.setPermissions(devices, [
      { domid: this.host.id, access: 'none' },
      { domid: this.guest.id, access: 'read' },
    ]);
    await this.create(this.front, this.guest, this.host, {
      backend: this.back,
      'backend-id': String(this.host.id),
      handle: '0',
      mac,
      ...extra.front,
      state: '1',
    });
    await this.create(this.back, this.host, this.guest, {
      frontend: this.front,
      'frontend-id': String(this.guest.id),
      handle: '0',
      mac,
      bridge: 'xenbr0',
      online: '1',
      'hotplug-status': '',
      ...extra.back,
      state: '1',
    });
  }

  /** Asks for an orderly end; directories are removed by `clean`. */
  async unplug(): Promise<void> {
    await this.host.store.write(`${this.back}/online`, '0');
    await this.host.store.write(`${this.back}/state`, '5');
  }

  /** Removes both directories. What a destroyed domain owned has already gone with it. */
  async clean(): Promise<void> {
    for (const path of [this.front, this.back]) {
      if ((await this.host.store.tryRead(path)) !== undefined) await this.host.store.remove(path);
    }
  }

  async states(): Promise<[front: string | undefined, back: string | undefined]> {
    return [
      await this.host.store.tryRead(`${this.front}/state`),
      await this.host.store.tryRead(`${this.back}/state`),
    ];
  }

  private async create(
    path: string,
    owner: Domain,
    reader: Domain,
    nodes: Record<string, string>,
  ): Promise<void> {
    const permissions: XenStorePermission[] = [
      { domid: owner.id, access: 'none' },
      { domid: reader.id, access: 'read' },
    ];
    await this.host.store.transaction(async (transaction) => {
      await transaction.makeDirectory(path);
      await transaction.setPermissions(path, permissions);
      for (const [node, value] of Object.entries(nodes)) {
        await transaction.write(`${path}/${node}`, value);
        await transaction.setPermissions(`${path}/${node}`, permissions);
      }
    });
  }
}

/** Resolves when a connection shows a state. */
export async function reached<Device>(connection: DeviceConnection<Device>, state: number): Promise<void> {
  if (connection.state !== state)
    await firstValueFrom(connection.state$.pipe(filter((now) => now === state)));
}
