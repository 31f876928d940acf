import { createReadStream, existsSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { createGunzip, gzipSync } from 'node:zlib';
import type { CategoryColumn, NumberColumn } from '@recloom/plugin-api';
import { describe, expect, it } from 'vitest';
import { Engine } from './duckdb-engine.js';
import { events } from './index.js';
import { collect, droppedCounts, failure, folderWith, openSource, type ReadResult, readAll } from './source.test-support.js';
import { quoteText } from './sql-text.js';

const shop = { user: 'customer', item: 'sku', time: 'at' };
const read = (options: Readonly<Record<string, unknown>>, files: Readonly<Record<string, string | Uint8Array>>): Promise<ReadResult> =>
  readAll(events, { path: 'a.csv', ...shop, ...options }, folderWith(files));
const utc = (text: string): number => Date.parse(`${text}Z`);

/** Writes files in formats that only DuckDB writes. */
async function writeWithDuckdb(statements: readonly string[]): Promise<void> {
  const engine = await Engine.open({ memoryLimitMb: 128, timeZone: 'UTC' });
  try {
    for (const statement of statements) await engine.run(statement);
  } finally {
    await engine.close();
  }
}

describe('columns', () => {
  it('come as the contract says, in the order of the file', async () => {
    const csv = [
      'customer,sku,at,kind,amount,cart',
      'ben,20,2024-01-01T10:00:00,view,2,b1',
      'ann,10,2024-01-01T10:00:01.250,purchase,0.5,',
      ',20,2024-01-01 10:00:02,,,b1',
      'ben,30,2024-01-01,cart,1,b0',
      '',
    ].join('\n');
    const { batches, report } = await read(
      { type: 'kind', weights: { view: 1, cart: 3, purchase: 5 }, weight: 'amount', basket: 'cart' },
      { 'a.csv': csv },
    );
    expect(batches).toHaveLength(1);
    const columns = batches[0]?.columns ?? {};
    expect(batches[0]?.rowCount).toBe(4);
    expect(columns).toEqual({
      user: { type: 'category', codes: Int32Array.of(1, 0, -1, 1), categories: ['ann', 'ben'] },
      item: { type: 'category', codes: Int32Array.of(1, 0, 1, 2), categories: ['10', '20', '30'] },
      type: { type: 'category', codes: Int32Array.of(2, 1, -1, 0), categories: ['cart', 'purchase', 'view'] },
      basket: { type: 'category', codes: Int32Array.of(1, -1, 1, 0), categories: ['b0', 'b1'] },
      timeMs: {
        type: 'number',
        values: Float64Array.of(
          utc('2024-01-01T10:00:00'),
          utc('2024-01-01T10:00:01.250'),
          utc('2024-01-01T10:00:02'),
          utc('2024-01-01T00:00:00'),
        ),
      },
      // 2 × 1; 0.5 × 5; no weight and no type count as 1; 1 × 3.
      weight: { type: 'number', values: Float64Array.of(2, 2.5, 1, 3) },
    });
    expect(report).toEqual({ rowsRead: 4, rowsKept: 4, dropped: [], warnings: [] });
  });

  it('are only those that are mapped; a constant type and its weight', async () => {
    const { batches } = await read(
      { type: { value: 'purchase' }, weights: { purchase: 5 } },
      { 'a.csv': 'customer,sku,at\nann,1,2024-01-01\n' },
    );
    expect(Object.keys(batches[0]?.columns ?? {})).toEqual(['user', 'item', 'timeMs', 'type', 'weight']);
    expect(batches[0]?.columns['type']).toEqual({ type: 'category', codes: Int32Array.of(0), categories: ['purchase'] });
    expect(batches[0]?.columns['weight']).toEqual({ type: 'number', values: Float64Array.of(5) });
    const plain = await read({}, { 'a.csv': 'customer,sku,at\nann,1,2024-01-01\n' });
    expect(Object.keys(plain.batches[0]?.columns ?? {})).toEqual(['user', 'item', 'timeMs']);
  });

  it('share one dictionary over all batches', async () => {
    const rows = Array.from({ length: 70_000 }, (_, row) => `u${row % 7},i${row},2024-01-01`);
    const { batches, report } = await read({}, { 'a.csv': `customer,sku,at\n${rows.join('\n')}\n` });
    expect(batches.length).toBeGreaterThan(1);
    expect(batches.reduce((sum, batch) => sum + batch.rowCount, 0)).toBe(70_000);
    expect(report.rowsKept).toBe(70_000);
    const items = batches.map((batch) => batch.columns['item'] as CategoryColumn);
    expect(new Set(items.map((column) => column.categories)).size).toBe(1);
    let row = 0;
    for (const column of items) for (const code of column.codes) expect(column.categories[code]).toBe(`i${row++}`);
  });

  it('keep ids as they are written: leading zeros, blanks inside, names of Object.prototype', async () => {
    const csv =
      'customer,sku,at,kind\n__proto__,007,2024-01-01,constructor\nconstructor,7,2024-01-01,__proto__\n a b ,0x7,2024-01-01,view\n';
    const { rows, report } = await read({ type: 'kind', weights: { view: 2 } }, { 'a.csv': csv });
    expect(rows.map((row) => [row['user'], row['item'], row['type'], row['weight']])).toEqual([
      ['__proto__', '007', 'constructor', 1],
      ['constructor', '7', '__proto__', 1],
      [' a b ', '0x7', 'view', 2],
    ]);
    expect(report.warnings).toEqual([
      {
        code: 'DATA_DUCKDB_TYPE_WITHOUT_WEIGHT',
        message: '2 events are of 2 types that `weights` does not name; they weigh 1.',
        count: 2,
      },
    ]);
  });

  it('warn of weights that no event uses', async () => {
    const { report } = await read({ type: 'sku', weights: { a: 1, purchse: 5 } }, { 'a.csv': 'customer,sku,at\nann,a,2024-01-01\n' });
    expect(report.warnings.map((warning) => warning.message)).toEqual(['`weights` names purchse, which no event has.']);
  });

  it('come from expressions, over columns with any name', async () => {
    const csv = 'customer,"odd ""name"", (x)",select,at\nann,b,3,2024-01-01\n';
    const { rows } = await read({ item: { sql: `upper("odd ""name"", (x)") || '-' || "select"` }, weight: 'select' }, { 'a.csv': csv });
    expect(rows[0]).toMatchObject({ user: 'ann', item: 'B-3', weight: 3 });
    const direct = await read({ item: 'odd "name", (x)' }, { 'a.csv': csv });
    expect(direct.rows[0]).toMatchObject({ item: 'b' });
  });
});

describe('times', () => {
  const timesOf = async (values: readonly string[], options: Readonly<Record<string, unknown>> = {}): Promise<number[]> => {
    const { batches } = await read(options, {
      'a.csv': `customer,sku,at\n${values.map((value, row) => `ann,${row},"${value}"`).join('\n')}\n`,
    });
    return batches.flatMap((batch) => [...(batch.columns['timeMs'] as NumberColumn).values]);
  };

  it('without a zone are those of `timeZone`, summer time included; a zone that is named wins', async () => {
    const values = ['2011-01-15T12:00:00', '2011-07-15T12:00:00', '2011-07-15T12:00:00Z', '2011-07-15 12:00:00+02:00', '2011-07-15'];
    expect(await timesOf(values, { timeZone: 'Europe/London' })).toEqual(
      ['2011-01-15T12:00:00', '2011-07-15T11:00:00', '2011-07-15T12:00:00', '2011-07-15T10:00:00', '2011-07-14T23:00:00'].map(utc),
    );
    expect(await timesOf(values)).toEqual(
      ['2011-01-15T12:00:00', '2011-07-15T12:00:00', '2011-07-15T12:00:00', '2011-07-15T10:00:00', '2011-07-15T00:00:00'].map(utc),
    );
  });

  it.each([
    ['seconds', ['889751736', '889751737'], [889751736000, 889751737000]],
    ['milliseconds', ['1700000000123', '1700000000124'], [1700000000123, 1700000000124]],
    ['microseconds', ['1700000000123456'], [1700000000123]],
    ['nanoseconds', ['1700000000123456789'], [1700000000123]],
  ])('may be numbers of %s', async (unit, values, expected) => {
    expect(await timesOf(values)).toEqual(expected);
    expect(await timesOf(values, { timeFormat: unit })).toEqual(expected);
  });

  it.each([
    [
      ['12/1/2010 8:26', '12/13/2010 18:05'],
      ['2010-12-01T08:26:00', '2010-12-13T18:05:00'],
    ],
    [
      ['1/12/2010 8:26', '13/12/2010 18:05'],
      ['2010-12-01T08:26:00', '2010-12-13T18:05:00'],
    ],
    [
      ['1.12.2010 08:26', '3.11.2010 08:26'],
      ['2010-12-01T08:26:00', '2010-11-03T08:26:00'],
    ],
    [
      ['1.12.10', '3.11.10'],
      ['2010-12-01T00:00:00', '2010-11-03T00:00:00'],
    ],
    [['12/13/2010 1:05 PM'], ['2010-12-13T13:05:00']],
    [
      ['13 Dec 2010', '1 Nov 2010'],
      ['2010-12-13T00:00:00', '2010-11-01T00:00:00'],
    ],
    [
      ['20101213', '20101101'],
      ['2010-12-13T00:00:00', '2010-11-01T00:00:00'],
    ],
    [['2010/12/13 08:26'], ['2010-12-13T08:26:00']],
    [
      ['05/05/2010', '06/06/2010'],
      ['2010-05-05T00:00:00', '2010-06-06T00:00:00'],
    ],
  ])('are recognised: %j', async (values, expected) => expect(await timesOf(values)).toEqual(expected.map(utc)));

  it('of which no row tells day from month stop the build, and timeFormat decides', async () => {
    const error = await failure(timesOf(['1/2/2010', '3/4/2010']));
    expect(error.code).toBe('DATA_DUCKDB_TIME_AMBIGUOUS');
    expect(error.message).toContain('"at"');
    expect(error.hint).toContain('timeFormat');
    expect(await timesOf(['1/2/2010'], { timeFormat: '%d/%m/%Y' })).toEqual([utc('2010-02-01T00:00:00')]);
  });

  it('are decided by a row far behind the sample', async () => {
    const values = [...Array.from({ length: 12_000 }, (_, row) => `${(row % 12) + 1}/1/2010`), '1/31/2010'];
    const times = await timesOf(values);
    expect(times[1]).toBe(utc('2010-02-01T00:00:00'));
    expect(times.at(-1)).toBe(utc('2010-01-31T00:00:00'));
  });

  it('can be made up where rows are in order but carry none', async () => {
    const { rows } = await read({ time: { sequence: '2024-01-01' } }, { 'a.csv': 'customer,sku\nann,1\nben,\nann,2\n' });
    expect(rows.map((row) => row['timeMs'])).toEqual([utc('2024-01-01T00:00:00'), utc('2024-01-01T00:00:02')]);
  });
});

describe('rows that cannot be used', () => {
  // Line:                  1                2                 3 4            5 6                7               8             9
  const messy =
    'customer,sku,at\nann,1,2024-01-01\n"b\nb",2,2024-01-02\n\ncyd,3,soon\ndan,,2024-01-03\neve,5,later\nfay,6,\ngus,7,2024-01-04\n';

  it('are counted by reason, with physical lines: quotes may span lines, blank lines are no rows', async () => {
    const { report, rows } = await read({ maxBadShare: 0.5 }, { 'a.csv': messy });
    expect(rows.map((row) => row['item'])).toEqual(['1', '2', '7']);
    expect(report).toEqual({
      rowsRead: 7,
      rowsKept: 3,
      dropped: [
        { reason: 'unreadable at', count: 2, lines: [6, 8] },
        { reason: 'no item', count: 1, lines: [7] },
        { reason: 'no time', count: 1, lines: [9] },
      ],
      warnings: [
        {
          code: 'RECLOOM_DAT_BAD_VALUES',
          message: '2 values of "at" could not be read (lines 6, 8); the rows were dropped.',
          count: 2,
          detail: { column: 'at', lines: [6, 8], files: ['a.csv'] },
        },
      ],
    });
  });

  it('stop the build above maxBadShare, naming lines and no data', async () => {
    const source = await openSource(events, { path: 'a.csv', ...shop }, folderWith({ 'a.csv': messy }));
    const error = await failure(collect(source));
    expect(error.code).toBe('RECLOOM_DAT_TOO_MANY_BAD');
    expect(error.message).toBe(
      '2 of 7 rows (28.6 %) are unreadable, more than the allowed 1 %: 2 × column "at" is not a time (lines 6, 8), as `time` wants it.',
    );
    expect(JSON.stringify(error.toJSON())).not.toMatch(/soon|later/);
    expect(source.report().rowsRead).toBe(7);
  });

  it('keep the same lines in gzip, with and without records of several lines', async () => {
    const flat = messy.replace('"b\nb"', 'bb').replace('\n\n', '\n');
    for (const [text, lines] of [
      [messy, [6, 8]],
      [flat, [4, 6]],
      [flat.slice(0, -1), [4, 6]],
      [flat.replaceAll('\n', '\r\n'), [4, 6]],
    ] as const) {
      const { report } = await read({ path: 'a.csv.gz', maxBadShare: 0.5 }, { 'a.csv.gz': gzipSync(text) });
      expect(report.dropped[0]).toEqual({ reason: 'unreadable at', count: 2, lines });
    }
  });

  it('may be ragged: too few, too many, broken quotes', async () => {
    const csv = 'customer,sku,at\nann,1,2024-01-01\nben,2\n"c\nc",3,2024-01-02\ndan,4,2024-01-03,x\neve,"5" x,2024-01-04\nfay,6,gone\n';
    const files = { 'a.csv': csv, 'b.csv.gz': gzipSync(csv.replace('"c\nc"', 'cc')) };
    const { report } = await read({ maxBadShare: 1 }, files);
    expect(report.rowsRead).toBe(6);
    expect(report.rowsKept).toBe(2);
    expect(report.dropped).toEqual([
      { reason: 'too few columns', count: 1, lines: [3] },
      { reason: 'too many columns', count: 1, lines: [6] },
      { reason: 'broken quotes', count: 1, lines: [7] },
      { reason: 'unreadable at', count: 1, lines: [8] },
    ]);
    const zipped = await read({ path: 'b.csv.gz', maxBadShare: 1 }, files);
    expect(zipped.report.dropped.map((entry) => entry.lines)).toEqual([[3], [5], [6], [7]]);
    const error = await failure(read({}, files));
    expect(error.code).toBe('RECLOOM_DAT_TOO_MANY_BAD');
    expect(error.message).toContain('1 × too few columns (line 3)');
  });

  it('of several files are named with their file', async () => {
    const files = { 'a1.csv': 'customer,sku,at\nann,1,2024-01-01\n', 'a2.csv': 'customer,sku,at\nann,2,nope\nben,3,2024-01-01\n' };
    const { report } = await read({ path: 'a*.csv', maxBadShare: 0.5 }, files);
    expect(report.dropped).toEqual([{ reason: 'unreadable at', count: 1 }]);
    expect(report.warnings[0]?.message).toBe('1 value of "at" could not be read (a2.csv:2); the row was dropped.');
  });

  it('can weigh nothing readable', async () => {
    const { report, rows } = await read(
      { weight: 'w', maxBadShare: 0.5 },
      { 'a.csv': 'customer,sku,at,w\nann,1,2024-01-01,much\nann,2,2024-01-01,\nann,3,2024-01-01,inf\nann,4,2024-01-01, 2 \n' },
    );
    expect(rows.map((row) => [row['item'], row['weight']])).toEqual([
      ['2', 1],
      ['4', 2],
    ]);
    expect(droppedCounts(report)).toEqual({ 'unreadable w': 2 });
  });
});

describe('where and drop', () => {
  const csv =
    'customer,sku,at,order,quantity\nann,1,2024-01-01,100,2\nann,2,2024-01-01,C101,-1\nben,3,2024-01-01,102,-1\nben,4,2024-01-01,103,x\nben,5,2024-01-01,104,\nben,6,2024-01-01,105,0.4\nann,7,2024-01-01,106,1\n';
  const rules = [
    { reason: 'cancelled', where: '"order" LIKE \'C%\'' },
    { reason: 'returned', where: 'quantity <= 0' },
  ];

  it('count a row under the first rule that matches; unreadable numbers are no answer to a rule', async () => {
    const { report, rows } = await read({ drop: rules, maxBadShare: 0.5 }, { 'a.csv': csv });
    expect(rows.map((row) => row['item'])).toEqual(['1', '5', '6', '7']);
    expect(report.dropped).toEqual([
      { reason: 'cancelled', count: 1, lines: [3] },
      { reason: 'returned', count: 1, lines: [4] },
      { reason: 'unreadable quantity', count: 1, lines: [5] },
    ]);
    const turned = await read({ drop: [...rules].reverse(), maxBadShare: 0.5 }, { 'a.csv': csv });
    expect(droppedCounts(turned.report)).toEqual({ returned: 2, 'unreadable quantity': 1 });
  });

  it('drop what is not true, and say when an unreadable number was the reason', async () => {
    const { report } = await read({ where: 'quantity > 0', maxBadShare: 0.5 }, { 'a.csv': csv });
    // -1, -1 are not above 0, the empty one is unknown; 0.4 stays, though all numbers of a smaller sample were whole.
    expect(droppedCounts(report)).toEqual({ where: 3, 'unreadable quantity': 1 });
  });

  it('read a number as one even where the first fraction comes after the sample', async () => {
    const lines = Array.from({ length: 12_000 }, (_, row) => `ann,${row},2024-01-01,1`);
    const { report } = await read(
      { drop: [{ reason: 'small', where: 'quantity < 1' }] },
      { 'a.csv': `customer,sku,at,quantity\n${lines.join('\n')}\nann,x,2024-01-01,0.6\n` },
    );
    // As an integer 0.6 would be 1 and stay.
    expect(report.dropped).toEqual([{ reason: 'small', count: 1, lines: [12_002] }]);
  });

  it('take a column of numbers as text where the condition asks for text', async () => {
    const plain = csv.replace('C101', '101');
    const { report } = await read({ drop: [{ reason: 'ends in 6', where: '"order" LIKE \'%6\'' }] }, { 'a.csv': plain });
    expect(droppedCounts(report)).toEqual({ 'ends in 6': 1 });
  });

  it('obey `types` and the decimal comma', async () => {
    const files = { 'a.csv': 'customer;sku;at;price\nann;1;2024-01-01;1.234,50\nann;2;2024-01-01;0,99\nann;3;2024-01-01;x1\n' };
    const { rows, report } = await read(
      { decimal: ',', types: { price: 'number' }, where: 'price < 1000', weight: 'price', maxBadShare: 0.5 },
      files,
    );
    expect(rows.map((row) => row['weight'])).toEqual([0.99]);
    expect(droppedCounts(report)).toEqual({ where: 1, 'unreadable price': 1 });
  });

  it('refuse what is no condition, holds a second statement or reads another file', async () => {
    for (const where of [
      'quantity + 1',
      "1 = 1; COPY (SELECT 1) TO 'x'",
      "EXISTS (FROM read_text('/etc/passwd'))",
      'sum(quantity) > 1',
      'random() < 0.5',
    ]) {
      expect((await failure(read({ where }, { 'a.csv': csv }))).code, where).toBe('RECLOOM_DAT_QUERY_REFUSED');
    }
    expect((await failure(read({ item: { sql: 'max(sku)' } }, { 'a.csv': csv }))).message).toContain('must not aggregate');
    expect((await failure(read({ drop: [{ reason: 'x', where: 'quantty > 1' }] }, { 'a.csv': csv }))).message).toContain(
      'did you mean "quantity"?',
    );
  });
});

describe('duplicates', () => {
  const csv = 'customer,sku,at,note\nann,1,2024-01-01,x\nann,1,2024-01-01,y\nann,1,2024-01-01,x\nben,1,2024-01-01,x\nann,1,2024-01-01,x\n';
  it('are rows equal in every column, mapped or not; the first stays', async () => {
    const { report } = await read({}, { 'a.csv': csv });
    expect(report).toMatchObject({ rowsRead: 5, rowsKept: 3, dropped: [{ reason: 'exact duplicate', count: 2, lines: [4, 6] }] });
    const all = await read({ deduplicate: 'none' }, { 'a.csv': csv });
    expect(all.report).toMatchObject({ rowsRead: 5, rowsKept: 5, dropped: [] });
  });
});

describe('files', () => {
  const one = 'customer,sku,at\nann,1,2024-01-01\n';
  const expected = [{ user: 'ann', item: '1', timeMs: utc('2024-01-01T00:00:00') }];

  it('may be CSV of any delimiter, line end, encoding and compression, TSV, JSON and NDJSON', async () => {
    const files = {
      'semicolon.csv': one.replaceAll(',', ';'),
      'bar.csv': one.replaceAll(',', '|'),
      'tab.tsv': one.replaceAll(',', '\t'),
      'windows.csv': `\uFEFF${one.replaceAll('\n', '\r\n')}`,
      'mac.csv': one.replaceAll('\n', '\r'),
      'noend.csv': one.slice(0, -1),
      'zip.csv.gz': gzipSync(one),
      'list.json': JSON.stringify([{ customer: 'ann', sku: 1, at: '2024-01-01' }]),
      'lines.ndjson': '{"customer":"ann","sku":"1","at":"2024-01-01T00:00:00Z"}\n',
      'lines.jsonl.gz': gzipSync('{"customer":"ann","sku":1,"at":1704067200000}\n'),
      'brackets[1]*.csv': one,
    };
    const directory = folderWith(files);
    for (const path of Object.keys(files)) expect((await readAll(events, { path, ...shop }, directory)).rows, path).toEqual(expected);
    const named = await readAll(events, { path: 'semicolon.csv', ...shop, delimiter: ';', fileFormat: 'csv' }, directory);
    expect(named.rows).toEqual(expected);
  });

  it('may be Latin-1 or UTF-16 when told so', async () => {
    const text = 'customer,sku,at\nannä,café,2024-01-01\n';
    const files = { 'latin.csv': Buffer.from(text, 'latin1'), 'wide.csv': Buffer.from(`\uFEFF${text}`, 'utf16le') };
    const directory = folderWith(files);
    const rows = [{ user: 'annä', item: 'café', timeMs: utc('2024-01-01T00:00:00') }];
    expect((await readAll(events, { path: 'latin.csv', ...shop, encoding: 'latin-1' }, directory)).rows).toEqual(rows);
    expect((await readAll(events, { path: 'wide.csv', ...shop, encoding: 'utf-16' }, directory)).rows).toEqual(rows);
  });

  it('may have no header line', async () => {
    const { rows } = await read({ header: false, user: 'column1', item: 'column2', time: 'column3' }, { 'a.csv': 'ann,1,2024-01-01\n' });
    expect(rows).toEqual(expected);
  });

  it('may be Parquet, whose ids that were stored as fractions come out whole, and zstd', async () => {
    const directory = folderWith({});
    const at = (name: string): string => quoteText(join(directory, name));
    await writeWithDuckdb([
      `COPY (SELECT 17850.0::DOUBLE AS customer, 5::BIGINT AS sku, TIMESTAMP '2024-07-01 12:00:00' AS at, DATE '2024-07-01' AS day) TO ${at('a.parquet')}`,
      `COPY (SELECT 'ann' AS customer, range AS sku, '2024-01-01' AS at FROM range(60000)) TO ${at('a.csv.zst')} (COMPRESSION zstd)`,
    ]);
    const parquet = await readAll(events, { path: 'a.parquet', ...shop, timeZone: 'Europe/London' }, directory);
    expect(parquet.rows).toEqual([{ user: '17850', item: '5', timeMs: utc('2024-07-01T11:00:00') }]);
    expect((await readAll(events, { path: 'a.parquet', ...shop, time: 'day', where: 'sku = 5' }, directory)).rows[0]?.['timeMs']).toBe(
      utc('2024-07-01T00:00:00'),
    );
    const zstd = await readAll(events, { path: 'a.csv.zst', ...shop }, directory);
    expect(zstd.report.rowsKept).toBe(60_000);
  });

  it('of a glob are read in ascending order, columns matched by name, missing ones null', async () => {
    const files = {
      'e-2.csv': 'sku,at,customer\n2,2024-01-02,ben\n',
      'e-1.csv': one,
      'e-3.csv': 'customer,sku,at,kind\ncyd,3,2024-01-03,view\n',
      'other.csv': 'x\n',
    };
    const { rows } = await read({ path: 'e-*.csv', type: 'kind' }, files);
    expect(rows.map((row) => [row['user'], row['item'], row['type']])).toEqual([
      ['ann', '1', null],
      ['ben', '2', null],
      ['cyd', '3', 'view'],
    ]);
    const list = await read({ path: ['e-2.csv', 'e-1.csv'] }, files);
    expect(list.rows.map((row) => row['item'])).toEqual(['2', '1']);
  });

  it('that hold nothing are passed over among others', async () => {
    const { report } = await read({ path: ['a.csv', 'b.csv'] }, { 'a.csv': one, 'b.csv': '' });
    expect(report.rowsRead).toBe(1);
    expect(report.warnings).toEqual([{ code: 'DATA_DUCKDB_EMPTY_FILE', message: 'b.csv holds nothing and was passed over.' }]);
  });
});

describe('files that cannot be read', () => {
  const rows = Array.from(
    { length: 30_000 },
    (_, row) => `user${(row * 7919) % 1000},item${(row * 104_729) % 5000},2024-01-01T00:00:${row % 60}`,
  );
  const zipped = gzipSync(`customer,sku,at\n${rows.join('\n')}\n`);
  const flipped = Buffer.from(zipped);
  flipped.writeUInt32LE((flipped.readUInt32LE(flipped.length - 8) ^ 1) >>> 0, flipped.length - 8);

  it.each<[string, string, string | Uint8Array, string, RegExp]>([
    ['a file of no bytes', 'a.csv', '', 'RECLOOM_DAT_EMPTY', /no rows in a\.csv/],
    ['a header only', 'a.csv', 'customer,sku,at\n', 'RECLOOM_DAT_EMPTY', /no rows in a\.csv/],
    ['blank lines only', 'a.csv', '\n\n\n', 'RECLOOM_DAT_EMPTY', /no rows/],
    [
      'Latin-1 in a value',
      'a.csv',
      Buffer.from('customer,sku,at\nannä,1,2024-01-01\n', 'latin1'),
      'RECLOOM_DAT_ENCODING',
      /a\.csv is not valid UTF-8/,
    ],
    [
      'Latin-1 in the header',
      'a.csv',
      Buffer.from('customer,sku,at,größe\nann,1,2024-01-01,1\n', 'latin1'),
      'RECLOOM_DAT_ENCODING',
      /not valid UTF-8/,
    ],
    ['UTF-16', 'a.csv', Buffer.from('\uFEFFcustomer,sku,at\nann,1,2024-01-01\n', 'utf16le'), 'RECLOOM_DAT_ENCODING', /not valid UTF-8/],
    ['gzip cut in the middle', 'a.csv.gz', zipped.subarray(0, zipped.length / 2), 'RECLOOM_DAT_UNREADABLE', /end too early/],
    ['gzip without its last bytes', 'a.csv.gz', zipped.subarray(0, -4), 'RECLOOM_DAT_UNREADABLE', /end too early/],
    ['gzip with a wrong checksum', 'a.csv.gz', flipped, 'RECLOOM_DAT_UNREADABLE', /damaged/],
    ['no gzip at all', 'a.csv.gz', 'customer,sku,at\nann,1,2024-01-01\n', 'RECLOOM_DAT_UNREADABLE', /not compressed as its name says/],
    ['no zstd at all', 'a.csv.zst', 'customer,sku,at\nann,1,2024-01-01\n', 'RECLOOM_DAT_UNREADABLE', /not compressed as its name says/],
    ['no Parquet', 'a.parquet', 'customer,sku,at\nann,1,2024-01-01\n', 'RECLOOM_DAT_UNREADABLE', /not a Parquet file/],
    ['no JSON', 'a.json', '{"customer": "ann"', 'RECLOOM_DAT_UNREADABLE', /not valid JSON/],
    [
      'a line of no JSON',
      'a.ndjson',
      '{"customer":"ann","sku":1,"at":"2024-01-01"}\n{"customer":\n',
      'RECLOOM_DAT_UNREADABLE',
      /not valid JSON/,
    ],
    [
      'a picture called CSV',
      'a.csv',
      Buffer.from([0x89, 0x50, 0x4e, 0x47, 0, 0, 0, 13, 10, 0, 0, 1, 2, 3, 10]),
      'RECLOOM_DAT_UNREADABLE',
      /not text/,
    ],
    ['an unknown ending', 'a.dat', 'customer,sku,at\n', 'RECLOOM_DAT_UNREADABLE', /fileFormat/],
    [
      'line ends of two systems',
      'a.csv',
      'customer,sku,at\r\nann,1,2024-01-01\nben,2,2024-01-02\r\n',
      'RECLOOM_DAT_UNREADABLE',
      /line ends/,
    ],
  ])('%s', async (_, name, content, code, message) => {
    const error = await failure(read({ path: name }, { [name]: content }));
    expect({ code: error.code, message: error.message }).toEqual({ code, message: expect.stringMatching(message) });
    expect(JSON.stringify(error.toJSON())).not.toMatch(/\bann|user\d|2024/);
    expect(error.cause).toBeUndefined();
  });

  it('zstd that was cut off', async () => {
    const directory = folderWith({});
    await writeWithDuckdb([
      `COPY (SELECT 'ann' || range AS customer, range AS sku, '2024-01-01' AS at FROM range(50000)) TO ${quoteText(join(directory, 'a.csv.zst'))} (COMPRESSION zstd)`,
    ]);
    const { readFileSync, writeFileSync } = await import('node:fs');
    const whole = readFileSync(join(directory, 'a.csv.zst'));
    for (const [name, cut] of [
      ['half', whole.length / 2],
      ['tail', whole.length - 3],
    ] as const) {
      writeFileSync(join(directory, `${name}.csv.zst`), whole.subarray(0, cut));
      const error = await failure(readAll(events, { path: `${name}.csv.zst`, ...shop }, directory));
      expect(error.code).toBe('RECLOOM_DAT_UNREADABLE');
    }
  });

  it('missing ones, globs that match nothing, folders and URLs', async () => {
    const directory = folderWith({ 'a.csv': 'x\n' });
    const missing = await failure(readAll(events, { path: 'none.csv', ...shop }, directory));
    expect([missing.code, missing.message]).toEqual(['RECLOOM_DAT_FILE_MISSING', 'No file matches none.csv.']);
    expect((await failure(readAll(events, { path: 'none-*.csv', ...shop }, directory))).code).toBe('RECLOOM_DAT_FILE_MISSING');
    expect((await failure(readAll(events, { path: ['a.csv', 'none.csv'], ...shop }, directory))).code).toBe('RECLOOM_DAT_FILE_MISSING');
    expect((await failure(readAll(events, { path: '.', ...shop, fileFormat: 'csv' }, directory))).message).toContain('not a file');
    const url = await failure(readAll(events, { path: 'https://user:secret@example.com/a.csv', ...shop }, directory));
    expect(url.code).toBe('RECLOOM_DAT_UNREADABLE');
    expect(url.message).not.toContain('secret');
  });

  it('columns that are not there, with a suggestion', async () => {
    const error = await failure(read({ user: 'custommer' }, { 'a.csv': 'customer,sku,at\nann,1,2024-01-01\n' }));
    expect(error.code).toBe('RECLOOM_DAT_COLUMN_MISSING');
    expect(error.message).toBe('There is no column "custommer"; did you mean "customer"? The file has: customer, sku, at.');
  });

  it('files of which nothing is left', async () => {
    const source = await openSource(
      events,
      { path: 'a.csv', ...shop, where: 'false' },
      folderWith({ 'a.csv': 'customer,sku,at\nann,1,2024-01-01\n' }),
    );
    const error = await failure(collect(source));
    expect([error.code, error.message]).toEqual(['RECLOOM_DAT_EMPTY', 'There are no events left (1 row read; left out: 1 × where).']);
    expect(source.report().dropped).toEqual([{ reason: 'where', count: 1, lines: [2] }]);
  });
});

describe('query', () => {
  const files = {
    'a.csv': 'customer,sku,at,quantity\nann,1,2024-01-01,1\nben,2,2024-01-02,0.5\ncyd,3,2024-01-03,three\n',
    'prices.csv': 'sku,price\n1,10\n2,20\n',
  };

  it('is one SELECT over `input` and `files`, whose columns the mapping names', async () => {
    const { rows, report } = await read(
      {
        files: { prices: 'prices.csv' },
        query:
          'SELECT customer, upper(\'x\' || sku) AS sku, "at", quantity * price AS worth FROM input JOIN prices USING (sku) ORDER BY "at" DESC',
        weight: 'worth',
        maxBadShare: 0.5,
      },
      files,
    );
    expect(rows.map((row) => [row['user'], row['item'], row['weight']])).toEqual([
      ['ben', 'X2', 10],
      ['ann', 'X1', 10],
    ]);
    // "three" became null inside the query; it is told all the same.
    expect(report.warnings).toEqual([
      {
        code: 'RECLOOM_DAT_BAD_VALUES',
        message: '1 value of "quantity" could not be read (a.csv:4); it counts as missing.',
        count: 1,
        detail: { column: 'quantity', lines: [4], files: ['a.csv'] },
      },
    ]);
    expect((await failure(read({ query: 'SELECT *, quantity + 1 AS more FROM input' }, files))).code).toBe('RECLOOM_DAT_TOO_MANY_BAD');
  });

  it('must be told which files it may read, and reads no other', async () => {
    for (const query of [
      "SELECT * FROM read_csv('prices.csv')",
      "SELECT * FROM 'prices.csv'",
      'SELECT * FROM prices',
      "COPY (SELECT 1) TO 'x.csv'",
      'SELECT 1; SELECT 2',
      'SELECT nothing FROM input',
    ]) {
      expect((await failure(read({ query }, files))).code, query).toBe('RECLOOM_DAT_QUERY_REFUSED');
    }
    expect(existsSync('x.csv')).toBe(false);
  });

  it('takes a guessed number as text where it asks for text', async () => {
    const { rows } = await read(
      { query: "SELECT * FROM input WHERE sku LIKE '2%'" },
      { 'a.csv': 'customer,sku,at\nann,1,2024-01-01\nben,2,2024-01-02\n' },
    );
    expect(rows.map((row) => row['user'])).toEqual(['ben']);
  });

  it('needs a file, and `path` alone cannot have `files`', async () => {
    const directory = folderWith(files);
    await expect(openSource(events, { query: 'SELECT 1', ...shop }, directory)).rejects.toThrow(/path/);
    await expect(openSource(events, { ...shop }, directory)).rejects.toThrow(/path/);
    await expect(openSource(events, { path: 'a.csv', files: { prices: 'prices.csv' }, ...shop }, directory)).rejects.toThrow(/path/);
  });
});

describe('fingerprint', () => {
  const csv = 'customer,sku,at\nann,1,2024-01-01\n';
  const signal = new AbortController().signal;
  const fingerprint = async (options: Readonly<Record<string, unknown>>, content = csv): Promise<string> =>
    (await openSource(events, { path: 'a.csv', ...shop, ...options }, folderWith({ 'a.csv': content }))).fingerprint(signal);

  it('is of the contents and the mapping, not of folder, memory or threads', async () => {
    const base = await fingerprint({});
    expect(base).toMatch(/^[0-9a-f]{64}$/);
    expect(await fingerprint({ memoryLimitMb: 128, threads: 1 })).toBe(base);
    expect(await fingerprint({}, csv.replace('ann', 'ben'))).not.toBe(base);
    expect(await fingerprint({ where: 'sku = 1' })).not.toBe(base);
    expect(await fingerprint({ timeZone: 'Europe/London' })).not.toBe(base);
  });

  it('is another one every time where the rows depend on the clock', async () => {
    const where = 'TRY_CAST("at" AS DATE) > today() - INTERVAL 30 DAY';
    expect(await fingerprint({ where })).not.toBe(await fingerprint({ where }));
  });
});

describe('an abort', () => {
  it('before and between batches rejects with its reason and frees the source', async () => {
    const rows = Array.from({ length: 70_000 }, (_, row) => `u${row},i${row},2024-01-01`);
    const source = await openSource(events, { path: 'a.csv', ...shop }, folderWith({ 'a.csv': `customer,sku,at\n${rows.join('\n')}\n` }));
    const early = AbortSignal.abort(new Error('not now'));
    await expect(collect(source, early)).rejects.toThrow('not now');
    const controller = new AbortController();
    const seen = async (): Promise<void> => {
      for await (const _ of source.read({ signal: controller.signal, progress: () => undefined })) controller.abort(new Error('enough'));
    };
    await expect(seen()).rejects.toThrow('enough');
    expect((await collect(source)).report.rowsKept).toBe(70_000);
  });
});

describe('Online Retail', () => {
  const directory = fileURLToPath(new URL('../../../examples/online-retail/data', import.meta.url));
  const mapping = {
    path: 'transactions.csv.gz',
    user: 'CustomerID',
    item: { sql: 'upper(StockCode)' },
    time: 'InvoiceDate',
    type: { value: 'purchase' },
    basket: 'InvoiceNo',
  };
  const rules = [
    { reason: 'cancelled', where: "InvoiceNo LIKE 'C%'" },
    { reason: 'bad debt', where: "InvoiceNo LIKE 'A%'" },
    { reason: 'quantity', where: 'Quantity <= 0' },
    { reason: 'price', where: 'UnitPrice <= 0' },
    { reason: 'code', where: "NOT regexp_matches(StockCode, '^[0-9]{5}')" },
    { reason: 'guest', where: 'CustomerID IS NULL' },
  ];

  it('has the duplicates its README counts', async () => {
    const { report } = await readAll(events, mapping, directory);
    expect(report).toMatchObject({
      rowsRead: 541_909,
      rowsKept: 536_641,
      dropped: [{ reason: 'exact duplicate', count: 5_268, lines: [519, 529, 539] }],
    });
  }, 120_000);

  it('has the lines its README counts, each rule alone', async () => {
    const counted = {
      cancelled: [`InvoiceNo LIKE 'C%'`, 9_288],
      'bad debt': [`InvoiceNo LIKE 'A%'`, 3],
      'without a customer': ['CustomerID IS NULL', 135_080],
      'without a description': ['Description IS NULL', 1_454],
      'negative quantity': ['Quantity < 0', 10_624],
      'price of zero or less': ['UnitPrice <= 0', 2_517],
      invoices: ['DISTINCT InvoiceNo', 25_900],
      codes: ['DISTINCT StockCode', 4_070],
      'codes, case aside': ['DISTINCT upper(StockCode)', 4_070 - 112],
      customers: ['DISTINCT CustomerID', 4_372],
      countries: ['DISTINCT Country', 38],
    } as const;
    const names = Object.keys(counted).map((name) => `'${name}'`);
    const sums = Object.values(counted).map(([what]) => (what.startsWith('DISTINCT') ? `count(${what})` : `count(*) FILTER (${what})`));
    const query = `SELECT 'total' AS u, '2011-01-01' AS t, unnest([${names.join(', ')}]) AS name, unnest([${sums.join(', ')}]) AS n FROM input`;
    const options = { path: 'transactions.csv.gz', query, user: 'u', item: 'name', time: 't', weight: 'n' };
    const { rows, report } = await readAll(events, options, directory);
    expect(Object.fromEntries(rows.map((row) => [row['item'], row['weight']]))).toEqual(
      Object.fromEntries(Object.entries(counted).map(([name, [, count]]) => [name, count])),
    );
    expect(report.warnings).toEqual([]);
  }, 120_000);

  it('cleans to the line as Python does, and gives protocol Q1 its matrix', async () => {
    const { batches, report } = await readAll(events, { ...mapping, drop: rules }, directory);
    // Worked out with Python's csv module (first matching rule; 1-based lines).
    expect(report).toEqual({
      rowsRead: 541_909,
      rowsKept: 391_150,
      dropped: [
        { reason: 'cancelled', count: 9_288, lines: [143, 156, 237] },
        { reason: 'bad debt', count: 3, lines: [299_984, 299_985, 299_986] },
        { reason: 'quantity', count: 1_336, lines: [2_408, 4_349, 7_190] },
        { reason: 'price', count: 1_179, lines: [624, 1_972, 1_973] },
        { reason: 'code', count: 2_378, lines: [47, 388, 1_125] },
        { reason: 'guest', count: 131_388, lines: [1_445, 1_446, 1_447] },
        { reason: 'exact duplicate', count: 5_187, lines: [519, 529, 539] },
      ],
      warnings: [],
    });

    // Protocol Q1 of the data README: 3,818 × 3,066, 228,926 pairs, 1,262 test customers.
    const cut = Date.parse('2011-11-09T00:00:00Z');
    const train = new Map<number, Set<number>>();
    const test = new Map<number, Set<number>>();
    for (const { rowCount, columns } of batches) {
      const user = columns['user'] as CategoryColumn;
      const item = columns['item'] as CategoryColumn;
      const time = columns['timeMs'] as NumberColumn;
      for (let row = 0; row < rowCount; row++) {
        const side = (time.values[row] as number) < cut ? train : test;
        const customer = user.codes[row] as number;
        let set = side.get(customer);
        if (set === undefined) side.set(customer, (set = new Set()));
        set.add(item.codes[row] as number);
      }
    }
    const buyers = new Map<number, number>();
    for (const items of train.values()) for (const item of items) buyers.set(item, (buyers.get(item) ?? 0) + 1);
    const kept = new Set([...buyers].filter(([, count]) => count >= 5).map(([item]) => item));
    const histories = [...train]
      .map(([customer, items]) => [customer, new Set([...items].filter((item) => kept.has(item)))] as const)
      .filter(([, items]) => items.size >= 5);
    expect(histories).toHaveLength(3_818);
    expect(kept.size).toBe(3_066);
    expect(histories.reduce((sum, [, items]) => sum + items.size, 0)).toBe(228_926);
    expect(
      histories.filter(([customer, items]) => [...(test.get(customer) ?? [])].some((item) => kept.has(item) && !items.has(item))),
    ).toHaveLength(1_262);
  }, 120_000);

  it('comes out the same whatever the number of threads', async () => {
    const runs = [];
    for (const threads of [1, 4]) runs.push(await collectRaw({ ...mapping, drop: rules, threads }));
    expect(runs[1]).toEqual(runs[0]);

    async function collectRaw(options: Readonly<Record<string, unknown>>): Promise<unknown> {
      const { createHash } = await import('node:crypto');
      const source = await openSource(events, options, directory);
      const hash = createHash('sha256');
      for await (const { columns } of source.read({ signal: new AbortController().signal, progress: () => undefined })) {
        for (const [name, column] of Object.entries(columns)) {
          hash.update(name);
          if (column.type === 'category') hash.update(column.codes).update(JSON.stringify(column.categories));
          else if (column.type === 'number') hash.update(column.values);
        }
      }
      return { hash: hash.digest('hex'), report: source.report() };
    }
  }, 120_000);

  it('is whole: the file under test is the one its README describes', async () => {
    const { createHash } = await import('node:crypto');
    const hash = createHash('sha256');
    for await (const chunk of createReadStream(join(directory, 'transactions.csv.gz')).pipe(createGunzip())) hash.update(chunk as Buffer);
    expect(hash.digest('hex')).toBe('565ae9c282205004df321d1088f860f611b3d854e2122d71a0781452f6391e0a');
  });
});
