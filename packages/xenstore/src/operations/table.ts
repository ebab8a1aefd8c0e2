/**
 * Every request the daemon serves, by message type.
 *
 * @packageDocumentation
 */
import { MESSAGE_TYPE, type MessageName } from '../wire';
import type { Operation } from './context';
import { control } from './control';
import {
  getDomainPath,
  getFeature,
  introduce,
  isDomainIntroduced,
  release,
  resume,
  setFeature,
  setTarget,
} from './domains';
import { directory, directoryPart, getPermissions, mkdir, read, rm, setPermissionList, write } from './nodes';
import { getQuota, setQuota } from './quota';
import { transactionEnd, transactionStart } from './transactions';
import { resetWatches, unwatch, watch } from './watching';

const BY_NAME: Readonly<Record<Exclude<MessageName, 'WATCH_EVENT' | 'ERROR'>, Operation>> = {
  CONTROL: control,
  DIRECTORY: directory,
  READ: read,
  GET_PERMS: getPermissions,
  WATCH: watch,
  UNWATCH: unwatch,
  TRANSACTION_START: transactionStart,
  TRANSACTION_END: transactionEnd,
  INTRODUCE: introduce,
  RELEASE: release,
  GET_DOMAIN_PATH: getDomainPath,
  WRITE: write,
  MKDIR: mkdir,
  RM: rm,
  SET_PERMS: setPermissionList,
  IS_DOMAIN_INTRODUCED: isDomainIntroduced,
  RESUME: resume,
  SET_TARGET: setTarget,
  RESET_WATCHES: resetWatches,
  DIRECTORY_PART: directoryPart,
  GET_FEATURE: getFeature,
  SET_FEATURE: setFeature,
  GET_QUOTA: getQuota,
  SET_QUOTA: setQuota,
};

const BY_TYPE: (Operation | undefined)[] = [];
for (const [name, operation] of Object.entries(BY_NAME)) {
  BY_TYPE[MESSAGE_TYPE[name as keyof typeof BY_NAME]] = operation;
}

/** The operation of a message type; `undefined` for types nobody may send. */
export function operationFor(type: number): Operation | undefined {
  return BY_TYPE[type];
}
