/**
 * GET_QUOTA and SET_QUOTA.
 *
 * @packageDocumentation
 */
import { isQuotaName, QUOTA_NAMES, type QuotaName } from '../quotas';
import { refuse } from '../refusal';
import { decimal, domidArgument, stringArguments } from '../request-parsing';
import { OK, type Operation, type Request } from './context';

/** The domain of a quota exception, which must be known. */
export function quotaDomain({ state }: Pick<Request, 'state'>, text: string | undefined): number {
  const domid = domidArgument(text);
  return state.domainExists(domid) ? domid : refuse('ENOENT');
}

export function quotaName(text: string | undefined): QuotaName {
  return text !== undefined && isQuotaName(text) ? text : refuse('EINVAL');
}

export const getQuota: Operation = {
  privileged: true,
  serve(request: Request): string {
    const { payload, state } = request;
    if (payload === '') return `${QUOTA_NAMES.join(' ')}\0`;
    const strings = stringArguments(payload, 1, 2);
    const domid = strings.length === 2 ? quotaDomain(request, strings[0]) : undefined;
    return `${state.quotas.get(domid)[quotaName(strings.at(-1))]}\0`;
  },
};

export const setQuota: Operation = {
  privileged: true,
  serve(request: Request): string {
    const strings = stringArguments(request.payload, 2, 3);
    const domid = strings.length === 3 ? quotaDomain(request, strings[0]) : undefined;
    const [rawName, rawValue] = strings.slice(-2);
    request.state.quotas.set(quotaName(rawName), decimal(rawValue, 0xffffffff), domid);
    return OK;
  },
};
