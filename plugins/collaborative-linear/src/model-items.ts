import type { Interactions } from '@recloom/item-models';
import type { SparseMatrix } from '@recloom/kernels';
import { RecloomError } from '@recloom/plugin-api';

/** The items that a dense matrix is built over: those that have people. */
export interface ModelItems {
  /** Their rows in the catalogue, ascending. */
  readonly modelRows: Int32Array;
  /** Place of an item row among them, -1 outside; one per item row. */
  readonly placeOf: Int32Array;
  /** Users × those items. */
  readonly matrix: SparseMatrix;
}

/** Leaves the items without people out of a matrix. @throws EASE_TOO_MANY_ITEMS above `maxItems`. */
export function modelItems({ matrix, itemUsers }: Interactions, maxItems: number): ModelItems {
  const modelRows = Int32Array.from(itemUsers.keys()).filter((row) => (itemUsers[row] as number) > 0);
  if (modelRows.length > maxItems) throw tooManyItems(modelRows.length, maxItems);
  const placeOf = new Int32Array(itemUsers.length).fill(-1);
  modelRows.forEach((row, place) => {
    placeOf[row] = place;
  });
  return {
    modelRows,
    placeOf,
    matrix: { ...matrix, columnCount: modelRows.length, columnIndices: matrix.columnIndices.map((row) => placeOf[row] as number) },
  };
}

function tooManyItems(found: number, maximum: number): RecloomError {
  return new RecloomError({
    code: 'EASE_TOO_MANY_ITEMS',
    message: `EASE was given ${found} items and may use ${maximum}: its memory grows with the square of the items, its time with the cube.`,
    hint: 'Use collaborative-neighbours/item-knn or collaborative-neighbours/rp3beta, which stay sparse; or raise minimumItemUsers (fewer items) or maxItems.',
  });
}
