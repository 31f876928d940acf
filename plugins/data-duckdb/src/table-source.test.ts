import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { Engine } from './duckdb-engine.js';
import { items, users } from './index.js';
import { droppedCounts, failure, folderWith, openSource, type ReadResult, readAll } from './source.test-support.js';
import { quoteText } from './sql-text.js';

const read = (options: Readonly<Record<string, unknown>>, csv: string): Promise<ReadResult> =>
  readAll(items, { path: 'a.csv', id: 'sku', ...options }, folderWith({ 'a.csv': csv }));

describe('joining the rows of one id', () => {
  const csv = [
    'sku,title,price,tags,sold,at,stocked',
    '2,Red mug,5,b|a,1,2024-03-01,yes',
    '1, Blue mug ,4,x,2,2024-01-01,no',
    '1,blue mug,6,"[""y"",""x""]",3,2024-02-01,no',
    '1,Blue mug,5.5,,,2024-01-15,yes',
    '1,,,z| |x,10,,',
    '2,Azure mug,7,a,4,2024-01-01,',
    ',Nothing,1,q,1,2024-01-01,yes',
    '',
  ].join('\n');

  it('takes the most frequent text, ties alphabetical; the median number; the union of lists', async () => {
    const { rows, report, batches } = await read(
      { fields: { title: { type: 'text' }, price: 'number', tags: { type: 'list' }, stocked: 'boolean' } },
      csv,
    );
    expect(rows).toEqual([
      // Titles: "Blue mug" twice after trimming, "blue mug" once. Median of 4, 5.5, 6. No twice against yes once.
      { id: '1', title: 'Blue mug', price: 5.5, tags: ['x', 'y', 'z'], stocked: false },
      // One each: the tie goes to the alphabet. Mean of the two middle prices.
      { id: '2', title: 'Azure mug', price: 6, tags: ['a', 'b'], stocked: true },
    ]);
    expect(batches[0]?.columns['id']).toEqual({ type: 'text', values: ['1', '2'] });
    expect(report).toEqual({ rowsRead: 7, rowsKept: 6, dropped: [{ reason: 'no id', count: 1, lines: [8] }], warnings: [] });
  });

  it('or whatever `aggregate` says', async () => {
    const numbers = Object.fromEntries(
      ['min', 'max', 'median', 'mean', 'sum', 'count', 'mode', 'first', 'last'].map((aggregate) => [
        aggregate,
        { column: 'sold', type: 'number', aggregate },
      ]),
    );
    const { rows } = await read({ fields: numbers }, csv);
    // Item 1: 2, 3, nothing, 10 in this order; item 2: 1, 4.
    expect(rows).toEqual([
      { id: '1', min: 2, max: 10, median: 3, mean: 5, sum: 15, count: 3, mode: 2, first: 2, last: 10 },
      { id: '2', min: 1, max: 4, median: 2.5, mean: 2.5, sum: 5, count: 2, mode: 1, first: 1, last: 4 },
    ]);
    const texts = Object.fromEntries(
      ['min', 'max', 'first', 'last', 'count'].map((aggregate) => [aggregate, { column: 'title', type: 'text', aggregate }]),
    );
    expect((await read({ fields: texts }, csv)).rows[0]).toEqual({
      id: '1',
      min: 'Blue mug',
      max: 'blue mug',
      first: 'Blue mug',
      last: 'Blue mug',
      count: 3,
    });
  });

  it('orders first and last by `orderBy`, rows without it at the end that cannot win', async () => {
    const fields = {
      first: { column: 'price', type: 'number', aggregate: 'first' },
      last: { column: 'sold', type: 'number', aggregate: 'last' },
    };
    const { rows } = await read({ fields, orderBy: 'at' }, csv);
    // By date: item 1 has prices 4, 5.5, 6 and quantities 2, none, 3 (its undated row has 10); item 2 begins in January.
    expect(rows).toEqual([
      { id: '1', first: 4, last: 3 },
      { id: '2', first: 7, last: 1 },
    ]);
    const numeric = await read({ fields: { last: { column: 'v', aggregate: 'last' } }, orderBy: 'n' }, 'sku,n,v\n1,10,ten\n1,9,nine\n');
    expect(numeric.rows).toEqual([{ id: '1', last: 'ten' }]);
  });

  it('refuses an aggregate that does not fit', async () => {
    const error = await failure(read({ fields: { title: { type: 'text', aggregate: 'median' } } }, csv));
    expect(error.code).toBe('RECLOOM_CFG_TYPE');
    expect(error.message).toContain('fields.title.aggregate');
    expect((await failure(read({ fields: { price: { type: 'number', aggregate: 'union' } } }, csv))).code).toBe('RECLOOM_CFG_TYPE');
  });

  it('drops exact duplicates only when asked', async () => {
    const doubled = 'sku,price\n1,1\n1,1\n1,4\n';
    const fields = { price: { type: 'number', aggregate: 'sum' } };
    expect((await read({ fields }, doubled)).rows).toEqual([{ id: '1', price: 6 }]);
    const exact = await read({ fields, deduplicate: 'exact' }, doubled);
    expect(exact.rows).toEqual([{ id: '1', price: 5 }]);
    expect(droppedCounts(exact.report)).toEqual({ 'exact duplicate': 1 });
  });
});

describe('fields', () => {
  it('have their types inferred: numbers, booleans, times, texts, categories', async () => {
    const lines = Array.from(
      { length: 50 },
      (_, row) =>
        `${row},Title of ${row},${row}.5,${row % 2 === 0},2024-01-${String((row % 28) + 1).padStart(2, '0')},${['red', 'blue'][row % 2]},0${row % 10}`,
    );
    const { batches, rows } = await read(
      { fields: { name: 'title', price: 'price', live: 'live', since: 'since', colour: 'colour', code: 'code' } },
      `sku,title,price,live,since,colour,code\n${lines.join('\n')}\n`,
    );
    const types = Object.fromEntries(Object.entries(batches[0]?.columns ?? {}).map(([name, column]) => [name, column.type]));
    // A code with a leading zero is no number.
    expect(types).toEqual({
      id: 'text',
      name: 'text',
      price: 'number',
      live: 'boolean',
      since: 'number',
      colour: 'category',
      code: 'category',
    });
    expect(rows.find((row) => row['id'] === '3')).toEqual({
      id: '3',
      name: 'Title of 3',
      price: 3.5,
      live: false,
      since: Date.parse('2024-01-04T00:00:00Z'),
      colour: 'blue',
      code: '03',
    });
  });

  it('may be given as a type, a column, { from }, { column } or { sql }', async () => {
    const csv = 'sku,title,cost,text\n1,mug,2,words\n';
    const { rows, batches } = await read(
      {
        fields: {
          title: 'text',
          price: { from: 'cost', type: 'number' },
          twice: { sql: 'cost * 2', type: 'number' },
          loud: { sql: 'upper(title)', type: 'category' },
          photo: { column: 'title', type: 'image' },
        },
      },
      csv.replace(',text\n', ',extra\n'),
    );
    expect(rows).toEqual([{ id: '1', title: 'mug', price: 2, twice: 4, loud: 'MUG', photo: 'mug' }]);
    expect(batches[0]?.columns['photo']?.type).toBe('image');
    // Where there is a column called "text", the word means the column.
    expect((await read({ fields: { title: 'text' } }, csv)).rows).toEqual([{ id: '1', title: 'words' }]);
    expect((await failure(read({ fields: { colour: 'number' } }, csv))).message).toContain('There is no column "colour"');
    await expect(openSource(items, { path: 'a.csv', id: 'sku', fields: { x: { column: 'a', sql: 'b' } } }, '.')).rejects.toThrow(/one of/);
    await expect(openSource(items, { path: 'a.csv', id: 'sku', fields: { id: 'a' } }, '.')).rejects.toThrow(/id/);
  });

  it('that cannot be read are null, counted and told; the row stays', async () => {
    const csv = 'sku,price,live\n1,cheap,yes\n2,3,perhaps\n3,1e400,no\n4,,\n5,2,no\n';
    const { rows, report } = await read({ fields: { price: 'number', live: 'boolean' }, maxBadShare: 0.5 }, csv);
    expect(rows).toEqual([
      { id: '1', price: null, live: true },
      { id: '2', price: 3, live: null },
      { id: '3', price: null, live: false },
      { id: '4', price: null, live: null },
      { id: '5', price: 2, live: false },
    ]);
    expect(report).toMatchObject({
      rowsRead: 5,
      rowsKept: 5,
      dropped: [],
      warnings: [
        { code: 'RECLOOM_DAT_BAD_VALUES', count: 2, detail: { column: 'price', lines: [2, 4] } },
        { code: 'RECLOOM_DAT_BAD_VALUES', count: 1, detail: { column: 'live', lines: [3] } },
      ],
    });
    const error = await failure(read({ fields: { price: 'number' } }, csv));
    expect(error.code).toBe('RECLOOM_DAT_TOO_MANY_BAD');
    expect(error.message).toContain('2 of 5 rows (40 %)');
    expect(error.message).toContain('2 × column "price" is not a number (lines 2, 4), as `fields.price` wants it');
    expect(error.message).not.toMatch(/cheap|1e400/);
  });

  it('named like members of Object.prototype, and none at all', async () => {
    const { batches } = await read(
      { fields: { constructor: { column: 'title', type: 'text' }, toString: { column: 'title', type: 'text' } } },
      'sku,title\n1,mug\n',
    );
    expect(Object.keys(batches[0]?.columns ?? {})).toEqual(['id', 'constructor', 'toString']);
    expect((await read({}, 'sku,title\nb,mug\na,mug\nb,mug\n')).rows).toEqual([{ id: 'a' }, { id: 'b' }]);
  });

  it('come typed from Parquet, lists and all', async () => {
    const directory = folderWith({});
    const engine = await Engine.open({ memoryLimitMb: 128, timeZone: 'UTC' });
    await engine.run(
      `COPY (SELECT 7::BIGINT AS sku, 'mug' AS title, 2.50::DECIMAL(9,2) AS price, true AS live, ['b', NULL, 'a', 'b'] AS tags, DATE '2024-05-01' AS since,
         {'kind': 'x'} AS nested) TO ${quoteText(join(directory, 'a.parquet'))}`,
    );
    await engine.close();
    const fields = {
      title: 'title',
      price: 'price',
      live: 'live',
      tags: 'tags',
      since: 'since',
      kind: { sql: 'nested.kind', type: 'text' },
    };
    const { rows, batches } = await readAll(items, { path: 'a.parquet', id: 'sku', fields }, directory);
    expect(rows).toEqual([
      { id: '7', title: 'mug', price: 2.5, live: true, tags: ['a', 'b'], since: Date.parse('2024-05-01T00:00:00Z'), kind: 'x' },
    ]);
    expect(batches[0]?.columns['tags']?.type).toBe('list');
  });

  it('keep one dictionary over many batches', async () => {
    const lines = Array.from(
      { length: 20_000 },
      (_, row) => `i${String(row).padStart(5, '0')},${['red', 'blue', 'green'][row % 3]},a|b${row % 5}`,
    );
    const { batches } = await read({ fields: { colour: 'category', tags: 'list' } }, `sku,colour,tags\n${lines.join('\n')}\n`);
    expect(batches.length).toBeGreaterThan(1);
    for (const name of ['colour', 'tags']) {
      const dictionaries = batches.map((batch) => (batch.columns[name] as { readonly categories: readonly string[] }).categories);
      expect(new Set(dictionaries).size).toBe(1);
    }
  });
});

describe('tables that cannot be read', () => {
  it('say what is missing or empty', async () => {
    expect((await failure(read({ id: 'sko' }, 'sku,title\n1,a\n'))).message).toContain('did you mean "sku"?');
    expect((await failure(read({}, 'sku,title\n,a\n'))).code).toBe('RECLOOM_DAT_EMPTY');
    expect((await failure(read({}, 'sku,title\n'))).code).toBe('RECLOOM_DAT_EMPTY');
  });
});

describe('fingerprint', () => {
  it('tells items from users and one mapping from another', async () => {
    const directory = folderWith({ 'a.csv': 'sku,title\n1,a\n' });
    const signal = new AbortController().signal;
    const of = async (definition: typeof items, options: object): Promise<string> =>
      (await openSource(definition, { path: 'a.csv', id: 'sku', ...options }, directory)).fingerprint(signal);
    const prints = [await of(items, {}), await of(users, {}), await of(items, { fields: { title: 'text' } })];
    expect(new Set(prints).size).toBe(3);
    expect(await of(items, {})).toBe(prints[0]);
  });
});

describe('Online Retail', () => {
  it('has a title and a price for every code, as worked out with Python', async () => {
    const directory = fileURLToPath(new URL('../../../examples/online-retail/data', import.meta.url));
    const { rows } = await readAll(
      items,
      {
        path: 'transactions.csv.gz',
        id: { sql: 'upper(StockCode)' },
        fields: { title: 'Description', price: { column: 'UnitPrice', type: 'number' } },
        where: 'UnitPrice > 0',
      },
      directory,
    );
    // Python: csv module, collections.Counter over stripped descriptions, statistics.median over prices, lines with a price above 0.
    expect(rows).toHaveLength(3_828);
    const byId = new Map(rows.map((row) => [row['id'], row]));
    expect(byId.get('85123A')).toEqual({ id: '85123A', title: 'WHITE HANGING HEART T-LIGHT HOLDER', price: 2.95 });
    expect(byId.get('22423')).toEqual({ id: '22423', title: 'REGENCY CAKESTAND 3 TIER', price: 12.75 });
    expect(byId.get('84879')).toEqual({ id: '84879', title: 'ASSORTED COLOUR BIRD ORNAMENT', price: 1.69 });
    expect(byId.get('POST')).toEqual({ id: 'POST', title: 'POSTAGE', price: 18 });
  }, 120_000);
});
