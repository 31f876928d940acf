import { appendFileSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Warning } from '@recloom/plugin-api';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { decodeFigures, encodeFigures, Journal, type JournalKey, type JournalRecord } from './journal.js';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'recloom-journal-'));
});
afterEach(() => rmSync(folder, { recursive: true }));

const key: JournalKey = { config: 'c', data: 'd', measure: 'm', space: 's' };
const record = (number: number): JournalRecord => ({
  purpose: 'trial',
  number,
  values: { lambda: number },
  value: 0.1,
  cases: 3,
  milliseconds: 5,
});
const quiet = { fresh: false, warn: (_: Warning): void => {} };

async function written(count: number): Promise<string> {
  const journal = await Journal.open(folder, key, 'a'.repeat(64), quiet);
  for (let number = 0; number < count; number++) await journal.append(record(number));
  await journal.close();
  return journal.path;
}

async function reopened(options = quiet, other = key, hash = 'a'.repeat(64)): Promise<readonly JournalRecord[]> {
  const journal = await Journal.open(folder, other, hash, options);
  await journal.close();
  return journal.records;
}

describe('Journal', () => {
  it('gives back what was finished', async () => {
    await written(3);
    expect(await reopened()).toEqual([record(0), record(1), record(2)]);
  });

  it('cuts off what a kill left half-written, wherever it struck', async () => {
    const path = await written(2);
    const whole = readFileSync(path, 'utf8');
    const line = `${JSON.stringify(record(2))}\n`;
    for (let length = 1; length < line.length; length += 7) {
      writeFileSync(path, whole + line.slice(0, length));
      expect(await reopened()).toHaveLength(2);
      expect(readFileSync(path, 'utf8')).toBe(whole);
    }
    // The kill may have come before the first line was whole.
    writeFileSync(path, whole.slice(0, 10));
    expect(await reopened()).toEqual([]);
    expect(await reopened()).toEqual([]);
  });

  it.each([
    ['a line that is no JSON', (text: string) => text.replace('{"purpose":"trial","number":0', '{"purpose":"tri\u0000al","num'), 2],
    ['a record without a number', (text: string) => text.replace('"number":0,', ''), 2],
    ['a figure that is a text', (text: string) => text.replace('"value":0.1', '"value":"high"'), 2],
    ['another head', (text: string) => text.replace('"config":"c"', '"config":"x"'), 1],
  ])('refuses %s', async (_, damage, line) => {
    const path = await written(2);
    writeFileSync(path, damage(readFileSync(path, 'utf8')));
    await expect(reopened()).rejects.toMatchObject({
      code: 'RECLOOM_DAT_TUNE_JOURNAL',
      message: expect.stringContaining(`line ${line} is damaged`),
    });
  });

  it('begins anew with fresh and keeps the old one beside it', async () => {
    const path = await written(2);
    expect(await reopened({ ...quiet, fresh: true })).toEqual([]);
    expect(readFileSync(`${path}.old`, 'utf8').split('\n')).toHaveLength(4);
  });

  it('mixes nothing of another search in, and says what differs', async () => {
    await written(2);
    const warnings: Warning[] = [];
    const warn = (warning: Warning): void => void warnings.push(warning);
    expect(await reopened({ fresh: false, warn }, { ...key, data: 'e', space: 't' }, 'b'.repeat(64))).toEqual([]);
    expect(warnings).toMatchObject([
      { code: 'RECLOOM_DAT_TUNE_OTHER', message: expect.stringContaining('the data and the options to search differ') },
    ]);
    // Both live on side by side.
    expect(readdirSync(folder)).toHaveLength(2);
    expect(await reopened()).toHaveLength(2);
  });

  it('says which file cannot be written', async () => {
    const path = await written(1);
    rmSync(folder, { recursive: true });
    writeFileSync(folder, 'no folder');
    await expect(reopened()).rejects.toMatchObject({ code: 'RECLOOM_DAT_WRITE', message: expect.stringContaining(path) });
    rmSync(folder);
    folder = mkdtempSync(join(tmpdir(), 'recloom-journal-'));
  });

  it('is safe against a line that a later run appended after a torn one', async () => {
    const path = await written(1);
    appendFileSync(path, '{"purpose":"tri');
    const journal = await Journal.open(folder, key, 'a'.repeat(64), quiet);
    await journal.append(record(1));
    await journal.close();
    expect(await reopened()).toEqual([record(0), record(1)]);
  });

  it('keeps figures to the bit', () => {
    const figures = Float64Array.of(0, 1 / 3, Number.MIN_VALUE, 1e300);
    expect(decodeFigures(encodeFigures(figures))).toEqual(figures);
    expect(decodeFigures(encodeFigures(figures.subarray(1, 3)))).toEqual(figures.slice(1, 3));
  });
});
