import type { Interests, LinkScores } from '@recloom/item-models';
import type { Kernels } from '@recloom/kernels';
import type { FeatureMatrix, RequestProposals, Table } from '@recloom/plugin-api';
import type { ContentSpace } from './content-space.js';

/** What links are computed from, and which of them are kept. */
export interface ContentLinksOptions {
  readonly space: ContentSpace;
  /** S = (Fᵀ F + lambda I)⁻¹, width × width. */
  readonly similarity: Float32Array;
  /** f[j]ᵀ S f[j] of every item of the build. */
  readonly leverage: Float32Array;
  /** What content links count; links of people count 1 - share. */
  readonly share: number;
  /** Items of the build: the rows that the links of people know. */
  readonly fittedItems: number;
  readonly items: Table;
  readonly features: readonly FeatureMatrix[];
  readonly readsFields: boolean;
}

/**
 * Links of people plus links of content. Contents are read as they are now: rows added or changed since the build are
 * scored by what they are, as items that the content part never saw. Vectors lie in the kernels' memory, freed by `dispose`.
 */
export class ContentLinks implements LinkScores {
  readonly #kernels: Kernels;
  readonly #links: LinkScores;
  readonly #options: ContentLinksOptions;
  readonly #width: number;
  readonly #similarity: Float32Array;
  readonly #profile: Float32Array;
  readonly #query: Float32Array;
  readonly #vector: Float32Array;
  /** Rows × width, with room to grow. */
  #vectors: Float32Array;
  #scores: Float32Array;
  #open: Uint8Array;
  /** f[j]ᵀ S f[j] of every row as it is now. */
  #own: Float32Array;
  /** The same for rows as they were at the build; 0 for rows added or changed since, which S does not know. */
  #leverage: Float32Array;
  #rows = 0;
  #capacity: number;
  #itemsVersion = -1;
  #featureVersions: number[] = [];
  /** The row whose S f is in `#query`, -1 for none: reasons ask for the links of many items to one. */
  #target = -1;
  #disposed = false;

  /** Takes the links over. @throws RECLOOM_KRN_OUT_OF_MEMORY when the vectors do not fit. */
  constructor(kernels: Kernels, links: LinkScores, options: ContentLinksOptions) {
    this.#kernels = kernels;
    this.#links = links;
    this.#options = options;
    this.#width = options.space.width;
    this.#similarity = kernels.keepFloat32(options.similarity);
    this.#profile = kernels.float32(this.#width);
    this.#query = kernels.float32(this.#width);
    this.#vector = new Float32Array(this.#width);
    this.#capacity = Math.max(1, options.items.rowCount);
    this.#vectors = kernels.float32(this.#capacity * this.#width);
    this.#scores = kernels.float32(this.#capacity);
    this.#open = kernels.uint8(this.#capacity);
    this.#own = new Float32Array(this.#capacity);
    this.#leverage = new Float32Array(this.#capacity);
    this.#refresh();
  }

  get open(): Uint8Array {
    this.#refresh();
    return this.#open.subarray(0, this.#rows);
  }

  add(interests: Interests): void {
    this.#refresh();
    const { share, fittedItems } = this.#options;
    this.#links.add(within(interests, fittedItems));
    const scores = this.#scores.subarray(0, this.#rows);
    if (this.#width === 0) scores.fill(0);
    else {
      this.#profile.fill(0);
      this.#kernels.accumulateRows(this.#profile, this.#vectors, interests.rows, interests.weights);
      this.#multiplySimilarity(this.#profile, -1);
      this.#kernels.multiplyRows(this.#vectors.subarray(0, this.#rows * this.#width), this.#width, this.#query, scores);
      for (let place = 0; place < interests.count; place++) {
        const row = interests.rows[place] as number;
        // An item says nothing for itself.
        scores[row] = (scores[row] as number) - (interests.weights[place] as number) * (this.#own[row] as number);
      }
    }
    for (let row = 0; row < this.#rows; row++) {
      const content = (share * (scores[row] as number)) / (1 - (this.#leverage[row] as number));
      scores[row] = row < fittedItems ? (1 - share) * this.#links.scoreOf(row) + content : content;
    }
  }

  scoreOf(row: number): number {
    return row < this.#rows ? (this.#scores[row] as number) : 0;
  }

  best(limit: number): RequestProposals {
    const scores = this.#scores.subarray(0, this.#rows);
    const { rows, scores: best } = this.#kernels.topK(scores, limit, this.#open.subarray(0, this.#rows));
    let count = rows.length;
    while (count > 0 && !((best[count - 1] as number) > 0)) count--;
    return { rows: rows.subarray(0, count), scores: best.subarray(0, count) };
  }

  linkOf(from: number, to: number): number {
    this.#refresh();
    if (from === to || from >= this.#rows || to >= this.#rows) return 0;
    const { share, fittedItems } = this.#options;
    const behaviour = from < fittedItems && to < fittedItems ? (1 - share) * this.#links.linkOf(from, to) : 0;
    if (this.#width === 0) return behaviour;
    if (this.#target !== to) this.#multiplySimilarity(this.#vectorOf(to), to);
    return behaviour + (share * this.#kernels.dot(this.#vectorOf(from), this.#query)) / (1 - (this.#leverage[to] as number));
  }

  strongest(to: number, limit: number): readonly { readonly row: number; readonly link: number }[] {
    return Array.from({ length: this.#rows }, (_, row) => ({ row, link: this.linkOf(row, to) }))
      .filter((entry) => entry.link !== 0)
      .sort((one, other) => other.link - one.link || one.row - other.row)
      .slice(0, limit);
  }

  dispose(): void {
    if (this.#disposed) return;
    this.#disposed = true;
    this.#links.dispose?.();
    for (const array of [this.#similarity, this.#profile, this.#query, this.#vectors, this.#scores, this.#open]) this.#kernels.free(array);
  }
  #vectorOf(row: number): Float32Array {
    return this.#vectors.subarray(row * this.#width, (row + 1) * this.#width);
  }

  #multiplySimilarity(vector: Float32Array, target: number): void {
    this.#kernels.multiplyRows(this.#similarity, this.#width, vector, this.#query);
    this.#target = target;
  }

  /** Takes over what was added or changed; nearly nothing to do when nothing was. */
  #refresh(): void {
    const { items, features, readsFields } = this.#options;
    const { rowCount } = items;
    const itemsChanged = items.version !== this.#itemsVersion;
    const featuresChanged = features.some(({ version }, place) => version !== this.#featureVersions[place]);
    if (!itemsChanged && !featuresChanged && rowCount === this.#rows) return;
    const first = this.#itemsVersion < 0;
    if (rowCount > this.#capacity) this.#grow(rowCount);
    const before = this.#rows;
    this.#rows = rowCount;
    if (first || (itemsChanged && readsFields)) for (let row = 0; row < before || (first && row < rowCount); row++) this.#read(row, first);
    else if (featuresChanged) {
      features.forEach((feature, place) => {
        for (const row of feature.changedSince(this.#featureVersions[place] ?? 0)) if (row < before) this.#read(row, false);
      });
    }
    if (!first) for (let row = before; row < rowCount; row++) this.#read(row, false);
    this.#itemsVersion = items.version;
    this.#featureVersions = features.map(({ version }) => version);
    this.#target = -1;
  }

  /** Reads one row; `built`: it is as it was at the build. */
  #read(row: number, built: boolean): void {
    this.#options.space.write(row, this.#vector);
    const held = this.#vectorOf(row);
    if (built && row < this.#options.fittedItems) {
      held.set(this.#vector);
      this.#leverage[row] = this.#options.leverage[row] as number;
      this.#own[row] = this.#leverage[row] as number;
      return;
    }
    if (row < this.#options.fittedItems && held.every((value, place) => value === this.#vector[place])) return;
    held.set(this.#vector);
    this.#leverage[row] = 0;
    if (this.#width === 0) return;
    this.#multiplySimilarity(held, -1);
    this.#own[row] = this.#kernels.dot(held, this.#query);
  }

  #grow(rows: number): void {
    const capacity = Math.max(rows, Math.ceil(this.#capacity * 1.25));
    const vectors = this.#kernels.float32(capacity * this.#width);
    vectors.set(this.#vectors);
    this.#kernels.free(this.#vectors);
    this.#kernels.free(this.#scores);
    this.#kernels.free(this.#open);
    this.#vectors = vectors;
    this.#scores = this.#kernels.float32(capacity);
    this.#open = this.#kernels.uint8(capacity);
    const own = new Float32Array(capacity);
    own.set(this.#own);
    this.#own = own;
    const leverage = new Float32Array(capacity);
    leverage.set(this.#leverage);
    this.#leverage = leverage;
    this.#capacity = capacity;
  }
}

/** The interests in rows below `rowCount`. */
function within(interests: Interests, rowCount: number): Interests {
  if (interests.rows.every((row) => row < rowCount)) return interests;
  const places = Int32Array.from(interests.rows.keys()).filter((place) => (interests.rows[place] as number) < rowCount);
  return {
    ...interests,
    count: places.length,
    rows: places.map((place) => interests.rows[place] as number),
    weights: Float32Array.from(places, (place) => interests.weights[place] as number),
    types: places.map((place) => interests.types[place] as number),
  };
}
