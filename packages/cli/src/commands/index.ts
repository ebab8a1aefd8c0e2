import type { RegisterCommand } from './command';

/**
 * Every verb of `nc2`, in the order of its help. A new one is a file in this directory and a line here. What a verb needs is
 * loaded with its file, which is most of the time that a short command takes.
 */
const COMMANDS: Readonly<Record<string, () => Promise<RegisterCommand>>> = {
  replay: async () => (await import('./replay')).registerReplay,
  compare: async () => (await import('./compare')).registerCompare,
  simulate: async () => (await import('./simulate')).registerSimulate,
  'network-attach': async () => (await import('./network-attach')).registerNetworkAttach,
  'network-detach': async () => (await import('./network-detach')).registerNetworkDetach,
  'network-list': async () => (await import('./network-list')).registerNetworkList,
  grants: async () => (await import('./grants')).registerGrants,
  xenstored: async () => (await import('./xenstored')).registerXenstored,
  netback: async () => (await import('./netback')).registerNetback,
  netfront: async () => (await import('./netfront')).registerNetfront,
};

/** The verb called `name`; all of them where there is none, or no name: what follows is help, or a complaint. */
export function loadCommands(name: string | undefined): Promise<readonly RegisterCommand[]> {
  const known = name !== undefined && Object.hasOwn(COMMANDS, name) ? COMMANDS[name] : undefined;
  return Promise.all((known === undefined ? Object.values(COMMANDS) : [known]).map((load) => load()));
}
