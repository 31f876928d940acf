import { stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import {
  type BuildObserver,
  type ConfigSource,
  type Dataset,
  loadConfig,
  type OpenPipelineOptions,
  openPipeline,
  type Pipeline,
  type RecommendRequest,
  readPipelineData,
  type ScoredCandidates,
  silentObserver,
  suggest,
} from '@recloom/core';
import { createRandomStream, deriveSeed, emptyHistory, type FeatureMatrix, recloomError, type Warning } from '@recloom/plugin-api';
import { type Cut, instant, planCuts } from './cuts.js';
import { writeFeatureFile } from './feature-file.js';
import type { ExportTrainingOptions } from './options.js';
import { OutputFolder } from './output-folder.js';
import { ParquetWriter } from './parquet-writer.js';
import { type LabelledUser, type PointInTime, pointInTime } from './point-in-time.js';
import { type ProbeRecord, probePlugin } from './probe.js';
import { samplePlaces } from './sample.js';
import { type CutCounts, type TrainingSchema, trainingFormat } from './schema.js';
import { probeName, type TrainingConfig, trainingConfig } from './training-config.js';
import { type PipelineColumn, TrainingTables } from './training-tables.js';

/** What an export did. */
export interface TrainingReport {
  /** Absolute. */
  readonly directory: string;
  readonly files: readonly { readonly name: string; readonly bytes: number }[];
  readonly schema: TrainingSchema;
  readonly warnings: readonly Warning[];
  readonly milliseconds: number;
}

/**
 * Writes training rows for a ranker: for each cut, the pipeline is fitted on what was known before it, asked for every user who
 * took something in the window after it, and each candidate becomes a row with the columns that a scorer has in serving and with
 * the label whether it was taken. Nothing later than the cut reaches any column but the label. Rows are streamed to disk; the
 * folder appears when it is complete. The same data, config and options give the same bytes.
 *
 * @throws RECLOOM_RUN_EXPORT for options that do not work, RECLOOM_DAT_EXPORT_FOLDER, RECLOOM_DAT_EMPTY when there is no row;
 *   RECLOOM_CFG_*, RECLOOM_PLG_* and RECLOOM_DAT_* of the pipeline; the signal's reason when aborted
 */
export async function exportTraining(source: ConfigSource, options: ExportTrainingOptions): Promise<TrainingReport> {
  const started = performance.now();
  checkOptions(options);
  const signal = options.signal ?? new AbortController().signal;
  signal.throwIfAborted();
  const { observer, warnings } = collectingObserver(options.observer ?? silentObserver);
  const loaded = await loadConfig(source as string | Record<string, unknown>, {
    ...(options.directory === undefined ? {} : { directory: options.directory }),
    ...(options.env === undefined ? {} : { env: options.env as NodeJS.ProcessEnv }),
  });
  const config = trainingConfig(source, loaded, {
    surface: options.surface,
    without: options.without ?? [],
    features: options.features ?? [],
  });
  const output = await OutputFolder.open(options.out);
  try {
    const record: ProbeRecord = { histories: new Map() };
    const expressions = [...new Set(options.expressions ?? [])];
    const host: OpenPipelineOptions = {
      ...(options.provide === undefined ? {} : { provide: options.provide }),
      ...(options.env === undefined ? {} : { env: options.env }),
      directory: options.directory ?? config.directory,
      plugins: [...(options.plugins ?? []), probePlugin(record)],
      signal,
    };
    const dataset = options.dataset ?? (await readPipelineData(config.source, { ...host, observer }));
    checkEventTypes(options.eventTypes, dataset);
    const cuts = cutsOf(dataset, options);
    const incomplete = cuts.filter((cut) => !cut.complete).length;
    if (incomplete > 0) {
      const { message } = recloomError('RECLOOM_RUN_EXPORT_WINDOW', { count: incomplete });
      observer.warn({ code: 'RECLOOM_RUN_EXPORT_WINDOW', message, count: incomplete });
    }
    const writer = await ParquetWriter.open(output.workPath);
    try {
      const seed = options.seed ?? loaded.config.seed;
      const run = new ExportRun({ options, config, expressions, dataset, writer, record, seed, folder: output.workPath, signal, observer });
      for (const cut of cuts) await run.cut(cut, host, cut.index === cuts.length - 1);
      observer.step('write files', 'start');
      const schema = await run.finish({ cuts, pipeline: loaded.config.name, configHash: loaded.hash });
      const tables = await writer.write(output.workPath);
      await writer.close();
      await writeFile(join(output.workPath, 'schema.json'), `${JSON.stringify(schema, undefined, 2)}\n`);
      signal.throwIfAborted();
      await output.publish();
      observer.step('write files', 'end');
      const files: { name: string; bytes: number }[] = [];
      for (const name of [...tables, ...schema.features.map(({ file }) => file), 'schema.json']) {
        files.push({ name, bytes: (await stat(join(output.path, name))).size });
      }
      return { directory: output.path, files, schema, warnings, milliseconds: performance.now() - started };
    } finally {
      await writer.close();
    }
  } finally {
    await output.discard();
  }
}

interface ExportParts {
  readonly options: ExportTrainingOptions;
  readonly config: TrainingConfig;
  readonly expressions: readonly string[];
  readonly dataset: Dataset;
  readonly writer: ParquetWriter;
  readonly record: ProbeRecord;
  readonly seed: number;
  readonly folder: string;
  readonly signal: AbortSignal;
  readonly observer: BuildObserver;
}

/** The state of one export: its tables and what was counted. */
class ExportRun {
  readonly #parts: ExportParts;
  readonly #counts: CutCounts[] = [];
  readonly #features: TrainingSchema['features'][number][] = [];
  #tables: TrainingTables | undefined;

  constructor(parts: ExportParts) {
    this.#parts = parts;
  }

  /** Fits and asks the pipeline of one cut. */
  async cut(cut: Cut, host: OpenPipelineOptions, isLast: boolean): Promise<void> {
    const { options, config, expressions, dataset, signal, observer, record } = this.#parts;
    const step = `cut ${instant(cut.atMs)}`;
    observer.step(step, 'start');
    const world = pointInTime(dataset, cut, {
      eventTypes: options.eventTypes,
      graded: options.graded ?? false,
      newUsers: options.newUsers ?? false,
      coldItems: options.coldItems ?? false,
      minimumItemUsers: options.minimumItemUsers ?? 1,
      minimumUserItems: options.minimumUserItems ?? 1,
    });
    const counts = noCounts(cut, world);
    record.histories.clear();
    const pipeline = await openPipeline(config.source, { ...host, dataset: world.dataset });
    try {
      for (const warning of pipeline.warnings) observer.warn(warning);
      const requests = world.users.map(
        (user): RecommendRequest => ({
          surface: config.surface,
          user: dataset.users.idOf(user.userRow),
          purposes: options.purposes ?? ['personalisation'],
          asOf: cut.atMs,
          ...(options.context === undefined ? {} : { context: options.context }),
        }),
      );
      const own = surfaceColumns(pipeline, config.surface);
      const named = new Set(own.map(({ name }) => name));
      const columns = [...own, ...expressions.filter((name) => !named.has(name)).map((name) => ({ name }))];
      const scored = pipeline.scoreCandidates(requests, {
        columns: columns.map(({ name }) => name),
        batch: options.batch ?? 64,
        unlimited: options.unlimited ?? false,
        signal,
      });
      for await (const { index, candidates, error } of scored) {
        if (error !== undefined) throw error;
        for (const warning of candidates.warnings) observer.warn(warning);
        this.#tables ??= await this.#createTables(columns);
        this.#group(this.#tables, cut, world, world.users[index] as LabelledUser, candidates, counts);
        if (index % 16 === 0) observer.progress(step, index / requests.length);
      }
      for (const name of options.features ?? []) await this.#feature(name, cut, pipeline, isLast);
    } finally {
      await pipeline.close();
    }
    this.#counts.push(counts);
    observer.step(step, 'end', { events: counts.events, items: counts.items, users: counts.users });
  }

  async finish(about: { readonly cuts: readonly Cut[]; readonly pipeline: string; readonly configHash: string }): Promise<TrainingSchema> {
    const { options, config, dataset, seed, expressions } = this.#parts;
    const tables = this.#tables;
    if (tables === undefined || tables.groupCount === 0) {
      throw recloomError('RECLOOM_DAT_EMPTY', { what: 'candidates that somebody took in the window after a cut' });
    }
    await tables.writeItems();
    const negatives = options.negatives ?? 'all';
    return {
      format: trainingFormat,
      pipeline: about.pipeline,
      surface: config.surface,
      configHash: about.configHash,
      dataHash: dataset.hash,
      cuts: about.cuts.map(({ index, atMs, untilMs, split, complete }) => ({
        index,
        at: new Date(atMs).toISOString(),
        until: new Date(untilMs).toISOString(),
        split,
        complete,
      })),
      columns: tables.columns,
      counts: {
        rows: tables.rowCount,
        groups: tables.groupCount,
        positives: this.#counts.reduce((sum, counts) => sum + counts.positives, 0),
        byCut: this.#counts,
      },
      negatives: { sampled: negatives !== 'all', perGroup: negatives, seed },
      features: this.#features,
      leftOut: { without: options.without ?? [], implied: config.implied },
      options: {
        windowDays: options.windowDays ?? 30,
        validationCuts: options.validationCuts ?? 1,
        history: options.history ?? 50,
        expressions,
        eventTypes: options.eventTypes ?? 'all',
        graded: options.graded ?? false,
        allPositives: options.allPositives ?? false,
        newUsers: options.newUsers ?? false,
        coldItems: options.coldItems ?? false,
        minimumItemUsers: options.minimumItemUsers ?? 1,
        minimumUserItems: options.minimumUserItems ?? 1,
        unlimited: options.unlimited ?? false,
        purposes: options.purposes ?? ['personalisation'],
        withIds: options.withIds ?? false,
      },
    };
  }

  #group(
    tables: TrainingTables,
    cut: Cut,
    world: PointInTime,
    user: LabelledUser,
    scored: ScoredCandidates,
    counts: Writable<CutCounts>,
  ): void {
    const { options, record, dataset } = this.#parts;
    const candidates = scored.rows;
    const known = world.dataset.users.rowOf(dataset.users.idOf(user.userRow));
    const history = record.histories.get(known) ?? emptyHistory;
    record.histories.delete(known);
    const found = new Set<number>();
    const negatives = new Int32Array(candidates.length);
    let negativeCount = 0;
    for (let place = 0; place < candidates.length; place++) {
      const row = candidates[place] as number;
      if (user.labels.has(row)) found.add(row);
      else negatives[negativeCount++] = place;
    }
    const missed = [...user.labels.keys()].filter((row) => !found.has(row)).sort((left, right) => left - right);
    const added = options.allPositives === true ? missed.filter((row) => !user.repeated.has(row)) : [];
    const repeated = missed.filter((row) => user.repeated.has(row)).length;
    counts.positivesRepeated += repeated;
    counts.positivesNotProposed += missed.length - repeated;
    counts.positivesAdded += added.length;
    if (found.size + added.length === 0) {
      counts.requestsWithoutPositive++;
      return;
    }
    const kept = this.#keptNegatives(negatives.subarray(0, negativeCount), cut, user);
    const isKept = new Uint8Array(candidates.length);
    for (const place of kept) isKept[place] = 1;
    for (let place = 0; place < candidates.length; place++) if (found.has(candidates[place] as number)) isKept[place] = 1;
    const places = new Int32Array(kept.length + found.size);
    for (let place = 0, next = 0; place < candidates.length; place++) if (isKept[place] === 1) places[next++] = place;
    const itemRows = new Int32Array(places.length + added.length);
    const labels = new Float32Array(itemRows.length);
    for (let index = 0; index < itemRows.length; index++) {
      const row = index < places.length ? (candidates[places[index] as number] as number) : (added[index - places.length] as number);
      itemRows[index] = row;
      labels[index] = user.labels.get(row) ?? 0;
    }
    const columns = new Map<string, Float32Array>();
    for (const [name, values] of Object.entries(scored.columns)) {
      columns.set(
        name,
        Float32Array.from(places, (place) => values[place] as number),
      );
    }
    tables.add(
      {
        cut,
        userRow: user.userRow,
        itemRows,
        labels,
        proposed: places.length,
        columns,
        candidates: candidates.length,
        negatives: negativeCount,
        history,
      },
      world.dataset,
    );
    counts.groups++;
    counts.rows += itemRows.length;
    counts.positives += found.size + added.length;
    counts.negatives += kept.length;
    counts.negativesLeftOut += negativeCount - kept.length;
  }

  /** Places of the negatives that become rows. */
  #keptNegatives(negatives: Int32Array, cut: Cut, user: LabelledUser): Int32Array {
    const { options, seed, dataset } = this.#parts;
    const wanted = options.negatives;
    if (typeof wanted !== 'number' || cut.split === 'validation') return negatives;
    // By the user's id and the instant, so that neither other users nor other cuts change a sample.
    const random = createRandomStream(deriveSeed(seed, `negatives ${cut.atMs} ${dataset.users.idOf(user.userRow)}`));
    return samplePlaces(negatives, wanted, random);
  }

  #createTables(pipelineColumns: readonly PipelineColumn[]): Promise<TrainingTables> {
    const { options, writer, dataset } = this.#parts;
    return TrainingTables.create({
      writer,
      dataset,
      pipelineColumns,
      context: options.context ?? {},
      historyLength: options.history ?? 50,
      withIds: options.withIds ?? false,
    });
  }

  /** Vectors that do not depend on what happened are the same at every cut: those of the last are written. */
  async #feature(name: string, cut: Cut, pipeline: Pipeline, isLast: boolean): Promise<void> {
    const matrix: FeatureMatrix | undefined = pipeline.engine.features.get(name);
    const node = pipeline.engine.plan.nodes.find((planned) => planned.name === name);
    if (matrix === undefined || node === undefined) {
      throw recloomError('RECLOOM_RUN_EXPORT', { why: `"${name}" gives no item feature` });
    }
    const isFitted = node.definition.fit !== undefined;
    if (!isFitted && !isLast) return;
    const file = `features.${isFitted ? `${name}.${cut.index}` : name}.safetensors`;
    const { items } = pipeline.engine;
    const ids = Array.from({ length: matrix.rowCount }, (_, row) => items.idOf(row));
    await writeFeatureFile(join(this.#parts.folder, file), ids, matrix.width, matrix.values, matrix.presence);
    this.#features.push({ component: name, file, cut: cut.index, width: matrix.width });
  }
}

/** The columns that scorers of a surface can read, but for the probe's. */
function surfaceColumns(pipeline: Pipeline, name: string): readonly PipelineColumn[] {
  const surface = pipeline.engine.assembly.surfaces.get(name);
  if (surface === undefined) return [];
  return [
    ...surface.allSources.flatMap((source) => [{ name: `source.${source.name}.score` }, { name: `source.${source.name}.rank` }]),
    ...surface.features.flatMap((feature) =>
      Array.from({ length: feature.instance.width }, (_, index) => ({
        name: `feature.${feature.name}${index === 0 ? '' : `.${index}`}`,
        component: feature.instance.componentNames?.[index],
      })),
    ),
    ...surface.scorers
      .filter((scorer) => scorer.name !== probeName)
      .flatMap((scorer) => [{ name: `score.${scorer.name}` }, ...scorer.further.map((part) => ({ name: `score.${scorer.name}.${part}` }))]),
  ];
}

type Writable<Type> = { -readonly [Key in keyof Type]: Type[Key] };

function noCounts(cut: Cut, world: PointInTime): Writable<CutCounts> {
  const { dataset } = world;
  return {
    cut: cut.index,
    items: dataset.items.rowCount,
    users: dataset.users.rowCount,
    events: dataset.history.eventCount,
    requests: world.users.length,
    groups: 0,
    rows: 0,
    positives: 0,
    negatives: 0,
    negativesLeftOut: 0,
    requestsWithoutPositive: 0,
    positivesNotProposed: 0,
    positivesAdded: 0,
    positivesRepeated: 0,
    positivesOfUnknownItems: world.unknownItemPairs,
    usersLeftOut: world.leftOutUsers,
  };
}

function collectingObserver(outer: BuildObserver): { readonly observer: BuildObserver; readonly warnings: readonly Warning[] } {
  const warnings: Warning[] = [];
  return {
    warnings,
    observer: {
      step: (step, phase, detail) => outer.step(step, phase, detail),
      progress: (step, fraction, note) => outer.progress(step, fraction, note),
      // The same is said by every cut and every request: once is enough.
      warn: (warning) => {
        if (warnings.some((known) => known.code === warning.code && known.message === warning.message)) return;
        warnings.push(warning);
        outer.warn(warning);
      },
    },
  };
}

function cutsOf(dataset: Dataset, options: ExportTrainingOptions): readonly Cut[] {
  const { timesMs, eventCount } = dataset.history;
  if (eventCount === 0) throw recloomError('RECLOOM_DAT_EMPTY', { what: 'events' });
  let firstEventMs = Number.POSITIVE_INFINITY;
  let lastEventMs = Number.NEGATIVE_INFINITY;
  for (const time of timesMs) {
    if (time < firstEventMs) firstEventMs = time;
    if (time > lastEventMs) lastEventMs = time;
  }
  const { until } = options;
  return planCuts({
    cuts: options.cuts,
    windowDays: options.windowDays ?? 30,
    validationCuts: options.validationCuts ?? 1,
    firstEventMs,
    lastEventMs,
    untilMs: until instanceof Date ? until.getTime() : until,
  });
}

function checkOptions(options: ExportTrainingOptions): void {
  const refuse = (why: string): Error => recloomError('RECLOOM_RUN_EXPORT', { why });
  if (typeof options?.out !== 'string' || options.out.trim() === '') throw refuse('"out" must name a folder');
  const whole: readonly (readonly [string, unknown, number])[] = [
    ['negatives', options.negatives === 'all' ? undefined : options.negatives, 1],
    ['history', options.history, 0],
    ['minimumItemUsers', options.minimumItemUsers, 1],
    ['minimumUserItems', options.minimumUserItems, 1],
    ['batch', options.batch, 1],
  ];
  for (const [name, value, least] of whole) {
    if (value === undefined) continue;
    if (!Number.isInteger(value) || (value as number) < least) throw refuse(`"${name}" must be a whole number from ${least}`);
  }
  if (options.windowDays !== undefined && !(options.windowDays > 0 && Number.isFinite(options.windowDays)))
    throw refuse('"windowDays" must be a number above 0');
  const until = options.until instanceof Date ? options.until.getTime() : options.until;
  if (until !== undefined && !Number.isFinite(until)) throw refuse('"until" is no valid time');
}

function checkEventTypes(wanted: readonly string[] | undefined, dataset: Dataset): void {
  const { typeNames } = dataset.history;
  for (const name of wanted ?? []) {
    if (typeNames.includes(name)) continue;
    const near = suggest(name, typeNames);
    throw recloomError('RECLOOM_RUN_EXPORT', {
      why: `there are no events of type "${name}"${near === undefined ? '' : `; did you mean "${near}"?`} (types: ${typeNames.join(', ')})`,
    });
  }
}
