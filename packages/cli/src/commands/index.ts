import type { RegisterCommand } from './command';
import { registerCompare } from './compare';
import { registerGrants } from './grants';
import { registerNetback } from './netback';
import { registerNetfront } from './netfront';
import { registerNetworkAttach } from './network-attach';
import { registerNetworkDetach } from './network-detach';
import { registerNetworkList } from './network-list';
import { registerReplay } from './replay';
import { registerSimulate } from './simulate';
import { registerXenstored } from './xenstored';

/** Every verb of `nc2`, in the order of its help. A new one is a file in this directory and a line here. */
export const COMMANDS: readonly RegisterCommand[] = [
  registerReplay,
  registerCompare,
  registerSimulate,
  registerNetworkAttach,
  registerNetworkDetach,
  registerNetworkList,
  registerGrants,
  registerXenstored,
  registerNetback,
  registerNetfront,
];
