import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { isRecloomError, type RecloomError, type Warning } from '@recloom/plugin-api';
import { expect, it } from 'vitest';
import { canary } from './shop-folder.js';

/** The table of bad input: what a reader of the docs sees and what the tests prove, one row one test. */
export const tableFile = join(import.meta.dirname, '..', '..', '..', 'docs', 'reference', 'bad-input.md');

/** One row of the table. */
export interface BadInputRow {
  readonly id: string;
  readonly section: string;
  readonly input: string;
  /** The codes of the row, in its order; empty where nothing is wrong at all. */
  readonly codes: readonly string[];
  readonly happens: string;
}

/** All rows, in the order of the document. */
export function readTable(): readonly BadInputRow[] {
  const rows: BadInputRow[] = [];
  let section = '';
  for (const line of readFileSync(tableFile, 'utf8').split('\n')) {
    if (line.startsWith('## ')) section = line.slice(3);
    const cells = /^\|(.*)\|$/
      .exec(line)?.[1]
      ?.split(/(?<!\\)\|/)
      .map((cell) => cell.trim());
    if (cells === undefined || cells.length !== 4 || !/^`[a-z0-9-]+`$/.test(cells[0] as string)) continue;
    const [id, input, code, happens] = cells as [string, string, string, string];
    rows.push({
      id: id.slice(1, -1),
      section,
      input,
      codes: [...code.matchAll(/`([A-Z0-9_]+)`/g)].map((found) => found[1] as string),
      happens,
    });
  }
  return rows;
}

const table = new Map(readTable().map((row) => [row.id, row]));

/** The test of one row: titled by its id, given its first code. A row that is not in the table fails the file. */
export function badInput(id: string, run: (code: string, row: BadInputRow) => void | Promise<void>, timeoutMs?: number): void {
  const row = table.get(id);
  if (row === undefined) throw new Error(`docs/reference/bad-input.md has no row "${id}"`);
  // `/dev/full` and `ulimit -f` are Linux's; the rest runs everywhere.
  it.skipIf(id.startsWith('disk-') && process.platform !== 'linux')(`${id}: ${row.input}`, () => run(row.codes[0] ?? '', row), timeoutMs);
}

/** What a promise fails with: always a coded error whose every word may be shown to the person who gets it. */
export async function failureOf(promise: PromiseLike<unknown>): Promise<RecloomError> {
  const error: unknown = await Promise.resolve(promise).then(
    () => undefined,
    (caught: unknown) => caught ?? new Error('it failed with nothing'),
  );
  if (error === undefined) throw new Error('nothing was wrong');
  if (!isRecloomError(error)) throw error;
  expectReadable(error);
  return error;
}

/** The one problem of an error, or among its problems, that has a code; others may stand beside it. */
export function problemOf(error: RecloomError, code: string): RecloomError {
  const all = error.problems.length > 0 ? error.problems : [error];
  const found = all.filter((problem) => problem.code === code);
  expect(all.map((problem) => problem.code)).toContain(code);
  expect(found).toHaveLength(1);
  return found[0] as RecloomError;
}

/** Sentences without leftovers of code, with a hint, without data; for an error and all its problems. */
export function expectReadable(error: RecloomError): void {
  for (const one of [error, ...error.problems]) {
    expectText(one.message);
    expect(one.hint, one.code).toMatch(/\S.*[.…]$/s);
    expectText(one.hint ?? '');
    expect(JSON.stringify(one.at)).not.toContain(canary);
  }
}

/** The same for a warning. */
export function expectReadableWarning(warning: Warning): void {
  expectText(warning.message);
  expect(JSON.stringify(warning)).not.toContain(canary);
}

function expectText(text: string): void {
  expect(text).toMatch(/^["'`./A-Z0-9a-z<].*[.?!)]$/s);
  expect(text).not.toMatch(/\.\.$|undefined|\[object|NaN of|__recloom|zod|Inversify| a [aeio]|\(s\)|\n/);
  expect(text).not.toContain(canary);
  expect(text.length).toBeLessThan(600);
}

/** 1-based line and column of the nth place (0-based) where `needle` stands in `text`. */
export function placeIn(text: string, needle: string, nth = 0): { readonly line: number; readonly column: number } {
  let at = -1;
  for (let count = 0; count <= nth; count++) {
    at = text.indexOf(needle, at + 1);
    if (at < 0) throw new Error(`"${needle}" does not stand ${nth + 1} times in the text`);
  }
  const before = text.slice(0, at).split('\n');
  return { line: before.length, column: (before.at(-1) as string).length + 1 };
}

/** `text` with one part replaced; fails when the part is not there, so that no test can pass because an edit missed. */
export function edit(text: string, from: string, to: string): string {
  if (!text.includes(from)) throw new Error(`"${from}" is not in the text`);
  return text.replace(from, () => to);
}

/** Codes of warnings, in order. */
export function codesOf(warnings: readonly Warning[]): string[] {
  return warnings.map((warning) => warning.code);
}
