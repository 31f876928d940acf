import { type LinkScores, SparseLinks } from '@recloom/item-models';
import { type Kernels, type SparseMatrix, transposeSparseMatrix } from '@recloom/kernels';
import { type ComponentState, readTensor, tensor } from '@recloom/plugin-api';
import { DenseLinks } from './dense-links.js';
import { Pacer } from './pacer.js';

/** Size of a model of links, and its items. */
export interface LinkShape {
  /** Items of the catalogue. */
  readonly itemCount: number;
  /** Rows of the items in the model, ascending; a place is an index into them. */
  readonly modelRows: Int32Array;
}

/** Which links are kept. */
export interface LinkChoice {
  /** Strongest links kept per proposed item. */
  readonly keep: number;
  /** Keep links below 0 too, by magnitude. */
  readonly negativeWeights: boolean;
}

/**
 * The strongest links to each item (largest magnitude, or largest positive; ties to the lower row) as a sparse state.
 * `linksTo(place, out)` writes the links from every place to `place`; what it writes at `place` itself is not looked at.
 */
export async function sparseLinkState(
  kernels: Kernels,
  { itemCount, modelRows }: LinkShape,
  { keep, negativeWeights }: LinkChoice,
  linksTo: (place: number, out: Float32Array) => void,
  signal: AbortSignal,
): Promise<ComponentState> {
  const size = modelRows.length;
  const rowOffsets = new Int32Array(itemCount + 1);
  const columns: Int32Array[] = [];
  const values: Float32Array[] = [];
  const link = new Float32Array(size);
  const strength = kernels.float32(size);
  const open = kernels.uint8(size);
  const pacer = new Pacer(signal);
  let total = 0;
  let row = 0;
  try {
    for (let place = 0; place < size; place++) {
      if (pacer.due()) await pacer.rest();
      linksTo(place, link);
      for (let from = 0; from < size; from++) {
        const value = link[from] as number;
        strength[from] = negativeWeights ? Math.abs(value) : value;
        open[from] = (strength[from] as number) > 0 ? 1 : 0;
      }
      open[place] = 0;
      const kept = kernels.topK(strength, keep, open).rows.sort();
      columns.push(kept.map((from) => modelRows[from] as number));
      values.push(Float32Array.from(kept, (from) => link[from] as number));
      const to = modelRows[place] as number;
      for (; row < to; row++) rowOffsets[row + 1] = total;
      total += kept.length;
      rowOffsets[++row] = total;
    }
  } finally {
    kernels.free(strength);
    kernels.free(open);
  }
  for (; row < itemCount; row++) rowOffsets[row + 1] = total;
  const columnIndices = new Int32Array(total);
  const joined = new Float32Array(total);
  let at = 0;
  columns.forEach((part, index) => {
    columnIndices.set(part, at);
    joined.set(values[index] as Float32Array, at);
    at += part.length;
  });
  return stateOf(transposeSparseMatrix({ rowCount: itemCount, columnCount: itemCount, rowOffsets, columnIndices, values: joined }));
}

function stateOf(links: SparseMatrix): ComponentState {
  return {
    itemCount: tensor(Int32Array.of(links.rowCount)),
    offsets: tensor(links.rowOffsets),
    neighbours: tensor(links.columnIndices),
    weights: tensor(links.values ?? new Float32Array(0)),
  };
}

/** Every link, dense over the model's items; else as `sparseLinkState`. */
export async function denseLinkState(
  { itemCount, modelRows }: LinkShape,
  linksTo: (place: number, out: Float32Array) => void,
  signal: AbortSignal,
): Promise<ComponentState> {
  const size = modelRows.length;
  const links = new Float32Array(size * size);
  const pacer = new Pacer(signal);
  // Strips of columns, so that what is written across rows meets cache lines that are still there.
  const strip = Array.from({ length: 16 }, () => new Float32Array(size));
  for (let begin = 0; begin < size; begin += strip.length) {
    if (pacer.due()) await pacer.rest();
    const width = Math.min(strip.length, size - begin);
    for (let lane = 0; lane < width; lane++) {
      linksTo(begin + lane, strip[lane] as Float32Array);
      (strip[lane] as Float32Array)[begin + lane] = 0;
    }
    for (let from = 0; from < size; from++) {
      const at = from * size + begin;
      for (let lane = 0; lane < width; lane++) links[at + lane] = (strip[lane] as Float32Array)[from] as number;
    }
  }
  return { itemCount: tensor(Int32Array.of(itemCount)), modelRows: tensor(modelRows), links: tensor(links, [size, size]) };
}

/** Links as either of the two left them, in the kernels' memory. @throws RECLOOM_KRN_OUT_OF_MEMORY, RECLOOM_DAT_STATE_TENSOR */
export function openLinks(kernels: Kernels, state: ComponentState): LinkScores {
  const itemCount = readTensor(state, 'itemCount', Int32Array)[0] as number;
  if (state['links'] !== undefined) {
    return new DenseLinks(kernels, itemCount, readTensor(state, 'modelRows', Int32Array), readTensor(state, 'links', Float32Array));
  }
  return new SparseLinks(kernels, {
    rowCount: itemCount,
    columnCount: itemCount,
    rowOffsets: readTensor(state, 'offsets', Int32Array),
    columnIndices: readTensor(state, 'neighbours', Int32Array),
    values: readTensor(state, 'weights', Float32Array),
  });
}
