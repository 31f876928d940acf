import { type InferenceTensor, recloomError } from '@recloom/plugin-api';
import type { PoolModel } from './pool-model.js';
import type { SharingLimits } from './sharing.js';
import type { Task } from './slot.js';

/** The name of this service in messages. */
export const poolName = 'inference';

/** How a call may share its run with others. */
export interface CallSharing {
  /** What `sharingKeyOf` found; a call without company is never asked. */
  key: string | undefined;
  readonly rows: number;
  readonly tokens: number;
  readonly limits: SharingLimits;
}

/** One call of a session's `run`. */
export interface Call {
  readonly id: number;
  readonly model: PoolModel;
  readonly feeds: Readonly<Record<string, InferenceTensor>>;
  readonly outputs: readonly string[];
  sharing: CallSharing | undefined;
  /** Order of the queue: the deadline, or what stands for it. */
  readonly due: number;
  readonly deadlineMs: number | undefined;
  /** From the call to its deadline, for the message. */
  readonly timeoutMs: number;
  readonly arrivedMs: number;
  readonly resolve: (outputs: Record<string, InferenceTensor>) => void;
  readonly reject: (error: unknown) => void;
  /** Told once, when the call has its answer. */
  readonly ended: (() => void) | undefined;
  /** Stops listening to the caller's signal. */
  unlisten: (() => void) | undefined;
  /** Runs out at the deadline. */
  timer: NodeJS.Timeout | undefined;
  /** The caller has its answer; what the worker still says of this call is dropped. */
  answered: boolean;
  /** Set when it was handed to a worker. */
  task: Task | undefined;
}

/** Gives a call what it asked for, unless it has an answer. */
export function fulfil(call: Call, outputs: Record<string, InferenceTensor>): void {
  if (end(call)) call.resolve(outputs);
}

/** Fails a call, unless it has an answer. */
export function fail(call: Call, error: unknown): void {
  if (end(call)) call.reject(error);
}

function end(call: Call): boolean {
  if (call.answered) return false;
  call.answered = true;
  call.unlisten?.();
  if (call.timer !== undefined) clearTimeout(call.timer);
  call.ended?.();
  return true;
}

/** RECLOOM_RUN_ABORTED with the signal's reason. */
export function aborted(signal: AbortSignal | undefined): Error {
  return recloomError('RECLOOM_RUN_ABORTED', {}, { cause: signal?.reason });
}

/** RECLOOM_RUN_TIMEOUT */
export function late(timeoutMs: number): Error {
  return recloomError('RECLOOM_RUN_TIMEOUT', { name: poolName, timeoutMs });
}
