import { Worker } from 'node:worker_threads';
import { createDoorbell, ringDoorbell } from './doorbell.js';
import { createExitGate, shutGate } from './exit-gate.js';
import { entryOf, type ModelHost, type ModelHostEvents } from './model-host.js';
import type { WorkerMessage } from './protocol.js';
import type { ThreadSettings } from './thread-entry.js';

/** Longest wait for a task when the process ends, in milliseconds. */
const quiesceTimeoutMs = 30_000;

/** Starts a worker thread. It cannot be killed: onnxruntime-node aborts the process when its thread ends within a run. */
export function startThread(events: ModelHostEvents, settings: Omit<ThreadSettings, 'gate' | 'bell'> = {}): ModelHost {
  const gate = createExitGate();
  const bell = createDoorbell();
  // The parent's flags (loaders, inspectors, test runners) are not the worker's business.
  const worker = new Worker(entryOf('thread-entry'), {
    workerData: { ...settings, gate, bell } satisfies ThreadSettings,
    execArgv: [],
    name: 'recloom-inference',
  });
  let failure: unknown;
  worker.on('message', (message: WorkerMessage) => events.message(message));
  worker.on('error', (error) => {
    failure = error;
  });
  worker.on('exit', () => events.exit(failure));
  worker.unref();
  return {
    post: (message, transfer = []) => {
      worker.postMessage(message, transfer);
      ringDoorbell(bell);
    },
    keepAlive: (value) => (value ? worker.ref() : worker.unref()),
    quiesce: () => {
      shutGate(gate, quiesceTimeoutMs);
    },
  };
}
