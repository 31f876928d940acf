import type { InferenceTensor } from '@recloom/plugin-api';
import { type ModelStore, outputBuffers } from './model-store.js';
import { monotonicMs } from './monotonic.js';
import { type HostMessage, toPlainError, type WorkerMessage } from './protocol.js';

/** A worker's end of the connection to its host. */
export interface Connection {
  post(message: WorkerMessage, transfer?: readonly ArrayBuffer[]): void;
  /** Hands what has arrived meanwhile to `accept`: a run blocks the loop, and cancellations must overtake the next one. */
  settle(accept: (message: HostMessage) => void): void | Promise<void>;
  /** Blocks until a message may have come, when there is nothing to do. False: not now, the next one comes by itself. Absent where messages need the event loop. */
  wait?(): boolean;
  /** A task may start. False when the process is ending. */
  enter(): boolean;
  leave(): void;
  /** The end of the worker. */
  end(): void;
}

type Task = Exclude<HostMessage, { readonly kind: 'cancel' }>;

/** Smaller outputs are copied: that is cheaper than to take their memory from one thread and give it to another. */
const leastTransferredBytes = 16 * 1024;

function bytesOf(outputs: Readonly<Record<string, InferenceTensor>>): number {
  let bytes = 0;
  for (const name in outputs) bytes += outputs[name]?.data.byteLength ?? 0;
  return bytes;
}

/** Answers a host's messages with the models of one store, one after the other. Gives the function that takes a message in. */
export function serve(connection: Connection, store: ModelStore): (message: HostMessage) => void {
  const tasks: Task[] = [];
  const cancelled = new Set<number>();
  let busy = false;

  const accept = (message: HostMessage): void => {
    if (message.kind !== 'cancel') tasks.push(message);
    else if (tasks.some((task) => 'call' in task && task.call === message.call)) cancelled.add(message.call);
  };
  const reply = (message: WorkerMessage, transfer: readonly ArrayBuffer[] = []): void => connection.post(message, transfer);

  const perform = async (task: Task): Promise<void> => {
    switch (task.kind) {
      case 'open':
        return reply({ kind: 'opened', call: task.call, model: await store.open(task.model) });
      case 'run': {
        if (cancelled.delete(task.call)) return reply({ kind: 'skipped', call: task.call, why: 'cancelled' });
        if (task.startBefore !== undefined && monotonicMs() > task.startBefore) {
          return reply({ kind: 'skipped', call: task.call, why: 'late' });
        }
        const started = performance.now();
        const { outputs, fellBack } = await store.run(task.key, task.feeds, task.outputs);
        const milliseconds = performance.now() - started;
        return reply(
          { kind: 'ran', call: task.call, outputs, milliseconds, fellBack },
          bytesOf(outputs) < leastTransferredBytes ? [] : outputBuffers(outputs),
        );
      }
      case 'useCpu':
        return store.useCpu(task.key);
      case 'release':
        return store.release(task.key);
      case 'stop':
        try {
          await store.close();
        } finally {
          connection.end();
        }
    }
  };

  const work = async (): Promise<void> => {
    if (busy) return;
    busy = true;
    try {
      for (;;) {
        const settling = connection.settle(accept);
        if (settling !== undefined) await settling;
        const task = tasks.shift();
        if (task === undefined) {
          if (connection.wait?.() === true) continue;
          return;
        }
        if (!connection.enter()) return;
        try {
          await perform(task);
        } catch (error) {
          if ('call' in task) reply({ kind: 'failed', call: task.call, error: toPlainError(error) });
        } finally {
          connection.leave();
        }
      }
    } finally {
      busy = false;
    }
  };

  return (message) => {
    accept(message);
    void work();
  };
}
