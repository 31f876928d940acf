import {
  type CandidateBatch,
  type CandidateSource,
  type ComponentState,
  type Explainer,
  type Inspectable,
  jsonTensor,
  type Proposals,
  type Reason,
  type RequestBatch,
  type RequestView,
  readJsonTensor,
  type Scorer,
  tensor,
} from '@recloom/plugin-api';
import { bestFirst } from './item-counts.js';

/** A ranking of the catalogue, and one of each segment where it differs. */
export interface Ranking {
  /** One score per item row; items without a row beyond count 0. */
  readonly scores: Float32Array;
  /** Item rows that may be proposed, best first. */
  readonly order: Int32Array;
  readonly segments: readonly RankedSegment[];
}

/** The items that people of one segment touched; all others keep their score times `backgroundFactor`. */
export interface RankedSegment {
  /** Value of the user field. */
  readonly name: string;
  /** Item rows, best first. */
  readonly rows: Int32Array;
  readonly scores: Float32Array;
  readonly backgroundFactor: number;
}

/** The tensors of a ranking; the arrays are not copied. */
export function rankingState(ranking: Ranking): ComponentState {
  const state: Record<string, ReturnType<typeof tensor>> = { scores: tensor(ranking.scores), order: tensor(ranking.order) };
  if (ranking.segments.length === 0) return state;
  const offsets = new Int32Array(ranking.segments.length + 1);
  ranking.segments.forEach((segment, index) => {
    offsets[index + 1] = (offsets[index] as number) + segment.rows.length;
  });
  const total = offsets[ranking.segments.length] as number;
  const rows = new Int32Array(total);
  const scores = new Float32Array(total);
  ranking.segments.forEach((segment, index) => {
    rows.set(segment.rows, offsets[index]);
    scores.set(segment.scores, offsets[index]);
  });
  return {
    ...state,
    segmentNames: jsonTensor(ranking.segments.map((segment) => segment.name)),
    segmentOffsets: tensor(offsets),
    segmentRows: tensor(rows),
    segmentScores: tensor(scores),
    segmentBackgroundFactors: tensor(Float64Array.from(ranking.segments, (segment) => segment.backgroundFactor)),
  };
}

/** Reads what `rankingState` wrote; arrays are views of the state. */
export function readRanking(state: ComponentState): Ranking {
  const scores = (state['scores']?.data as Float32Array | undefined) ?? new Float32Array(0);
  const order = (state['order']?.data as Int32Array | undefined) ?? new Int32Array(0);
  const names = (readJsonTensor(state['segmentNames']) as readonly string[] | undefined) ?? [];
  const offsets = state['segmentOffsets']?.data as Int32Array;
  const rows = state['segmentRows']?.data as Int32Array;
  const segmentScores = state['segmentScores']?.data as Float32Array;
  const factors = state['segmentBackgroundFactors']?.data as Float64Array;
  const segments = names.map((name, index) => {
    const start = offsets[index] as number;
    const end = offsets[index + 1] as number;
    return {
      name,
      rows: rows.subarray(start, end),
      scores: segmentScores.subarray(start, end),
      backgroundFactor: factors[index] as number,
    };
  });
  return { scores, order, segments };
}

/** Proposable rows of a score column: score above `above`, best first, ties by ascending row. */
export function rankedRows(scores: Float32Array, above: number): Int32Array {
  const rows = Int32Array.from(scores.keys()).filter((row) => (scores[row] as number) > above);
  const chosen = Float32Array.from(rows, (row) => scores[row] as number);
  return bestFirst(chosen, rows).map((place) => rows[place] as number);
}

/** How an instance speaks and whom it listens to. */
export interface RankedItemsOptions {
  readonly excludeHistory: boolean;
  /** User field that names the segment. */
  readonly segmentField?: string | undefined;
  /** The reason for an item that ranks by the whole shop. */
  readonly reason: Reason;
}

/** Source, scorer and explainer over a fixed ranking. Synchronous; holds no state between calls beyond scratch marks. */
export class RankedItems implements CandidateSource, Scorer, Explainer, Inspectable {
  readonly #ranking: Ranking;
  /** Scores along the ranking's order. */
  readonly #orderedScores: Float32Array;
  readonly #options: RankedItemsOptions;
  readonly #segments: ReadonlyMap<string, RankedSegment>;
  /** Marks of the request in work: rows with `#marks[row] === #mark` are left out or already ranked by the segment. */
  readonly #marks: Int32Array;
  #mark = 0;

  constructor(ranking: Ranking, options: RankedItemsOptions) {
    this.#ranking = ranking;
    this.#orderedScores = Float32Array.from(ranking.order, (row) => ranking.scores[row] as number);
    this.#options = options;
    this.#segments = new Map(ranking.segments.map((segment) => [segment.name, segment]));
    this.#marks = new Int32Array(ranking.scores.length);
  }

  propose(batch: RequestBatch, limit: number): Proposals {
    batch.signal.throwIfAborted();
    const { requests, eligible } = batch;
    const room = Math.min(limit, this.#ranking.order.length);
    const offsets = new Int32Array(requests.length + 1);
    const rows = new Int32Array(requests.length * room);
    const scores = new Float32Array(rows.length);
    let length = 0;
    for (let index = 0; index < requests.length; index++) {
      const request = requests[index] as RequestView;
      length += this.#proposeOne(request, eligible, rows.subarray(length, length + room), scores.subarray(length, length + room));
      offsets[index + 1] = length;
    }
    return length === rows.length ? { offsets, rows, scores } : { offsets, rows: rows.slice(0, length), scores: scores.slice(0, length) };
  }

  score(batch: CandidateBatch, out: Float32Array, signal: AbortSignal): void {
    signal.throwIfAborted();
    batch.requests.forEach((request, index) => {
      const start = batch.offsets[index] as number;
      this.#scoreRows(request, batch.rows.subarray(start, batch.offsets[index + 1]), out.subarray(start, batch.offsets[index + 1]));
    });
  }

  reasons(request: RequestView, rows: Int32Array): readonly (Reason | undefined)[] {
    const segment = this.#segmentOf(request);
    const local = new Set(segment?.rows);
    const { scores, order } = this.#ranking;
    const best = order.length > 0 ? (scores[order[0] as number] as number) : 0;
    return Array.from(rows, (row) => {
      if (segment !== undefined && local.has(row)) {
        return { code: 'popular-in', text: 'Popular in {name}', values: { name: segment.name }, strength: 0.4 };
      }
      const score = scores[row] ?? 0;
      return score > 0 ? { ...this.#options.reason, strength: Math.min(0.35, 0.1 + (0.25 * score) / best) } : undefined;
    });
  }

  inspectItem(row: number): Readonly<Record<string, unknown>> {
    const rank = this.#ranking.order.indexOf(row);
    return {
      score: this.#ranking.scores[row] ?? 0,
      rank: rank < 0 ? null : rank + 1,
      segments: Object.fromEntries(
        this.#ranking.segments.flatMap((segment) => {
          const place = segment.rows.indexOf(row);
          return place < 0 ? [] : [[segment.name, segment.scores[place] as number]];
        }),
      ),
    };
  }

  #segmentOf(request: RequestView): RankedSegment | undefined {
    if (this.#options.segmentField === undefined) return undefined;
    const value = request.userField(this.#options.segmentField);
    return value === undefined || value === null ? undefined : this.#segments.get(String(value));
  }

  #newMark(): number {
    if (this.#mark >= 0x7ffffffe) {
      this.#marks.fill(0);
      this.#mark = 0;
    }
    this.#mark += 1;
    return this.#mark;
  }

  /** Fills `chosen` and `values` as far as there are items; tells how many. */
  #proposeOne(request: RequestView, eligible: Uint8Array | undefined, chosen: Int32Array, values: Float32Array): number {
    const { scores, order } = this.#ranking;
    const room = chosen.length;
    const marks = this.#marks;
    const mark = this.#newMark();
    for (const row of request.items) if (row < marks.length) marks[row] = mark;
    let hides = request.items.length > 0;
    if (this.#options.excludeHistory) {
      const { items, length } = request.history;
      hides ||= length > 0;
      for (let event = 0; event < length; event++) {
        const row = items[event] as number;
        if (row < marks.length) marks[row] = mark;
      }
    }
    const open = (row: number): boolean => marks[row] !== mark && (eligible === undefined || eligible[row] !== 0);
    let length = 0;
    const segment = this.#segmentOf(request);
    if (segment === undefined) {
      // Whoever hides nothing gets the ranking as it stands.
      if (!hides && eligible === undefined) {
        chosen.set(order.subarray(0, room));
        values.set(this.#orderedScores.subarray(0, room));
        return room;
      }
      for (let place = 0; place < order.length && length < room; place++) {
        const row = order[place] as number;
        if (!open(row)) continue;
        chosen[length] = row;
        values[length++] = scores[row] as number;
      }
      return length;
    }
    // Two sorted lists are merged: what the segment touched, and everything else at its scaled score.
    const inSegment = segment.rows.filter(open);
    const inSegmentScores = new Float32Array(inSegment.length);
    let next = 0;
    segment.rows.forEach((row, place) => {
      if (open(row)) inSegmentScores[next++] = segment.scores[place] as number;
    });
    for (const row of segment.rows) marks[row] = mark;
    let global = 0;
    let local = 0;
    while (length < room) {
      while (global < order.length && !open(order[global] as number)) global++;
      const globalRow = global < order.length ? (order[global] as number) : -1;
      const localRow = local < inSegment.length ? (inSegment[local] as number) : -1;
      if (globalRow < 0 && localRow < 0) break;
      const globalScore = globalRow < 0 ? -1 : Math.fround((scores[globalRow] as number) * segment.backgroundFactor);
      const localScore = localRow < 0 ? -1 : (inSegmentScores[local] as number);
      const takeLocal = localScore > globalScore || (localScore === globalScore && localRow < globalRow);
      chosen[length] = takeLocal ? localRow : globalRow;
      values[length++] = takeLocal ? localScore : globalScore;
      if (takeLocal) local++;
      else global++;
    }
    return length;
  }

  #scoreRows(request: RequestView, rows: Int32Array, out: Float32Array): void {
    const { scores } = this.#ranking;
    const count = scores.length;
    const segment = this.#segmentOf(request);
    const factor = segment?.backgroundFactor ?? 1;
    for (let place = 0; place < rows.length; place++) {
      const row = rows[place] as number;
      out[place] = row < count ? (scores[row] as number) * factor : 0;
    }
    if (segment === undefined) return;
    const local = new Map<number, number>();
    segment.rows.forEach((row, place) => {
      local.set(row, segment.scores[place] as number);
    });
    for (let place = 0; place < rows.length; place++) {
      const score = local.get(rows[place] as number);
      if (score !== undefined) out[place] = score;
    }
  }
}
