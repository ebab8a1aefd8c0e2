/**
 * Frames per second of two links in one thread on plain memory: the engine without the simulated Xen's own cost. Run with
 * `npm run bench` in this package; prints one line per frame size.
 */
import wabt from 'wabt';
import { linkedEnds } from '../src/linked-ends.fixture';
import { TwoDomains } from '../src/two-domains.fixture';

const PAGES = 4096;
const KERNEL = `(module (import "m" "m" (memory ${PAGES} ${PAGES} shared))
  (func (export "copy") (param i32 i32 i32) (memory.copy (local.get 0) (local.get 1) (local.get 2))))`;

async function machineWithKernel(): Promise<TwoDomains> {
  const memory = new WebAssembly.Memory({ initial: PAGES, maximum: PAGES, shared: true });
  const { parseWat } = await wabt();
  const { buffer } = parseWat('kernel.wat', KERNEL, { threads: true, bulk_memory: true }).toBinary({});
  const instance = new WebAssembly.Instance(new WebAssembly.Module(new Uint8Array(buffer)), {
    m: { m: memory },
  });
  const copy = instance.exports.copy as (target: number, source: number, length: number) => void;
  return new TwoDomains(PAGES, copy, memory.buffer as unknown as SharedArrayBuffer);
}

async function measure(length: number, order: number, seconds: number): Promise<void> {
  const { machine, frontend, backend } = linkedEnds({
    machine: await machineWithKernel(),
    order,
    record: false,
  });
  let bytes = 0;
  backend.frames.subscribe((frame) => {
    bytes += frame.byteLength;
  });
  const frame = frontend.pool.frameFrom(new Uint8Array(length).fill(1));
  if (frame === undefined) throw new Error('no pages');
  const fill = () => {
    while (frontend.link.send(frame));
  };
  frontend.writable.subscribe(fill);
  fill();
  const run = (milliseconds: number) => {
    const before = backend.counters.framesReceived;
    const start = performance.now();
    while (performance.now() - start < milliseconds) machine.settle(200);
    return (1e6 * (performance.now() - start)) / (backend.counters.framesReceived - before);
  };
  run(500);
  const nanoseconds = run(seconds * 1000);
  const notifications =
    (frontend.domain.notifications + backend.domain.notifications) / backend.counters.framesReceived;
  console.log(
    `${length} B, order ${order}: ${(1000 / nanoseconds).toFixed(2)} M frames/s, ${nanoseconds.toFixed(0)} ns, ` +
      `${notifications.toFixed(3)} events per frame, ${bytes > 0 ? 'received' : 'nothing received'}`,
  );
}

if (process.argv[2] !== undefined) await measure(Number(process.argv[2]), 2, 4);
else for (const order of [1, 2]) for (const length of [64, 256, 1514, 4096]) await measure(length, order, 1);
