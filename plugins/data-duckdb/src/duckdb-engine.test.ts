import { existsSync, readFileSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it, onTestFinished } from 'vitest';
import { Engine } from './duckdb-engine.js';
import { folderWith } from './source.test-support.js';
import { quoteText } from './sql-text.js';

async function lockedEngine(allowed: string): Promise<Engine> {
  const engine = await Engine.open({ memoryLimitMb: 128, timeZone: 'UTC' });
  onTestFinished(() => engine.close());
  await engine.lock([allowed]);
  return engine;
}

// The guard refuses all of these before they get here; the engine must refuse them too.
it('reads the files it was locked on and nothing else', async () => {
  const directory = folderWith({ 'mine.csv': 'a\n1\n', 'other.csv': 'a\nsecret\n' });
  symlinkSync(join(directory, 'other.csv'), join(directory, 'link.csv'));
  const mine = join(directory, 'mine.csv');
  const engine = await lockedEngine(mine);
  expect(await engine.rows(`FROM ${quoteText(mine)}`)).toEqual([{ a: 1 }]);
  const attempts = [
    `FROM ${quoteText(join(directory, 'other.csv'))}`,
    `FROM ${quoteText(join(directory, 'link.csv'))}`,
    `FROM ${quoteText(`${directory}/../${directory.split('/').at(-1)}/other.csv`)}`,
    `FROM ${quoteText(`${directory}/*.csv`)}`,
    "FROM read_text('/etc/passwd')",
    "FROM read_blob('/etc/passwd')",
    "FROM read_csv('/etc/passwd')",
    "FROM glob('/etc/*')",
    "FROM 'https://example.com/x.csv'",
    "FROM 's3://bucket/x.parquet'",
    "ATTACH '/tmp/recloom-attached.db'",
    `COPY (SELECT 1) TO ${quoteText(join(directory, 'written.csv'))}`,
    `EXPORT DATABASE ${quoteText(join(directory, 'exported'))}`,
    'INSTALL httpfs',
    'LOAD httpfs',
    'SET threads = 1',
    "SET allowed_paths = ['/etc/passwd']",
    'SET enable_external_access = true',
    'RESET enable_external_access',
    'SET lock_configuration = false',
    "PRAGMA memory_limit = '1GB'",
    "SET TimeZone = 'Asia/Tokyo'",
  ];
  for (const sql of attempts)
    await expect(engine.run(sql), sql).rejects.toThrow(/Permission|locked|disabled|not be changed|Cannot change/i);
  expect(existsSync(join(directory, 'written.csv'))).toBe(false);
  expect(readFileSync(mine, 'utf8')).toBe('a\n1\n');
});

it('removes its spill folder and may be closed twice', async () => {
  const engine = await Engine.open({ memoryLimitMb: 128, timeZone: 'UTC' });
  const [row] = await engine.rows("SELECT current_setting('temp_directory') AS folder");
  const folder = String(row?.['folder']);
  expect(existsSync(folder)).toBe(true);
  await engine.close();
  await engine.close();
  expect(existsSync(folder)).toBe(false);
});

it('works on disk beyond its memory', async () => {
  const engine = await Engine.open({ memoryLimitMb: 64, threads: 1, timeZone: 'UTC' });
  onTestFinished(() => engine.close());
  await engine.lock([]);
  // Fifteen million numbers with their texts take several times the memory allowed.
  await engine.run("CREATE TEMP TABLE big AS SELECT range AS n, 'text number ' || range AS t FROM range(3000000)");
  expect(await engine.rows('SELECT count(*) AS n, sum(n) AS total FROM big')).toEqual([{ n: 3_000_000, total: 4_499_998_500_000 }]);
});

it('stops a running statement when the signal does', async () => {
  const engine = await Engine.open({ memoryLimitMb: 256, timeZone: 'UTC' });
  onTestFinished(() => engine.close());
  const controller = new AbortController();
  const started = performance.now();
  const running = engine.rows(
    'SELECT count(*) AS n FROM range(100000) a, range(100000) b WHERE (a.range * b.range) % 7 = 3',
    controller.signal,
  );
  setTimeout(() => controller.abort(new Error('enough')), 50);
  await expect(running).rejects.toThrow('enough');
  expect(performance.now() - started).toBeLessThan(10_000);
  await expect(engine.run('SELECT 1', controller.signal)).rejects.toThrow('enough');
  expect(await engine.rows('SELECT 1 AS one')).toEqual([{ one: 1 }]);
});
