/**
 * INTRODUCE, RELEASE, RESUME, SET_TARGET, IS_DOMAIN_INTRODUCED, GET_DOMAIN_PATH and the feature bits of domains.
 *
 * @packageDocumentation
 */
import { DOMID_FIRST_RESERVED, DOMID_SELF } from '@netchannel2/xen';
import { ALL_FEATURES, SOCKET_FEATURES } from '../domains';
import { domainPath } from '../paths';
import { refuse } from '../refusal';
import { decimal, domidArgument, oneArgument, stringArguments } from '../request-parsing';
import { OK, type Operation, type Request } from './context';

export const introduce: Operation = {
  privileged: true,
  serve({ payload, state }: Request): string {
    const [rawDomid, rawFrame, rawPort] = stringArguments(payload, 3);
    const domid = domidArgument(rawDomid);
    const frame = decimal(rawFrame, Number.MAX_SAFE_INTEGER);
    const port = decimal(rawPort, 0x7fffffff);
    if (port === 0 || domid >= DOMID_FIRST_RESERVED) refuse('EINVAL');
    state.introduceDomain(domid, { frame, port });
    return OK;
  },
};

export const release: Operation = {
  privileged: true,
  serve({ payload, state }: Request): string {
    const domid = domidArgument(oneArgument(payload));
    if (domid === 0) refuse('EINVAL');
    if (!state.domains.introduced(domid)) refuse('ENOENT');
    state.releaseDomain(domid);
    return OK;
  },
};

export const resume: Operation = {
  privileged: true,
  serve({ payload, state }: Request): string {
    const domid = domidArgument(oneArgument(payload));
    if (domid === 0) refuse('EINVAL');
    if (!state.domains.introduced(domid)) refuse('ENOENT');
    state.resumeDomain(domid);
    return OK;
  },
};

export const setTarget: Operation = {
  privileged: true,
  serve({ payload, state }: Request): string {
    const [rawDomid, rawTarget] = stringArguments(payload, 2, 2);
    const domid = domidArgument(rawDomid);
    const target = domidArgument(rawTarget);
    const domain = state.domains.get(domid);
    if (domain?.introduced !== true || !state.domains.introduced(target)) refuse('ENOENT');
    domain.target = target;
    return OK;
  },
};

export const isDomainIntroduced: Operation = {
  privileged: true,
  serve({ payload, state }: Request): string {
    const domid = domidArgument(oneArgument(payload));
    return domid === DOMID_SELF || state.domains.introduced(domid) ? 'T\0' : 'F\0';
  },
};

export const getDomainPath: Operation = {
  serve({ payload }: Request): string {
    return `${domainPath(domidArgument(oneArgument(payload)))}\0`;
  },
};

export const getFeature: Operation = {
  serve({ connection, payload, state }: Request): string {
    if (payload === '') return `${connection.domid === 0 ? SOCKET_FEATURES : connection.domain.features}\0`;
    if (!connection.privileged) refuse('EACCES');
    const domain = state.domains.get(domidArgument(oneArgument(payload)));
    return domain === undefined ? refuse('ENOENT') : `${domain.features}\0`;
  },
};

export const setFeature: Operation = {
  privileged: true,
  serve({ payload, state }: Request): string {
    const [rawDomid, rawValue] = stringArguments(payload, 2, 2);
    const domid = domidArgument(rawDomid);
    const value = decimal(rawValue, 0xffffffff);
    if (value > ALL_FEATURES || domid >= DOMID_FIRST_RESERVED) refuse('EINVAL');
    if (state.domains.introduced(domid)) refuse('EBUSY');
    state.domains.obtain(domid).features = value;
    return OK;
  },
};
