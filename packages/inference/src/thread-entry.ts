import { setPriority } from 'node:os';
import { platform } from 'node:process';
import { type MessagePort, parentPort, receiveMessageOnPort, workerData } from 'node:worker_threads';
import { type ExitGate, enterGate, leaveGate } from './exit-gate.js';
import { ModelStore } from './model-store.js';
import type { HostMessage } from './protocol.js';
import { serve } from './serve.js';

/** What the host hands to a worker thread at its start. */
export interface ThreadSettings {
  readonly gate: ExitGate;
  /** Module to import as the runtime; tests name another one. */
  readonly runtimeModule?: string;
}

/** How much a worker thread stands back behind the host's own threads, in steps of Linux's `nice`. */
const niceness = 5;

/**
 * Models compute for tens of milliseconds at a time. Where cores are short, the host's event loop comes first: woken by a
 * message, a worker would otherwise often take the very core that the sender runs on. Only Linux has priorities of threads;
 * elsewhere the call would slow the whole process.
 */
function standBack(): void {
  if (platform !== 'linux') return;
  try {
    setPriority(0, niceness);
  } catch {
    // Where that is forbidden, all threads are alike.
  }
}

function start(port: MessagePort, settings: ThreadSettings): void {
  standBack();
  const take = serve(
    {
      post: (message, transfer) => port.postMessage(message, transfer),
      settle: (accept) => {
        for (let next = receiveMessageOnPort(port); next !== undefined; next = receiveMessageOnPort(port))
          accept(next.message as HostMessage);
      },
      enter: () => enterGate(settings.gate),
      leave: () => leaveGate(settings.gate),
      end: () => port.close(),
    },
    new ModelStore(settings.runtimeModule),
  );
  port.on('message', take);
}

if (parentPort !== null) start(parentPort, workerData as ThreadSettings);
