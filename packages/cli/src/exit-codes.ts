import { isRecloomError, type RecloomError } from '@recloom/plugin-api';

/** What the command's exit code says. */
export const exitCodes = Object.freeze({
  ok: 0,
  unexpected: 1,
  usage: 2,
  config: 3,
  data: 4,
  snapshot: 5,
  locked: 6,
  interrupted: 130,
});

/** For `--help`. */
export const exitCodeHelp = `Exit codes:
  0  done                      4  the data have problems
  1  unexpected failure        5  no snapshot, or it is damaged or stale
  2  wrong usage or request    6  another build is running
  3  the config has problems   130  interrupted`;

/** The exit code of a failure. */
export function exitCodeOf(error: unknown, signal: AbortSignal): number {
  if (signal.aborted) return exitCodes.interrupted;
  if (!isRecloomError(error)) return exitCodes.unexpected;
  return codeOf(error);
}

function codeOf(error: RecloomError): number {
  const { code } = error;
  if (code === 'RECLOOM_DAT_LOCKED') return exitCodes.locked;
  if (code.startsWith('RECLOOM_DAT_SNAPSHOT_') || code === 'RECLOOM_DAT_STATE_VERSION') return exitCodes.snapshot;
  if (code.startsWith('RECLOOM_DAT_MODEL_')) return exitCodes.config;
  if (code.startsWith('RECLOOM_DAT_')) return exitCodes.data;
  if (/^RECLOOM_(CFG|PLG|DI)_/.test(code)) return exitCodes.config;
  if (/^RECLOOM_RUN_(EVALUATION|EXPORT|REQUEST|LIMIT|NEEDS|UNKNOWN_SURFACE|TEXT_TOO_LONG|MODEL_INPUT)$/.test(code)) return exitCodes.usage;
  // A plugin's own code: what its component reads decides whose problem it is.
  if (!code.startsWith('RECLOOM_') && /^(?:data\.)?(?:items|events|users)$/.test(error.at.node ?? '')) return exitCodes.data;
  return exitCodes.unexpected;
}
