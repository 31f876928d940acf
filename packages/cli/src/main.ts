#!/usr/bin/env node
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

// `recloom … | head` closes the pipe early; that is no failure.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code === 'EPIPE') process.exit(exitCodes.ok);
  throw error;
});

runCli(process.argv.slice(2), processIo(interruptSignal())).then(
  (exitCode) => {
    // What was written may still be on its way into a pipe; worker threads may still be winding down.
    process.exitCode = exitCode;
    process.stdout.write('', () => process.stderr.write('', () => process.exit(exitCode)));
  },
  (error: unknown) => {
    process.stderr.write(`error UNEXPECTED ${error instanceof Error ? error.message : String(error)}\n`);
    process.exit(exitCodes.unexpected);
  },
);
