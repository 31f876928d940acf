// Reading and cleaning the example's raw export against the least that any reader of it must do: decompress it and count its lines.
import { createReadStream } from 'node:fs';
import { Writable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { createGunzip } from 'node:zlib';
import { DuckDBInstance } from '@duckdb/node-api';
import type { GoalResult } from './goal.js';
import { interleave } from './measure.js';
import { readOnlineRetail, transactions } from './online-retail.js';
import type { SuiteOptions } from './suites.js';

const lineCount = 541_909;

/** Decompresses the file, checksum included, and throws the bytes away. */
async function gunzip(): Promise<void> {
  await pipeline(createReadStream(transactions), createGunzip(), new Writable({ write: (_chunk, _encoding, done) => done() }));
}

/** DATA: one source, and the three sources of the example. */
export async function benchData({ quick }: SuiteOptions): Promise<GoalResult[]> {
  const instance = await DuckDBInstance.create(':memory:');
  const connection = await instance.connect();
  const file = `'${transactions.replaceAll("'", "''")}'`;
  const count = async (): Promise<void> => {
    const reader = await connection.runAndReadAll(`SELECT count(*) AS n FROM ${file}`);
    const found = Number(reader.getRows()[0]?.[0]);
    if (found !== lineCount) throw new Error(`DuckDB counts ${found} lines, not ${lineCount}.`);
  };
  const load = (): Promise<unknown> => connection.run(`CREATE OR REPLACE TEMP TABLE raw AS SELECT * FROM ${file}`);
  let kept = '';
  const readEvents = async (): Promise<void> => {
    const { history, reports } = await readOnlineRetail(['events']);
    if (reports.events?.rowsRead !== lineCount) throw new Error(`${reports.events?.rowsRead} lines were read, not ${lineCount}.`);
    kept = `${history.eventCount.toLocaleString('en-GB')} events of ${history.userCount.toLocaleString('en-GB')} customers and ${history.itemCount.toLocaleString('en-GB')} items`;
  };
  try {
    const times = await interleave(
      { count, load, gunzip, events: readEvents, all: () => readOnlineRetail(['items', 'events', 'users']) },
      { rounds: quick ? 3 : 9, warmUpRounds: 1 },
    );
    const limit = { name: "DuckDB's count(*) of the same file", value: times.count.cpuMs.median, unit: 'ms CPU' };
    return [
      {
        goal: 'DATA',
        name: 'reading and cleaning 541,909 lines, in bare counts of them',
        figure: times.events.cpuMs.median / times.count.cpuMs.median,
        unit: '×',
        bound: { atMost: 2.5 },
        limit,
        note: `${times.events.cpuMs.median.toFixed(0)} ms CPU to ${kept}, every dropped line counted by reason; gzip checked to its last byte`,
      },
      {
        goal: 'DATA',
        name: 'DuckDB alone, reading the same lines into a typed table and judging none',
        figure: times.load.cpuMs.median / times.count.cpuMs.median,
        unit: '×',
        limit,
        note: `${times.load.cpuMs.median.toFixed(0)} ms CPU; decompressing the file once more to check its checksum, which DuckDB does not, ${times.gunzip.cpuMs.median.toFixed(0)} ms`,
      },
      {
        goal: 'DATA',
        name: 'events, catalogue and customers: the three reads of the example',
        figure: times.all.cpuMs.median / times.count.cpuMs.median,
        unit: '×',
        limit,
        note: `${times.all.cpuMs.median.toFixed(0)} ms CPU; each source reads the file for itself`,
      },
    ];
  } finally {
    connection.closeSync();
    instance.closeSync();
  }
}
