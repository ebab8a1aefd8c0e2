import {
  FINISH_NOT_OBTAINED,
  FINISH_PACKET_SIZE,
  MessageType,
  messageHeader,
  NO_SPACE,
  type UringProducer,
} from '@netchannel2/netchannel2';
import { OWED, RECORD_WORDS, RecordWord } from './batch-record';
import type { LinkBlock } from './link-block';
import type { SendGate } from './send-gate';
import { UnfinishedIds } from './unfinished-ids';

const HEADER = messageHeader(MessageType.finishPacket, 0, FINISH_PACKET_SIZE);
const NOT_OBTAINED_HEADER = messageHeader(MessageType.finishPacket, FINISH_NOT_OBTAINED, FINISH_PACKET_SIZE);

/**
 * FINISHes on their way to the peer. The reserve keeps room for all of them; a peer that does not publish what it consumed
 * makes them wait here, and they go out before any PACKET (spec §2.4).
 */
export class FinishQueue {
  /** FINISHes that found no room. */
  pending = 0;
  /** Packets whose FINISH is not in the ring yet: the peer cannot know that they are over. */
  readonly unfinished: UnfinishedIds;

  private readonly ids: Int32Array;
  private readonly flags: Uint8Array;

  /**
   * @param capacity the credit this end advertised: a legal peer never makes more wait.
   * @param block of the batch whose packets are finished.
   * @param gate closed while FINISHes wait.
   */
  constructor(
    private readonly producer: UringProducer,
    readonly capacity: number,
    private readonly block?: LinkBlock | undefined,
    private readonly gate?: SendGate,
  ) {
    this.unfinished = new UnfinishedIds(capacity, block?.ids);
    this.ids = new Int32Array(capacity);
    this.flags = new Uint8Array(capacity);
  }

  /** @param id one of {@link unfinished}. @returns `false` when the queue is full: the peer is at fault. */
  finish(id: number, flags: number): boolean {
    if (this.pending === 0 && this.write(id, flags)) return true;
    if (this.pending === this.capacity) return false;
    this.ids[this.pending] = id;
    this.flags[this.pending] = flags;
    this.pending += 1;
    this.gate?.close();
    return true;
  }

  /**
   * As {@link finish} for each of the first `count` packets of a batch that is owed one and whose bytes were obtained, in
   * order: what fits before the ring's end is written at once.
   */
  finishBatch(records: Int32Array, count: number): boolean {
    const end = count * RECORD_WORDS;
    const room = this.pending === 0 ? this.producer.adjacentRoom(FINISH_PACKET_SIZE) : 0;
    let record =
      this.block === undefined
        ? this.writeAdjacent(records, count, room)
        : this.writeByKernel(this.block, count, room);
    for (; record < end; record += RECORD_WORDS) {
      if (((records[record + RecordWord.state] as number) & OWED) === 0) continue;
      if (!this.finish(records[record + RecordWord.id] as number, 0)) return false;
    }
    return true;
  }

  /** As {@link finish}, for the first `count` of `ids`. @param obtained 1 for each whose bytes were obtained, else 0. */
  finishRun(ids: Int32Array, obtained: Uint8Array, count: number): boolean {
    const { producer, unfinished } = this;
    const room = this.pending === 0 ? Math.min(count, producer.adjacentRoom(FINISH_PACKET_SIZE)) : 0;
    const { words } = producer;
    let at = producer.nextWord;
    for (let index = 0; index < room; index += 1) {
      const id = ids[index] as number;
      words[at] = obtained[index] === 1 ? HEADER : NOT_OBTAINED_HEADER;
      words[at + 1] = id;
      unfinished.remove(id);
      at += FINISH_PACKET_SIZE >> 2;
    }
    producer.commit(room * FINISH_PACKET_SIZE);
    for (let index = room; index < count; index += 1) {
      const flags = obtained[index] === 1 ? 0 : FINISH_NOT_OBTAINED;
      if (!this.finish(ids[index] as number, flags)) return false;
    }
    return true;
  }

  /** Writes up to `room` FINISHes side by side. @returns the first record that was not looked at. */
  private writeByKernel(block: LinkBlock, count: number, room: number): number {
    const { producer } = this;
    const seen = block.kernel.writeFinishes(block.base, count, producer.nextWord << 2, room);
    const written = block.owed;
    this.unfinished.size -= written;
    producer.commit(written * FINISH_PACKET_SIZE);
    return seen * RECORD_WORDS;
  }

  private writeAdjacent(records: Int32Array, count: number, room: number): number {
    const { producer, unfinished } = this;
    const { words } = producer;
    let at = producer.nextWord;
    let written = 0;
    let record = 0;
    const end = count * RECORD_WORDS;
    for (; record < end && written < room; record += RECORD_WORDS) {
      if (((records[record + RecordWord.state] as number) & OWED) === 0) continue;
      const id = records[record + RecordWord.id] as number;
      words[at] = HEADER;
      words[at + 1] = id;
      unfinished.remove(id);
      at += FINISH_PACKET_SIZE >> 2;
      written += 1;
    }
    producer.commit(written * FINISH_PACKET_SIZE);
    return record;
  }

  /** Sends what waits, as much as fits. */
  drain(): void {
    if (this.pending === 0) return;
    let sent = 0;
    while (sent < this.pending && this.write(this.ids[sent] as number, this.flags[sent] as number)) sent += 1;
    this.ids.copyWithin(0, sent, this.pending);
    this.flags.copyWithin(0, sent, this.pending);
    this.pending -= sent;
  }

  private write(id: number, flags: number): boolean {
    const { producer } = this;
    const at = producer.claim(FINISH_PACKET_SIZE, 0);
    if (at === NO_SPACE) return false;
    producer.words[at] = HEADER | (flags << 8);
    producer.words[at + 1] = id;
    producer.commit(FINISH_PACKET_SIZE);
    this.unfinished.remove(id);
    return true;
  }
}
