import { typeMask } from '@recloom/item-models';
import {
  type CandidateBatch,
  type CandidateSource,
  type Explainer,
  type Inspectable,
  joinProposals,
  type Proposals,
  type Reason,
  type RequestBatch,
  type RequestProposals,
  type RequestView,
  type Scorer,
} from '@recloom/plugin-api';
import type { AgainOptions } from './options.js';
import { dayMs, type PurchaseLog, PurchaseReader, purchaseTypes } from './purchase-log.js';
import { pairRates, type Rates, timingFactor } from './rates.js';

/** What an instance works on; arrays are read and never written. */
export interface AgainParts {
  readonly rates: Rates;
  /** Strength of the timing curve, in [0, 1]. */
  readonly timing: number;
  readonly options: AgainOptions;
}

/** A request's own purchases with the chance of each to be repeated. */
interface Own {
  readonly log: PurchaseLog;
  /** In [0, 1], per pair. */
  readonly chances: Float64Array;
}

/** Source, scorer and explainer over the items of a history. A request costs what its history is long. */
export class AgainItems implements CandidateSource, Scorer, Explainer, Inspectable {
  readonly #parts: AgainParts;
  readonly #reader: PurchaseReader;

  constructor(parts: AgainParts) {
    this.#parts = parts;
    this.#reader = new PurchaseReader(parts.rates.itemRates.length, parts.options.mergeHours);
  }

  propose(batch: RequestBatch, limit: number): Proposals {
    const { eligible } = batch;
    return joinProposals(
      batch.requests.map((request) => {
        batch.signal.throwIfAborted();
        return this.#proposeOne(request, limit, eligible);
      }),
      limit,
    );
  }

  /** The chance within `horizonDays`; 0 for what the person never bought. */
  score(batch: CandidateBatch, out: Float32Array, signal: AbortSignal): void {
    batch.requests.forEach((request, index) => {
      signal.throwIfAborted();
      const { log, chances } = this.#ownOf(request);
      const begin = batch.offsets[index] as number;
      const end = batch.offsets[index + 1] as number;
      if (log.pairCount === 0) {
        out.fill(0, begin, end);
        return;
      }
      const pairOf = new Map<number, number>();
      for (let pair = 0; pair < log.pairCount; pair++) pairOf.set(log.items[pair] as number, pair);
      for (let place = begin; place < end; place++) {
        const pair = pairOf.get(batch.rows[place] as number);
        out[place] = pair === undefined ? 0 : (chances[pair] as number);
      }
    });
  }

  /** How often the person buys the item and how long ago it was; none for what was never bought. */
  reasons(request: RequestView, rows: Int32Array): readonly (Reason | undefined)[] {
    const { log, chances } = this.#ownOf(request);
    const nowDay = request.asOfMs / dayMs;
    return Array.from(rows, (row) => {
      const pair = log.items.subarray(0, log.pairCount).indexOf(row);
      if (pair < 0) return undefined;
      const again = log.repeats[pair] as number;
      const sinceDays = Math.max(0, Math.round(nowDay - (log.lastDays[pair] as number)));
      const strength = 0.5 + 0.4 * (chances[pair] as number);
      const ago = agoText(sinceDays);
      if (again === 0) {
        return { code: 'bought-before', text: `You bought this ${ago}`, values: { sinceDays }, items: [row], strength };
      }
      const gapDays = Math.max(1, Math.round(((log.lastDays[pair] as number) - (log.firstDays[pair] as number)) / again));
      if (again === 1) {
        return {
          code: 'bought-twice',
          text: `You bought this twice, the last time ${ago}`,
          values: { sinceDays, gapDays },
          items: [row],
          strength,
        };
      }
      const every = gapDays === 1 ? 'every day' : 'every {gapDays} days';
      return {
        code: 'buys-regularly',
        text: `You buy this about ${every}; the last time was ${ago}`,
        values: { sinceDays, gapDays, times: again + 1 },
        items: [row],
        strength,
      };
    });
  }

  inspectItem(row: number): Readonly<Record<string, unknown>> {
    const { itemRates, itemLogGaps, catalogueRate, meanLogGap } = this.#parts.rates;
    return {
      repeatPurchasesPerOwnerAndYear: (itemRates[row] ?? catalogueRate) * 365,
      usualGapDays: Math.exp(meanLogGap + (itemLogGaps[row] ?? 0)),
      timing: this.#parts.timing,
    };
  }

  #ownOf({ history, asOfMs }: RequestView): Own {
    const { rates, timing, options } = this.#parts;
    const counted = typeMask(history.typeNames, purchaseTypes(history.typeNames, options.eventTypes));
    const log = this.#reader.read({ ...history, offsets: [0, history.length] }, counted, asOfMs);
    const asOfDay = asOfMs / dayMs;
    const pairs = pairRates(log, asOfDay, rates, options);
    const chances = pairs.rates.map((rate, pair) => {
      const since = Math.max(0, asOfDay - (log.lastDays[pair] as number));
      const factor = timing === 0 ? 1 : timingFactor(rates.curve, since, options.horizonDays, pairs.gaps[pair] as number) ** timing;
      return chanceOf(rate * options.horizonDays * factor);
    });
    return { log, chances };
  }

  #proposeOne(request: RequestView, limit: number, eligible: Uint8Array | undefined): RequestProposals {
    const { log, chances } = this.#ownOf(request);
    const { minimumProbability } = this.#parts.options;
    const places: number[] = [];
    for (let pair = 0; pair < log.pairCount; pair++) {
      const row = log.items[pair] as number;
      const chance = chances[pair] as number;
      if (chance > 0 && chance >= minimumProbability && eligible?.[row] !== 0 && !request.items.includes(row)) places.push(pair);
    }
    // As float32, so that what is equal in the answer is ordered by row.
    const scores = Float32Array.from(chances);
    places.sort(
      (left, right) => (scores[right] as number) - (scores[left] as number) || (log.items[left] as number) - (log.items[right] as number),
    );
    if (places.length > limit) places.length = limit;
    return {
      rows: Int32Array.from(places, (pair) => log.items[pair] as number),
      scores: Float32Array.from(places, (pair) => scores[pair] as number),
    };
  }
}

/** The chance of at least one purchase where so many are expected. */
function chanceOf(expected: number): number {
  return -Math.expm1(-expected);
}

/** By elapsed time and not by the calendar: whose midnight it would be is not known here. */
function agoText(days: number): string {
  if (days === 0) return 'less than a day ago';
  return days === 1 ? 'a day ago' : '{sinceDays} days ago';
}
