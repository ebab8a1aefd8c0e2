import type {
  BackendDevice,
  BackendDriver,
  DeviceClass,
  FrontendDevice,
  FrontendDriver,
} from '@netchannel2/device-registry';
import { netbackDriver } from '@netchannel2/netback';
import { netback2Driver } from '@netchannel2/netback2';
import { netfrontDriver } from '@netchannel2/netfront';
import { netfront2Driver } from '@netchannel2/netfront2';
import type { Frame, FramePort } from '@netchannel2/xen';

export type PortFrontend = FrontendDriver<FrontendDevice & FramePort>;
export type PortBackend = BackendDriver<BackendDevice & FramePort>;

/** Both classes with the rings a fast network asks for: vif2 with eight pages each way; a vif's rings have one size. */
export const FRONTENDS: Readonly<Record<DeviceClass, () => PortFrontend>> = {
  vif: () => netfrontDriver(),
  vif2: () => netfront2Driver({ ringPageOrder: 3 }),
};

export const BACKENDS: Readonly<Record<DeviceClass, () => PortBackend>> = {
  vif: () => netbackDriver(),
  vif2: () => netback2Driver(),
};

/** Two drivers, and what is peculiar about their domains. */
export interface Wiring {
  readonly frontend: () => PortFrontend;
  readonly backend: () => PortBackend;
  /** Version of the guest's grant table. Default 2. */
  readonly guestTable?: 1 | 2;
  /** What the receiver does with each frame. */
  readonly look?: (frame: Frame) => void;
}

export const WIRINGS: Readonly<Record<DeviceClass, Wiring>> = {
  vif: { frontend: FRONTENDS.vif, backend: BACKENDS.vif },
  vif2: { frontend: FRONTENDS.vif2, backend: BACKENDS.vif2 },
};

/** Behind the inline bytes of any frame that is long enough to have more. */
const BEHIND_HEADERS = 300;

const fromTableOne = { frontend: FRONTENDS.vif2, guestTable: 1 } as const;
const mapping = { ...fromTableOne, backend: (): PortBackend => netback2Driver({ mapFrom: 0 }) };

/** A guest with grant table version 1 sends whole pages as `receiver_map`: copied; left there, and looked into or not. */
export const RECEIVER_MAP_WIRINGS: ReadonlyMap<string, Wiring> = new Map<string, Wiring>([
  ['copied', { ...fromTableOne, backend: BACKENDS.vif2 }],
  ['unread', mapping],
  ['read', { ...mapping, look: (frame) => void frame.uint8(BEHIND_HEADERS) }],
]);
