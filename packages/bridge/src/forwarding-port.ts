import type { ForwardingSource, ForwardingTarget, FramePort } from '@netchannel2/xen';

/** Whether packets can be taken from `port` before they are copied in. */
export function isForwardingSource(port: FramePort): port is ForwardingSource {
  return 'divert' in port && typeof port.divert === 'function';
}

/** Whether `port` can hand on packets that lie in a third domain's grants. */
export function isForwardingTarget(port: FramePort): port is ForwardingTarget {
  return 'acceptsGranted' in port && 'sendGranted' in port;
}
