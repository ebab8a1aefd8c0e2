import { ConfigurationError, ToolstackError } from '@netchannel2/device-registry';
import { XenStoreError } from '@netchannel2/xen';
import { CommandFailure, ExitCode } from '../command-failure';

/** What the registry refused, as this program's exit: 2 for what cannot be asked, 1 for what did not come about. */
export function asFailure(error: unknown): unknown {
  if (error instanceof ConfigurationError) return new CommandFailure(ExitCode.refused, error.message);
  if (error instanceof ToolstackError) {
    const asked = error.code === 'no-domain' || error.code === 'no-device' || error.code === 'exists';
    return new CommandFailure(asked ? ExitCode.refused : ExitCode.failed, error.message);
  }
  if (error instanceof XenStoreError) return new CommandFailure(ExitCode.failed, error.message);
  return error;
}
