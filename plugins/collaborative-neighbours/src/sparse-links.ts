import { type Kernels, type SparseMatrix, transposeSparseMatrix } from '@recloom/kernels';
import type { RequestProposals } from '@recloom/plugin-api';
import type { Interests } from './interests.js';
import type { LinkScores } from './linked-items.js';

/** Links stored sparsely. A request costs what its links cost, whatever the size of the catalogue. */
export class SparseLinks implements LinkScores {
  readonly #kernels: Kernels;
  readonly #links: SparseMatrix;
  readonly #tieBreaks: Float32Array | undefined;
  readonly #scores: Float32Array;
  /** One bit per item row that the last interests reached. */
  readonly #reached: Uint32Array;
  readonly #candidates: Int32Array;
  readonly #candidateScores: Float32Array;

  /**
   * `links`: row i holds the links from item i, columns ascending. `tieBreaks`, one per item, are added to the scores to
   * order what is otherwise equal; they must be far below any link that matters.
   */
  constructor(kernels: Kernels, links: SparseMatrix, tieBreaks?: Float32Array) {
    this.#kernels = kernels;
    this.#links = links;
    this.#tieBreaks = tieBreaks;
    this.#scores = new Float32Array(links.columnCount);
    this.#reached = new Uint32Array(Math.ceil(links.columnCount / 32));
    this.#candidates = new Int32Array(links.columnCount);
    this.#candidateScores = new Float32Array(links.columnCount);
  }

  add(interests: Interests): void {
    const { rowOffsets, columnIndices, values } = this.#links;
    const scores = this.#scores;
    const reached = this.#reached;
    scores.fill(0);
    reached.fill(0);
    for (let place = 0; place < interests.count; place++) {
      const row = interests.rows[place] as number;
      const weight = interests.weights[place] as number;
      const end = rowOffsets[row + 1] as number;
      for (let entry = rowOffsets[row] as number; entry < end; entry++) {
        const column = columnIndices[entry] as number;
        scores[column] = (scores[column] as number) + weight * (values === undefined ? 1 : (values[entry] as number));
        reached[column >>> 5] = (reached[column >>> 5] as number) | (1 << (column & 31));
      }
    }
  }

  scoreOf(row: number): number {
    return (this.#scores[row] ?? 0) + (this.#tieBreaks?.[row] ?? 0);
  }

  best(limit: number, closed: Uint8Array): RequestProposals {
    const reached = this.#reached;
    const scores = this.#scores;
    const candidates = this.#candidates;
    let count = 0;
    // Ascending rows, so that the selection's ties (lower index first) are ties by row.
    for (let word = 0; word < reached.length; word++) {
      let bits = reached[word] as number;
      while (bits !== 0) {
        const lowest = bits & -bits;
        const row = word * 32 + 31 - Math.clz32(lowest);
        bits ^= lowest;
        if (closed[row] !== 0 || !((scores[row] as number) > 0)) continue;
        candidates[count] = row;
        this.#candidateScores[count++] = this.scoreOf(row);
      }
    }
    const top = this.#kernels.topK(this.#candidateScores.subarray(0, count), limit);
    return { rows: top.rows.map((place) => candidates[place] as number), scores: top.scores };
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
}
