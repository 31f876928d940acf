import { isRecloomError, type RecloomError, type Warning } from '@recloom/plugin-api';
import { exitCodeOf, exitCodes } from './exit-codes.js';
import type { CliIo } from './io.js';
import { type Style, styleOf } from './render/style.js';
import { displayWidth, truncate, wrap } from './render/text.js';

/** A problem with how the command was called. */
export class UsageError extends Error {
  readonly hint: string | undefined;

  constructor(message: string, hint?: string) {
    super(message);
    this.name = 'UsageError';
    this.hint = hint;
  }
}

/** How an error is told. */
export interface ReportOptions {
  /** One JSON document on stdout instead of text on stderr. */
  readonly json: boolean;
  /** Adds stack traces. */
  readonly debug: boolean;
}

/** Tells a person (or with `json` a machine) what went wrong and returns the exit code. */
export async function reportError(error: unknown, io: CliIo, options: ReportOptions): Promise<number> {
  const exitCode = error instanceof UsageError ? exitCodes.usage : exitCodeOf(error, io.signal);
  if (options.json) {
    io.stdout.write(`${JSON.stringify({ error: errorAsJson(error, exitCode), exitCode })}\n`);
    return exitCode;
  }
  const style = styleOf(io.stderr, io.env);
  io.stderr.write(`${(await describe(error, exitCode, style)).join('\n')}\n`);
  if (options.debug) for (const line of stacks(error)) io.stderr.write(`${style.dim(line)}\n`);
  return exitCode;
}

function errorAsJson(error: unknown, exitCode: number): Record<string, unknown> {
  if (exitCode === exitCodes.interrupted) return { code: 'RECLOOM_RUN_ABORTED', message: 'Interrupted.' };
  if (isRecloomError(error)) return error.toJSON();
  return {
    code: error instanceof UsageError ? 'USAGE' : 'UNEXPECTED',
    message: messageOf(error),
    ...(error instanceof UsageError && error.hint !== undefined ? { hint: error.hint } : {}),
  };
}

async function describe(error: unknown, exitCode: number, style: Style): Promise<string[]> {
  if (exitCode === exitCodes.interrupted) return [`${style.yellow('Interrupted.')} Nothing was left half-written.`];
  if (isRecloomError(error)) {
    const { formatProblems } = await import('@recloom/core');
    const isPlaced = error.problems.length > 0 || error.at.line !== undefined;
    if (isPlaced)
      return [...problemLines(formatProblems(error), error, style), ...(error.problems.length === 0 ? causeLines(error, style) : [])];
    return [
      ...block(error.message, style, error.code, undefined, placeOf(error)),
      ...causeLines(error, style),
      ...hintLines(error.hint, style),
    ];
  }
  if (error instanceof UsageError) return block(error.message, style, undefined, error.hint, undefined);
  return block(messageOf(error), style, 'UNEXPECTED', 'Run it again with --debug for the stack, and please report it.', undefined);
}

/** `formatProblems` wrapped to the terminal, with colours; lines of the file stay as they are. */
function problemLines(text: string, error: RecloomError, style: Style): string[] {
  const lines: string[] = [];
  const all = text.split('\n');
  for (const [place, line] of all.entries()) {
    const caretLine = /^ +\| \s*\^$/;
    if (caretLine.test(line)) continue;
    if (/^ *\d+ \| /.test(line)) {
      const caret = all[place + 1];
      if (caret === undefined || !caretLine.test(caret)) lines.push(truncate(line, style.width));
      else {
        const [shown, under] = excerptOf(line, caret, style.width);
        lines.push(shown, style.red(under));
      }
    } else if (line.startsWith('    hint: ')) {
      lines.push(...wrap(line.trim(), style.width, '      ', '    ').map(style.dim), '');
    } else {
      const [place, ...rest] = wrap(line, style.width, '    ', '');
      lines.push(
        (place ?? '').replace(/\berror (\S+)/, (_, code: string) => `${style.red(`error ${code}`)}`),
        ...rest,
      );
    }
  }
  if (error.problems.length > 1) lines.push(style.bold(error.message));
  while (lines.at(-1) === '') lines.pop();
  return lines;
}

/**
 * A line of a file and the line of its caret, cut around the caret to `width` characters: a wrapped line would leave the caret
 * under something else. A tab is shown as one blank here, since its width on the terminal is not known.
 */
export function excerptOf(line: string, caret: string, width: number): readonly [line: string, caret: string] {
  const frame = line.indexOf('| ') + 2;
  const text = Array.from(line.slice(frame).replaceAll('\t', ' '));
  // The caret stands under UTF-16 units; shown are characters, some of them two columns wide.
  const at = Array.from(line.slice(frame, caret.length - 1)).length;
  // A caret behind the end of the line takes a column of its own.
  const room = Math.max(8, width - frame - (at >= text.length ? 1 : 0));
  const widthOf = (from: number, to: number): number => displayWidth(text.slice(from, to).join(''));
  let from = 0;
  let to = text.length;
  if (widthOf(from, to) > room) {
    // A third of the room for what comes before, and all that is left at the end of a line.
    while (from < at && widthOf(from, at) > room / 3 && widthOf(from, to) > room - 1) from++;
    const ellipses = (from > 0 ? 1 : 0) + 1;
    if (widthOf(from, to) > room - ellipses + 1) while (to > at + 1 && widthOf(from, to) > room - ellipses) to--;
  }
  const head = from > 0 ? '…' : '';
  const tail = to < text.length ? '…' : '';
  return [
    `${line.slice(0, frame)}${head}${text.slice(from, to).join('')}${tail}`,
    `${caret.slice(0, frame)}${' '.repeat(head.length + widthOf(from, Math.min(at, to)))}^`,
  ];
}

/** One block: code and place, then the message and what to do. */
function block(message: string, style: Style, code: string | undefined, hint: string | undefined, place: string | undefined): string[] {
  if (code === undefined) {
    const [first = '', ...rest] = wrap(message, style.width - 6, '      ', '');
    return [`${style.red('error')} ${first}`, ...rest, ...hintLines(hint, style)];
  }
  const title = `${style.red('error')} ${style.red(code)}${place === undefined ? '' : style.dim(` (${place})`)}`;
  return [title, ...message.split('\n').flatMap((line) => wrap(line, style.width, '  ')), ...hintLines(hint, style)];
}

function hintLines(hint: string | undefined, style: Style): string[] {
  return hint === undefined ? [] : wrap(`hint: ${hint}`, style.width, '        ', '  ').map(style.dim);
}

/**
 * What lies behind an error, a line each; nothing when the message has said it already. Messages of foreign errors may quote
 * data: `--debug` shows those.
 */
function causeLines(error: RecloomError, style: Style): string[] {
  const lines: string[] = [];
  const root = rootOf(error).message.replace(/[.?!]+$/, '');
  if (root.length >= shortestRepetition && error.message.includes(root)) return lines;
  let cause: unknown = error.cause;
  for (let depth = 0; depth < 4 && cause instanceof Error; depth++) {
    const text = isRecloomError(cause) ? `${cause.code} ${cause.message}` : `${cause.name} (--debug shows it)`;
    lines.push(...wrap(`caused by: ${text}`, style.width, '        ', '  '));
    if (!isRecloomError(cause)) break;
    cause = cause.cause;
  }
  return lines;
}

/** Shorter texts stand in others by chance. */
const shortestRepetition = 16;

function rootOf(error: Error): Error {
  let root = error;
  for (let depth = 0; depth < 8 && root.cause instanceof Error; depth++) root = root.cause;
  return root;
}

function placeOf(error: RecloomError): string | undefined {
  const { node, component, surface, file } = error.at;
  if (node !== undefined) return component === undefined ? node : `${node}, ${component}`;
  return surface === undefined ? file : `surface ${surface}`;
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

function* stacks(error: unknown): Iterable<string> {
  let current: unknown = error;
  for (let depth = 0; depth < 8 && current instanceof Error; depth++) {
    yield `${depth === 0 ? '' : 'caused by '}${current.stack ?? current.message}`;
    current = current.cause;
  }
}

/** Warnings as lines, each one once with how often it came. */
export function warningLines(warnings: readonly Warning[], style: Style): string[] {
  const byText = new Map<string, { readonly warning: Warning; times: number }>();
  for (const warning of warnings) {
    const key = `${warning.code} ${warning.at?.node ?? ''} ${warning.message}`;
    const known = byText.get(key);
    if (known === undefined) byText.set(key, { warning, times: 1 });
    else known.times++;
  }
  return [...byText.values()].flatMap(({ warning, times }) => {
    const about = warning.at?.node === undefined ? '' : ` [${warning.at.node}]`;
    const [first, ...rest] = wrap(
      `! ${warning.code}${about} ${warning.message}${times > 1 ? ` (${times} times)` : ''}`,
      style.width,
      '    ',
      '  ',
    );
    return [style.yellow(first ?? ''), ...rest.map(style.yellow)];
  });
}
