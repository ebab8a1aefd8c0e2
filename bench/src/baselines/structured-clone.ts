import { once } from 'node:events';
import { MessageChannel, Worker } from 'node:worker_threads';
import { measureRate, type Rate, type RateOptions } from '../rate';

const WINDOW = 256;

/** Frames per second between two workers by `postMessage`, each message a structured clone of the frame. */
export async function structuredCloneRate(frameBytes: number, options: RateOptions): Promise<Rate> {
  const { port1, port2 } = new MessageChannel();
  const script = new URL('./baselines/clone-worker.js', import.meta.url);
  const start = (role: string, port: typeof port1) =>
    new Worker(script, { workerData: { role, port, frameBytes, window: WINDOW }, transferList: [port] });
  const sender = start('sender', port1);
  const receiver = start('receiver', port2);
  try {
    return await measureRate(async (count) => {
      sender.postMessage(count);
      await once(sender, 'message');
    }, options);
  } finally {
    await Promise.all([sender.terminate(), receiver.terminate()]);
  }
}
