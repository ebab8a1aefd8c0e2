import { writeFileSync } from 'node:fs';
import { run, textOf, until } from './programs';

export interface GuestOptions {
  readonly name: string;
  /** Last number of its address in 10.0.0.0/24. */
  readonly host: number;
  /** libxl's vif specifications. */
  readonly vifs: readonly string[];
  readonly mtu?: number;
  /** Version of its grant table, the kernel's default otherwise. */
  readonly grantTable?: 1 | 2;
  /** Whom it pings when it is up. */
  readonly pings?: string;
  readonly onReboot?: 'destroy' | 'restart';
  readonly words?: string;
}

/** Emulated guests take their time, most of all where other work shares the machine. */
const BOOT_SECONDS = 600;

/** A Linux guest with the kernel's own netfront, made and destroyed by xl. */
export class Guest {
  readonly address: string;
  private readonly console: string;

  private constructor(private readonly options: GuestOptions) {
    this.address = `10.0.0.${options.host}`;
    this.console = `/var/log/xen/console/guest-${options.name}.log`;
  }

  /** `xl create`; fails where the toolstack fails. */
  static async create(options: GuestOptions): Promise<Guest> {
    const { name, vifs, mtu, grantTable, pings, onReboot = 'destroy', words = '' } = options;
    const guest = new Guest(options);
    const extra = [
      'console=hvc0 panic=1 mitigations=off init_on_alloc=0 rodata=off loglevel=5',
      `lab_ip=${guest.address}/24`,
      mtu === undefined ? '' : `lab_mtu=${mtu}`,
      grantTable === undefined ? '' : `grant_table.version=${grantTable}`,
      pings === undefined ? '' : `lab_ping=${pings}`,
      words,
    ];
    const lines = [
      `name="${name}"`,
      'type="pv"',
      'kernel="/guest/vmlinux"',
      'ramdisk="/guest/guest.cpio"',
      'memory=160',
      'vcpus=1',
      `vif=[${vifs.map((vif) => `"${vif}"`).join(', ')}]`,
      `extra="${extra.filter((part) => part !== '').join(' ')}"`,
      'on_crash="destroy"',
      'on_poweroff="destroy"',
      `on_reboot="${onReboot}"`,
    ];
    writeFileSync(`/tmp/${name}.cfg`, `${lines.join('\n')}\n`);
    await run('xl', 'create', `/tmp/${name}.cfg`);
    return guest;
  }

  get name(): string {
    return this.options.name;
  }

  /** What the guest said since it was first made, reboots included. */
  get said(): string {
    return textOf(this.console).replaceAll('\r', '');
  }

  /** How often the console shows `text`. */
  count(text: string): number {
    return this.said.split(text).length - 1;
  }

  /** Waits until the console shows `text` for the `times`th time. */
  async says(text: string, times = 1, seconds = BOOT_SECONDS): Promise<void> {
    await until(`"${text}" on the console of ${this.name}`, seconds, () =>
      this.count(text) >= times ? true : undefined,
    );
  }

  async domid(): Promise<number> {
    return Number(await run('xl', 'domid', this.name));
  }

  async destroy(): Promise<void> {
    await run('xl', 'destroy', this.name);
  }
}

/** Ids of the domains there are. */
export async function domains(): Promise<readonly number[]> {
  const text = await run('xl', 'list');
  return [...text.matchAll(/^\S+\s+(\d+)\s/gm)].map((match) => Number(match[1]));
}
