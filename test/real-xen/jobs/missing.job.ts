/** What is missing on a Xen host is said plainly: `nc2` in dom0 with one thing taken away each time. */
import { spawn } from 'node:child_process';
import { chmod } from 'node:fs/promises';
import { describe, it } from 'node:test';
import { expect } from 'vitest';
import { run } from './programs';

const NC2 = '/job/bin/nc2.mjs';
const LIBRARIES = '/usr/lib/x86_64-linux-gnu';
const SOCKET = '/run/xenstored/socket';
const NOBODY = 65_534;
const timeout = 600_000;

const NETBACK = ['netback', '--backend-of', 'all', '--tap'];
const NETFRONT = ['netfront', '0', '--generate', '1'];

interface Answer {
  readonly code: number | null;
  readonly said: string;
}

function answerOf(program: string, words: readonly string[], uid?: number): Promise<Answer> {
  const identity = uid === undefined ? {} : { uid, gid: uid };
  const child = spawn(program, words, { stdio: ['ignore', 'pipe', 'pipe'], ...identity });
  let said = '';
  const take = (chunk: Buffer): void => {
    said += chunk.toString();
  };
  child.stdout.on('data', take);
  child.stderr.on('data', take);
  return new Promise((resolve) => child.on('close', (code) => resolve({ code, said })));
}

/** Runs nc2 where `shell` was done in a view of the file system of its own. */
const without = (shell: string, words: readonly string[]): Promise<Answer> =>
  answerOf('unshare', ['-m', 'sh', '-c', `${shell} && exec node ${NC2} ${words.join(' ')}`]);

const minor = async (device: string): Promise<string> => {
  const misc = await run('cat', '/proc/misc');
  const found = new RegExp(`^ *(\\d+) xen/${device}$`, 'm').exec(misc)?.[1];
  if (found === undefined) throw new Error(`no xen/${device} in /proc/misc: ${misc}`);
  return found;
};

/** `/dev/xen` with these devices only. */
async function onlyDevices(...devices: readonly string[]): Promise<string> {
  const nodes = await Promise.all(
    devices.map(async (device) => `mknod /dev/xen/${device} c 10 ${await minor(device)}`),
  );
  return ['mount -t tmpfs none /dev/xen', ...nodes].join(' && ');
}

describe('what is missing is said, with what to do', () => {
  for (const { library, file, words } of [
    { library: 'libxengnttab1', file: 'libxengnttab.so.1', words: NETBACK },
    { library: 'libxenevtchn1', file: 'libxenevtchn.so.1', words: NETBACK },
  ]) {
    it(`the library ${file}`, { timeout }, async () => {
      const { code, said } = await without(`mount --bind /dev/null ${LIBRARIES}/${file}`, words);
      expect(said).toContain(`${file} cannot be loaded`);
      expect(said).toContain(`Install the package ${library}`);
      expect(code).toBe(2);
    });
  }

  for (const { device, left, words } of [
    { device: 'gntdev', left: [], words: NETBACK },
    { device: 'evtchn', left: ['gntdev', 'gntalloc'], words: NETBACK },
    { device: 'gntalloc', left: ['gntdev', 'evtchn'], words: NETFRONT },
  ]) {
    it(`the device /dev/xen/${device}`, { timeout }, async () => {
      const { code, said } = await without(await onlyDevices(...left), words);
      expect(said).toContain(
        `/dev/xen/${device} does not exist. Load the kernel module: modprobe xen-${device}.`,
      );
      expect(code).toBe(2);
    });
  }

  it('xenstored: neither its socket nor the kernel’s device', { timeout }, async () => {
    const { code, said } = await without(
      'mount -t tmpfs none /dev/xen && mount -t tmpfs none /proc/xen && export XENSTORED_PATH=/nowhere',
      NETBACK,
    );
    expect(said).toContain('xenstore is not there: neither /nowhere (start xenstored) nor /dev/xen/xenbus');
    expect(code).toBe(2);
  });

  it('Xen itself', { timeout }, async () => {
    const { code, said } = await without('mount -t tmpfs none /sys/hypervisor', NETBACK);
    expect(said).toContain('This machine is no Xen domain');
    expect(code).toBe(2);
  });

  it('permission, for xenstored and for the devices', { timeout }, async () => {
    const store = await answerOf('node', [NC2, ...NETBACK], NOBODY);
    expect(store.said).toMatch(/No permission to open \S*xenstored\/socket\. Run as root/);
    expect(store.code).toBe(2);
    await chmod(SOCKET, 0o666);
    const device = await answerOf('node', [NC2, ...NETBACK], NOBODY);
    await chmod(SOCKET, 0o600);
    expect(device.said).toContain('No permission to open /dev/xen/gntdev. Run as root');
    expect(device.code).toBe(2);
  });

  it('and that the kernel’s own netback would take the devices', { timeout }, async () => {
    await run('modprobe', 'xen-netback');
    const { code, said } = await answerOf('node', [NC2, ...NETBACK]);
    await run('rmmod', 'xen-netback');
    expect(said).toContain('rmmod xen-netback');
    expect(code).toBe(2);
  });
});
