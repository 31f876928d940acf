import {
  type ComponentState,
  type Compute,
  type ExtractBatch,
  type FeatureBlock,
  type FeatureExtractor,
  type FeatureMatrix,
  type RandomStream,
  readTensor,
  tensor,
} from '@recloom/plugin-api';
import { denseProduct, gramOf, type Work } from './dense.js';
import { blocksOf, directionOf, lengthOf, type Modality, modalitiesOf } from './modalities.js';
import type { ConcatOptions } from './options.js';
import { symmetricEigen } from './symmetric-eigen.js';

/** What the fit needs of its context. */
export interface ConcatFit extends Work {
  readonly options: ConcatOptions;
  readonly features: readonly FeatureMatrix[];
  readonly random: RandomStream;
  progress(fraction: number, note?: string): void;
}

/**
 * The shrinkage of Ledoit and Wolf (2004, "A well-conditioned estimator for large-dimensional covariance matrices"):
 * the share of the scaled identity in the estimate of least expected squared error. `rows` are centred.
 */
export function ledoitWolf(rows: Float32Array, width: number, covariance: Float64Array): number {
  const count = rows.length / width;
  let trace = 0;
  for (let column = 0; column < width; column++) trace += covariance[column * width + column] as number;
  const mean = trace / width;
  let squares = 0;
  for (const value of covariance) squares += value * value;
  const distance = squares / width - mean * mean;
  // The mean over rows of ||x xᵀ − S||² is the mean of (x·x)² less ||S||².
  let fourth = 0;
  for (let row = 0; row < count; row++) fourth += lengthOf(rows, row * width, width) ** 4;
  const noise = Math.max(0, (fourth / count - squares) / count / width);
  return distance > 0 ? Math.min(1, noise / distance) : 1;
}

/** Means, whitening maps and scales of the features. State: `mean.<i>`, `map.<i>` (width × kept) by place in the config. */
export async function fitConcat(context: ConcatFit): Promise<ComponentState> {
  const { options, features, signal, random } = context;
  const modalities = modalitiesOf(features, options.weights, Object.keys(options.widths));
  const state: Record<string, ReturnType<typeof tensor>> = {};
  for (const [index, modality] of modalities.entries()) {
    const feature = features[modality.place] as FeatureMatrix;
    const { width } = feature;
    const kept = Math.min(width, options.widths[modality.name] ?? options.width);
    const rows = sampleOf(feature, options.maximumRows, random);
    const centred = new Float32Array(rows.length * width);
    const mean = new Float64Array(width);
    rows.forEach((row) => {
      for (let column = 0; column < width; column++) {
        mean[column] = (mean[column] as number) + (feature.values[row * width + column] as number) / rows.length;
      }
    });
    rows.forEach((row, place) => {
      for (let column = 0; column < width; column++) {
        centred[place * width + column] = (feature.values[row * width + column] as number) - (mean[column] as number);
      }
    });
    const covariance = await gramOf(centred, width, signal);
    for (let place = 0; place < covariance.length; place++) covariance[place] = (covariance[place] as number) / Math.max(1, rows.length);
    const shrinkage = options.shrinkage === 'auto' ? ledoitWolf(centred, width, covariance) : options.shrinkage;
    const { values, vectors } = await symmetricEigen(covariance, width, signal);
    const average = values.reduce((sum, value) => sum + Math.max(0, value), 0) / width;
    const map = new Float32Array(width * kept);
    for (let column = 0; column < kept; column++) {
      const variance = (1 - shrinkage) * Math.max(0, values[column] as number) + shrinkage * average;
      const factor = variance > 1e-12 * average && variance > 0 ? variance ** (-options.whitening / 2) : 0;
      for (let row = 0; row < width; row++) map[row * kept + column] = (vectors[column * width + row] as number) * factor;
    }
    // Each block gets a mean squared length of its weight over the rows that have it, whatever its scale and width were.
    const mapped = rows.length === 0 ? new Float32Array(0) : await denseProduct(centred, width, map, kept, context);
    let squares = 0;
    for (const value of mapped) squares += value * value;
    const scale = squares > 0 ? Math.sqrt((modality.weight * rows.length) / squares) : 0;
    state[`mean.${modality.place}`] = tensor(Float32Array.from(mean));
    state[`map.${modality.place}`] = tensor(
      map.map((value) => value * scale),
      [width, kept],
    );
    context.progress((index + 1) / modalities.length, modality.name);
  }
  return state;
}

/**
 * Features of any widths side by side, each centred, turned to its main directions, evened out and brought to the length its
 * weight says. A feature that an item lacks is the zero block: the mean direction, which favours nobody.
 */
export class Concat implements FeatureExtractor {
  readonly width: number;
  readonly #modalities: readonly Modality[];
  readonly #means: readonly Float32Array[];
  readonly #maps: readonly Float32Array[];
  readonly #widths: readonly number[];
  readonly #compute: Compute;

  /** Opens what `fitConcat` left. @throws MULTIMODAL_FEATURES, RECLOOM_DAT_STATE_TENSOR */
  constructor(options: ConcatOptions, features: readonly FeatureMatrix[], state: ComponentState, compute: Compute) {
    this.#compute = compute;
    this.#modalities = modalitiesOf(features, options.weights, Object.keys(options.widths));
    this.#means = this.#modalities.map(({ place }) => readTensor(state, `mean.${place}`, Float32Array));
    this.#maps = this.#modalities.map(({ place }) => readTensor(state, `map.${place}`, Float32Array));
    this.#widths = this.#modalities.map(({ width }, index) => (this.#maps[index] as Float32Array).length / width);
    this.width = this.#widths.reduce((sum, width) => sum + width, 0);
  }

  async extract(batch: ExtractBatch, out: FeatureBlock): Promise<void> {
    batch.signal.throwIfAborted();
    const blocks = blocksOf(batch, this.#modalities);
    const work: Work = { compute: this.#compute, signal: batch.signal };
    let start = 0;
    for (const [index, block] of blocks.entries()) {
      const mean = this.#means[index] as Float32Array;
      const kept = this.#widths[index] as number;
      const rows: number[] = [];
      for (let row = 0; row < batch.count; row++) if (directionOf(block, row) > 0) rows.push(row);
      const centred = new Float32Array(rows.length * block.width);
      rows.forEach((row, place) => {
        for (let column = 0; column < block.width; column++) {
          centred[place * block.width + column] = (block.values[row * block.width + column] as number) - (mean[column] as number);
        }
      });
      const mapped = rows.length === 0 ? centred : await denseProduct(centred, block.width, this.#maps[index] as Float32Array, kept, work);
      rows.forEach((row, place) => {
        out.values.set(mapped.subarray(place * kept, (place + 1) * kept), row * this.width + start);
        // A feature that is the same for all items says nothing of those that have nothing else.
        for (let column = 0; column < kept; column++) if (mapped[place * kept + column] !== 0) out.presence[row] = 1;
      });
      start += kept;
    }
  }
}

/** Rows that have the feature, ascending; a random sample of a larger catalogue. */
function sampleOf(feature: FeatureMatrix, most: number, random: RandomStream): Int32Array {
  const rows: number[] = [];
  for (let row = 0; row < feature.rowCount; row++) if (directionOf(feature, row) > 0) rows.push(row);
  for (let place = 0; place < most && rows.length > most; place++) {
    const other = place + random.integer(rows.length - place);
    [rows[place], rows[other]] = [rows[other] as number, rows[place] as number];
  }
  return Int32Array.from(rows.slice(0, most)).sort();
}
