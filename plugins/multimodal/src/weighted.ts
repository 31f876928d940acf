import type { ExtractBatch, FeatureBlock, FeatureExtractor, FeatureMatrix, FeatureRows, Inspectable } from '@recloom/plugin-api';
import { blocksOf, directionOf, type Modality, modalitiesOf, sharedWidth } from './modalities.js';
import type { WeightedOptions } from './options.js';

/**
 * Writes the weighted mean of the directions a row has into `out` and returns its presence. `weights` has one number per
 * block; those of present blocks are brought to sum 1 first.
 */
export function fuseRow(
  blocks: readonly FeatureRows[],
  row: number,
  weights: ArrayLike<number>,
  out: Float32Array,
  outStart: number,
): 0 | 1 {
  const lengths = blocks.map((block) => directionOf(block, row));
  let total = 0;
  lengths.forEach((length, place) => {
    if (length > 0) total += weights[place] as number;
  });
  if (!(total > 0)) return 0;
  blocks.forEach((block, place) => {
    const length = lengths[place] as number;
    if (length === 0) return;
    const factor = (weights[place] as number) / total / length;
    const start = row * block.width;
    for (let column = 0; column < block.width; column++) {
      out[outStart + column] = (out[outStart + column] as number) + factor * (block.values[start + column] as number);
    }
  });
  return 1;
}

/**
 * The weighted mean of an item's directions in a space that all features share. What an item lacks leaves its other
 * features in the same proportion to each other.
 */
export class Weighted implements FeatureExtractor, Inspectable {
  readonly width: number;
  readonly #modalities: readonly Modality[];
  readonly #features: readonly FeatureMatrix[];
  readonly #weights: Float64Array;

  /** @throws MULTIMODAL_FEATURES, MULTIMODAL_WIDTHS */
  constructor(options: WeightedOptions, features: readonly FeatureMatrix[]) {
    this.#features = features;
    this.#modalities = modalitiesOf(features, options.weights);
    this.width = sharedWidth(this.#modalities);
    this.#weights = Float64Array.from(this.#modalities, ({ weight }) => weight);
  }

  extract(batch: ExtractBatch, out: FeatureBlock): void {
    batch.signal.throwIfAborted();
    const blocks = blocksOf(batch, this.#modalities);
    for (let row = 0; row < batch.count; row++) {
      out.presence[row] = fuseRow(blocks, row, this.#weights, out.values, row * this.width);
    }
  }

  /** The weight of each feature the item has; they sum to 1. */
  inspectItem(row: number): Readonly<Record<string, unknown>> {
    const present = this.#modalities.filter(({ place }) => {
      const feature = this.#features[place] as FeatureMatrix;
      return row < feature.rowCount && directionOf(feature, row) > 0;
    });
    const total = present.reduce((sum, { weight }) => sum + weight, 0);
    return { weights: Object.fromEntries(present.map(({ name, weight }) => [name, weight / total])) };
  }
}
