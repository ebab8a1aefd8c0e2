import {
  allowedMessages,
  MessageType,
  messageSize,
  setMaxPacketsValue,
  type UringConsumer,
} from '@netchannel2/netchannel2';
import { CONTROL_MESSAGE_WORDS } from './control-messages';
import { type LinkSettings, PLAIN_RING } from './link-settings';

/** Who acts on control messages. Each answers what ends the connection, or `undefined`. */
export interface ControlHost {
  takeCredit(maxPackets: number): string | undefined;
  /** @param message SET_MAX_FRAGMENTS_PER_PACKET or SET_OFFLOAD. */
  takeLimit(type: number, message: Int32Array): string | undefined;
  takeReady(): string | undefined;
}

/** Takes any message but PACKET and FINISH: a private copy of it is what is looked at. */
export class ControlIntake {
  private readonly allowed: Uint8Array;
  private readonly message = new Int32Array(CONTROL_MESSAGE_WORDS);

  constructor(
    private readonly settings: LinkSettings,
    private readonly consumer: UringConsumer,
    private readonly host: ControlHost,
  ) {
    this.allowed = allowedMessages(settings.rules ?? PLAIN_RING);
  }

  /** Takes the message the consumer stands on. @returns what ends the connection, or `undefined`. */
  take(type: number): string | undefined {
    const { consumer, message, host } = this;
    const smallest = this.allowed[type] as number;
    if (smallest === 0) return `message type ${type} is not allowed here`;
    const size = messageSize(consumer.header);
    if (size < smallest) return `message type ${type} is too short`;
    consumer.copyTo(message, Math.min(size >> 2, CONTROL_MESSAGE_WORDS));
    switch (type) {
      case MessageType.setMaxPackets:
        return host.takeCredit(setMaxPacketsValue(message, 0));
      case MessageType.setMaxFragmentsPerPacket:
      case MessageType.setOffload:
        return host.takeLimit(type, message);
      case MessageType.bypassReady:
        return host.takeReady();
      default:
        return this.settings.bypassMessage?.(message.slice());
    }
  }
}
