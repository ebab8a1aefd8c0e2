/**
 * The vif and vif2 device registry: xenbus handshakes, driver binding, and the toolstack's side.
 *
 * @packageDocumentation
 */
export type { BackendOptions } from './backend-runner';
export {
  BACKEND_STEPS,
  BACKEND_WANTED,
  type BackendMode,
  type BackendPhase,
  type BackendStep,
  type BackendTarget,
  backendStep,
} from './backend-transitions';
export { type BackendBinding, bindBackends } from './bind-backends';
export { bindFrontends, type FrontendBinding, type FrontendOptions } from './bind-frontends';
export type { DeviceBinding } from './device-binding';
export {
  backendPath,
  DEVICE_CLASSES,
  domainPath,
  errorPath,
  frontendPath,
  libxlPath,
  MAX_DEVICE_NUMBER,
  parseDeviceNumber,
  parseDomainId,
} from './device-paths';
export type { DeviceConnection } from './device-runner';
export * from './driver';
export {
  FRONTEND_TRANSITIONS,
  type FrontendEvent,
  type FrontendPhase,
  type FrontendStep,
  frontendStep,
  PUBLISHED_STATE,
} from './frontend-transitions';
export * from './mac-address';
export * from './peer-values';
export { ConfigurationError } from './toolstack/configuration-error';
export type { AttachOptions } from './toolstack/device-arrival';
export {
  DEFAULT_BRIDGE,
  DEFAULT_MTU,
  DEFAULT_SCRIPT,
  type DeviceConfiguration,
} from './toolstack/device-configuration';
export type { DeviceEntry } from './toolstack/device-list';
export type { DeviceIdentity } from './toolstack/device-nodes';
export { type HotplugCall, type HotplugScript, interfaceName } from './toolstack/hotplug';
export { formatRateNode, parseRate, parseRateNode, type RateLimit } from './toolstack/rate';
export { type DetachOptions, Toolstack, type ToolstackOptions } from './toolstack/toolstack';
export { ToolstackError } from './toolstack/toolstack-error';
export {
  parseVifList,
  parseVifSpecification,
  type VifSpecificationOptions,
} from './toolstack/vif-specification';
export * from './xenbus-state';
