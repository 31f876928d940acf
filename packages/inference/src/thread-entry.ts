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

function start(port: MessagePort, settings: ThreadSettings): void {
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
