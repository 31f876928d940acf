import { type FileHandle, mkdir, open, readdir, readFile, rename } from 'node:fs/promises';
import { basename, join } from 'node:path';
import type { TuneValue } from '@recloom/core';
import { recloomError, type Warning } from '@recloom/plugin-api';

/** What a journal belongs to, as hashes: only the same search may go on with it. */
export interface JournalKey {
  readonly config: string;
  readonly data: string;
  readonly measure: string;
  readonly space: string;
}

/** A finished scoring. */
export interface JournalRecord {
  /** `trial` of the search; `revert`: the best with one option put back; `confirm`: on the second validation part. */
  readonly purpose: 'trial' | 'revert' | 'confirm';
  /** Number of the trial; 0 for the other purposes. */
  readonly number: number;
  readonly values: Readonly<Record<string, TuneValue | undefined>>;
  /** Absent when it failed. */
  readonly value?: number;
  readonly cases: number;
  readonly stopped?: boolean;
  /** Error code of a trial that failed. */
  readonly failed?: string;
  readonly milliseconds: number;
  /** Figures by case, base64 of little-endian doubles: of those that later ones are compared with. */
  readonly figures?: string;
}

const format = 'recloom-tune/1';
const words: Readonly<Record<keyof JournalKey, string>> = {
  config: 'the config',
  data: 'the data',
  measure: 'what is measured and where',
  space: 'the options to search',
};

/**
 * The finished trials of a search, one JSON line each, flushed to the disk before the next begins. What a kill left
 * half-written at the end is cut off; the file is named by the hash of all it belongs to, so that searches never mix.
 */
export class Journal {
  readonly path: string;
  readonly records: readonly JournalRecord[];
  readonly #handle: FileHandle;

  private constructor(path: string, records: readonly JournalRecord[], handle: FileHandle) {
    this.path = path;
    this.records = records;
    this.#handle = handle;
  }

  /**
   * Opens the journal of a search in a folder, or begins it. With `fresh` an earlier one is set aside as `<name>.old`.
   * Warns with RECLOOM_DAT_TUNE_OTHER when the search has none and there is one of another search.
   *
   * @throws RECLOOM_DAT_TUNE_JOURNAL when lines before the last are damaged; RECLOOM_DAT_WRITE
   */
  static async open(
    directory: string,
    key: JournalKey,
    hash: string,
    options: { readonly fresh: boolean; readonly warn: (warning: Warning) => void },
  ): Promise<Journal> {
    const path = join(directory, `${hash.slice(0, 16)}.jsonl`);
    try {
      await mkdir(directory, { recursive: true });
      if (options.fresh) await rename(path, `${path}.old`).catch(ignoreMissing);
      const text = await readFile(path, 'utf8').catch(ignoreMissing);
      if (text === undefined) await warnOfOthers(directory, key, options.warn);
      const whole = text?.slice(0, text.lastIndexOf('\n') + 1) ?? '';
      const lines = whole.split('\n').slice(0, -1);
      const records = readRecords(lines, key, basename(path));
      const handle = await open(path, 'a');
      try {
        if (text !== undefined && whole.length < text.length) await handle.truncate(Buffer.byteLength(whole));
        const journal = new Journal(path, records, handle);
        if (lines.length === 0) await journal.#write({ format, key });
        return journal;
      } catch (error) {
        await handle.close();
        throw error;
      }
    } catch (error) {
      throw asWriteError(path, error);
    }
  }

  /** Adds a record and waits until it is on the disk. @throws RECLOOM_DAT_WRITE */
  async append(record: JournalRecord): Promise<void> {
    await this.#write(record);
  }

  async close(): Promise<void> {
    await this.#handle.close();
  }

  async #write(line: object): Promise<void> {
    try {
      await this.#handle.appendFile(`${JSON.stringify(line)}\n`);
      await this.#handle.datasync();
    } catch (error) {
      throw asWriteError(this.path, error);
    }
  }
}

/** Figures by case as text, and back. */
export function encodeFigures(figures: Float64Array): string {
  return Buffer.from(figures.buffer, figures.byteOffset, figures.byteLength).toString('base64');
}

/** Reads what `encodeFigures` wrote; the array is the caller's. */
export function decodeFigures(text: string): Float64Array {
  const bytes = Uint8Array.from(Buffer.from(text, 'base64'));
  return new Float64Array(bytes.buffer, 0, Math.floor(bytes.byteLength / 8));
}

function readRecords(lines: readonly string[], key: JournalKey, file: string): readonly JournalRecord[] {
  const damaged = (number: number): Error => recloomError('RECLOOM_DAT_TUNE_JOURNAL', { file, why: `line ${number} is damaged` });
  const records: JournalRecord[] = [];
  for (const [index, line] of lines.entries()) {
    let entry: Partial<JournalRecord> & { readonly format?: string; readonly key?: JournalKey };
    try {
      entry = JSON.parse(line) as typeof entry;
    } catch {
      throw damaged(index + 1);
    }
    if (index === 0) {
      if (entry.format !== format || JSON.stringify(entry.key) !== JSON.stringify(key)) throw damaged(1);
      continue;
    }
    const right =
      ['trial', 'revert', 'confirm'].includes(entry.purpose ?? '') &&
      Number.isInteger(entry.number) &&
      typeof entry.values === 'object' &&
      entry.values !== null &&
      (entry.value === undefined || Number.isFinite(entry.value)) &&
      Number.isInteger(entry.cases);
    if (!right) throw damaged(index + 1);
    records.push(entry as JournalRecord);
  }
  return records;
}

/** The journal of another search that differs least is what a person who wonders where the trials went looks for. */
async function warnOfOthers(directory: string, key: JournalKey, warn: (warning: Warning) => void): Promise<void> {
  let least: readonly (keyof JournalKey)[] | undefined;
  for (const name of (await readdir(directory)).filter((entry) => entry.endsWith('.jsonl')).sort()) {
    const [first = ''] = (await readFile(join(directory, name), 'utf8').catch(() => '')).split('\n', 1);
    let other: Partial<JournalKey> | undefined;
    try {
      other = (JSON.parse(first) as { key?: Partial<JournalKey> }).key;
    } catch {
      continue;
    }
    const differs = (Object.keys(words) as (keyof JournalKey)[]).filter((part) => other?.[part] !== key[part]);
    if (least === undefined || differs.length < least.length) least = differs;
  }
  if (least === undefined || least.length === 0) return;
  const { message } = recloomError('RECLOOM_DAT_TUNE_OTHER', { what: least.map((part) => words[part]).join(' and ') });
  warn({ code: 'RECLOOM_DAT_TUNE_OTHER', message });
}

function ignoreMissing(error: unknown): undefined {
  if ((error as { code?: unknown }).code === 'ENOENT') return undefined;
  throw error;
}

function asWriteError(path: string, error: unknown): unknown {
  const code = (error as { code?: unknown }).code;
  if (typeof code !== 'string' || !/^E[A-Z]+$/.test(code)) return error;
  return recloomError('RECLOOM_DAT_WRITE', { path, why: code }, { cause: error });
}
