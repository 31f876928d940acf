import type { KernelTable } from '../kernel-table.js';
import { dotAt } from './dense.js';
import type { MemoryViews } from './memory-views.js';

type SelectionKernels = Pick<
  KernelTable,
  'topK' | 'topKAbove' | 'scanTopK' | 'scanTopKMany' | 'quantizeRows' | 'quantizedTopK' | 'quantizedTopKMany' | 'rerankTopK'
>;

/** Keeps the best `k` finite scores: higher first, then the lower row. A heap with the worst on top. */
export class BestRows {
  readonly #k: number;
  readonly #rows: number[] = [];
  readonly #scores: number[] = [];

  constructor(k: number) {
    this.#k = k;
  }

  offer(row: number, offered: number): void {
    if (!Number.isFinite(offered) || this.#k === 0) return;
    // Adding zero turns -0 into 0.
    const score = offered + 0;
    const rows = this.#rows;
    const scores = this.#scores;
    if (rows.length < this.#k) {
      let position = rows.length;
      while (position > 0) {
        const parent = (position - 1) >> 1;
        if (!isWorse(score, row, scores[parent] as number, rows[parent] as number)) break;
        rows[position] = rows[parent] as number;
        scores[position] = scores[parent] as number;
        position = parent;
      }
      rows[position] = row;
      scores[position] = score;
    } else if (isWorse(scores[0] as number, rows[0] as number, score, row)) {
      this.#sink(row, score, rows.length);
    }
  }

  /** Writes rows and scores, best first, and returns how many there are. */
  drain(write: (position: number, row: number, score: number) => void): number {
    const count = this.#rows.length;
    for (let position = count - 1; position >= 0; position--) {
      write(position, this.#rows[0] as number, this.#scores[0] as number);
      this.#sink(this.#rows[position] as number, this.#scores[position] as number, position);
    }
    return count;
  }

  #sink(row: number, score: number, length: number): void {
    const rows = this.#rows;
    const scores = this.#scores;
    let position = 0;
    for (;;) {
      let child = 2 * position + 1;
      if (child >= length) break;
      const next = child + 1;
      if (next < length && isWorse(scores[next] as number, rows[next] as number, scores[child] as number, rows[child] as number)) {
        child = next;
      }
      if (!isWorse(scores[child] as number, rows[child] as number, score, row)) break;
      rows[position] = rows[child] as number;
      scores[position] = scores[child] as number;
      position = child;
    }
    rows[position] = row;
    scores[position] = score;
  }
}

function isWorse(score: number, row: number, otherScore: number, otherRow: number): boolean {
  return score < otherScore || (score === otherScore && row > otherRow);
}

export function selectionTwin(memory: MemoryViews): SelectionKernels {
  function write(best: BestRows, outputRows: number, outputScores: number): number {
    const { float32, int32 } = memory;
    return best.drain((position, row, score) => {
      int32[(outputRows >>> 2) + position] = row;
      float32[(outputScores >>> 2) + position] = score;
    });
  }

  function scan(
    matrix: number,
    rowCount: number,
    width: number,
    query: number,
    k: number,
    mask: number,
    outputRows: number,
    outputScores: number,
  ): number {
    const { float32, uint8 } = memory;
    const best = new BestRows(k);
    for (let row = 0; row < rowCount; row++) {
      if (mask === 0 || uint8[mask + row] !== 0) {
        best.offer(row, dotAt(float32, (matrix >>> 2) + row * width, query >>> 2, width));
      }
    }
    return write(best, outputRows, outputScores);
  }

  function quantizedScan(
    codes: number,
    scales: number,
    rowCount: number,
    stride: number,
    queryCodes: number,
    queryScale: number,
    k: number,
    mask: number,
    outputRows: number,
    outputScores: number,
  ): number {
    const { float32, int16, int8, uint8 } = memory;
    const best = new BestRows(k);
    for (let row = 0; row < rowCount; row++) {
      if (mask !== 0 && uint8[mask + row] === 0) continue;
      let sum = 0;
      for (let column = 0; column < stride; column++) {
        sum += (int8[codes + codePosition(row, column, stride)] as number) * (int16[(queryCodes >>> 1) + column] as number);
      }
      const scale = Math.fround((float32[(scales >>> 2) + row] as number) * Math.fround(queryScale));
      best.offer(row, Math.fround(Math.fround(sum) * scale));
    }
    return write(best, outputRows, outputScores);
  }

  return {
    topK(scores, length, k, mask, outputRows, outputScores) {
      const { float32, uint8 } = memory.refresh();
      const best = new BestRows(k);
      for (let row = 0; row < length; row++) {
        if (mask === 0 || uint8[mask + row] !== 0) best.offer(row, float32[(scores >>> 2) + row] as number);
      }
      return write(best, outputRows, outputScores);
    },

    topKAbove(scores, floors, length, k, mask, outputRows, outputScores) {
      const { float32, uint8 } = memory.refresh();
      const best = new BestRows(k);
      for (let row = 0; row < length; row++) {
        const score = float32[(scores >>> 2) + row] as number;
        if (score > (float32[(floors >>> 2) + row] as number) && (mask === 0 || uint8[mask + row] !== 0)) best.offer(row, score);
      }
      return write(best, outputRows, outputScores);
    },

    scanTopK(matrix, rowCount, width, query, k, mask, outputRows, outputScores) {
      memory.refresh();
      return scan(matrix, rowCount, width, query, k, mask, outputRows, outputScores);
    },

    scanTopKMany(matrix, rowCount, width, queries, queryCount, k, mask, outputRows, outputScores, outputCounts) {
      const { int32 } = memory.refresh();
      for (let query = 0; query < queryCount; query++) {
        int32[(outputCounts >>> 2) + query] = scan(
          matrix,
          rowCount,
          width,
          queries + query * width * 4,
          k,
          mask,
          outputRows + query * k * 4,
          outputScores + query * k * 4,
        );
      }
      return queryCount;
    },

    quantizeRows(matrix, firstRow, rowCount, width, stride, codes, scales) {
      const { float32, int8 } = memory.refresh();
      for (let row = 0; row < rowCount; row++) {
        const from = (matrix >>> 2) + row * width;
        const target = firstRow + row;
        let largest = 0;
        let finite = true;
        for (let column = 0; column < width; column++) {
          const magnitude = Math.abs(float32[from + column] as number);
          if (!(magnitude < Number.POSITIVE_INFINITY)) finite = false;
          else if (magnitude > largest) largest = magnitude;
        }
        const scale = Math.fround(largest / 127);
        const inverse = scale > 0 ? Math.fround(1 / scale) : 0;
        const usable = finite && inverse < Number.POSITIVE_INFINITY;
        // A row that is not finite must never be selected, as in the float scan.
        float32[(scales >>> 2) + target] = finite ? (usable ? scale : 0) : Number.NaN;
        for (let column = 0; column < stride; column++) {
          const scaled = usable && column < width ? Math.fround((float32[from + column] as number) * inverse) : 0;
          int8[codes + codePosition(target, column, stride)] = Math.max(-127, Math.min(127, nearestEven(scaled)));
        }
      }
      return rowCount;
    },

    quantizedTopK(codes, scales, rowCount, stride, queryCodes, queryScale, k, mask, outputRows, outputScores) {
      memory.refresh();
      return quantizedScan(codes, scales, rowCount, stride, queryCodes, queryScale, k, mask, outputRows, outputScores);
    },

    quantizedTopKMany(
      codes,
      scales,
      rowCount,
      stride,
      queryCodes,
      queryScales,
      queryCount,
      k,
      mask,
      outputRows,
      outputScores,
      outputCounts,
    ) {
      const { float32, int32 } = memory.refresh();
      for (let query = 0; query < queryCount; query++) {
        int32[(outputCounts >>> 2) + query] = quantizedScan(
          codes,
          scales,
          rowCount,
          stride,
          queryCodes + query * stride * 2,
          float32[(queryScales >>> 2) + query] as number,
          k,
          mask,
          outputRows + query * k * 4,
          outputScores + query * k * 4,
        );
      }
      return queryCount;
    },

    rerankTopK(matrix, width, query, rows, count, k, outputRows, outputScores) {
      const { float32, int32 } = memory.refresh();
      const best = new BestRows(k);
      for (let index = 0; index < count; index++) {
        const row = int32[(rows >>> 2) + index] as number;
        best.offer(row, dotAt(float32, (matrix >>> 2) + row * width, query >>> 2, width));
      }
      return write(best, outputRows, outputScores);
    },
  };
}

/** Where a quantised code is stored; see `KernelTable.quantizeRows`. */
function codePosition(row: number, column: number, stride: number): number {
  return (row - (row % 4)) * stride + (column - (column % 8)) * 4 + (row % 4) * 8 + (column % 8);
}

/** Rounds to the nearest integer, halves to even, as the SIMD conversion does. */
function nearestEven(value: number): number {
  const rounded = Math.round(value);
  return Math.abs(value % 1) === 0.5 && rounded % 2 !== 0 ? rounded - 1 : rounded;
}
