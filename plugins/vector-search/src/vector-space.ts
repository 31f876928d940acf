import { type Kernels, VectorIndex } from '@recloom/kernels';
import { type FeatureMatrix, RecloomError } from '@recloom/plugin-api';

const rowsPerSlice = 4096;
/** Numbers taken over between two turns of the event loop when a space is filled: about half a millisecond of work. */
const numbersPerTurn = 1 << 16;
/** Room for so many times the rows there are, so that items added later seldom have all vectors copied; what is not used is not touched. */
const spareRows = 1.5;
/** Up to this many rows a float pass over all of them is as quick as proposing by int8. */
const exactRows = 8192;
/** Changes of rows that are remembered at least. */
const rememberedChanges = 4096;
/** One bit per feature says which of them a row has. */
const mostFeatures = 8;

/** A point of the space: a vector per feature it has, each of length sqrt(weight of the feature), the others zero. */
export interface Point {
  readonly vector: Float32Array;
  /** Bit `f` is set when feature `f` is there; 0 = nowhere. */
  readonly pattern: number;
}

/** Rows with cosines, best first, ties by ascending row. */
export interface NearestRows {
  readonly rows: Int32Array;
  readonly scores: Float32Array;
}

/**
 * Item features side by side in resident memory. The similarity of two points is the mean of their cosines over the
 * features both have, weighted: a feature that one of them lacks does not count, and without a common feature there is none.
 * A vector of length zero, or with a number that is not finite, counts as lacking.
 */
export class VectorSpace {
  readonly #kernels: Kernels;
  readonly #features: readonly FeatureMatrix[];
  readonly #weights: readonly number[];
  readonly #starts: readonly number[];
  readonly #width: number;
  readonly #index: VectorIndex;
  #versions: number[];
  #patterns = new Uint8Array(0);
  /** How many rows have each pattern. */
  readonly #patternCounts = new Int32Array(1 << mostFeatures);
  /** Rows added or changed, oldest first, after those forgotten. */
  #changes: number[] = [];
  #forgotten = 0;
  /** The last answer of `changedSince`: many ask the same. */
  #asked: { readonly from: number; readonly to: number; readonly rows: Int32Array } | undefined;

  /**
   * @param weights by feature name; default 1. A feature of weight 0 is left out.
   * @throws VECTOR_SEARCH_FEATURES when a weight names no feature, none is left, or there are more than eight.
   */
  constructor(kernels: Kernels, features: readonly FeatureMatrix[], weights: Readonly<Record<string, number>>) {
    const names = features.map((feature) => feature.name);
    const unknown = Object.keys(weights).filter((name) => !names.includes(name));
    if (unknown.length > 0) {
      throw featuresError(
        `"weights" names ${unknown.map((name) => `"${name}"`).join(', ')}, but the component compares ${names.join(', ')}`,
      );
    }
    const used = features.filter((feature, place) => names.indexOf(feature.name) === place && (weights[feature.name] ?? 1) > 0);
    if (used.length === 0) throw featuresError('no feature is left to compare');
    if (used.length > mostFeatures) throw featuresError(`${used.length} features are more than ${mostFeatures}`);
    this.#kernels = kernels;
    this.#features = used;
    this.#weights = used.map((feature) => weights[feature.name] ?? 1);
    let width = 0;
    this.#starts = used.map((feature) => {
      width += feature.width;
      return width - feature.width;
    });
    this.#width = width;
    this.#versions = used.map(() => -1);
    const rows = used.reduce((most, feature) => Math.max(most, feature.rowCount), 0);
    this.#index = new VectorIndex(kernels, { width, capacity: Math.ceil(rows * spareRows) });
  }

  get rowCount(): number {
    return this.#index.rowCount;
  }

  /** Numbers per point. */
  get width(): number {
    return this.#width;
  }

  /** Rows added or changed so far, each as often as it was. */
  get changeCount(): number {
    return this.#forgotten + this.#changes.length;
  }

  /** The rows added or changed since there were `changeCount` changes, each once; undefined when that is too long ago. */
  changedSince(changeCount: number): Int32Array | undefined {
    if (changeCount < this.#forgotten) return undefined;
    if (this.#asked?.from !== changeCount || this.#asked.to !== this.changeCount) {
      const rows = Int32Array.from(new Set(this.#changes.slice(changeCount - this.#forgotten)));
      this.#asked = { from: changeCount, to: this.changeCount, rows };
    }
    return this.#asked.rows;
  }

  /** Names of the features in use, by bit. */
  get featureNames(): readonly string[] {
    return this.#features.map((feature) => feature.name);
  }

  /** Takes over what the features have, letting the event loop turn in between. For a space that nobody asks yet. @throws the signal's reason */
  async fill(signal: AbortSignal): Promise<void> {
    const rows = Math.max(1, Math.floor(numbersPerTurn / this.#width));
    const versions = this.#features.map((feature) => feature.version);
    const end = this.#features.reduce((most, feature) => Math.max(most, feature.rowCount), 0);
    for (let start = 0; start < end; start += rows) {
      if (start > 0) await new Promise<void>((resolve) => setImmediate(resolve));
      signal.throwIfAborted();
      this.#append(start, Math.min(end, start + rows));
    }
    this.#versions = versions;
    this.synchronise();
  }

  /** Takes over what the features have added or changed since the last time. Cheap when nothing has. */
  synchronise(): void {
    let changed = false;
    for (let place = 0; place < this.#features.length; place++) {
      const feature = this.#features[place] as FeatureMatrix;
      if (feature.version !== this.#versions[place]) changed = true;
    }
    if (!changed) return;
    const before = this.rowCount;
    const after = this.#features.reduce((most, feature) => Math.max(most, feature.rowCount), before);
    const rows = new Set<number>();
    if (before > 0) {
      this.#features.forEach((feature, place) => {
        for (const row of feature.changedSince(this.#versions[place] as number)) if (row < before) rows.add(row);
      });
    }
    this.#append(before, after);
    for (const row of rows) this.#replace(row);
    this.#versions = this.#features.map((feature) => feature.version);
    for (const row of rows) this.#changes.push(row);
    for (let row = before; row < after; row++) this.#changes.push(row);
    if (this.#changes.length > 2 * rememberedChanges) {
      this.#forgotten += this.#changes.length - rememberedChanges;
      this.#changes = this.#changes.slice(-rememberedChanges);
    }
  }

  /** The point of an item; pattern 0 when it has no feature or the row is unknown. The vector is a copy. */
  pointOf(row: number): Point {
    if (row < 0 || row >= this.rowCount) return { vector: new Float32Array(this.#width), pattern: 0 };
    return { vector: this.#index.vectors.slice(row * this.#width, (row + 1) * this.#width), pattern: this.#patterns[row] as number };
  }

  /** The point of vectors from elsewhere, by feature name; those of another width are passed over. */
  pointFrom(vectorOf: (feature: string) => Float32Array | undefined): Point {
    const vector = new Float32Array(this.#width);
    let pattern = 0;
    this.#features.forEach((feature, bit) => {
      const given = vectorOf(feature.name);
      if (given === undefined || given.length !== feature.width) return;
      if (this.#writeUnit(given, 0, bit, vector, 0)) pattern |= 1 << bit;
    });
    return { vector, pattern };
  }

  /** The weighted mean direction of points, feature by feature over the points that have it. */
  meanOf(points: readonly Point[], weights: ArrayLike<number>): Point {
    const sum = new Float32Array(this.#width);
    points.forEach((point, place) => {
      const weight = weights[place] as number;
      for (let column = 0; column < this.#width; column++)
        sum[column] = (sum[column] as number) + weight * (point.vector[column] as number);
    });
    return this.pointFrom((name) => {
      const bit = this.featureNames.indexOf(name);
      const start = this.#starts[bit] as number;
      return sum.subarray(start, start + (this.#features[bit] as FeatureMatrix).width);
    });
  }

  /** A mask of the rows that may be found: those with a feature, allowed by `eligible`, and not among `excluded`. */
  maskOf(eligible: Uint8Array | undefined, excluded: ArrayLike<number>): Uint8Array {
    const mask = new Uint8Array(this.rowCount);
    for (let row = 0; row < mask.length; row++)
      mask[row] = this.#patterns[row] !== 0 && (eligible === undefined || eligible[row] === 1) ? 1 : 0;
    for (let place = 0; place < excluded.length; place++) mask[excluded[place] as number] = 0;
    return mask;
  }

  /** The `limit` rows of the mask that are most similar to a point. */
  nearest(point: Point, limit: number, mask: Uint8Array): NearestRows {
    if (this.rowCount <= exactRows) return this.#nearestOfAll(point, limit, mask);
    const lists: NearestRows[] = [];
    for (const pattern of this.#patternsMeeting(point.pattern)) {
      const found = this.#index.search(point.vector, limit, { mask: this.#restrict(mask, pattern) });
      const factor = this.#factor(point.pattern & pattern);
      lists.push({ rows: found.rows, scores: found.scores.map((score) => clamp(score * factor)) });
    }
    return lists.length === 1 ? (lists[0] as NearestRows) : mergeLists(lists, limit);
  }

  /** `nearest` in one pass, whatever features rows have. */
  #nearestOfAll(point: Point, limit: number, mask: Uint8Array): NearestRows {
    if (point.pattern === 0 || this.rowCount === 0) return { rows: new Int32Array(0), scores: new Float32Array(0) };
    let open = 0;
    for (let row = 0; row < mask.length; row++) open += mask[row] as number;
    if (2 * open >= this.rowCount) {
      const scores = new Float32Array(this.rowCount);
      this.allSimilarities(point, scores);
      return this.#kernels.topK(scores, limit, mask);
    }
    const rows = new Int32Array(open);
    let place = 0;
    for (let row = 0; row < mask.length; row++) if (mask[row] === 1) rows[place++] = row;
    const scores = new Float32Array(open);
    this.similarities(point, rows, scores);
    const found = this.#kernels.topK(scores, limit);
    return { rows: found.rows.map((at) => rows[at] as number), scores: found.scores };
  }

  /** Which patterns of rows have a similarity to at least one of the points, by pattern. */
  meeting(points: readonly Point[]): Uint8Array {
    const union = points.reduce((bits, { pattern }) => bits | pattern, 0);
    return Uint8Array.from({ length: 1 << this.#features.length }, (_, pattern) => ((pattern & union) !== 0 ? 1 : 0));
  }

  /** The pattern of a row; 0 for an unknown one. */
  patternOf(row: number): number {
    return row >= 0 && row < this.rowCount ? (this.#patterns[row] as number) : 0;
  }

  /** Similarities of rows to a point into `out`; NaN where there is none. */
  similarities(point: Point, rows: Int32Array, out: Float32Array): void {
    const known = rows.every((row) => row >= 0 && row < this.rowCount)
      ? rows
      : rows.map((row) => (row >= 0 && row < this.rowCount ? row : 0));
    if (point.pattern === 0 || this.rowCount === 0 || rows.length === 0) {
      out.fill(Number.NaN, 0, rows.length);
      return;
    }
    const dots = this.#kernels.gatherDot(this.#index.vectors, this.#width, known, point.vector);
    const factors = this.#factors(point.pattern);
    for (let place = 0; place < rows.length; place++) {
      const row = rows[place] as number;
      out[place] = row === known[place] ? clamp((dots[place] as number) * (factors[this.#patterns[row] as number] as number)) : Number.NaN;
    }
  }

  /** Similarities of all rows to a point into `out` (rowCount numbers); NaN where there is none. */
  allSimilarities(point: Point, out: Float32Array): void {
    this.#kernels.multiplyRows(this.#index.vectors, this.#width, point.vector, out);
    const factors = this.#factors(point.pattern);
    for (let row = 0; row < out.length; row++) out[row] = clamp((out[row] as number) * (factors[this.#patterns[row] as number] as number));
  }

  /** Frees the memory. May be repeated. */
  dispose(): void {
    this.#index.dispose();
  }

  #append(begin: number, end: number): void {
    if (end <= begin) return;
    if (this.#patterns.length < end) {
      const patterns = new Uint8Array(Math.max(end, Math.ceil(this.#patterns.length * spareRows)));
      patterns.set(this.#patterns);
      this.#patterns = patterns;
    }
    for (let start = begin; start < end; start += rowsPerSlice) {
      const count = Math.min(rowsPerSlice, end - start);
      const slice = new Float32Array(count * this.#width);
      for (let place = 0; place < count; place++)
        this.#setPattern(start + place, this.#writeRow(start + place, slice, place * this.#width), 0);
      this.#index.append(slice);
    }
  }

  #replace(row: number): void {
    const vector = new Float32Array(this.#width);
    const before = this.#patterns[row] as number;
    this.#setPattern(row, this.#writeRow(row, vector, 0), before);
    this.#index.upsert(row, vector);
  }

  #setPattern(row: number, pattern: number, before: number): void {
    this.#patterns[row] = pattern;
    if (before !== 0) (this.#patternCounts[before] as number)--;
    if (pattern !== 0) (this.#patternCounts[pattern] as number)++;
  }

  /** Writes the point of a row and returns its pattern. */
  #writeRow(row: number, to: Float32Array, at: number): number {
    let pattern = 0;
    for (let bit = 0; bit < this.#features.length; bit++) {
      const feature = this.#features[bit] as FeatureMatrix;
      if (row >= feature.rowCount || feature.presence[row] !== 1) continue;
      if (this.#writeUnit(feature.values, row * feature.width, bit, to, at)) pattern |= 1 << bit;
    }
    return pattern;
  }

  /** Writes a vector at its feature's place and length; false when it has no direction. */
  #writeUnit(from: Float32Array, at: number, bit: number, to: Float32Array, toRow: number): boolean {
    const { width } = this.#features[bit] as FeatureMatrix;
    let squares = 0;
    for (let column = 0; column < width; column++) squares += (from[at + column] as number) ** 2;
    const factor = Math.sqrt(this.#weights[bit] as number) / Math.sqrt(squares);
    if (!(squares > 0 && factor < Number.POSITIVE_INFINITY && factor > 0)) return false;
    const start = toRow + (this.#starts[bit] as number);
    for (let column = 0; column < width; column++) to[start + column] = (from[at + column] as number) * factor;
    return true;
  }

  /** Patterns of rows that share a feature with `pattern`. */
  #patternsMeeting(pattern: number): number[] {
    const found: number[] = [];
    for (let other = 1; other < this.#patternCounts.length; other++) {
      if ((this.#patternCounts[other] as number) > 0 && (other & pattern) !== 0) found.push(other);
    }
    return found;
  }

  /** The mask's rows of one pattern; the mask itself when all rows have it. */
  #restrict(mask: Uint8Array, pattern: number): Uint8Array {
    const present = this.#patternCounts.reduce((sum, count) => sum + count, 0);
    if (this.#patternCounts[pattern] === present) return mask;
    return mask.map((allowed, row) => (allowed === 1 && this.#patterns[row] === pattern ? 1 : 0));
  }

  /** What turns a dot product over the common features into the weighted mean of cosines; NaN without a common feature. */
  #factor(common: number): number {
    let sum = 0;
    this.#weights.forEach((weight, bit) => {
      if ((common & (1 << bit)) !== 0) sum += weight;
    });
    return sum > 0 ? 1 / sum : Number.NaN;
  }

  #factors(pattern: number): Float64Array {
    return Float64Array.from({ length: 1 << this.#features.length }, (_, other) => this.#factor(pattern & other));
  }
}

/** Rounding can put a cosine a little beyond 1. NaN stays. */
function clamp(value: number): number {
  return value > 1 ? 1 : value < -1 ? -1 : value;
}

/** The best of several lists of different rows. */
export function mergeLists(lists: readonly NearestRows[], limit: number): NearestRows {
  const rows = Int32Array.from(lists.flatMap((list) => [...list.rows]));
  const scores = Float32Array.from(lists.flatMap((list) => [...list.scores]));
  return bestOf(rows, scores, limit);
}

/** The `limit` best by score descending, ties by ascending row; NaN is left out. */
export function bestOf(rows: Int32Array, scores: Float32Array, limit: number): NearestRows {
  const order: number[] = [];
  for (let place = 0; place < rows.length; place++) if (!Number.isNaN(scores[place])) order.push(place);
  order.sort((a, b) => (scores[b] as number) - (scores[a] as number) || (rows[a] as number) - (rows[b] as number));
  const kept = order.slice(0, limit);
  return {
    rows: Int32Array.from(kept, (place) => rows[place] as number),
    scores: Float32Array.from(kept, (place) => scores[place] as number),
  };
}

function featuresError(why: string): RecloomError {
  return new RecloomError({
    code: 'VECTOR_SEARCH_FEATURES',
    message: `The vectors cannot be compared: ${why}.`,
    hint: 'List the features under `in: { vectors: [...] }` and give weights above 0 by the same names.',
  });
}
