import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Engine } from './duckdb-engine.js';
import { failure } from './source.test-support.js';
import { areRepeatable, checkExpression, checkQuery, clockFunctions, volatileFunctions } from './sql-guard.js';

let engine: Engine;
beforeAll(async () => {
  engine = await Engine.open({ memoryLimitMb: 128, timeZone: 'UTC' });
});
afterAll(() => engine.close());

const columns = ['Quantity', 'StockCode', 'odd "name"', 'tags'];

describe('checkExpression', () => {
  it.each([
    ['Quantity <= 0', ['Quantity']],
    ["quantity > 1 AND StockCode LIKE 'C%'", ['Quantity', 'StockCode']],
    ['upper("odd ""name""")', ['odd "name"']],
    ['CASE WHEN Quantity BETWEEN 1 AND 2 THEN 1 ELSE NULL END', ['Quantity']],
    ['list_filter(tags, lambda tag: tag <> StockCode)', ['tags', 'StockCode']],
    ["'--not a comment' || StockCode", ['StockCode']],
    ['1', []],
  ])('accepts %s', async (text, expected) => {
    const checked = await checkExpression(engine, 'where', text, columns);
    expect(checked.columns).toEqual(expected);
    expect(checked.repeatable).toBe(true);
  });

  it.each([
    ['1; DROP TABLE x', /not a SELECT/],
    ['1; SELECT 2', /more than one statement/],
    ['1) FROM input; COPY (SELECT 1', /cannot be parsed|more than one/],
    ["1 FROM read_csv('/etc/passwd')", /single expression/],
    ['1 WHERE true', /single expression/],
    ['Quantity, StockCode', /single expression/],
    ['Quantity AS x', /single expression/],
    ['1 ORDER BY 1', /single expression/],
    ['1 UNION SELECT 2', /single expression/],
    ['(SELECT 1)', /sub-query/],
    ["EXISTS (FROM read_text('/etc/passwd'))", /sub-query/],
    ['row_number() OVER ()', /window/],
    ['*', /\*/],
    ["COLUMNS('.*')", /\*/],
    ['$1', /parameter/],
    ['unnest(tags)', /unnest/],
    ['random() < 0.5', /something else every time/],
    ['', /cannot be parsed|single expression|empty/],
  ])('refuses %j', async (text, why) => {
    const error = await failure(checkExpression(engine, 'where', text, columns));
    expect(error.code).toBe('RECLOOM_DAT_QUERY_REFUSED');
    expect(error.message).toMatch(why);
  });

  it('cuts off what a comment could hide, since the text is written anew from its tree', async () => {
    const checked = await checkExpression(engine, 'where', 'Quantity > 0 -- ) FROM x', columns);
    expect(checked.sql).toBe('((Quantity > 0))');
    const block = await checkExpression(engine, 'where', 'Quantity /* ; DROP */ > 0', columns);
    expect(block.sql).toBe('((Quantity > 0))');
  });

  it('suggests the nearest column', async () => {
    const error = await failure(checkExpression(engine, 'where', 'Quantitty > 0', columns));
    expect(error.code).toBe('RECLOOM_DAT_COLUMN_MISSING');
    expect(error.message).toContain('did you mean "Quantity"?');
  });

  it('knows which expressions ask for the time', async () => {
    for (const text of ['now()', 'current_date', 'today()', 'ago(INTERVAL 1 DAY)']) {
      expect((await checkExpression(engine, 'where', text, columns)).repeatable, text).toBe(false);
    }
    expect(await areRepeatable(engine, ['SELECT upper(x)', 'SELECT a FROM input'])).toBe(true);
    expect(await areRepeatable(engine, ['SELECT x < now()'])).toBe(false);
    expect(await areRepeatable(engine, ['SELECT x < current_timestamp'])).toBe(false);
    expect(await areRepeatable(engine, ['not SQL at all'])).toBe(true);
  });
});

describe('checkQuery', () => {
  it.each([
    'SELECT * FROM input',
    'FROM input',
    'SELECT a, count(*) FROM input JOIN prices USING (sku) GROUP BY a ORDER BY 2 DESC LIMIT 5',
    'WITH recent AS (SELECT * FROM input) SELECT * FROM recent UNION ALL SELECT * FROM prices',
    'SELECT *, row_number() OVER (PARTITION BY customer ORDER BY bought) FROM input',
    'SELECT unnest(tags) FROM input WHERE sku IN (SELECT sku FROM prices)',
    'SELECT * FROM range(3)',
    'SELECT 1; -- only one',
  ])('accepts %s', async (text) => {
    await expect(checkQuery(engine, text, ['input', 'prices'])).resolves.toBeDefined();
  });

  it.each([
    ["COPY (SELECT 1) TO '/tmp/x.csv'", /not a SELECT/],
    ["ATTACH '/tmp/x.db'", /not a SELECT/],
    ['SET threads = 1', /not a SELECT/],
    ['PRAGMA database_list', /not a SELECT/],
    ['INSTALL httpfs', /not a SELECT/],
    ['LOAD httpfs', /not a SELECT/],
    ['CREATE TABLE x AS SELECT 1', /not a SELECT/],
    ['DELETE FROM input', /not a SELECT/],
    ["EXPORT DATABASE '/tmp/x'", /not a SELECT/],
    ['CALL pragma_version()', /not a SELECT/],
    ['EXPLAIN SELECT 1', /not a SELECT/],
    ['SELECT 1; SELECT 2', /more than one statement/],
    ["SELECT 1; COPY input TO 'x'", /not a SELECT|more than one/],
    ['DESCRIBE input', /SHOW_REF/],
    ["SELECT * FROM '/etc/passwd'", /not configured/],
    ['SELECT * FROM "https://example.com/x.csv"', /not configured/],
    ["SELECT * FROM read_text('/etc/passwd')", /read_text/],
    ["SELECT * FROM read_csv('/etc/passwd')", /read_csv/],
    ["SELECT * FROM glob('/*')", /glob/],
    ["SELECT * FROM query('SELECT 1')", /query\(\)/],
    ['SELECT * FROM duckdb_settings()', /duckdb_settings/],
    ['SELECT * FROM information_schema.tables', /not configured/],
    ["SELECT * FROM (SELECT * FROM read_blob('/etc/passwd'))", /read_blob/],
    ["SELECT (SELECT content FROM read_text('/etc/passwd'))", /read_text/],
    ["WITH a AS (SELECT * FROM read_text('/etc/passwd')) SELECT * FROM a", /read_text/],
    ["WITH RECURSIVE a AS (SELECT 1 AS n UNION ALL SELECT n FROM a, read_text('/etc/passwd')) SELECT * FROM a", /read_text/],
    ["SELECT * FROM input JOIN (WITH b AS (FROM '/etc/passwd') FROM b) USING (x)", /not configured/],
    ["FROM input WHERE x IN (WITH b AS (FROM read_blob('/etc/passwd')) FROM b)", /read_blob/],
    ["FROM input UNION ALL (FROM read_csv('/etc/passwd'))", /read_csv/],
    ["FROM input ORDER BY (SELECT content FROM read_text('/etc/passwd'))", /read_text/],
    ["FROM input LIMIT (SELECT count(*) FROM glob('/etc/*'))", /glob/],
    ["SELECT CASE WHEN true THEN (SELECT max(content) FROM read_text('/etc/passwd')) END", /read_text/],
    ["SELECT max(x ORDER BY (SELECT 1 FROM read_text('/etc/passwd'))) FROM input", /read_text/],
    ["FROM input, LATERAL (FROM read_text('/etc/passwd'))", /read_text/],
    ["VALUES ((SELECT max(content) FROM read_text('/etc/passwd')))", /read_text/],
    ['SELECT * FROM input WHERE random() < 0.1', /something else every time/],
    ['FROM input USING SAMPLE 10', /random sample/],
    ['SELECT * FROM input WHERE a = ?', /parameter/],
    ['SELEC 1', /cannot be parsed/],
    ['', /empty|cannot be parsed/],
  ])('refuses %j', async (text, why) => {
    const error = await failure(checkQuery(engine, text, ['input']));
    expect(error.code).toBe('RECLOOM_DAT_QUERY_REFUSED');
    expect(error.message).toMatch(why);
  });
});

describe('the lists of unsteady functions', () => {
  it("hold all that the library's catalogue calls so", async () => {
    const named = async (stability: string): Promise<string[]> =>
      (await engine.rows(`SELECT DISTINCT function_name AS name FROM duckdb_functions() WHERE stability = '${stability}' ORDER BY 1`)).map(
        (row) => String(row['name']),
      );
    expect([...volatileFunctions].sort()).toEqual(await named('VOLATILE'));
    expect(await named('CONSISTENT_WITHIN_QUERY')).toSatisfy(
      (names: string[]) => names.length > 5 && names.every((name) => clockFunctions.has(name)),
    );
  });
});
