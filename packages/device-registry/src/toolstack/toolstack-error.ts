/** An attach or detach that did not come about. `code` tells the reasons apart. */
export class ToolstackError extends Error {
  override readonly name = 'ToolstackError';
  constructor(
    readonly code: 'no-domain' | 'no-device' | 'exists' | 'no-backend' | 'refused' | 'timeout' | 'hotplug',
    message: string,
  ) {
    super(message);
  }
}
