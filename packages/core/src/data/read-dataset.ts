import { createHash } from 'node:crypto';
import type { DataBatch, DataReport, DataSource, Warning } from '@recloom/plugin-api';
import type { Dataset } from './dataset.js';
import { type BuiltDataset, type DatasetSourceName, EventsBuilder, finishDataset, mergeReport, TableBuilder } from './dataset-builder.js';

export type { DatasetSourceName } from './dataset-builder.js';

/** The sources to read; at least one of `items` and `events`. */
export interface DatasetSources {
  readonly items?: DataSource | undefined;
  readonly events?: DataSource | undefined;
  readonly users?: DataSource | undefined;
}

/** How to read. */
export interface ReadDatasetOptions {
  readonly signal: AbortSignal;
  /** Fraction of one source in [0, 1]; 1 when it is read. */
  progress(source: DatasetSourceName, fraction: number, note?: string): void;
  /** The wall clock, in milliseconds: events more than a day later are impossible. */
  readonly nowMs: number;
  /** Told each warning once: those of the sources' own reports and those added here. They are in the reports as well. */
  warn(warning: Warning, source: DatasetSourceName): void;
  /** Makes what is thrown of what went wrong with a source, e.g. to say where it is configured. */
  translate?(error: unknown, source: DatasetSourceName): unknown;
}

/**
 * Reads the sources, one after the other, into a dataset. Row numbers depend on the ids alone (ascending code units), and
 * categories and event types come out ascending, so that the same rows in any order give the same dataset, but for events
 * of one user at the very same time, which keep their order.
 *
 * - Items and users: rows without an id and later rows of an id seen before are left out.
 * - Events: those without an item or a readable time, with an impossible time (before 1990 or more than a day after
 *   `nowMs`) or an infinite weight, of items that the items source does not have, and those without a user are left out.
 *   Without an items source, the events bring the catalogue, guests' events included.
 * - A missing weight counts as 1, a missing type as `event`. Users who are only in the events get a row of nulls.
 *
 * Everything left out is counted in `reports`. The sources stay the caller's to dispose.
 *
 * @throws RECLOOM_DAT_EMPTY when nothing is left, RECLOOM_DAT_HISTORY_TYPES above 255 event types, RECLOOM_LAW_SHAPE when a
 * source breaks its contract, the signal's reason when aborted, and whatever a source throws.
 */
export async function readDataset(sources: DatasetSources, options: ReadDatasetOptions): Promise<Dataset> {
  const reports: Partial<Record<DatasetSourceName, DataReport>> = {};
  const read = async <Builder extends TableBuilder | EventsBuilder>(
    name: DatasetSourceName,
    source: DataSource | undefined,
    create: () => Builder,
  ): Promise<Builder | undefined> => {
    if (source === undefined) return undefined;
    const builder = create();
    try {
      await forEachBatch(name, source, options, (batch) => builder.append(batch));
    } catch (error) {
      throw options.translate?.(error, name) ?? error;
    }
    const report = mergeReport(source.report(), builder);
    reports[name] = report;
    for (const warning of report.warnings) options.warn(warning, name);
    options.progress(name, 1);
    return builder;
  };
  const items = await read('items', sources.items, () => new TableBuilder('items'));
  const users = await read('users', sources.users, () => new TableBuilder('users'));
  const catalogue = items?.finish();
  const events = await read('events', sources.events, () => new EventsBuilder(catalogue, options.nowMs));
  let built: BuiltDataset;
  try {
    built = finishDataset(catalogue, events, users, reports);
  } catch (error) {
    throw options.translate?.(error, events === undefined ? 'items' : 'events') ?? error;
  }
  return { ...built, hash: await hashOfSources(sources, options), reports };
}

async function forEachBatch(
  name: DatasetSourceName,
  source: DataSource,
  options: ReadDatasetOptions,
  append: (batch: DataBatch) => void,
): Promise<void> {
  options.signal.throwIfAborted();
  const progress = (fraction: number, note?: string): void => options.progress(name, fraction, note);
  for await (const batch of source.read({ signal: options.signal, progress })) {
    options.signal.throwIfAborted();
    append(batch);
  }
  options.signal.throwIfAborted();
}

async function hashOfSources(sources: DatasetSources, options: ReadDatasetOptions): Promise<string> {
  const hash = createHash('sha256');
  for (const name of ['items', 'events', 'users'] as const) {
    const source = sources[name];
    if (source === undefined) continue;
    try {
      hash.update(`${name} ${await source.fingerprint(options.signal)}\n`);
    } catch (error) {
      throw options.translate?.(error, name) ?? error;
    }
  }
  return hash.digest('hex');
}
