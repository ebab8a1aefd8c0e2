/**
 * Writing an end's own nodes: state and error (spec `xenbus.md` §2, §7).
 *
 * @packageDocumentation
 */
import { errnoNumber, type XenStore, XenStoreError, type XenStoreOperations } from '@netchannel2/xen';
import { errorPath, parentPath } from './device-paths';
import type { DeviceError } from './driver';
import { formatXenbusState, parseXenbusState, XenbusState } from './xenbus-state';

/** `vanished`: the directory is not there and was not made again; `changed`: somebody else wrote the state meanwhile. */
export type StateWriteResult = 'written' | 'vanished' | 'changed';

export interface StateWrite {
  readonly state: XenbusState;
  /** Nodes to write with it. */
  readonly nodes?: Readonly<Record<string, string>>;
  /** Nodes of an earlier publication that must not be seen beside `nodes`. */
  readonly obsolete?: Iterable<string>;
  /** Write only while the node still holds this: a step forward must not undo an unplug. */
  readonly expected?: XenbusState;
  /**
   * What the writer last knew there. A node that is back at Initialising since belongs to a device made anew in the old
   * one's place, and is left alone.
   */
  readonly known?: XenbusState;
}

/**
 * Writes a state, and what belongs to it, in one transaction. A removed directory stays removed, and a state that is
 * there already is not written again.
 */
export function writeState(store: XenStore, directory: string, write: StateWrite): Promise<StateWriteResult> {
  return store.transaction(async (transaction) => {
    const current = await transaction.tryRead(`${directory}/state`);
    if (current === undefined) return 'vanished';
    const madeAnew = write.known !== undefined && write.known !== XenbusState.Initialising;
    if (madeAnew && parseXenbusState(current) === XenbusState.Initialising) return 'changed';
    if (write.expected !== undefined && parseXenbusState(current) !== write.expected) return 'changed';
    for (const node of write.obsolete ?? []) await removeIfThere(transaction, `${directory}/${node}`);
    for (const [node, value] of Object.entries(write.nodes ?? {})) {
      await transaction.write(`${directory}/${node}`, value);
    }
    const text = formatXenbusState(write.state);
    if (current !== text) await transaction.write(`${directory}/state`, text);
    return 'written';
  });
}

/** Removes a node; one that is not there, or lies in a directory that is not, is no error. */
export async function removeIfThere(operations: XenStoreOperations, path: string): Promise<void> {
  try {
    await operations.remove(path);
  } catch (error) {
    if (!(error instanceof XenStoreError) || error.code !== 'ENOENT') throw error;
  }
}

/** The children of a directory, none where it is not there or goes meanwhile. */
export async function childrenOf(operations: XenStoreOperations, path: string): Promise<string[]> {
  try {
    return await operations.list(path);
  } catch (error) {
    if (error instanceof XenStoreError && (error.code === 'ENOENT' || error.code === 'EACCES')) return [];
    throw error;
  }
}

/** Removes a node and then its parents as far as they are empty, up to but without `stop`. */
export async function removeWithEmptyParents(
  operations: XenStoreOperations,
  path: string,
  stop: string,
): Promise<void> {
  await removeIfThere(operations, path);
  let parent = parentPath(path);
  while (parent.length > stop.length && parent.startsWith(stop)) {
    if ((await operations.tryRead(parent)) !== undefined) {
      if ((await operations.list(parent)).length > 0) return;
      await removeIfThere(operations, parent);
    }
    parent = parentPath(parent);
  }
}

/**
 * Leaves `<errno> <message>` under the writer's own home. An end that may not write there goes without: the error is
 * already being handled.
 */
export async function writeErrorNode(
  store: XenStore,
  home: string,
  devicePath: string,
  error: DeviceError,
): Promise<void> {
  const text = `${errnoNumber(error.code)} ${error.message}`;
  try {
    await store.write(errorPath(home, devicePath), text.slice(0, 1024));
  } catch (refusal) {
    if (!(refusal instanceof XenStoreError)) throw refusal;
  }
}

/** Removes the error node of a device that has gone or starts afresh. */
export async function clearErrorNode(store: XenStore, home: string, devicePath: string): Promise<void> {
  const path = errorPath(home, devicePath);
  if ((await store.tryRead(path)) === undefined) return;
  try {
    await removeWithEmptyParents(store, parentPath(path), `${home}/error`);
  } catch (refusal) {
    if (!(refusal instanceof XenStoreError)) throw refusal;
  }
}
