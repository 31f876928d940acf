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
  /** Detaches the signal and the timer. */
  detach: () => void;
  /** The caller has its answer; what the worker still says of this call is dropped. */
  answered: boolean;
  /** Set when it was handed to a worker. */
  task: Task | undefined;
}

/** Gives a call its answer, unless it has one. */
export function answer(call: Call, settle: () => void): void {
  if (call.answered) return;
  call.answered = true;
  call.detach();
  settle();
}

/** RECLOOM_RUN_ABORTED with the signal's reason. */
export function aborted(signal: AbortSignal | undefined): Error {
  return recloomError('RECLOOM_RUN_ABORTED', {}, { cause: signal?.reason });
}

/** RECLOOM_RUN_TIMEOUT */
export function late(timeoutMs: number): Error {
  return recloomError('RECLOOM_RUN_TIMEOUT', { name: poolName, timeoutMs });
}
