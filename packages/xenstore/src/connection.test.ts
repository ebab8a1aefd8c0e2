import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { ByteReceiver } from './byte-duplex';
import { XenStoreClient } from './client';
import { MessageReader, OVERSIZED } from './message-reader';
import { XenStoreServer } from './server';
import { RawClient, settle } from './testing/raw-client';
import { z } from './testing/scenario';
import { encodeMessage, encodeMessages, MESSAGE_TYPE, type Message } from './wire';

const u32 = fc.nat(0xffffffff);
const message = fc.record({
  type: u32,
  requestId: u32,
  transactionId: u32,
  payload: fc.uint8Array({ maxLength: 200 }).map((bytes) => Buffer.from(bytes).toString('latin1')),
});

describe('MessageReader', () => {
  it('finds the messages of any stream, however it is cut', () => {
    fc.assert(
      fc.property(
        fc.array(message, { maxLength: 8 }),
        fc.array(fc.integer({ min: 1, max: 90 })),
        (messages, cuts) => {
          const stream = encodeMessages(messages);
          const reader = new MessageReader();
          const found: Message[] = [];
          let offset = 0;
          for (let piece = 0; offset < stream.length; piece++) {
            const size = cuts[piece] ?? stream.length;
            reader.push(Uint8Array.from(stream.subarray(offset, offset + size)));
            offset += size;
            for (let next = reader.next(); next !== undefined && next !== OVERSIZED; next = reader.next()) {
              found.push(next);
            }
          }
          expect(found).toEqual(messages);
          expect(reader.buffered).toBe(0);
        },
      ),
    );
  });

  it('takes 4096 bytes of payload and no more', () => {
    const reader = new MessageReader();
    reader.push(encodeMessage({ type: 2, requestId: 0, transactionId: 0, payload: 'x'.repeat(4096) }));
    expect(reader.next()).toMatchObject({ type: 2 });
    reader.push(
      encodeMessage({ type: 2, requestId: 0, transactionId: 0, payload: 'x'.repeat(4097) }).subarray(0, 16),
    );
    expect(reader.next()).toBe(OVERSIZED);
  });
});

describe('a server with many clients', () => {
  it('serves them in turns, one request each', async () => {
    const server = new XenStoreServer();
    const [busy, quiet] = [
      new RawClient(server.connect({ domid: 0 })),
      new RawClient(server.connect({ domid: 0 })),
    ];
    const order: string[] = [];
    const watcher = new RawClient(server.connect({ domid: 0 }));
    await watcher.ask('WATCH', z('/n', 't'));
    await watcher.takeEvents();
    const write = (name: string) =>
      encodeMessage({ type: MESSAGE_TYPE.WRITE, requestId: 0, transactionId: 0, payload: `/n/${name}\0` });
    busy.duplex.send(Buffer.concat(Array.from({ length: 100 }, (_, index) => write(`busy${index}`))));
    quiet.duplex.send(Buffer.concat([write('quiet0'), write('quiet1')]));
    order.push(...(await watcher.takeEvents()));
    expect(order.slice(0, 5)).toEqual(
      ['busy0', 'quiet0', 'busy1', 'quiet1', 'busy2'].map((name) => `/n/${name}:t`),
    );
    expect(order).toHaveLength(102);
  });

  it('queues events of a request before its answer, and those of WATCH behind', async () => {
    const server = new XenStoreServer();
    const client = new RawClient(server.connect({ domid: 0 }));
    await client.ask('WATCH', z('/a', 't'));
    await client.ask('WRITE', '/a/b\0');
    await settle();
    expect(client.order).toEqual(['=', '/a:t', '/a/b:t', '=']);
  });

  it('merges events nobody has read yet, but for special ones', async () => {
    const server = new XenStoreServer();
    const slow = new RawClient(server.connect({ domid: 0 }));
    const writer = new RawClient(server.connect({ domid: 0 }));
    await slow.ask('WATCH', z('/a', 't'));
    await slow.ask('WATCH', z('@introduceDomain', 's'));
    await slow.takeEvents();
    const write = encodeMessage({
      type: MESSAGE_TYPE.WRITE,
      requestId: 0,
      transactionId: 0,
      payload: '/a\0',
    });
    writer.duplex.send(Buffer.concat([write, write, write]));
    await settle();
    server.introduceDomain(8);
    server.introduceDomain(9);
    expect(await slow.takeEvents()).toEqual(['/a:t', '@introduceDomain:s', '@introduceDomain:s']);
  });

  it('survives a transport that throws', async () => {
    const server = new XenStoreServer();
    let receiver: ByteReceiver | undefined;
    server.attach(
      {
        open: (opened) => {
          receiver = opened;
        },
        send: () => {
          throw new Error('broken');
        },
        pause: () => undefined,
        resume: () => undefined,
        close: () => undefined,
      },
      { domid: 0 },
    );
    receiver?.receive(encodeMessage({ type: 2, requestId: 0, transactionId: 0, payload: '/\0' }));
    await settle();
    expect(server.statistics()).toMatchObject({ connections: 0, faults: 1 });
    expect(await new RawClient(server.connect({ domid: 0 })).ask('READ', z('/'))).toBe('');
  });
});

/** A client whose server is the test. */
function scripted() {
  const sent: Message[] = [];
  const reader = new MessageReader();
  const stream: { receiver?: ByteReceiver; closed: boolean } = { closed: false };
  const client = new XenStoreClient({
    open: (receiver) => {
      stream.receiver = receiver;
    },
    send: (chunk) => {
      reader.push(chunk);
      for (let next = reader.next(); next !== undefined && next !== OVERSIZED; next = reader.next())
        sent.push(next);
      return true;
    },
    pause: () => undefined,
    resume: () => undefined,
    close: () => {
      stream.closed = true;
    },
  });
  const answer = (type: number, payload: string) =>
    stream.receiver?.receive(encodeMessage({ type, requestId: 0, transactionId: 0, payload }));
  return { client, sent, answer, stream };
}

describe('a client and a server that misbehaves', () => {
  it('row 80: an event after UNWATCH is ignored', async () => {
    const { client, sent, answer } = scripted();
    const seen: string[] = [];
    const subscription = client.watch('/a').subscribe(({ path }) => seen.push(path));
    await settle();
    const token = sent[0]?.payload.split('\0')[1];
    answer(MESSAGE_TYPE.WATCH_EVENT, `/a\0${token}\0`);
    answer(MESSAGE_TYPE.WATCH, 'OK\0');
    subscription.unsubscribe();
    await settle();
    answer(MESSAGE_TYPE.WATCH_EVENT, `/a/b\0${token}\0`);
    answer(MESSAGE_TYPE.UNWATCH, 'OK\0');
    answer(MESSAGE_TYPE.WATCH_EVENT, '/a/b\0unknown\0');
    answer(MESSAGE_TYPE.WATCH_EVENT, 'nonsense');
    expect(seen).toEqual(['/a']);
    expect(client.connected).toBe(true);
  });

  it('unknown errors read as EINVAL', async () => {
    const { client, answer } = scripted();
    const reading = client.read('/a');
    await settle();
    answer(MESSAGE_TYPE.ERROR, 'EWHATEVER\0');
    await expect(reading).rejects.toMatchObject({ code: 'EINVAL' });
  });

  it.each([
    [
      'an answer of another type',
      (answer: (type: number, payload: string) => unknown) => answer(MESSAGE_TYPE.WRITE, 'OK\0'),
    ],
    [
      'an answer nobody asked for',
      (answer: (type: number, payload: string) => unknown) => {
        answer(MESSAGE_TYPE.ERROR, 'EIO\0');
        answer(MESSAGE_TYPE.ERROR, 'EIO\0');
      },
    ],
    [
      'an oversized answer',
      (answer: (type: number, payload: string) => unknown) => answer(MESSAGE_TYPE.READ, 'x'.repeat(5000)),
    ],
  ])('%s ends the connection', async (_title, misbehave) => {
    const { client, answer, stream } = scripted();
    const errors: unknown[] = [];
    client.watch('/a').subscribe({ error: (error: unknown) => errors.push(error) });
    await settle();
    answer(MESSAGE_TYPE.WATCH, 'OK\0');
    const reading = client.read('/a');
    reading.catch(() => undefined);
    await settle();
    misbehave(answer);
    await expect(reading).rejects.toMatchObject({ code: 'EIO' });
    expect(stream.closed).toBe(true);
    expect(client.connected).toBe(false);
    expect(errors).toMatchObject([{ code: 'EIO' }]);
  });

  it.each(['1', '1\0', '\0', 'x\0\0'])(
    'a list in nonsensical parts (%j) ends with an error',
    async (part) => {
      const { client, answer } = scripted();
      const listing = client.list('/a');
      listing.catch(() => undefined);
      await settle();
      answer(MESSAGE_TYPE.ERROR, 'E2BIG\0');
      await settle();
      answer(MESSAGE_TYPE.DIRECTORY_PART, part);
      await settle();
      const result = await listing.then(
        (names) => names,
        (error: { code: string }) => error.code,
      );
      expect(result).toEqual(part.endsWith('\0\0') || part === '\0' ? (part === '\0' ? 'EIO' : []) : 'EIO');
    },
  );
});
