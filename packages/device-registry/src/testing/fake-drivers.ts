/**
 * Drivers that move no frame: they log what the registry asks of them and can be told to fail or to wait.
 *
 * @packageDocumentation
 */
import type {
  BackendDevice,
  BackendDriver,
  DeviceClass,
  DeviceLink,
  FrontendDevice,
  FrontendDriver,
} from '../driver';

/** Runs inside a driver's call; throwing or waiting there is the script. */
export type Script = (call: string, link: DeviceLink) => void | Promise<void>;

class ScriptedDevice {
  readonly calls: string[] = [];
  /** Whether rings and ports are held, as a driver would. */
  held = false;
  private busy = false;

  constructor(
    readonly link: DeviceLink,
    private readonly script: Script,
  ) {}

  protected async call(name: string): Promise<void> {
    if (this.busy) throw new Error(`${name} while another call is under way`);
    this.busy = true;
    this.calls.push(name);
    try {
      await this.script(name, this.link);
    } finally {
      this.busy = false;
    }
  }

  async disconnect(): Promise<void> {
    this.held = false;
    await this.call('disconnect');
  }

  removed(): void {
    this.calls.push('removed');
  }
}

export class ScriptedFrontend extends ScriptedDevice implements FrontendDevice {
  async prepare(): Promise<Readonly<Record<string, string>>> {
    await this.call('prepare');
    this.held = true;
    return { 'tx-ring-ref': '8', 'event-channel': '3', 'request-rx-copy': '1' };
  }

  connected(): Promise<void> {
    return this.call('connected');
  }

  closing(): Promise<void> {
    return this.call('closing');
  }
}

export class ScriptedBackend extends ScriptedDevice implements BackendDevice {
  async features(): Promise<Readonly<Record<string, string>>> {
    await this.call('features');
    return { 'feature-rx-copy': '1', 'feature-sg': '1' };
  }

  async connect(): Promise<void> {
    await this.call('connect');
    this.held = true;
  }

  reconfigure(): Promise<void> {
    return this.call('reconfigure');
  }
}

export function fakeFrontend(
  deviceClass: DeviceClass,
  script: Script = () => {},
): FrontendDriver<ScriptedFrontend> {
  return { deviceClass, create: (link) => new ScriptedFrontend(link, script) };
}

export function fakeBackend(
  deviceClass: DeviceClass,
  script: Script = () => {},
): BackendDriver<ScriptedBackend> {
  return { deviceClass, create: (link) => new ScriptedBackend(link, script) };
}
