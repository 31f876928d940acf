import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { Engine } from './duckdb-engine.js';
import { inspectFile } from './inspect-file.js';
import { failure, folderWith } from './source.test-support.js';
import { quoteText } from './sql-text.js';

const inspect = (content: string | Uint8Array, name = 'a.csv', options: { readonly sampleRows?: number } = {}) =>
  inspectFile(name, { directory: folderWith({ [name]: content }), ...options });

describe('inspectFile', () => {
  it('tells types, gaps, ranges and examples of every column', async () => {
    const profile = await inspect(
      'id;name;price;when;done\n7;blue mug;2.5;2024-01-02;true\n8;red mug;-1;2024-01-01;false\n9;blue mug;;2024-01-03;true\nC9;;0;2024-01-03;true\n',
    );
    expect(profile).toMatchObject({
      path: 'a.csv',
      format: 'csv',
      compression: 'none',
      delimiter: ';',
      header: true,
      encoding: 'utf-8',
      rowsSampled: 4,
      rowCount: 4,
      rowCountIsExact: true,
    });
    const column = (name: string) => profile.columns.find((entry) => entry.name === name);
    expect(profile.columns.map((entry) => [entry.name, entry.type])).toEqual([
      ['id', 'VARCHAR'],
      ['name', 'VARCHAR'],
      ['price', 'DOUBLE'],
      ['when', 'TIMESTAMP'],
      ['done', 'BOOLEAN'],
    ]);
    expect(column('id')).toMatchObject({
      distinctCount: 4,
      integerShare: 0.75,
      letterPrefixes: [{ letter: 'C', share: 0.25 }],
      nullShare: 0,
    });
    expect(column('name')).toMatchObject({
      nullShare: 0.25,
      distinctCount: 2,
      examples: ['blue mug', 'red mug'],
      wordsShare: 1,
      digitlessShare: 1,
    });
    expect(column('price')).toMatchObject({ min: '-1', max: '2.5', negativeShare: 1 / 3, zeroShare: 1 / 3, nullShare: 0.25 });
    expect(column('when')).toMatchObject({ min: '2024-01-01', max: '2024-01-03', time: 'timestamp' });
    expect(column('done')?.time).toBeUndefined();
  });

  it('sees numbers order as numbers, and how times are written', async () => {
    const profile = await inspect('n,seconds,us,either\n9,1700000000,12/31/2010 8:26,1/2/2010\n10,1700000001,1/5/2011 9:00,3/4/2010\n');
    expect(profile.columns.map((entry) => [entry.name, entry.min, entry.max, entry.time])).toEqual([
      ['n', '9', '10', undefined],
      ['seconds', '1700000000', '1700000001', 'seconds'],
      ['us', '1/5/2011 9:00', '12/31/2010 8:26', '%m/%d/%Y %H:%M'],
      ['either', '1/2/2010', '3/4/2010', 'ambiguous'],
    ]);
  });

  it('finds out about missing headers, encodings and compression', async () => {
    expect(await inspect('ann,17,2024-01-01\nben,18,2024-01-02\n')).toMatchObject({
      header: false,
      rowCount: 2,
      columns: [{ name: 'column1' }, { name: 'column2' }, { name: 'column3' }],
    });
    expect(await inspect(Buffer.from('größe\nm\n', 'latin1'))).toMatchObject({ encoding: 'latin-1', columns: [{ name: 'größe' }] });
    expect(await inspect(Buffer.from('\uFEFFgröße,x\nm,1\n', 'utf16le'))).toMatchObject({
      encoding: 'utf-16',
      columns: [{ name: 'größe' }, { name: 'x' }],
    });
    expect(await inspect(gzipSync('a\tb\n1\t2\n'), 'a.tsv.gz')).toMatchObject({ format: 'tsv', compression: 'gzip', delimiter: '\t' });
  });

  it('looks at the beginning and counts to the end', async () => {
    const text = `n\n${Array.from({ length: 25_000 }, (_, row) => row).join('\n')}\n`;
    const profile = await inspect(text, 'a.csv', { sampleRows: 100 });
    expect(profile).toMatchObject({ rowsSampled: 100, rowCount: 25_000, rowCountIsExact: true });
    expect(profile.columns[0]).toMatchObject({ min: '0', max: '99' });
  });

  it('reads Parquet and JSON with their own types', async () => {
    const directory = folderWith({ 'a.json': '[{"id": 1, "tags": ["x"]}, {"id": 2, "tags": []}]' });
    const engine = await Engine.open({ memoryLimitMb: 128, timeZone: 'UTC' });
    await engine.run(
      `COPY (SELECT range::INTEGER AS id, 'photo' || range || '.jpg' AS photo FROM range(10)) TO ${quoteText(join(directory, 'a.parquet'))}`,
    );
    await engine.close();
    const parquet = await inspectFile('a.parquet', { directory });
    expect(parquet.columns.map((entry) => [entry.name, entry.type, entry.imageShare])).toEqual([
      ['id', 'INTEGER', 0],
      ['photo', 'VARCHAR', 1],
    ]);
    expect(parquet).toMatchObject({ format: 'parquet', rowCount: 10, delimiter: undefined });
    const json = await inspectFile('a.json', { directory });
    expect(json.columns.map((entry) => [entry.name, entry.type])).toEqual([
      ['id', 'BIGINT'],
      ['tags', 'VARCHAR[]'],
    ]);
  });

  it('says what is wrong with a file', async () => {
    expect((await failure(inspect(''))).code).toBe('RECLOOM_DAT_EMPTY');
    expect((await failure(inspectFile('none.csv', { directory: folderWith({}) }))).code).toBe('RECLOOM_DAT_FILE_MISSING');
    expect((await failure(inspect('no gzip', 'a.csv.gz'))).code).toBe('RECLOOM_DAT_UNREADABLE');
    expect((await failure(inspect('no parquet', 'a.parquet'))).code).toBe('RECLOOM_DAT_UNREADABLE');
  });

  it('stops when told to', async () => {
    const directory = folderWith({ 'a.csv': 'a\n1\n' });
    await expect(inspectFile('a.csv', { directory, signal: AbortSignal.abort(new Error('no')) })).rejects.toThrow('no');
  });
});
