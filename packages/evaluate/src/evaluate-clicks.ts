import { type ConfigSource, type Dataset, filterDataset, openPipeline, type RecommendRequest } from '@recloom/core';
import { recloomError } from '@recloom/plugin-api';
import type { EvaluateOptions } from './evaluate-pipeline.js';
import { type ClickMetrics, clickMetrics } from './metrics/clicks.js';
import { defaultCutMs } from './splits/make-splits.js';

/** What is a showing, what is a click, which column predicts it, and what is asked. */
export interface EvaluateClicksOptions extends Omit<EvaluateOptions, 'k'> {
  /** Name of the event type that says what was shown, e.g. `impression` or `view`. */
  readonly shown: string;
  /** Name of the event type that says what was then done with it, e.g. `click` or `purchase`. */
  readonly clicked: string;
  /** The prediction: a column such as `score.click.taken`, or any CEL number over columns, between 0 and 1. */
  readonly column: string;
  /** First instant of the test, in milliseconds; default: the last 15 % of the time span are the test. */
  readonly cutMs?: number;
  /** End (exclusive) of the test, in milliseconds; default: the end of the data. */
  readonly untilMs?: number;
  /** A click counts when it comes so many milliseconds after the item was shown, or sooner; default one day. */
  readonly withinMs?: number;
}

/** How good the predicted probabilities of a pipeline are. */
export interface ClickEvaluation extends ClickMetrics {
  readonly column: string;
  /** First instant of the test, ISO 8601. */
  readonly cut: string;
  readonly users: number;
  /** Pairs of a user and an item shown to them that have a prediction. */
  readonly examples: number;
  readonly positives: number;
  /** Pairs without a prediction: no source proposed the item, a filter took it out, or the column is empty there. They are in no figure. */
  readonly notScored: number;
  /** Log loss, in nats, of saying the share of positives for every example: what a model has to beat. */
  readonly baseRateLogLoss: number;
}

const dayMs = 86_400_000;

/** What a user was shown in the test, with what came of it. */
interface ShownItems {
  readonly user: string;
  readonly labels: Map<string, number>;
}

/**
 * Fits a config on everything before the cut, asks it at the cut for every user who was shown something afterwards, and
 * compares the predicted probabilities with what they clicked. A (user, item) pair counts once.
 *
 * @throws RECLOOM_DAT_NO_LABELS when the data do not say what was shown and clicked; RECLOOM_RUN_EVALUATION when the column is
 * no probability; RECLOOM_RUN_REQUEST when it does not exist; RECLOOM_CFG_*, RECLOOM_PLG_*
 */
export async function evaluateClicks(source: ConfigSource, dataset: Dataset, options: EvaluateClicksOptions): Promise<ClickEvaluation> {
  const { column, cutMs = defaultCutMs(dataset) } = options;
  const people = shownItems(dataset, options, cutMs);
  const train = filterDataset(dataset, { beforeMs: cutMs });
  if (train.history.eventCount === 0)
    throw recloomError('RECLOOM_DAT_SPLIT_NO_TRAINING', { counts: 'no event lies before the cut', change: 'Move the cut later.' });
  const predictions: number[] = [];
  const labels: number[] = [];
  let notScored = 0;
  const pipeline = await openPipeline(source, { ...options, dataset: train });
  try {
    const requests = people.map(
      ({ user }): RecommendRequest => ({
        user,
        purposes: options.purposes ?? ['personalisation'],
        asOf: cutMs,
        ...(options.surface === undefined ? {} : { surface: options.surface }),
      }),
    );
    const many = pipeline.scoreCandidates(requests, {
      batch: options.batch ?? 32,
      unlimited: true,
      columns: [column],
      ...(options.signal === undefined ? {} : { signal: options.signal }),
    });
    for await (const { index, candidates, error } of many) {
      if (error !== undefined) throw error;
      const wanted = people[index]?.labels as Map<string, number>;
      const before = predictions.length;
      const values = candidates.columns[column] as Float32Array;
      for (const [place, id] of candidates.ids.entries()) {
        const label = wanted.get(id);
        const value = values[place] as number;
        if (label === undefined || Number.isNaN(value)) continue;
        predictions.push(value);
        labels.push(label);
      }
      notScored += wanted.size - (predictions.length - before);
      options.progress?.((index + 1) / people.length);
    }
  } finally {
    await pipeline.close();
  }
  const positives = labels.reduce((sum, label) => sum + label, 0);
  if (predictions.length === 0)
    throw recloomError('RECLOOM_DAT_NO_LABELS', { metric: 'click metrics', why: `none of ${notScored} items shown has a prediction` });
  if (predictions.some((value) => !(value >= 0 && value <= 1)))
    throw recloomError('RECLOOM_RUN_EVALUATION', {
      why: 'the column gives numbers outside 0 to 1, which are no probabilities; choose a calibrated output of the model',
    });
  const share = positives / labels.length;
  return {
    column,
    cut: new Date(cutMs).toISOString(),
    users: people.length,
    examples: labels.length,
    positives,
    notScored,
    baseRateLogLoss: share === 0 || share === 1 ? 0 : -share * Math.log(share) - (1 - share) * Math.log(1 - share),
    ...clickMetrics(predictions, labels),
  };
}

/** By user: the items shown in the test and whether a click followed. @throws RECLOOM_DAT_NO_LABELS */
function shownItems(dataset: Dataset, options: EvaluateClicksOptions, cutMs: number): readonly ShownItems[] {
  const { history, items, users } = dataset;
  const refuse = (why: string): never => {
    throw recloomError('RECLOOM_DAT_NO_LABELS', { metric: 'click metrics', why });
  };
  const codeOf = (name: string): number => {
    const code = history.typeNames.indexOf(name);
    if (code < 0) refuse(`there is no event type "${name}"; the data have ${history.typeNames.join(', ') || 'none'}`);
    return code;
  };
  const shownCode = codeOf(options.shown);
  const clickedCode = codeOf(options.clicked);
  if (shownCode === clickedCode) refuse('what was shown and what was clicked are the same event type');
  const untilMs = options.untilMs ?? Number.POSITIVE_INFINITY;
  const withinMs = options.withinMs ?? dayMs;
  const people: ShownItems[] = [];
  let positives = 0;
  let pairs = 0;
  for (let user = 0; user < history.userCount; user++) {
    const labels = new Map<string, number>();
    const from = history.offsets[user] as number;
    const to = history.offsets[user + 1] as number;
    for (let place = from; place < to; place++) {
      const timeMs = history.timesMs[place] as number;
      if (history.types[place] !== shownCode || timeMs < cutMs || timeMs >= untilMs) continue;
      const row = history.items[place] as number;
      const id = items.idOf(row);
      const followed = clickFollows(history, row, clickedCode, { first: from, from: place, to }, timeMs + withinMs);
      if (followed || !labels.has(id)) labels.set(id, followed ? 1 : 0);
    }
    if (labels.size === 0) continue;
    people.push({ user: users.idOf(user), labels });
    pairs += labels.size;
    for (const label of labels.values()) positives += label;
  }
  if (pairs === 0) refuse(`nothing of type "${options.shown}" lies in the test`);
  if (positives === 0) refuse(`none of ${pairs} items shown was followed by "${options.clicked}"`);
  if (positives === pairs) refuse(`all of ${pairs} items shown were followed by "${options.clicked}", so there is nothing to tell apart`);
  return people;
}

/** Whether a click on the item follows the event at `from` of a user, whose events are `[first, to)`. */
function clickFollows(
  { items, types, timesMs }: Dataset['history'],
  row: number,
  clickedCode: number,
  { first, from, to }: { readonly first: number; readonly from: number; readonly to: number },
  lastMs: number,
): boolean {
  // Events of the same instant may stand in any order.
  let place = from;
  while (place > first && timesMs[place - 1] === timesMs[from]) place--;
  for (; place < to && (timesMs[place] as number) <= lastMs; place++) if (items[place] === row && types[place] === clickedCode) return true;
  return false;
}
