import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  type Column,
  type ComponentDefinition,
  columnValue,
  type DataBatch,
  type DataReport,
  type DataSource,
  isRecloomError,
  type RecloomError,
} from '@recloom/plugin-api';
import { onTestFinished } from 'vitest';

export interface ReadResult {
  readonly batches: readonly DataBatch[];
  readonly report: DataReport;
  /** Rows as plain values, for comparing. */
  readonly rows: readonly Readonly<Record<string, unknown>>[];
}

/** A folder with the given files, removed after the test. */
export function folderWith(files: Readonly<Record<string, string | Uint8Array>>): string {
  const directory = mkdtempSync(join(tmpdir(), 'recloom-test-'));
  onTestFinished(() => rmSync(directory, { recursive: true, force: true }));
  for (const [name, content] of Object.entries(files)) writeFileSync(join(directory, name), content);
  return directory;
}

/** An instance with the options a config would give. */
export async function openSource(
  definition: ComponentDefinition,
  options: Readonly<Record<string, unknown>>,
  directory: string,
): Promise<DataSource> {
  const checked = await definition.options['~standard'].validate(options);
  if (checked.issues !== undefined) throw new Error(JSON.stringify(checked.issues));
  return (await definition.create({ options: checked.value, directory } as never)) as DataSource;
}

export async function collect(source: DataSource, signal = new AbortController().signal): Promise<ReadResult> {
  const batches: DataBatch[] = [];
  for await (const batch of source.read({ signal, progress: () => undefined })) batches.push(batch);
  const rows = batches.flatMap((batch) =>
    Array.from({ length: batch.rowCount }, (_, row) =>
      Object.fromEntries(Object.entries(batch.columns).map(([name, column]: [string, Column]) => [name, columnValue(column, row)])),
    ),
  );
  return { batches, report: source.report(), rows };
}

export async function readAll(
  definition: ComponentDefinition,
  options: Readonly<Record<string, unknown>>,
  directory: string,
): Promise<ReadResult> {
  return collect(await openSource(definition, options, directory));
}

/** The coded error a promise ends with. */
export async function failure(promise: Promise<unknown>): Promise<RecloomError> {
  const error = await promise.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  if (!isRecloomError(error)) throw new Error(`expected a coded error, got ${String(error)}`, { cause: error });
  return error as RecloomError;
}

/** How many rows were dropped, by reason. */
export function droppedCounts(report: DataReport): Record<string, number> {
  return Object.fromEntries(report.dropped.map(({ reason, count }) => [reason, count]));
}
