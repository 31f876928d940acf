import { parentPort, workerData } from 'node:worker_threads';
import type { KernelName, KernelTable } from './kernel-table.js';
import type { KernelsHandle } from './kernels.js';
import { instantiateModule } from './load-module.js';
import { createTwin } from './twin/create-twin.js';

/** One kernel call for a worker thread. */
export interface WorkerRequest {
  readonly call: number;
  readonly kernel: KernelName;
  readonly parameters: readonly number[];
}

/** Its answer, or the message of what stopped it. */
export interface WorkerReply {
  readonly call: number;
  readonly answer?: number;
  readonly trap?: string;
}

function openTable(handle: KernelsHandle): KernelTable {
  const { memory, module } = handle;
  if (module !== undefined) return instantiateModule(module, memory);
  const buffer = memory instanceof SharedArrayBuffer ? memory : memory.buffer;
  return createTwin(() => buffer);
}

if (parentPort !== null) {
  const port = parentPort;
  const table = openTable(workerData as KernelsHandle);
  port.on('message', ({ call, kernel, parameters }: WorkerRequest) => {
    let reply: WorkerReply;
    try {
      const run = table[kernel] as (...parameters: readonly number[]) => number;
      reply = { call, answer: run(...parameters) };
    } catch (error) {
      reply = { call, trap: error instanceof Error ? error.message : String(error) };
    }
    port.postMessage(reply);
  });
}
