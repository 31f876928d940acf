import pc from 'picocolors';
import type { CliIo, CliStream } from '../io.js';

/** Colours and widths of one stream. */
export interface Style {
  readonly bold: (text: string) => string;
  readonly dim: (text: string) => string;
  readonly red: (text: string) => string;
  readonly green: (text: string) => string;
  readonly yellow: (text: string) => string;
  readonly cyan: (text: string) => string;
  /** Characters per line: the terminal's, between 60 and 120; 80 elsewhere. */
  readonly width: number;
  readonly isTerminal: boolean;
}

/** Colours only on a terminal, and not when NO_COLOR is set (https://no-color.org) or the terminal is dumb. */
export function styleOf(stream: CliStream, env: CliIo['env']): Style {
  const isTerminal = stream.isTTY === true;
  const { bold, dim, red, green, yellow, cyan } = pc.createColors(isTerminal && !env['NO_COLOR'] && env['TERM'] !== 'dumb');
  const width = isTerminal ? Math.min(120, Math.max(60, stream.columns ?? 80)) : 80;
  return { bold, dim, red, green, yellow, cyan, width, isTerminal };
}
