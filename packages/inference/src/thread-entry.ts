import { setPriority } from 'node:os';
import { platform } from 'node:process';
import { type MessagePort, parentPort, receiveMessageOnPort, workerData } from 'node:worker_threads';
import { type Doorbell, ringsOf, waitForRing } from './doorbell.js';
import { type ExitGate, enterGate, leaveGate } from './exit-gate.js';
import { ModelStore } from './model-store.js';
import type { HostMessage } from './protocol.js';
import { serve } from './serve.js';

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
