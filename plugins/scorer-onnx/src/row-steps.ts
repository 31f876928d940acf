import type { ColumnValues } from './input-filler.js';

/** Values of all rows of a block, side by side: rows × width, row-major. */
export interface RowValues {
  readonly width: number;
  /** 2: [rows, width]; 1: [rows], of width 1. */
  readonly rank: 1 | 2;
  /** The values for the block that is computed now; at least rows × width. */
  values: Float32Array;
  /** Of an input that is taken as columns: those of the block, instead of `values`. */
  columns?: ColumnValues | undefined;
}

/** Computes one value of the graph for the rows of a block. */
export type RowStep = (rows: number) => void;

/** Rows of trees that are computed between two looks at the clock; a multiple of what the kernels take at a time. */
export const treeBlockRows = 256;
/** Rows of everything else, which is faster. */
export const mostBlockRows = 1024;

/** Values per row at the most: what a hostile file says must not decide how much memory is taken. */
const mostWidth = 4096;

/** A place for values that are computed block by block. @throws NotUnderstood for more values per row than any model here has */
export function newValues(width: number, rank: 1 | 2 = 2): RowValues {
  require(width <= mostWidth, () => `${width} values per row`);
  return { width, rank, values: new Float32Array(mostBlockRows * width) };
}

/** A part of the graph that the kernels do not know; the text says which. */
export class NotUnderstood extends Error {
  constructor(what: string) {
    super(what);
    this.name = 'NotUnderstood';
  }
}

/** @throws NotUnderstood unless `condition` holds. */
export function require(condition: boolean, what: () => string): asserts condition {
  if (!condition) throw new NotUnderstood(what());
}
