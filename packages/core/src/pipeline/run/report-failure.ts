import { isRecloomError, recloomError } from '@recloom/plugin-api';
import type { AssembledNode } from '../assemble.js';
import type { Engine } from '../engine.js';
import type { RequestState } from '../request-state.js';

/** Logs, counts and warns about a component that failed; the error itself stays in the log. */
export function reportFailure(
  engine: Engine,
  state: RequestState | undefined,
  node: AssembledNode,
  error: unknown,
  code: 'RECLOOM_PRV_FAILED_CLOSED' | 'RECLOOM_RUN_NODE_FAILED',
  what: string,
): void {
  const { name, reference } = node.planned;
  const at = { node: name, component: reference };
  engine.services.metrics.count('recloom.node.failures', 1, { node: name });
  const timedOut = isRecloomError(error) && error.code === 'RECLOOM_RUN_TIMEOUT';
  engine.services.logger.warn(timedOut ? 'a component was late' : 'a component failed', { ...at, what, error: describe(error) });
  if (code === 'RECLOOM_PRV_FAILED_CLOSED') {
    state?.warn(code, recloomError(code, { name }).message, undefined, at);
    return;
  }
  // A code is a fact that a host can act on; the message is for whoever reads the log.
  const why = isRecloomError(error) && codePattern.test(error.code) ? error.code : undefined;
  const warning = timedOut ? error : recloomError(code, { name, what, ...(why === undefined ? {} : { why }) });
  state?.warn(warning.code, warning.message, undefined, at, why === undefined || timedOut ? undefined : { cause: why });
}

const codePattern = /^[A-Z][A-Z0-9_]{2,63}$/;

/** For the log: class and code, never the message of foreign errors, which may quote data. */
function describe(error: unknown): string {
  if (isRecloomError(error)) return `${error.code}: ${error.message}`;
  return error instanceof Error ? error.name : typeof error;
}
