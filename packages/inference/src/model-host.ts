import type { HostMessage, WorkerMessage } from './protocol.js';

/** What a host tells its owner. */
export interface ModelHostEvents {
  message(message: WorkerMessage): void;
  /** Once: the worker is gone, asked or not. `error` is what killed it, when that is known. */
  exit(error: unknown): void;
}

/** A place where models run, seen from the host process: a thread or a child process. */
export interface ModelHost {
  post(message: HostMessage, transfer?: readonly ArrayBuffer[]): void;
  /** Whether this worker keeps the process alive. */
  keepAlive(value: boolean): void;
  /** At the end of the process: lets no task start any more, and leaves nothing behind. */
  quiesce(): void;
  /** Ends the worker at once, even within a native call; `exit` follows. Absent where that would take the process with it. */
  readonly kill?: () => void;
}

export type StartModelHost = (events: ModelHostEvents) => ModelHost;

/** The JavaScript of a worker. Under vitest this file runs from `src`, where it does not exist: `dist` has it. */
export function entryOf(name: string): URL {
  return new URL(import.meta.url.endsWith('.ts') ? `../dist/${name}.js` : `./${name}.js`, import.meta.url);
}
