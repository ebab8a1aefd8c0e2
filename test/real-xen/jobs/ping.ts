import { Companion, until } from './programs';

/** Seconds between pings. */
const INTERVAL = 0.2;
/** Seconds an answer may take, on a machine that has other things to do as well. */
const ANSWER_SECONDS = 20;

/** A ping that goes on all the time, as a user of the guest would notice what happens to it. */
export class SteadyPing {
  private readonly ping: Companion;

  /** @param bytes of payload, which are not fragmented. */
  constructor(address: string, bytes = 56) {
    const size = ['-M', 'do', '-s', String(bytes)];
    this.ping = new Companion('ping', '-n', '-i', String(INTERVAL), ...size, address);
  }

  /** Sequence numbers of the answers, in their order. */
  private get answers(): readonly number[] {
    return this.ping.lines.flatMap((line) => {
      const match = /icmp_seq=(\d+) ttl/.exec(line);
      return match === null ? [] : [Number(match[1])];
    });
  }

  /** Waits until `count` pings in a row were answered, all sent from now on. */
  async goesOn(count = 10): Promise<void> {
    const from = this.answers.length;
    await until(`${count} answers in a row after\n${this.ping.lines.slice(-5).join('\n')}`, 120, () => {
      const last = this.answers.slice(from).slice(-count);
      const first = last[0];
      return first !== undefined && last.length === count && last[count - 1] === first + count - 1
        ? true
        : undefined;
    });
  }

  /** Waits for the answers to the first `count` pings. @returns how many of them did not come. */
  async lossOf(count: number): Promise<number> {
    const lost = (): number => count - new Set(this.answers.filter((number) => number <= count)).size;
    await until(`${count} answers`, ANSWER_SECONDS + count * INTERVAL, () =>
      lost() === 0 || this.ping.isOver ? true : undefined,
    ).catch(() => undefined);
    return lost();
  }

  async stop(): Promise<string> {
    await this.ping.stop('SIGINT');
    return this.ping.lines.find((line) => line.includes('packets transmitted')) ?? '';
  }
}

/**
 * Packets lost, of `count`. `ping -c` waits for its last answers no longer than twice what the slowest took, it seems, and calls
 * the rest lost: so it is not told how many count.
 */
export async function pingLoss(address: string, count: number, bytes = 56): Promise<number> {
  const ping = new SteadyPing(address, bytes);
  const lost = await ping.lossOf(count);
  await ping.stop();
  return lost;
}
