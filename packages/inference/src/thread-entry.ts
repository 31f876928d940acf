import { type MessagePort, parentPort, receiveMessageOnPort, workerData } from 'node:worker_threads';
import { type Doorbell, ringsOf, waitForRing } from './doorbell.js';
import { type ExitGate, enterGate, leaveGate } from './exit-gate.js';
import { ModelStore } from './model-store.js';
import type { HostMessage } from './protocol.js';
import { serve } from './serve.js';
import { standBack } from './stand-back.js';

/** What the host hands to a worker thread at its start. */
export interface ThreadSettings {
  readonly gate: ExitGate;
  /** Rung after every message. */
  readonly bell: Doorbell;
  /** Module to import as the runtime; tests name another one. */
  readonly runtimeModule?: string;
}

/** How long a thread that has nothing to do waits where a message finds it soonest, before it goes back to its event loop. */
const longestWaitMs = 100;

function start(port: MessagePort, settings: ThreadSettings): void {
  standBack();
  const { gate, bell } = settings;
  let rings = 0;
  let ended = false;
  const take = serve(
    {
      post: (message, transfer) => port.postMessage(message, transfer),
      settle: (accept) => {
        rings = ringsOf(bell);
        for (let next = receiveMessageOnPort(port); next !== undefined; next = receiveMessageOnPort(port))
          accept(next.message as HostMessage);
      },
      wait: () => !ended && waitForRing(bell, rings, longestWaitMs),
      enter: () => enterGate(gate),
      leave: () => leaveGate(gate),
      end: () => {
        ended = true;
        port.close();
      },
    },
    new ModelStore(settings.runtimeModule),
  );
  port.on('message', take);
}

if (parentPort !== null) start(parentPort, workerData as ThreadSettings);
