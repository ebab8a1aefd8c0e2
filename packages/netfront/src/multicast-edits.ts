/** Requests to edit the backend's multicast list that were sent and not answered yet, by request id. */
export class MulticastEdits {
  private readonly pending = new Map<number, (accepted: boolean) => void>();

  add(id: number, answered: (accepted: boolean) => void): void {
    this.pending.set(id, answered);
  }

  /** Takes the answer to request `id`. Answers whether that was a request of this kind. */
  answer(id: number, accepted: boolean): boolean {
    const answered = this.pending.get(id);
    if (answered === undefined) return false;
    this.pending.delete(id);
    answered(accepted);
    return true;
  }

  /** The connection ended: nothing was accepted, the backend forgets its list. */
  close(): void {
    for (const answered of this.pending.values()) answered(false);
    this.pending.clear();
  }
}

/** A group address `xx:xx:xx:xx:xx:xx` as a 48-bit number, first byte highest. @throws RangeError for anything else. */
export function multicastAddress(mac: string): number {
  if (!/^[0-9a-f][13579bdf](:[0-9a-f]{2}){5}$/i.test(mac))
    throw new RangeError(`"${mac}" is no group address: give six bytes in hex, the first one odd`);
  return Number.parseInt(mac.replaceAll(':', ''), 16);
}
