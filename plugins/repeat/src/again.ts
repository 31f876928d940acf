import { typeMask, unknownEventType } from '@recloom/item-models';
import {
  type ComponentState,
  type CreateContext,
  type FitContext,
  type HistoryStore,
  type InputsSpec,
  readTensor,
  tensor,
} from '@recloom/plugin-api';
import { AgainItems } from './again-items.js';
import type { AgainOptions } from './options.js';
import { dayMs, type PurchaseLog, PurchaseReader, purchaseTypes } from './purchase-log.js';
import { learnRates, pairRates, timingFactor } from './rates.js';

type Needs = Record<never, never>;

/** Repeat purchases that the check of the last days needs to say anything about timing. */
const fewestJudged = 30;

/**
 * What is bought again, and when. The state holds rates, gaps and a timing curve of items and nothing of people (see
 * `learnRates`); a person's own frequency and gaps come from the history of the request.
 *
 * `timing`: with `learned`, the model is fitted to all but the last `horizonDays` and asked what people bought again
 * in them; the strength (0, ¼, ½, ¾ or 1) of highest likelihood is taken, the weaker one of two alike.
 */
export async function fitAgain(context: FitContext<AgainOptions, Needs, InputsSpec>): Promise<ComponentState> {
  const { history, options, signal, asOfMs } = context;
  const names = purchaseTypes(history.typeNames, options.eventTypes);
  const counted = typeMask(history.typeNames, names, (name) =>
    context.warn(unknownEventType('REPEAT_EVENT_TYPE_UNKNOWN', name, history.typeNames)),
  );
  const reader = new PurchaseReader(history.itemCount, options.mergeHours);
  const log = reader.read(history, counted, asOfMs, signal);
  context.progress(0.3, 'purchases');
  if (log.repeatCount === 0) {
    context.warn({ code: 'REPEAT_NOTHING_AGAIN', message: 'Nobody bought anything twice, so nothing is proposed.' });
  }
  const asOfDay = asOfMs / dayMs;
  const rates = learnRates(log, history.itemCount, asOfDay, options);
  await pause(signal);
  context.progress(0.6, 'rates');
  const timing = options.timing === 'learned' ? await learnTiming(history, reader, counted, log, asOfDay, options, signal) : options.timing;
  return {
    itemRates: tensor(rates.itemRates),
    itemLogGaps: tensor(rates.itemLogGaps),
    curve: tensor(rates.curve),
    catalogue: tensor(Float64Array.of(rates.catalogueRate, rates.meanLogGap, timing)),
  };
}

async function learnTiming(
  history: HistoryStore,
  reader: PurchaseReader,
  counted: Uint8Array | undefined,
  log: PurchaseLog,
  asOfDay: number,
  options: AgainOptions,
  signal: AbortSignal,
): Promise<number> {
  const { horizonDays } = options;
  const cutDay = asOfDay - horizonDays;
  const known = reader.read(history, counted, cutDay * dayMs, signal);
  // Pairs come in the order of their users' first purchases, so those known at the cut are a subset in the same order.
  const again = new Uint8Array(known.pairCount);
  let happened = 0;
  for (let pair = 0, at = 0; pair < known.pairCount; pair++) {
    while (log.users[at] !== known.users[pair] || log.items[at] !== known.items[pair]) at++;
    if ((log.repeats[at] as number) > (known.repeats[pair] as number)) {
      again[pair] = 1;
      happened++;
    }
  }
  // With too little to judge by, what the literature finds: the time since the last purchase counts.
  if (happened < fewestJudged || known.repeatCount === 0) return 1;
  const rates = learnRates(known, history.itemCount, cutDay, options);
  await pause(signal);
  const pairs = pairRates(known, cutDay, rates, options);
  const factors = pairs.gaps.map((gap, pair) => timingFactor(rates.curve, cutDay - (known.lastDays[pair] as number), horizonDays, gap));
  let best = 0;
  let bestLikelihood = Number.NEGATIVE_INFINITY;
  for (const timing of [0, 0.25, 0.5, 0.75, 1]) {
    const expected = pairs.rates.map((rate, pair) => rate * (factors[pair] as number) ** timing);
    const likelihood = likelihoodOf(expected, known.users, again);
    if (likelihood > bestLikelihood) {
      best = timing;
      bestLikelihood = likelihood;
    }
    await pause(signal);
  }
  return best;
}

/**
 * Log-likelihood of which of their items people bought again, each person's items competing with each other: when somebody
 * comes at all is no merit of the timing, for it orders nothing.
 */
function likelihoodOf(expected: Float64Array, users: Int32Array, again: Uint8Array): number {
  let likelihood = 0;
  for (let begin = 0; begin < expected.length; ) {
    let end = begin;
    let sum = 0;
    let bought = 0;
    while (end < expected.length && users[end] === users[begin]) {
      const value = expected[end] as number;
      sum += value;
      if (again[end] === 1) {
        bought++;
        likelihood += Math.log(value);
      }
      end++;
    }
    likelihood -= bought * Math.log(sum);
    begin = end;
  }
  return likelihood;
}

/** Lets the event loop turn between steps. */
async function pause(signal: AbortSignal): Promise<void> {
  await new Promise((resolve) => setImmediate(resolve));
  signal.throwIfAborted();
}

/** Opens what `fitAgain` left. */
export function openAgain(context: CreateContext<AgainOptions, Needs, InputsSpec>): AgainItems {
  const { state, options } = context;
  const [catalogueRate = 0, meanLogGap = 0, timing = 0] = readTensor(state, 'catalogue', Float64Array);
  return new AgainItems({
    rates: {
      itemRates: readTensor(state, 'itemRates', Float32Array),
      itemLogGaps: readTensor(state, 'itemLogGaps', Float32Array),
      curve: readTensor(state, 'curve', Float64Array),
      catalogueRate,
      meanLogGap,
    },
    timing,
    options,
  });
}
