import { requireShape } from './kernel-error.js';

/** Compressed sparse rows: row r owns entries rowOffsets[r] to rowOffsets[r + 1]. */
export interface SparseMatrix {
  readonly rowCount: number;
  readonly columnCount: number;
  /** rowCount + 1 ascending positions, the first 0. */
  readonly rowOffsets: Int32Array;
  /** Column of each entry, strictly ascending within a row. */
  readonly columnIndices: Int32Array;
  /** Value of each entry; absent means every entry is 1. */
  readonly values?: Float32Array | undefined;
}

/**
 * Builds a matrix from unordered entries; entries of the same cell are summed in the order given.
 * @throws RECLOOM_KRN_SHAPE when lengths differ or an index is out of range.
 */
export function sparseMatrixFromEntries(
  rowCount: number,
  columnCount: number,
  rows: Int32Array,
  columns: Int32Array,
  values?: Float32Array,
): SparseMatrix {
  requireShape(rows.length === columns.length, () => `There are ${rows.length} rows but ${columns.length} columns.`);
  requireShape(values === undefined || values.length === rows.length, 'There must be one value per entry.');
  // Two stable counting sorts, by column and then by row, leave each row's columns ascending.
  const order = stableOrder(columns, columnCount, undefined);
  const entryOrder = stableOrder(rows, rowCount, order);
  const rowOffsets = new Int32Array(rowCount + 1);
  const columnIndices = new Int32Array(rows.length);
  const sums = new Float32Array(rows.length);
  let length = 0;
  let previousRow = -1;
  for (const entry of entryOrder) {
    const row = rows[entry] as number;
    const column = columns[entry] as number;
    const value = values === undefined ? 1 : (values[entry] as number);
    if (row === previousRow && columnIndices[length - 1] === column) {
      sums[length - 1] = (sums[length - 1] as number) + value;
    } else {
      columnIndices[length] = column;
      sums[length] = value;
      length++;
      rowOffsets[row + 1] = (rowOffsets[row + 1] as number) + 1;
    }
    previousRow = row;
  }
  for (let row = 0; row < rowCount; row++) {
    rowOffsets[row + 1] = (rowOffsets[row + 1] as number) + (rowOffsets[row] as number);
  }
  return {
    rowCount,
    columnCount,
    rowOffsets,
    columnIndices: columnIndices.slice(0, length),
    values: sums.slice(0, length),
  };
}

function stableOrder(keys: Int32Array, bound: number, order: Int32Array | undefined): Int32Array {
  const positions = new Int32Array(bound + 1);
  for (let index = 0; index < keys.length; index++) {
    const key = keys[index] as number;
    if (key >>> 0 >= bound) requireShape(false, `Index ${key} is not below ${bound}.`);
    positions[key + 1] = (positions[key + 1] as number) + 1;
  }
  for (let key = 0; key < bound; key++) {
    positions[key + 1] = (positions[key + 1] as number) + (positions[key] as number);
  }
  const sorted = new Int32Array(keys.length);
  for (let index = 0; index < keys.length; index++) {
    const entry = order === undefined ? index : (order[index] as number);
    const key = keys[entry] as number;
    const position = positions[key] as number;
    sorted[position] = entry;
    positions[key] = position + 1;
  }
  return sorted;
}

/** The transposed matrix in new arrays; its rows have ascending columns. Linear time. */
export function transposeSparseMatrix(matrix: SparseMatrix): SparseMatrix {
  requireSparseMatrix(matrix, 'matrix');
  const { rowCount, columnCount, rowOffsets, columnIndices, values } = matrix;
  const length = rowOffsets[rowCount] as number;
  const offsets = new Int32Array(columnCount + 1);
  for (let entry = 0; entry < length; entry++) {
    const column = (columnIndices[entry] as number) + 1;
    offsets[column] = (offsets[column] as number) + 1;
  }
  for (let column = 0; column < columnCount; column++) {
    offsets[column + 1] = (offsets[column + 1] as number) + (offsets[column] as number);
  }
  const next = offsets.slice(0, columnCount);
  const indices = new Int32Array(length);
  const transposed = values === undefined ? undefined : new Float32Array(length);
  for (let row = 0; row < rowCount; row++) {
    const end = rowOffsets[row + 1] as number;
    for (let entry = rowOffsets[row] as number; entry < end; entry++) {
      const column = columnIndices[entry] as number;
      const position = next[column] as number;
      next[column] = position + 1;
      indices[position] = row;
      if (transposed !== undefined && values !== undefined) transposed[position] = values[entry] as number;
    }
  }
  return {
    rowCount: columnCount,
    columnCount: rowCount,
    rowOffsets: offsets,
    columnIndices: indices,
    values: transposed,
  };
}

/**
 * Checks everything that a kernel relies on, in linear time; with `ascending` also that columns ascend.
 * @throws RECLOOM_KRN_SHAPE when offsets, lengths or column indices are not those of such a matrix.
 */
export function requireSparseMatrix(matrix: SparseMatrix, name: string, ascending = false): void {
  const { rowCount, columnCount, rowOffsets, columnIndices, values } = matrix;
  requireShape(
    rowOffsets.length === rowCount + 1,
    () => `${name} has ${rowCount} rows but ${rowOffsets.length} row offsets (one more than rows is needed).`,
  );
  requireShape(rowOffsets[0] === 0, () => `${name}'s first row offset is not 0.`);
  for (let row = 0; row < rowCount; row++) {
    if ((rowOffsets[row] as number) > (rowOffsets[row + 1] as number)) {
      requireShape(false, `${name}'s row offsets descend at row ${row}.`);
    }
  }
  const length = rowOffsets[rowCount] as number;
  requireShape(columnIndices.length >= length, () => `${name} has ${columnIndices.length} columns for ${length} entries.`);
  requireShape(values === undefined || values.length >= length, () => `${name} has ${values?.length} values for ${length} entries.`);
  for (let entry = 0; entry < length; entry++) {
    // One unsigned comparison: a kernel would read or write outside the row otherwise.
    if ((columnIndices[entry] as number) >>> 0 >= columnCount) requireShape(false, `${name} has a column outside the matrix.`);
  }
  if (!ascending) return;
  for (let row = 0; row < rowCount; row++) {
    const end = rowOffsets[row + 1] as number;
    for (let entry = (rowOffsets[row] as number) + 1; entry < end; entry++) {
      if ((columnIndices[entry - 1] as number) >= (columnIndices[entry] as number)) {
        requireShape(false, `${name}'s columns do not ascend in row ${row}.`);
      }
    }
  }
}
