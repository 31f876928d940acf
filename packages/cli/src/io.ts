import type { PluginDefinition } from '@recloom/plugin-api';

/** Where text goes; the streams of a process are such. */
export interface CliStream {
  write(text: string): unknown;
  readonly isTTY?: boolean | undefined;
  /** Width in characters, for a terminal. */
  readonly columns?: number | undefined;
}

/** Everything the command knows about the world around it. Hand one in to run it inside a test or a host. */
export interface CliIo {
  readonly stdout: CliStream;
  readonly stderr: CliStream;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Absolute working folder; relative paths start here. */
  readonly directory: string;
  /** Aborted by Ctrl-C. */
  readonly signal: AbortSignal;
  /** Plugins that a host hands in besides the installed ones. */
  readonly plugins?: readonly PluginDefinition[];
}

/** The process's own streams, environment and folder. */
export function processIo(signal: AbortSignal): CliIo {
  return { stdout: process.stdout, stderr: process.stderr, env: process.env, directory: process.cwd(), signal };
}
