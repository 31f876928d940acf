import {
  type CandidateBatch,
  type ContextValue,
  emptyHistory,
  type FeatureMatrix,
  type HistoryView,
  type Label,
  type RankedList,
  type RequestBatch,
  type RequestView,
  type ResultList,
  requestLabels,
  type SourceColumns,
} from '@recloom/plugin-api';
import { historyViewFrom, type TestEvent } from './history.js';

/** Every label Recloom itself knows. */
export const allLabels: readonly Label[] = Object.freeze([...requestLabels, 'history', 'profile', 'location']);

/** What a test says about a request; everything has a default. */
export interface RequestParts {
  readonly index?: number;
  /** Default -1: a guest. */
  readonly userRow?: number;
  /** A view, or events that are made into one. Default empty. */
  readonly history?: HistoryView | readonly TestEvent[];
  /** Item rows the request names. */
  readonly items?: ArrayLike<number>;
  readonly text?: string;
  readonly image?: Uint8Array | string;
  /** How much words and picture count against each other when both are there. */
  readonly queryWeights?: { readonly text: number; readonly image: number };
  /** Query-scope vectors by feature name. */
  readonly queryVectors?: Readonly<Record<string, ArrayLike<number>>>;
  readonly userFields?: Readonly<Record<string, ContextValue>>;
  readonly context?: Readonly<Record<string, ContextValue>>;
  /** Default: the time of the last event of `history`, else 0. */
  readonly asOfMs?: number;
  /** Default 10. */
  readonly limit?: number;
  /** Default 1. */
  readonly seed?: number;
  readonly diversity?: number;
  /** Labels granted; default all of `allLabels`. What is not granted is not in the view. */
  readonly grants?: readonly Label[];
}

/** A request as components see it. Without the grant of `history` its history is empty; without `profile` it has no user fields; without either no user row. */
export function requestView(parts: RequestParts = {}): RequestView {
  const grants = new Set<Label>(parts.grants ?? allLabels);
  const given = parts.history ?? emptyHistory;
  const full = 'timesMs' in given ? given : historyViewFrom(given);
  const history = grants.has('history') || grants.has('session') ? full : emptyHistory;
  const fields = new Map(Object.entries(parts.userFields ?? {}));
  const vectors = new Map(Object.entries(parts.queryVectors ?? {}).map(([name, values]) => [name, Float32Array.from(values)]));
  return {
    index: parts.index ?? 0,
    userRow: grants.has('history') || grants.has('profile') ? (parts.userRow ?? -1) : -1,
    history,
    items: Int32Array.from(parts.items ?? []),
    text: parts.text,
    image: parts.image,
    queryWeights: parts.queryWeights,
    queryVector: (name) => vectors.get(name),
    userField: (field) => (grants.has('profile') ? fields.get(field) : undefined),
    context: parts.context ?? {},
    asOfMs: parts.asOfMs ?? full.timesMs[full.length - 1] ?? 0,
    limit: parts.limit ?? 10,
    seed: parts.seed ?? 1,
    diversity: parts.diversity,
    granted: (label) => grants.has(label),
  };
}

/** A batch of requests; their `index` is set to their place. */
export function requestBatch(
  requests: readonly (RequestView | RequestParts)[],
  options: { readonly eligible?: Uint8Array | undefined; readonly signal?: AbortSignal | undefined } = {},
): RequestBatch {
  return {
    requests: requests.map((request, index) => ({ ...('granted' in request ? request : requestView(request)), index })),
    eligible: options.eligible,
    signal: options.signal ?? new AbortController().signal,
  };
}

/** What a test says about merged candidates. */
export interface CandidateParts {
  /** Item rows of all requests, one list per request. */
  readonly rows: readonly ArrayLike<number>[];
  /** One per list of `rows`; default guests. */
  readonly requests?: readonly (RequestView | RequestParts)[];
  /** Scores by source name, flat over all candidates (NaN or null = not proposed). Ranks are derived from them within each request unless given. */
  readonly sources?: Readonly<
    Record<string, ArrayLike<number | null> | { readonly scores: ArrayLike<number | null>; readonly ranks: ArrayLike<number> }>
  >;
  /** Finished columns, e.g. `score.habits` or `feature.age`, flat over all candidates. */
  readonly columns?: Readonly<Record<string, ArrayLike<number>>>;
}

/** Merged candidates as a filter or scorer sees them. */
export function candidateBatch(parts: CandidateParts): CandidateBatch {
  const offsets = new Int32Array(parts.rows.length + 1);
  parts.rows.forEach((rows, index) => {
    offsets[index + 1] = (offsets[index] ?? 0) + rows.length;
  });
  const count = offsets[parts.rows.length] ?? 0;
  const rows = new Int32Array(count);
  parts.rows.forEach((list, index) => {
    rows.set(Array.from(list), offsets[index] ?? 0);
  });
  const requests = parts.rows.map((_, index) => {
    const request = parts.requests?.[index] ?? {};
    return { ...('granted' in request ? request : requestView(request)), index };
  });
  const sources = Object.entries(parts.sources ?? {}).map(([name, given]): SourceColumns => {
    const scores = Float32Array.from('scores' in given ? given.scores : given, (score) => score ?? Number.NaN);
    return { name, scores, ranks: 'ranks' in given ? Int32Array.from(given.ranks) : ranksWithin(scores, offsets) };
  });
  const columns = new Map(Object.entries(parts.columns ?? {}).map(([name, values]) => [name, Float32Array.from(values)]));
  return { requests, count, offsets, rows, sources, column: (name) => columns.get(name) };
}

/** 1-based ranks by descending score within each request, ties by place; 0 where the score is NaN. */
function ranksWithin(scores: Float32Array, offsets: Int32Array): Int32Array {
  const ranks = new Int32Array(scores.length);
  for (let request = 0; request + 1 < offsets.length; request++) {
    const places: number[] = [];
    for (let place = offsets[request] ?? 0; place < (offsets[request + 1] ?? 0); place++) {
      if (!Number.isNaN(scores[place])) places.push(place);
    }
    places.sort((a, b) => (scores[b] ?? 0) - (scores[a] ?? 0) || a - b);
    places.forEach((place, index) => {
      ranks[place] = index + 1;
    });
  }
  return ranks;
}

/** A list as a ranker sees it: item rows with values in the order so far. */
export function rankedList(
  rows: ArrayLike<number>,
  values: ArrayLike<number>,
  options: { readonly request?: RequestView | RequestParts; readonly limit?: number } = {},
): RankedList {
  const request = options.request ?? {};
  return {
    request: 'granted' in request ? request : requestView(request),
    count: rows.length,
    rows: Int32Array.from(rows),
    values: Float32Array.from(values),
    limit: options.limit ?? Math.min(10, rows.length),
  };
}

/** A final list as a privacy filter sees it. */
export function resultList(rows: ArrayLike<number>, values: ArrayLike<number>, request: RequestView | RequestParts = {}): ResultList {
  return {
    request: 'granted' in request ? request : requestView(request),
    count: rows.length,
    rows: Int32Array.from(rows),
    values: Float32Array.from(values),
  };
}

/** An item feature that never changes. `presence` defaults to all present. */
export function featureMatrix(name: string, width: number, values: ArrayLike<number>, presence?: ArrayLike<number>): FeatureMatrix {
  const rowCount = width === 0 ? (presence?.length ?? 0) : values.length / width;
  if (!Number.isInteger(rowCount)) throw new RangeError(`featureMatrix: ${values.length} values are no multiple of the width ${width}.`);
  return {
    name,
    width,
    rowCount,
    values: Float32Array.from(values),
    presence: presence === undefined ? new Uint8Array(rowCount).fill(1) : Uint8Array.from(presence),
    version: 1,
    changedSince: () => new Int32Array(0),
  };
}
