import { gzipSync } from 'node:zlib';
import { type BuildReport, buildPipeline, openPipeline, type ValidateOptions } from '@recloom/core';
import type { RecloomError, Warning } from '@recloom/plugin-api';
import { describe, expect } from 'vitest';
import { badInput, codesOf, edit, expectReadableWarning, failureOf, placeIn } from './support/bad-input.js';
import { canary, eventsCsv, itemsCsv, makeShop, shopYaml, smallShop, userId } from './support/shop-folder.js';

/** What builds in seconds: the data are the point here, not the models. */
const dataOnly = shopYaml.slice(0, shopYaml.indexOf('components:')).concat(`components:
  popular: { use: popularity/popular }
surfaces:
  home: { sources: { popular: 25 } }
`);
const events = eventsCsv();
const items = itemsCsv();

/** Replaces a line (1-based, the header is line 1) of a CSV. */
function atLine(csv: string, line: number, change: (text: string) => string): string {
  const lines = csv.split('\n');
  lines[line - 1] = change(lines[line - 1] as string);
  return lines.join('\n');
}

const withoutTime = (text: string): string => text.replace(/,2024-[^,]*,/, `,${canary} yesterday,`);

async function build(files: Record<string, string | Uint8Array | null>, options: ValidateOptions = {}): Promise<BuildReport> {
  const shop = await makeShop({ 'shop.yaml': dataOnly, ...files });
  const report = await buildPipeline(shop.config, options);
  for (const warning of report.warnings) expectReadableWarning(warning);
  return report;
}

/** What a build fails with; nothing is published. */
async function refused(files: Record<string, string | Uint8Array | null>): Promise<RecloomError> {
  const shop = await makeShop({ 'shop.yaml': dataOnly, ...files });
  const error = await failureOf(buildPipeline(shop.config));
  await expect(openPipeline(shop.config)).rejects.toMatchObject({ code: 'RECLOOM_DAT_SNAPSHOT_MISSING' });
  return error;
}

/** Read = kept + dropped, for every source: nothing is lost without being counted. */
function expectAllCounted(report: BuildReport): void {
  const { events: eventReport } = report.data;
  const dropped = eventReport?.dropped.reduce((sum, entry) => sum + entry.count, 0) ?? 0;
  expect(eventReport?.rowsRead).toBe((eventReport?.rowsKept ?? 0) + dropped);
  expect(report.counts.events).toBe(eventReport?.rowsKept);
}

function warningOf(report: BuildReport, code: string): Warning {
  expect(codesOf(report.warnings)).toEqual([code]);
  return report.warnings[0] as Warning;
}

/** The place of a text in the config of these tests. */
const place = (needle: string, nth = 0): object => ({ file: expect.stringMatching(/shop\.yaml$/), ...placeIn(dataOnly, needle, nth) });

describe('data', () => {
  badInput('data-missing-file', async (code) => {
    const error = await refused({ 'items.csv': null });
    expect([error.code, error.message]).toEqual([code, 'No file matches items.csv.']);
    expect(error.at).toMatchObject({ node: 'data.items', ...place('items.csv') });
  });

  badInput('data-missing-column', async (code) => {
    const yaml = edit(dataOnly, 'id: sku', 'id: skus');
    const error = await refused({ 'shop.yaml': yaml });
    expect([error.code, error.message]).toEqual([
      code,
      'There is no column "skus"; did you mean "sku"? The file has: sku, title, price, category.',
    ]);
    expect(error.at).toMatchObject({ node: 'data.items', ...placeIn(yaml, 'skus') });
  });

  badInput('data-unreadable-dates', async (code) => {
    const bad = [17, 20, 50, 99].reduce((csv, line) => atLine(csv, line, withoutTime), events);
    const report = await build({ 'events.csv': bad, 'shop.yaml': edit(dataOnly, 'time: time,', 'time: time, maxBadShare: 0.1,') });
    const warning = warningOf(report, code);
    expect(warning).toMatchObject({
      message: '4 values of "time" could not be read (lines 17, 20, 50); the rows were dropped.',
      count: 4,
      at: { node: 'data.events', component: 'data-duckdb/events' },
      detail: { lines: [17, 20, 50] },
    });
    expect(report.data.events?.dropped).toEqual([{ reason: 'unreadable time', count: 4, lines: [17, 20, 50] }]);
    expect(report.counts.events).toBe(smallShop.events - 4);
    expectAllCounted(report);
  });

  badInput('data-unreadable-numbers', async (code) => {
    const bad = atLine(items, 5, (line) => line.replace('6.00', `${canary} cheap`));
    const report = await build({ 'items.csv': bad, 'shop.yaml': edit(dataOnly, 'id: sku,', 'id: sku, maxBadShare: 0.1,') });
    expect(warningOf(report, code).message).toBe('1 value of "price" could not be read (line 5); it counts as missing.');
    // The item itself is kept, without its price.
    expect(report.counts.items).toBe(smallShop.items);
  });

  badInput('data-too-many-unreadable', async (code) => {
    const bad = [17, 20, 50, 99].reduce((csv, line) => atLine(csv, line, withoutTime), events);
    const error = await refused({ 'events.csv': bad });
    expect([error.code, error.message]).toEqual([
      code,
      '4 of 200 rows (2 %) are unreadable, more than the allowed 1 %: 4 × column "time" is not a time (lines 17, 20, 50), as `time` wants it.',
    ]);
    expect(error.hint).toContain('maxBadShare');
  });

  badInput('data-empty-file', async (code) => {
    for (const name of ['events.csv', 'items.csv', 'users.csv']) {
      const error = await refused({ [name]: '' });
      expect([error.code, error.message]).toEqual([code, `There are no rows in ${name}.`]);
      expect(error.at.node).toBe(`data.${name.slice(0, -4)}`);
    }
  });

  badInput('data-header-only', async (code) => {
    const error = await refused({ 'events.csv': events.slice(0, events.indexOf('\n') + 1) });
    expect([error.code, error.message]).toEqual([code, 'There are no rows in events.csv.']);
  });

  badInput('data-nothing-left', async (code) => {
    const error = await refused({ 'items.csv': 'sku,title,price,category\nother,Other,1.00,kitchen\n' });
    expect([error.code, error.message]).toEqual([
      code,
      'There are no events left (200 rows read; left out: 200 × item not in the catalogue).',
    ]);
    const nothing = await refused({ 'shop.yaml': edit(dataOnly, 'path: events.csv,', 'path: events.csv, where: "kind = \'gift\'",') });
    expect([nothing.code, nothing.message]).toEqual([code, 'There are no events left (200 rows read; left out: 200 × where).']);
  });

  badInput('data-wrong-encoding', async (code) => {
    const text = items.replace('Blue Heart 1', 'Caf\u00e9 Heart 1');
    for (const bytes of [Buffer.from(text, 'latin1'), Buffer.from(`\ufeff${text}`, 'utf16le')]) {
      const error = await refused({ 'items.csv': bytes });
      expect([error.code, error.message]).toEqual([code, 'items.csv is not valid UTF-8.']);
      expect(error.hint).toContain('`encoding`');
    }
    // The hint is right.
    await build({ 'items.csv': Buffer.from(text, 'latin1'), 'shop.yaml': edit(dataOnly, 'id: sku,', 'id: sku, encoding: latin-1,') });
  });

  badInput('data-unknown-items', async (code) => {
    const report = await build({ 'events.csv': `${events}${userId(1)},${canary}-i99,2024-01-03T00:00:00Z,view,b1\n` });
    expect(warningOf(report, code)).toMatchObject({
      message: '1 event names an item that is not in the catalogue; it was dropped.',
      count: 1,
    });
    expect(report.data.events?.dropped).toEqual([{ reason: 'item not in the catalogue', count: 1 }]);
    expectAllCounted(report);
  });

  badInput('data-impossible-times', async (code) => {
    const lines = ['1970-01-01T00:00:00Z', '2999-01-01T00:00:00Z'].map((time) => `${userId(1)},i01,${time},view,b1\n`);
    const report = await build({ 'events.csv': events + lines.join('') });
    expect(warningOf(report, code)).toMatchObject({ message: '2 events have an impossible time; they were dropped.', count: 2 });
    expect(report.counts.events).toBe(smallShop.events);
    expectAllCounted(report);
  });

  badInput('data-ragged-lines', async () => {
    const bad = atLine(
      atLine(events, 9, (line) => `${line},${canary}`),
      12,
      () => `${userId(1)},i01`,
    );
    const report = await build({ 'events.csv': bad });
    expect(report.data.events?.dropped).toEqual([
      { reason: 'too few columns', count: 1, lines: [12] },
      { reason: 'too many columns', count: 1, lines: [9] },
    ]);
    expectAllCounted(report);
  });

  badInput('data-open-quote', async (code) => {
    // Line 190 of 201: the eleven lines it swallows are less than the share of bad rows that is allowed.
    const error = await refused({ 'events.csv': atLine(events, 190, () => `"${userId(1)},i01,2024-01-02`) });
    expect([error.code, error.message]).toEqual([
      code,
      'events.csv cannot be read: a quote that opens in line 190 is never closed, so the rows after it are lost.',
    ]);
  });

  badInput('data-cut-off', async (code) => {
    const yaml = edit(dataOnly, 'events.csv', 'events.csv.gz');
    const zipped = gzipSync(events);
    const cut = await refused({ 'shop.yaml': yaml, 'events.csv.gz': zipped.subarray(0, zipped.length - 300) });
    expect([cut.code, cut.message]).toEqual([
      code,
      'events.csv.gz cannot be read: the compressed data end too early; the file was cut off.',
    ]);
    const plain = await refused({ 'shop.yaml': yaml, 'events.csv.gz': events });
    expect([plain.code, plain.message]).toEqual([code, 'events.csv.gz cannot be read: it is not compressed as its name says.']);
  });

  badInput('data-not-what-it-says', async (code) => {
    const parquet = await refused({ 'shop.yaml': edit(dataOnly, 'events.csv', 'events.parquet'), 'events.parquet': events });
    expect([parquet.code, parquet.message]).toEqual([code, 'events.parquet cannot be read: it is not a Parquet file or is damaged.']);
    const json = `{"user":"${userId(1)}","item":"i01","time":"2024-01-01","kind":"view","basket":"b"}\n{"user":"${userId(1)}", nonsense\n`;
    const ndjson = await refused({ 'shop.yaml': edit(dataOnly, 'events.csv', 'events.ndjson'), 'events.ndjson': json });
    expect([ndjson.code, ndjson.message]).toEqual([code, 'events.ndjson cannot be read: it is not valid JSON (line 2).']);
    const binary = await refused({ 'events.csv': Buffer.from(Array.from({ length: 4_000 }, (_, index) => (index * 7) % 256)) });
    expect([binary.code, binary.message]).toEqual([code, 'events.csv cannot be read: it is not text.']);
  });

  badInput('data-not-a-local-file', async (code) => {
    const folder = await refused({ 'shop.yaml': edit(dataOnly, 'path: events.csv', 'path: .') });
    expect([folder.code, folder.message]).toEqual([code, '. cannot be read: it is not a file.']);
    const url = await refused({ 'shop.yaml': edit(dataOnly, 'path: events.csv', 'path: "https://shop.example/events.csv"') });
    expect([url.code, url.message]).toEqual([code, 'https://shop.example/events.csv cannot be read: only local files are read.']);
  });

  badInput('data-query-outside', async (code) => {
    for (const query of ["SELECT * FROM read_csv('/etc/passwd')", 'SELECT 1; SELECT 2', 'DROP TABLE input', "COPY input TO '/tmp/x'"]) {
      const error = await refused({ 'shop.yaml': edit(dataOnly, 'path: events.csv,', `path: events.csv, query: "${query}",`) });
      expect([error.code, error.message.startsWith('The SQL was refused: the query ')]).toEqual([code, true]);
    }
  });

  badInput('data-value-in-sql', async (code) => {
    // DuckDB's own message would quote the value it met.
    const error = await refused({
      'shop.yaml': edit(dataOnly, 'path: events.csv,', 'path: events.csv, where: "CAST(user AS INTEGER) > 3",'),
    });
    expect(error.code).toBe(code);
    expect(JSON.stringify([error, String(error.cause), error.stack])).not.toContain(canary);
  });

  badInput('data-duplicate-lines', async () => {
    const report = await build({ 'events.csv': `${events}${events.split('\n')[3]}\n` });
    expect(report.data.events?.dropped).toEqual([{ reason: 'exact duplicate', count: 1, lines: [202] }]);
    expectAllCounted(report);
  });

  badInput('data-missing-ids', async () => {
    const report = await build({
      'items.csv': `${items},Nameless,2.00,kitchen\n`,
      'events.csv': `${events}${userId(1)},,2024-01-03T00:00:00Z,view,b1\n,i01,2024-01-03T00:00:00Z,view,b1\n`,
    });
    expect(report.data.items?.dropped).toEqual([{ reason: 'no id', count: 1, lines: [27] }]);
    expect(report.data.events?.dropped).toEqual([
      { reason: 'no item', count: 1, lines: [202] },
      { reason: 'without a user', count: 1 },
    ]);
    expectAllCounted(report);
  });

  badInput('data-ambiguous-dates', async (code) => {
    const ambiguous = events.replaceAll(/2024-01-(\d\d)T(\d\d:\d\d):[^,]*|2024-02-(\d\d)T(\d\d:\d\d):[^,]*/g, '03/04/2024 10:00');
    const error = await refused({ 'events.csv': ambiguous });
    expect(error.code).toBe(code);
    expect(error.message).toContain('no row decides which is meant');
    expect(error.hint).toContain('`timeFormat`');
    await build({ 'events.csv': ambiguous, 'shop.yaml': edit(dataOnly, 'time: time,', 'time: time, timeFormat: "%d/%m/%Y %H:%M",') });
  });

  badInput('data-types-without-weight', async (code) => {
    const report = await build({ 'shop.yaml': edit(dataOnly, 'view: 1,', 'veiw: 1,') });
    const views = events.split(',view,').length - 1;
    expect(warningOf(report, code)).toMatchObject({ count: views, message: expect.stringContaining('names veiw, which no event has') });
  });

  badInput('data-too-many-types', async (code) => {
    const lines = Array.from({ length: 300 }, (_, index) => `${userId(1)},i01,2024-01-03T00:00:00Z,kind${index},b1`);
    const error = await refused({
      'events.csv': `user,item,time,kind,basket\n${lines.join('\n')}\n`,
      'shop.yaml': edit(dataOnly, ', weights: { view: 1, purchase: 3 }', ''),
    });
    expect([error.code, error.message]).toEqual([code, 'The events have 300 different types; at most 255 are supported.']);
    expect(error.at.node).toBe('data.events');
  });

  badInput('data-weight-out-of-range', async () => {
    const weighted = events
      .split('\n')
      .map((line, index) => (line === '' ? '' : `${line},${index === 0 ? 'worth' : index === 7 ? '1e300' : '1'}`));
    const report = await build({
      'events.csv': weighted.join('\n'),
      'shop.yaml': edit(dataOnly, 'basket: basket,', 'basket: basket, weight: worth,'),
    });
    expect(report.data.events?.dropped).toEqual([{ reason: 'weight out of range', count: 1 }]);
    expectAllCounted(report);
  });

  badInput('data-too-many-items', async (code) => {
    const yaml = edit(dataOnly, '{ use: popularity/popular }', '{ use: collaborative-linear/ease, with: { maxItems: 10 } }');
    const error = await refused({ 'shop.yaml': yaml });
    expect(error.code).toBe(code);
    expect(error.hint).toContain('collaborative-neighbours/item-knn');
    expect(error.at).toMatchObject({ node: 'popular', ...placeIn(yaml, 'popular:') });
  });

  badInput('data-missing-model', async (code) => {
    const yaml = edit(
      dataOnly,
      'components:\n',
      'components:\n  text: { use: text-bert/embedding, in: { text: item.title }, with: { model: ./models/mine } }\n',
    );
    const error = await refused({ 'shop.yaml': yaml });
    expect(error.code).toBe(code);
    expect(error.message).toMatch(/^The model \.\/models\/mine was not found/);
    expect(error.at).toMatchObject({ node: 'text' });
  });
});
