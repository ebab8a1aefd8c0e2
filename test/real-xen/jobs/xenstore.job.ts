/** The xenstore suite, by our client, against the xenstored that Debian ships: over its socket and through the kernel's device. */
import { describeXenStore, type StorePair } from '@netchannel2/testing/conformance';
import { domainId } from '@netchannel2/xen';
import { connectHostStore } from '@netchannel2/xen-host';

const SOCKET = '/run/xenstored/socket';
const HOME = '/local/domain/0';
const LEFT_BEHIND = ['/test', '/secret', `${HOME}/data`, `${HOME}/other`];

/** dom0 twice, for only a guest's kernel has a guest's connection: once over the socket, once as a driver domain would. */
async function pair(): Promise<StorePair> {
  const privileged = await connectHostStore({ socketPath: SOCKET });
  // Without a socket our client takes the kernel's device.
  const guest = await connectHostStore();
  return {
    privileged,
    guest,
    guestId: domainId(0),
    async settle() {
      // The daemon answers in order, so an event of what was done before is here when the answer is.
      for (const store of [privileged, guest, privileged, guest]) await store.tryRead('/local');
    },
    async close() {
      for (const path of LEFT_BEHIND) await privileged.remove(path).catch(() => undefined);
      privileged.close();
      guest.close();
    },
  };
}

process.env.XENSTORED_PATH = '/run/no-such-socket';
describeXenStore('xenstored, over its socket and through /dev/xen/xenbus', pair, { guestIsPrivileged: true });
