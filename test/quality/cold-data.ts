// Protocol Q6: items of Online Retail held out entirely, to be found by their titles. Used by cold-items.ts.
import { createHash } from 'node:crypto';
import { resolve } from 'node:path';
import { DuckDBInstance } from '@duckdb/node-api';
import { type Dataset, datasetFromArrays } from '@recloom/core';
import { temporalSplit } from '@recloom/evaluate';
import { readOnlineRetail, transactions } from '../bench/online-retail.js';

/** Which items are held out: those of the test, or of the validation, where the test's items are not there at all. */
export type Part = 'validation' | 'test';

/** One person of the protocol. */
export interface ColdCase {
  readonly user: string;
  /** Held-out items the person bought, ascending. */
  readonly relevant: readonly string[];
}

/** What is fitted, and what is asked. */
export interface ColdSplit {
  /** People, the other items with their titles, and who bought what; nothing of the held-out items. */
  readonly warm: Dataset;
  /** The held-out items, ascending by id. */
  readonly cold: readonly { readonly id: string; readonly title: string }[];
  readonly cases: readonly ColdCase[];
  /** Buyers of each warm item. */
  readonly buyers: ReadonlyMap<string, number>;
  readonly warmTitles: ReadonlyMap<string, string>;
}

const cut = '2011-11-09';
/** A person takes part with so many of the other items. */
const leastWarmItems = 5;
const buckets: Readonly<Record<Part, number>> = { test: 0, validation: 1 };

/** The protocol's bucket of an item, 0 to 4. */
export function bucketOf(id: string): number {
  return (createHash('sha256').update(id).digest()[0] as number) % 5;
}

/** Each item's most frequent description in the training time, ties to the first in the alphabet. */
async function titlesOf(): Promise<ReadonlyMap<string, string>> {
  const instance = await DuckDBInstance.create(':memory:');
  const connection = await instance.connect();
  try {
    const reader = await connection.runAndReadAll(`
      SELECT item, title FROM (
        SELECT upper(StockCode) AS item, trim(Description) AS title, count(*) AS lines
        FROM read_csv('${transactions.replaceAll("'", "''")}', all_varchar = true)
        WHERE NOT starts_with(InvoiceNo, 'C') AND UnitPrice::DOUBLE > 0 AND InvoiceDate < '${cut}' AND trim(Description) <> ''
        GROUP BY ALL)
      QUALIFY row_number() OVER (PARTITION BY item ORDER BY lines DESC, title) = 1`);
    return new Map(reader.getRows().map(([item, title]) => [String(item), String(title)]));
  } finally {
    connection.closeSync();
    instance.closeSync();
  }
}

/** Reads both parts at once. @throws Error when the data have become other than the protocol's. */
export async function readColdItems(): Promise<Readonly<Record<Part, ColdSplit>>> {
  const titles = await titlesOf();
  const { train } = temporalSplit(await readOnlineRetail(['events']), {
    cutMs: Date.parse(`${cut}T00:00:00Z`),
    minimumItemUsers: 5,
    minimumUserItems: 5,
  });
  const { history, items, users } = train;
  const bought = Array.from({ length: users.rowCount }, (_, user) => {
    const times = new Map<number, number>();
    for (let event = history.offsets[user] as number; event < (history.offsets[user + 1] as number); event++) {
      times.set(history.items[event] as number, history.timesMs[event] as number);
    }
    return times;
  });
  const split = (part: Part): ColdSplit => {
    const bucket = (row: number): number => bucketOf(items.idOf(row));
    const rows = Array.from({ length: items.rowCount }, (_, row) => row);
    const isCold = Uint8Array.from(rows, (row) => (bucket(row) === buckets[part] ? 1 : 0));
    const isWarm = Uint8Array.from(rows, (row) => (isCold[row] === 0 && !(part === 'validation' && bucket(row) === buckets.test) ? 1 : 0));
    const record = (row: number): { readonly id: string; readonly title: string } => {
      const id = items.idOf(row);
      return { id, title: titles.get(id) ?? '' };
    };
    const buyers = new Map<string, number>();
    const events = bought.flatMap((times, user) =>
      [...times].flatMap(([row, timeMs]) => {
        if (isWarm[row] === 0) return [];
        buyers.set(items.idOf(row), (buyers.get(items.idOf(row)) ?? 0) + 1);
        return [{ user: users.idOf(user), item: items.idOf(row), timeMs, type: 'purchase' }];
      }),
    );
    const cases = bought.flatMap((times, user): ColdCase[] => {
      const all = [...times.keys()];
      const relevant = all.filter((row) => isCold[row] === 1).map((row) => items.idOf(row));
      if (all.filter((row) => isWarm[row] === 1).length < leastWarmItems || relevant.length === 0) return [];
      return [{ user: users.idOf(user), relevant: relevant.sort() }];
    });
    const warm = rows.filter((row) => isWarm[row] === 1).map(record);
    return {
      warm: datasetFromArrays({
        items: warm.map((item) => ({ ...item, fresh: false })),
        events,
        types: { items: { title: 'text', fresh: 'boolean' } },
      }),
      cold: rows
        .filter((row) => isCold[row] === 1)
        .map(record)
        .sort((one, other) => (one.id < other.id ? -1 : 1)),
      cases,
      buyers,
      warmTitles: new Map(warm.map(({ id, title }) => [id, title])),
    };
  };
  const parts = { validation: split('validation'), test: split('test') };
  const pairs = parts.test.cases.reduce((sum, { relevant }) => sum + relevant.length, 0);
  const found = `${parts.test.cold.length} items, ${parts.test.cases.length} people, ${pairs} pairs`;
  if (found !== '621 items, 3622 people, 46160 pairs')
    throw new Error(`Protocol Q6 has 621 items, 3622 people, 46160 pairs; this is ${found}.`);
  return parts;
}

/** The repository. */
export const root = resolve(import.meta.dirname, '../..');
