import { Worker } from 'node:worker_threads';
import { createExitGate, shutGate } from './exit-gate.js';
import type { HostMessage, WorkerMessage } from './protocol.js';
import type { WorkerSettings } from './worker-entry.js';

/** What a host tells its owner. */
export interface ModelHostEvents {
  message(message: WorkerMessage): void;
  /** Once: the worker is gone, asked or not. `error` is what killed it, when that is known. */
  exit(error: unknown): void;
}

/** A place where models run, seen from the host process: a thread today, a child process may follow. */
export interface ModelHost {
  post(message: HostMessage, transfer?: readonly ArrayBuffer[]): void;
  /** Whether this worker keeps the process alive. */
  keepAlive(value: boolean): void;
  /** At the end of the process: blocks until the task under way is done and lets none start any more. */
  quiesce(): void;
}

export type StartModelHost = (events: ModelHostEvents) => ModelHost;

/** Longest wait for a task when the process ends, in milliseconds. */
const quiesceTimeoutMs = 30_000;

/** Starts a worker thread. Under vitest this file runs from `src`, where the worker's JavaScript does not exist: `dist` has it. */
export function startThread(events: ModelHostEvents, settings: Omit<WorkerSettings, 'gate'> = {}): ModelHost {
  const gate = createExitGate();
  const entry = new URL(import.meta.url.endsWith('.ts') ? '../dist/worker-entry.js' : './worker-entry.js', import.meta.url);
  // The parent's flags (loaders, inspectors, test runners) are not the worker's business.
  const worker = new Worker(entry, { workerData: { ...settings, gate } satisfies WorkerSettings, execArgv: [], name: 'recloom-inference' });
  let failure: unknown;
  worker.on('message', (message: WorkerMessage) => events.message(message));
  worker.on('error', (error) => {
    failure = error;
  });
  worker.on('exit', () => events.exit(failure));
  worker.unref();
  return {
    post: (message, transfer = []) => worker.postMessage(message, transfer),
    keepAlive: (value) => (value ? worker.ref() : worker.unref()),
    quiesce: () => {
      shutGate(gate, quiesceTimeoutMs);
    },
  };
}
