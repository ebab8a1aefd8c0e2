import { connectXenStore, type XenStoreClient, xenStoreSocketPath } from '@netchannel2/xenstore';
import { Option } from 'commander';
import { CommandFailure, ExitCode } from '../command-failure';

/** Where to find xenstore, for every verb that talks to it. */
export function socketOption(): Option {
  return new Option(
    '-s, --socket <path>',
    'xenstore socket (default: XENSTORED_PATH, else the socket in XENSTORED_RUNDIR or /var/run/xenstored)',
  );
}

/** Runs `work` with a connection to a store that somebody else serves. */
export async function withStore<Result>(
  socket: string | undefined,
  work: (store: XenStoreClient) => Promise<Result>,
): Promise<Result> {
  const path = socket ?? xenStoreSocketPath();
  const store = await connectXenStore({ path }).catch((error: NodeJS.ErrnoException) => {
    throw new CommandFailure(
      ExitCode.refused,
      `no xenstore answers at ${path}: ${error.code ?? error.message}`,
    );
  });
  try {
    return await work(store);
  } finally {
    store.close();
  }
}
