import { type Kernels, type SparseMatrix, transposeSparseMatrix } from '@recloom/kernels';
import type { RequestProposals } from '@recloom/plugin-api';
import type { Interests } from './interests.js';
import type { LinkScores } from './linked-items.js';

/** Links stored sparsely; they are copied into the kernels' memory and freed by `dispose`. */
export class SparseLinks implements LinkScores {
  readonly open: Uint8Array;
  readonly #kernels: Kernels;
  readonly #links: SparseMatrix;
  /** What every item scores before anything is added. */
  readonly #tieBreaks: Float32Array;
  readonly #scores: Float32Array;
  #disposed = false;

  /**
   * `links`: row i holds the links from item i, columns ascending. `tieBreaks`, one per item, order what is otherwise
   * equal (default 0); they must be far below any link that matters.
   *
   * @throws RECLOOM_KRN_OUT_OF_MEMORY when the links do not fit beside what the kernels hold already.
   */
  constructor(kernels: Kernels, links: SparseMatrix, tieBreaks: Float32Array = new Float32Array(links.columnCount)) {
    this.#kernels = kernels;
    this.#links = kernels.keepSparse(links);
    this.#tieBreaks = kernels.keepFloat32(tieBreaks);
    this.#scores = kernels.float32(links.columnCount);
    this.open = kernels.uint8(links.columnCount);
  }

  add(interests: Interests): void {
    this.#scores.set(this.#tieBreaks);
    this.#kernels.accumulateSparseRows(this.#scores, this.#links, interests.rows, interests.weights);
  }

  scoreOf(row: number): number {
    return this.#scores[row] ?? 0;
  }

  scoresOf(rows: Int32Array, out: Float32Array, from: number): void {
    const scores = this.#scores;
    const count = scores.length;
    for (let place = 0; place < rows.length; place++) {
      const row = rows[place] as number;
      // Rows beyond were added since.
      out[from + place] = row < count ? (scores[row] as number) : 0;
    }
  }

  best(limit: number): RequestProposals {
    // What no link raised is no proposal. It is most of the catalogue, and would be sorted for nothing when all of it is asked for.
    return this.#kernels.topKAbove(this.#scores, this.#tieBreaks, limit, this.open);
  }

  linkOf(from: number, to: number): number {
    const { rowCount, rowOffsets, columnIndices, values } = this.#links;
    if (from >= rowCount) return 0;
    let low = rowOffsets[from] as number;
    let high = rowOffsets[from + 1] as number;
    while (low < high) {
      const middle = (low + high) >>> 1;
      const column = columnIndices[middle] as number;
      if (column === to) return values?.[middle] ?? 1;
      if (column < to) low = middle + 1;
      else high = middle;
    }
    return 0;
  }

  strongest(to: number, limit: number): readonly { readonly row: number; readonly link: number }[] {
    const { rowOffsets, columnIndices, values } = transposeSparseMatrix(this.#links);
    const links: { row: number; link: number }[] = [];
    for (let entry = rowOffsets[to] ?? 0; entry < (rowOffsets[to + 1] ?? 0); entry++) {
      links.push({ row: columnIndices[entry] as number, link: values?.[entry] ?? 1 });
    }
    return links.sort((one, other) => other.link - one.link || one.row - other.row).slice(0, limit);
  }

  dispose(): void {
    if (this.#disposed) return;
    this.#disposed = true;
    this.#kernels.freeSparse(this.#links);
    this.#kernels.free(this.#scores);
    this.#kernels.free(this.open);
    this.#kernels.free(this.#tieBreaks);
  }
}
