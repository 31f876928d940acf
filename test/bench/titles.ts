import { DuckDBInstance } from '@duckdb/node-api';
import { transactions } from './online-retail.js';

/** Different titles of the example's raw export, in alphabetical order. @throws Error when it has fewer. */
export async function retailTitles(count: number): Promise<readonly string[]> {
  const instance = await DuckDBInstance.create(':memory:');
  const connection = await instance.connect();
  try {
    const file = `'${transactions.replaceAll("'", "''")}'`;
    const reader = await connection.runAndReadAll(
      `SELECT DISTINCT trim(Description) AS title FROM ${file} WHERE length(trim(Description)) > 2 ORDER BY title LIMIT ${count}`,
    );
    const titles = reader.getRows().map(([title]) => String(title));
    if (titles.length < count) throw new Error(`The export has ${titles.length} titles, not ${count}.`);
    return titles;
  } finally {
    connection.closeSync();
    instance.closeSync();
  }
}
