import type { Interests, LinkScores } from '@recloom/item-models';
import type { Kernels } from '@recloom/kernels';
import type { RequestProposals } from '@recloom/plugin-api';

/**
 * Links stored densely over the `modelRows` of the catalogue (ascending): row i of `links` holds the links from item i.
 * They are copied into the kernels' memory and freed by `dispose`.
 */
export class DenseLinks implements LinkScores {
  readonly open: Uint8Array;
  readonly #kernels: Kernels;
  readonly #modelRows: Int32Array;
  /** Place of an item row in the model, -1 outside. */
  readonly #placeOf: Int32Array;
  readonly #links: Float32Array;
  readonly #scores: Float32Array;
  readonly #openPlaces: Uint8Array;
  #disposed = false;

  /** @throws RECLOOM_KRN_OUT_OF_MEMORY when the links do not fit beside what the kernels hold already. */
  constructor(kernels: Kernels, itemCount: number, modelRows: Int32Array, links: Float32Array) {
    this.#kernels = kernels;
    this.#modelRows = modelRows;
    this.#placeOf = new Int32Array(itemCount).fill(-1);
    modelRows.forEach((row, place) => {
      this.#placeOf[row] = place;
    });
    this.#links = kernels.keepFloat32(links);
    this.#scores = kernels.float32(modelRows.length);
    this.#openPlaces = kernels.uint8(modelRows.length);
    this.open = new Uint8Array(itemCount);
  }

  add(interests: Interests): void {
    const rows = new Int32Array(interests.count);
    const weights = new Float32Array(interests.count);
    let count = 0;
    for (let place = 0; place < interests.count; place++) {
      const modelPlace = this.#placeOf[interests.rows[place] as number] as number;
      if (modelPlace < 0) continue;
      rows[count] = modelPlace;
      weights[count++] = interests.weights[place] as number;
    }
    this.#scores.fill(0);
    if (count > 0) this.#kernels.accumulateRows(this.#scores, this.#links, rows.subarray(0, count), weights.subarray(0, count));
  }

  scoreOf(row: number): number {
    return this.#scores[this.#placeOf[row] ?? -1] ?? 0;
  }

  best(limit: number): RequestProposals {
    const modelRows = this.#modelRows;
    for (let place = 0; place < modelRows.length; place++) {
      this.#openPlaces[place] = this.open[modelRows[place] as number] === 1 && (this.#scores[place] as number) > 0 ? 1 : 0;
    }
    const top = this.#kernels.topK(this.#scores, limit, this.#openPlaces);
    return { rows: top.rows.map((place) => modelRows[place] as number), scores: top.scores };
  }

  linkOf(from: number, to: number): number {
    const fromPlace = this.#placeOf[from] ?? -1;
    const toPlace = this.#placeOf[to] ?? -1;
    return fromPlace < 0 || toPlace < 0 ? 0 : (this.#links[fromPlace * this.#modelRows.length + toPlace] as number);
  }

  strongest(to: number, limit: number): readonly { readonly row: number; readonly link: number }[] {
    return Array.from(this.#modelRows, (row) => ({ row, link: this.linkOf(row, to) }))
      .filter((entry) => entry.link !== 0)
      .sort((one, other) => other.link - one.link || one.row - other.row)
      .slice(0, limit);
  }

  dispose(): void {
    if (this.#disposed) return;
    this.#disposed = true;
    this.#kernels.free(this.#links);
    this.#kernels.free(this.#scores);
    this.#kernels.free(this.#openPlaces);
  }
}
