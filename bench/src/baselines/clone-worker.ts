import { type MessagePort, parentPort, workerData } from 'node:worker_threads';

/** One end of the structured-clone baseline: sends frames in windows, or counts them and acknowledges windows. */
const { port, frameBytes, window } = workerData as {
  port: MessagePort;
  frameBytes: number;
  window: number;
};

if (workerData.role === 'receiver') {
  let received = 0;
  port.on('message', () => {
    received += 1;
    if (received % window === 0) port.postMessage(received);
  });
} else {
  const frame = new Uint8Array(frameBytes).fill(0x5a);
  let left = 0;
  let inFlight = 0;
  const sendWindow = () => {
    while (left > 0 && inFlight < 2) {
      for (let index = 0; index < window; index += 1) port.postMessage(frame);
      inFlight += 1;
      left -= window;
    }
    if (left <= 0 && inFlight === 0) parentPort?.postMessage('done');
  };
  port.on('message', () => {
    inFlight -= 1;
    sendWindow();
  });
  parentPort?.on('message', (count: number) => {
    left = Math.ceil(count / window) * window;
    sendWindow();
  });
}
