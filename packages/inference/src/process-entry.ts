import { Worker } from 'node:worker_threads';
import { ModelStore } from './model-store.js';
import type { HostMessage, WorkerMessage } from './protocol.js';
import { serve } from './serve.js';

/** What the host hands to a child process at its start, as JSON in its first argument. */
export interface ChildSettings {
  /** Module to import as the runtime; tests name another one. */
  readonly runtimeModule?: string;
}

/** How often the watch looks for the parent, in milliseconds. */
const watchIntervalMs = 250;

/**
 * Ends this process when its parent is gone. `disconnect` comes only between two runs; a run that never ends would
 * outlive a host that was killed. So a thread of its own looks for the parent, and kills without asking.
 */
function watchParent(): void {
  process.on('disconnect', () => process.exit(0));
  const script = `
    const parent = ${process.ppid};
    setInterval(() => { if (process.ppid !== parent) process.kill(process.pid, 'SIGKILL'); }, ${watchIntervalMs});
  `;
  new Worker(script, { eval: true, execArgv: [], name: 'recloom-parent-watch', resourceLimits: { maxOldGenerationSizeMb: 8 } }).unref();
}

function start(send: (message: WorkerMessage) => void, settings: ChildSettings): void {
  watchParent();
  const take = serve(
    {
      post: (message) => send(message),
      // One turn of the event loop reads what is in the pipe.
      settle: () => new Promise((resolve) => setImmediate(resolve)),
      enter: () => true,
      leave: () => {},
      end: () => process.exit(0),
    },
    new ModelStore(settings.runtimeModule),
  );
  process.on('message', (message) => take(message as HostMessage));
}

if (process.send !== undefined) start((message) => process.send?.(message), JSON.parse(process.argv[2] ?? '{}') as ChildSettings);
