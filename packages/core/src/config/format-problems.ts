import { readFileSync } from 'node:fs';
import { isRecloomError, type RecloomError } from '@recloom/plugin-api';

/** Longest line of a file that is shown whole; of a longer one, the part around the caret is. */
const widestExcerpt = 120;

/**
 * The problems of an error as text for a person: one paragraph each, without colours. When the file can be read, the line
 * that is wrong stands below, with a caret under the place.
 *
 * ```text
 * shop.yaml:12:5 error RECLOOM_CFG_UNKNOWN_KEY Unknown key "limts"; did you mean "limits"?
 *     12 |     limts: { candidates: 500 }
 *        |     ^
 *     hint: Remove it or correct its spelling; …
 * ```
 *
 * Takes any error: one without `problems` is a single problem, one that is no `RecloomError` gives its message.
 */
export function formatProblems(error: unknown): string {
  if (!isRecloomError(error)) return `error ${error instanceof Error ? error.message : String(error)}`;
  const files = new Map<string, readonly string[] | undefined>();
  const problems = error.problems.length > 0 ? error.problems : [error];
  return problems.map((problem) => formatProblem(problem, files)).join('\n');
}

function formatProblem(problem: RecloomError, files: Map<string, readonly string[] | undefined>): string {
  const { file, line, column, node, surface } = problem.at;
  const place = [file, line, line === undefined ? undefined : column].filter((part) => part !== undefined).join(':');
  const about =
    line === undefined && node !== undefined ? ` [${node}]` : line === undefined && surface !== undefined ? ` [${surface}]` : '';
  const heading = `${place === '' ? '' : `${place} `}error ${problem.code}${about} ${problem.message}`;
  const hint = problem.hint === undefined ? [] : [`    hint: ${problem.hint}`];
  return [heading, ...excerpt(file, line, column, files), ...hint].join('\n');
}

function excerpt(
  file: string | undefined,
  line: number | undefined,
  column: number | undefined,
  files: Map<string, readonly string[] | undefined>,
): readonly string[] {
  if (file === undefined || line === undefined) return [];
  if (!files.has(file)) files.set(file, readLines(file));
  const text = files.get(file)?.[line - 1];
  if (text === undefined) return [];
  const caret = Math.min(Math.max((column ?? 1) - 1, 0), text.length);
  const start = text.length <= widestExcerpt ? 0 : Math.max(0, Math.min(caret - 40, text.length - widestExcerpt));
  const shown = printable(text.slice(start, start + widestExcerpt));
  const number = `${line}`.padStart(6);
  // Tabs stay tabs, so that the caret stands under its character however wide the terminal shows them.
  const before = text.slice(start, caret).replace(/[^\t]/g, ' ');
  return [`${number} | ${shown}`, `${' '.repeat(6)} | ${before}^`];
}

/** Control characters of a hostile file would reach the terminal. */
function printable(text: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
  return text.replace(/[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u202a-\u202e\u2066-\u2069]/g, '\uFFFD');
}

function readLines(file: string): readonly string[] | undefined {
  try {
    return readFileSync(file, 'utf8')
      .replace(/^\uFEFF/, '')
      .split(/\r\n|\n|\r/);
  } catch {
    return undefined;
  }
}
