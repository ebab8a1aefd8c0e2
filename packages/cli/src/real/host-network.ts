import { execFile } from 'node:child_process';
import { promisify } from 'node:util';

const run = promisify(execFile);

/** The host's network, as far as a device's host side needs it. */
export interface HostNetwork {
  /** Sets an interface up, with an MTU, on a bridge if one is given. */
  plug(name: string, mtu: number, bridge: string | undefined): Promise<void>;
  /** Runs a hotplug script as a toolstack does (spec xenbus.md §6). Rejects when it fails. */
  script(
    path: string,
    action: 'online' | 'offline',
    environment: Readonly<Record<string, string>>,
  ): Promise<void>;
}

/** iproute2 and child processes. */
export const systemNetwork: HostNetwork = {
  async plug(name, mtu, bridge) {
    await ip('link', 'set', 'dev', name, 'mtu', String(mtu));
    if (bridge !== undefined) await ip('link', 'set', 'dev', name, 'master', bridge);
    await ip('link', 'set', 'dev', name, 'up');
  },
  async script(path, action, environment) {
    await run(path, [action, 'type_if=vif'], { env: { ...process.env, ...environment } });
  },
};

async function ip(...words: readonly string[]): Promise<void> {
  try {
    await run('ip', words);
  } catch (error) {
    const said = error instanceof Error && 'stderr' in error ? String(error.stderr).trim() : '';
    throw new Error(`ip ${words.join(' ')}: ${said || String(error)}`);
  }
}
