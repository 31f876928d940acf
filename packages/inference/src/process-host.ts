import { type ChildProcess, fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { entryOf, type ModelHost, type ModelHostEvents } from './model-host.js';
import type { ChildSettings } from './process-entry.js';
import type { WorkerMessage } from './protocol.js';

export interface ProcessSettings extends ChildSettings {
  /** Environment variables besides this process's own, e.g. the path of a driver. */
  readonly environment?: Readonly<Record<string, string>>;
}

/** Characters of a child's stderr that are kept to tell why it died. */
const keptCharacters = 2_000;

/**
 * Starts a child process. Tensors are copied through a pipe (Node has no memory that processes share). It survives
 * nothing of ours and we survive everything of it: it ends with its parent, and may be killed at any time.
 */
export function startProcess(events: ModelHostEvents, { environment, ...settings }: ProcessSettings = {}): ModelHost {
  const child = fork(fileURLToPath(entryOf('process-entry')), [JSON.stringify(settings satisfies ChildSettings)], {
    serialization: 'advanced',
    execArgv: [],
    env: { ...process.env, ...environment, NODE_OPTIONS: '' },
    stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
  });
  let words = '';
  child.stderr?.setEncoding('utf8').on('data', (text: string) => {
    words = (words + text).slice(-keptCharacters);
  });
  let over = false;
  const exit = (error: unknown): void => {
    if (over) return;
    over = true;
    events.exit(error);
  };
  child.on('message', (message) => events.message(message as WorkerMessage));
  child.on('error', (error) => {
    // Also what could not be sent; a child that never started has no other event.
    if (child.pid === undefined) exit(error);
  });
  child.on('exit', (code, signal) => exit(causeOf(code, signal, words)));
  const keepAlive = (value: boolean): void => {
    if (value) child.ref();
    else child.unref();
    const method = value ? 'ref' : 'unref';
    // Typed as a stream and an object; both are handles of the event loop.
    (child.stderr as unknown as { ref(): void; unref(): void } | null)?.[method]();
    child.channel?.[method]();
  };
  keepAlive(false);
  return {
    post: (message) => {
      // A child that is gone says so by `exit`; nothing more is to be done here.
      if (child.connected) child.send(message, () => {});
    },
    keepAlive,
    quiesce: () => {
      child.kill('SIGKILL');
    },
    kill: () => {
      child.kill('SIGKILL');
    },
  };
}

function causeOf(code: ChildProcess['exitCode'], signal: NodeJS.Signals | null, words: string): Error | undefined {
  if (code === 0) return undefined;
  const how = signal === null ? `the child process ended with the code ${code}` : `the child process was ended by ${signal}`;
  const said = words.trim();
  return new Error(said === '' ? how : `${how}; it said: ${said}`);
}
