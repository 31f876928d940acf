import { InterestReader, type Interests, type InterestsRule, reasonFor, recencyAmounts } from '@recloom/item-models';
import { kernelsOf, VectorIndex } from '@recloom/kernels';
import {
  type CandidateBatch,
  type CandidateSource,
  type Compute,
  type Explainer,
  type FeatureMatrix,
  type Inspectable,
  joinProposals,
  type Proposals,
  type Reason,
  type RequestBatch,
  type RequestProposals,
  type RequestView,
  type Scorer,
  type Table,
} from '@recloom/plugin-api';
import type { FactorProfileOptions } from './options.js';

/** Up to this many rows the float scan is as quick as proposing by int8. */
const exactRows = 8192;

/**
 * Scores item j as the sum over the items i of a history of weight × (vector i · vector j), lengths included. Over vectors
 * with orthonormal columns (multimodal/cold-map) that is PureSVD (Cremonesi 2010): the history, projected on the directions
 * that explain most of what people did.
 */
export class FactorProfile implements CandidateSource, Scorer, Explainer, Inspectable {
  readonly #options: FactorProfileOptions;
  readonly #feature: FeatureMatrix;
  readonly #items: Table;
  readonly #index: VectorIndex;
  readonly #rule: InterestsRule;
  #present = new Uint8Array(0);
  #version = -1;
  #interests: { readonly reader: InterestReader; readonly rowCount: number } | undefined;

  /** @throws RECLOOM_KRN_OUT_OF_MEMORY */
  constructor(options: FactorProfileOptions, feature: FeatureMatrix, items: Table, compute: Compute) {
    this.#options = options;
    this.#feature = feature;
    this.#items = items;
    this.#index = new VectorIndex(kernelsOf(compute), { width: feature.width, capacity: feature.rowCount });
    this.#rule = {
      requestItems: options.requestItems,
      pairs: 'strongest',
      amounts: recencyAmounts({
        eventTypes: options.eventTypes,
        useWeights: options.useWeights,
        recencyDays: options.recencyDays,
        recencyFloor: 0,
      }),
    };
    this.#synchronise();
  }

  propose(batch: RequestBatch, limit: number): Proposals {
    this.#synchronise();
    const lists = batch.requests.map((request) => {
      batch.signal.throwIfAborted();
      return this.#proposeOne(request, batch.eligible, limit);
    });
    return joinProposals(lists, limit);
  }

  score(batch: CandidateBatch, out: Float32Array, signal: AbortSignal): void {
    this.#synchronise();
    batch.requests.forEach((request, index) => {
      signal.throwIfAborted();
      const profile = this.#profileOf(this.#read(request));
      const end = batch.offsets[index + 1] as number;
      for (let place = batch.offsets[index] as number; place < end; place++) {
        out[place] = profile === undefined ? 0 : this.#dot(profile, batch.rows[place] as number);
      }
    });
  }

  /** The item of the history that adds most to each row's score; none where nothing adds to it. */
  reasons(request: RequestView, rows: Int32Array): readonly (Reason | undefined)[] {
    this.#synchronise();
    const interests = this.#read(request);
    const parts = Array.from({ length: interests.count }, (_, place) =>
      this.#vectorOf(interests.rows[place] as number).map((value) => value * (interests.weights[place] as number)),
    );
    return Array.from(rows, (row) => {
      let best = -1;
      let most = 0;
      let total = 0;
      parts.forEach((part, place) => {
        const value = interests.rows[place] === row ? 0 : this.#dot(part, row);
        if (!(value > 0)) return;
        total += value;
        if (value > most) {
          most = value;
          best = place;
        }
      });
      if (best < 0) return undefined;
      const wording = reasonFor(request, interests.types[best] as number);
      return { ...wording, items: [interests.rows[best] as number], strength: 0.5 + (0.4 * most) / total };
    });
  }

  /** Whether the item has a vector, its length, and the ten items it speaks for most. */
  inspectItem(row: number): Readonly<Record<string, unknown>> {
    this.#synchronise();
    if (this.#present[row] !== 1) return { present: false };
    const vector = this.#vectorOf(row);
    const mask = this.#present.slice();
    mask[row] = 0;
    const { rows, scores } = this.#index.search(vector, 10, { mask, exact: true });
    return {
      present: true,
      length: Math.sqrt(vector.reduce((sum, value) => sum + value * value, 0)),
      recommendedAfter: Array.from(rows, (other, place) => ({ item: this.#items.idOf(other), link: scores[place] })),
    };
  }

  dispose(): void {
    this.#index.dispose();
  }

  #proposeOne(request: RequestView, eligible: Uint8Array | undefined, limit: number): RequestProposals | undefined {
    const interests = this.#read(request);
    const profile = this.#profileOf(interests);
    if (profile === undefined) return undefined;
    const mask = this.#present.map((present, row) => (present === 1 && eligible?.[row] !== 0 ? 1 : 0));
    const { history } = request;
    for (const row of request.items) mask[row] = 0;
    if (this.#options.excludeHistory) for (const row of history.items.subarray(0, history.length)) mask[row] = 0;
    const { rows, scores } = this.#index.search(profile, limit, { mask, exact: this.#index.rowCount <= exactRows });
    let count = 0;
    while (count < rows.length && (scores[count] as number) > 0) count++;
    return { rows: rows.subarray(0, count), scores: scores.subarray(0, count) };
  }

  #read(request: RequestView): Interests {
    const { rowCount } = this.#index;
    // A new item can be in a history: the reader's scratch grows with the catalogue.
    if (this.#interests?.rowCount !== rowCount) this.#interests = { reader: new InterestReader(rowCount, this.#rule), rowCount };
    return this.#interests.reader.read(request);
  }

  /** The weighted sum of the history's vectors; undefined when none of its items has one. */
  #profileOf(interests: Interests): Float32Array | undefined {
    const { width, vectors } = this.#index;
    const sum = new Float64Array(width);
    let known = false;
    for (let place = 0; place < interests.count; place++) {
      const row = interests.rows[place] as number;
      if (this.#present[row] !== 1) continue;
      known = true;
      const weight = interests.weights[place] as number;
      const start = row * width;
      for (let column = 0; column < width; column++) sum[column] = (sum[column] as number) + weight * (vectors[start + column] as number);
    }
    return known ? Float32Array.from(sum) : undefined;
  }

  #dot(profile: Float32Array, row: number): number {
    if (this.#present[row] !== 1) return 0;
    const { width, vectors } = this.#index;
    let sum = 0;
    const start = row * width;
    for (let column = 0; column < width; column++) sum += (profile[column] as number) * (vectors[start + column] as number);
    return sum;
  }

  #vectorOf(row: number): Float32Array {
    const { width, vectors } = this.#index;
    return this.#present[row] === 1 ? vectors.slice(row * width, (row + 1) * width) : new Float32Array(width);
  }

  /** Takes over what the feature has added or changed since the last time. */
  #synchronise(): void {
    const feature = this.#feature;
    if (feature.version === this.#version) return;
    const { width } = feature;
    const before = this.#index.rowCount;
    const changed = before === 0 ? [] : feature.changedSince(this.#version);
    const present = new Uint8Array(feature.rowCount);
    present.set(this.#present);
    this.#present = present;
    if (feature.rowCount > before) {
      this.#index.append(feature.values.slice(before * width, feature.rowCount * width));
      present.set(feature.presence.subarray(before, feature.rowCount), before);
    }
    for (const row of changed) {
      if (row >= before) continue;
      this.#index.upsert(row, feature.values.slice(row * width, (row + 1) * width));
      present[row] = feature.presence[row] as number;
    }
    this.#version = feature.version;
  }
}
