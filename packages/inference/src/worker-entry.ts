import { type MessagePort, parentPort, receiveMessageOnPort, workerData } from 'node:worker_threads';
import { type ExitGate, enterGate, leaveGate } from './exit-gate.js';
import { ModelStore, outputBuffers } from './model-store.js';
import { type HostMessage, toPlainError, type WorkerMessage } from './protocol.js';

/** What the host hands to a worker at its start. */
export interface WorkerSettings {
  readonly gate: ExitGate;
  /** Module to import as the runtime; tests name one that is missing. */
  readonly runtimeModule?: string;
}

type Task = Exclude<HostMessage, { readonly kind: 'cancel' }>;

function serve(port: MessagePort, settings: WorkerSettings): void {
  const store = new ModelStore(settings.runtimeModule);
  const tasks: Task[] = [];
  const cancelled = new Set<number>();
  let busy = false;

  const accept = (message: HostMessage): void => {
    if (message.kind !== 'cancel') tasks.push(message);
    else if (tasks.some((task) => 'call' in task && task.call === message.call)) cancelled.add(message.call);
  };
  const reply = (message: WorkerMessage, transfer: readonly ArrayBuffer[] = []): void => port.postMessage(message, transfer);

  const perform = async (task: Task): Promise<void> => {
    switch (task.kind) {
      case 'open':
        return reply({ kind: 'opened', call: task.call, model: await store.open(task.model) });
      case 'run': {
        if (cancelled.delete(task.call)) return reply({ kind: 'skipped', call: task.call, why: 'cancelled' });
        if (task.startBefore !== undefined && performance.timeOrigin + performance.now() > task.startBefore) {
          return reply({ kind: 'skipped', call: task.call, why: 'late' });
        }
        const outputs = await store.run(task.key, task.feeds, task.outputs);
        return reply({ kind: 'ran', call: task.call, outputs }, outputBuffers(outputs));
      }
      case 'release':
        return store.release(task.key);
      case 'stop':
        try {
          await store.close();
        } finally {
          port.close();
        }
    }
  };

  const work = async (): Promise<void> => {
    if (busy) return;
    busy = true;
    try {
      for (;;) {
        // A run blocks this thread, so cancellations that arrived meanwhile are read before the next task starts.
        for (let next = receiveMessageOnPort(port); next !== undefined; next = receiveMessageOnPort(port))
          accept(next.message as HostMessage);
        const task = tasks.shift();
        if (task === undefined || !enterGate(settings.gate)) return;
        try {
          await perform(task);
        } catch (error) {
          if ('call' in task) reply({ kind: 'failed', call: task.call, error: toPlainError(error) });
        } finally {
          leaveGate(settings.gate);
        }
      }
    } finally {
      busy = false;
    }
  };

  port.on('message', (message: HostMessage) => {
    accept(message);
    void work();
  });
}

if (parentPort !== null) serve(parentPort, workerData as WorkerSettings);
