#!/usr/bin/env node
import { recloomError } from '@recloom/plugin-api';
import { exitCodes } from './exit-codes.js';
import { processIo } from './io.js';
import { runCli } from './run-cli.js';

/** First Ctrl-C: everything is asked to stop and clean up. Second: the process ends at once. */
function interruptSignal(): AbortSignal {
  const controller = new AbortController();
  for (const name of ['SIGINT', 'SIGTERM'] as const) {
    process.on(name, () => {
      if (controller.signal.aborted) process.exit(exitCodes.interrupted);
      controller.abort(new DOMException('interrupted', 'AbortError'));
    });
  }
  return controller.signal;
}

/** `recloom … | head` closes the pipe early; that is no failure. Anything else, such as a full disk, means that the result was lost. */
function outputFailed(error: NodeJS.ErrnoException): never {
  if (error.code === 'EPIPE') process.exit(exitCodes.ok);
  const why = error.code === 'ENOSPC' ? 'the disk is full (ENOSPC)' : (error.code ?? 'the stream was closed');
  const { code, message } = recloomError('RECLOOM_DAT_WRITE', { path: 'the output', why });
  process.stderr.write(`error ${code} ${message}\n`);
  process.exit(exitCodes.unexpected);
}
process.stdout.on('error', outputFailed);

runCli(process.argv.slice(2), processIo(interruptSignal())).then(
  (exitCode) => {
    // What was written may still be on its way into a pipe; worker threads may still be winding down.
    process.exitCode = exitCode;
    process.stdout.write('', (error) => {
      if (error) outputFailed(error);
      process.stderr.write('', () => process.exit(exitCode));
    });
  },
  (error: unknown) => {
    process.stderr.write(`error UNEXPECTED ${error instanceof Error ? error.message : String(error)}\n`);
    process.exit(exitCodes.unexpected);
  },
);
