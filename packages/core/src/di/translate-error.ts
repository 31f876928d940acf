import { isRecloomError, type RecloomError, recloomError } from '@recloom/plugin-api';

/** Turns whatever Inversify threw into an error of ours: the planner finds wiring mistakes first, so this is the last line. */
export function translateError(error: unknown, what: string): RecloomError {
  let current: unknown = error;
  while (current instanceof Error) {
    if (isRecloomError(current)) return current;
    current = current.cause;
  }
  return recloomError('RECLOOM_DI_FAILED', { what }, { cause: error });
}
