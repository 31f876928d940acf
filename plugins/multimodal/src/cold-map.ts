import { invertPositiveDefinite, type Kernels, kernelsOf } from '@recloom/kernels';
import {
  type ComponentState,
  type Compute,
  type ExtractBatch,
  type FeatureBlock,
  type FeatureExtractor,
  type FeatureMatrix,
  type FeatureRows,
  type HistoryStore,
  type Inspectable,
  type RandomStream,
  readTensor,
  type Table,
  tensor,
  type Warning,
} from '@recloom/plugin-api';
import { behaviourFactors, behaviourOf } from './behaviour-factors.js';
import { denseProduct, transpose, type Work } from './dense.js';
import { blocksOf, directionOf, type Modality, modalitiesOf, unitRows } from './modalities.js';
import type { ColdMapOptions } from './options.js';

/** What the fit needs of its context. */
export interface ColdMapFit extends Work {
  readonly options: ColdMapOptions;
  readonly features: readonly FeatureMatrix[];
  readonly history: HistoryStore;
  readonly asOfMs: number;
  readonly random: RandomStream;
  progress(fraction: number, note?: string): void;
  readonly warn: (warning: Warning) => void;
}

/** Penalties that `lambda: auto` chooses from. */
export const lambdaGrid: readonly number[] = Object.freeze([0.03, 0.1, 0.3, 1, 3]);
/** Strongest directions that the leave-one-out error is measured on; the others weigh next to nothing in it. */
const errorColumns = 128;

/**
 * Turns raw products of directions into the kernel in place, (rows × columns): Σ weight × cos^power over the features, and
 * for a feature that both lack weight × missingSimilarity.
 */
class ContentKernel {
  readonly #modalities: readonly Modality[];
  readonly #powers: readonly number[];
  readonly #missingSimilarity: number;

  constructor(modalities: readonly Modality[], options: ColdMapOptions) {
    this.#modalities = modalities;
    this.#powers = modalities.map(({ name }) => options.powers[name] ?? 2);
    this.#missingSimilarity = options.missingSimilarity;
  }

  /** Kernel values (rows × landmarks, new) of the rows of some blocks against landmarks, given transposed (width × landmarks). */
  async between(
    blocks: readonly { readonly values: Float32Array; readonly presence: Uint8Array }[],
    landmarks: readonly { readonly transposed: Float32Array; readonly presence: Uint8Array }[],
    work: Work,
  ): Promise<Float32Array> {
    const count = blocks[0]?.presence.length ?? 0;
    const landmarkCount = landmarks[0]?.presence.length ?? 0;
    const kernel = new Float32Array(count * landmarkCount);
    for (const [place, { weight, width }] of this.#modalities.entries()) {
      const block = blocks[place] as { readonly values: Float32Array; readonly presence: Uint8Array };
      const { transposed, presence } = landmarks[place] as { readonly transposed: Float32Array; readonly presence: Uint8Array };
      const cosines = await denseProduct(block.values, width, transposed, landmarkCount, work);
      const power = this.#powers[place] as number;
      for (let row = 0; row < count; row++) {
        const start = row * landmarkCount;
        if (block.presence[row] === 1) {
          for (let at = start; at < start + landmarkCount; at++) {
            kernel[at] = (kernel[at] as number) + weight * raise(cosines[at] as number, power);
          }
        } else if (this.#missingSimilarity > 0) {
          for (let landmark = 0; landmark < landmarkCount; landmark++) {
            if (presence[landmark] === 0)
              kernel[start + landmark] = (kernel[start + landmark] as number) + weight * this.#missingSimilarity;
          }
        }
      }
    }
    return kernel;
  }
}

/** What a ridge fit gives. */
export interface Ridge {
  /** Coefficients (rows × width): (K + λ D)⁻¹ targets. */
  readonly coefficients: Float32Array;
  readonly lambda: number;
  /** Leave-one-out error of each λ tried, as a share of the targets' own squares; 1 is what predicting nothing gives. */
  readonly errors: ReadonlyMap<number, number>;
}

/**
 * Kernel ridge regression of targets (size × width) on a kernel (size × size), row i with penalty λ × noise[i]. Of several
 * λ the one of least leave-one-out error is taken, in closed form: row i predicted without itself is off by
 * coefficient[i] / inverse[i, i] (Rifkin and Lippert 2007, "Notes on regularized least squares"). `columnWeights` say how
 * much an error in each column counts.
 *
 * @throws RECLOOM_KRN_NOT_POSITIVE_DEFINITE, RECLOOM_KRN_OUT_OF_MEMORY
 */
export async function kernelRidge(
  kernel: Float32Array,
  size: number,
  targets: Float32Array,
  width: number,
  lambdas: readonly number[],
  noise: ArrayLike<number>,
  columnWeights: ArrayLike<number>,
  work: Work,
): Promise<Ridge> {
  const columns = Math.min(width, errorColumns);
  const leading = new Float32Array(size * columns);
  for (let row = 0; row < size; row++) leading.set(targets.subarray(row * width, row * width + columns), row * columns);
  const errors = new Map<number, number>();
  let best: { readonly lambda: number; readonly inverse: Float32Array; readonly error: number } | undefined;
  for (const lambda of lambdas) {
    const matrix = kernel.slice();
    for (let row = 0; row < size; row++) matrix[row * size + row] = (matrix[row * size + row] as number) + lambda * (noise[row] as number);
    const inverse = await invertPositiveDefinite(matrix, size, { ...work, output: matrix });
    const coefficients = await denseProduct(inverse, size, leading, columns, work);
    let wrong = 0;
    let all = 0;
    for (let row = 0; row < size; row++) {
      const diagonal = inverse[row * size + row] as number;
      for (let column = 0; column < columns; column++) {
        const at = row * columns + column;
        const weight = columnWeights[column] as number;
        wrong += weight * ((coefficients[at] as number) / diagonal) ** 2;
        all += weight * (leading[at] as number) ** 2;
      }
    }
    const error = all > 0 ? wrong / all : 1;
    errors.set(lambda, error);
    if (best === undefined || error < best.error) best = { lambda, inverse, error };
  }
  const { lambda, inverse } = best as NonNullable<typeof best>;
  return { coefficients: await denseProduct(inverse, size, targets, width, work), lambda, errors };
}

/**
 * The collaborative space and the map into it. State: `own` (items × width: V of the truncated SVD), `people` (per item),
 * `coefficients` (landmarks × width), `landmarks.<i>` and `present.<i>` per feature, `report` (JSON: the penalty and the
 * leave-one-out errors).
 */
export async function fitColdMap(context: ColdMapFit): Promise<ComponentState> {
  const { options, features, history, signal } = context;
  const modalities = modalitiesOf(features, options.weights, Object.keys(options.powers));
  const behaviour = behaviourOf(history, options, context.asOfMs, signal, context.warn);
  const { width, values: own, singular } = await behaviourFactors(behaviour.matrix, options.width, context.random, context);
  context.progress(0.3, 'factors');
  const known = Array.from(behaviour.itemUsers.keys()).filter(
    (row) =>
      (behaviour.itemUsers[row] as number) > 0 &&
      modalities.some(({ place }) => {
        const feature = features[place] as FeatureMatrix;
        return row < feature.rowCount && directionOf(feature, row) > 0;
      }),
  );
  const people = (row: number): number => behaviour.itemUsers[row] as number;
  const landmarkRows = Int32Array.from(known.sort((a, b) => people(b) - people(a) || a - b).slice(0, options.maximumItems)).sort();
  const size = landmarkRows.length;
  if (size < 2) {
    context.warn({
      code: 'MULTIMODAL_LITTLE_BEHAVIOUR',
      message: `${size} items have both people and content, and at least 2 are needed to learn where content leads; new items get no vector.`,
      count: size,
    });
  } else if (known.length > size) {
    context.warn({
      code: 'MULTIMODAL_ITEMS_LEFT_OUT',
      message: `The map was fitted on the ${size} items with the most people, of ${known.length}; \`maximumItems\` sets how many.`,
      count: known.length - size,
    });
  }
  const landmarks = modalities.map(({ place, width: own }) => {
    const feature = features[place] as FeatureMatrix;
    const { values, presence } = unitRows(feature, landmarkRows);
    return { values, presence, transposed: transpose(values, own) };
  });
  const state: Record<string, ReturnType<typeof tensor>> = {
    own: tensor(own, [history.itemCount, width]),
    people: tensor(behaviour.itemUsers),
  };
  modalities.forEach((modality, index) => {
    const { values, presence } = landmarks[index] as (typeof landmarks)[number];
    state[`landmarks.${modality.place}`] = tensor(values, [size, modality.width]);
    state[`present.${modality.place}`] = tensor(presence);
  });
  if (size < 2) return { ...state, coefficients: tensor(new Float32Array(0), [0, width]), report: tensor(new Float64Array(0)) };
  const kernel = await new ContentKernel(modalities, options).between(landmarks, landmarks, context);
  context.progress(0.5, 'content');
  const targets = new Float32Array(size * width);
  landmarkRows.forEach((row, place) => {
    targets.set(own.subarray(row * width, (row + 1) * width), place * width);
  });
  const mean = landmarkRows.reduce((sum, row) => sum + people(row), 0) / size;
  const noise = Float64Array.from(landmarkRows, (row) => (mean / people(row)) ** options.popularityWeight);
  // An error counts by how much of what people did its direction stands for.
  const columnWeights = singular.map((value) => value * value);
  const lambdas = options.lambda === 'auto' ? lambdaGrid : [options.lambda];
  const ridge = await kernelRidge(kernel, size, targets, width, lambdas, noise, columnWeights, context);
  context.progress(1, `lambda ${ridge.lambda}, leave-one-out error ${(ridge.errors.get(ridge.lambda) ?? 1).toFixed(3)}`);
  return {
    ...state,
    coefficients: tensor(ridge.coefficients, [size, width]),
    report: tensor(Float64Array.of(ridge.lambda, ridge.errors.get(ridge.lambda) ?? 1)),
  };
}

/** Landmarks as the products want them, in the kernels' memory. */
interface ResidentLandmarks {
  readonly transposed: Float32Array;
  readonly presence: Uint8Array;
}

/** Places items in the space of who chose what: those with behaviour by it, new ones by where their content leads. */
export class ColdMap implements FeatureExtractor, Inspectable {
  readonly width: number;
  readonly #options: ColdMapOptions;
  readonly #modalities: readonly Modality[];
  readonly #kernel: ContentKernel;
  readonly #kernels: Kernels;
  readonly #compute: Compute;
  readonly #own: Float32Array;
  readonly #people: Float32Array;
  readonly #landmarks: readonly ResidentLandmarks[];
  readonly #coefficients: Float32Array;
  readonly #report: Float64Array;
  readonly #items: Table;
  #disposed = false;

  /** Opens what `fitColdMap` left. @throws MULTIMODAL_FEATURES, RECLOOM_DAT_STATE_TENSOR, RECLOOM_KRN_OUT_OF_MEMORY */
  constructor(options: ColdMapOptions, features: readonly FeatureMatrix[], state: ComponentState, items: Table, compute: Compute) {
    this.width = options.width;
    this.#options = options;
    this.#items = items;
    this.#compute = compute;
    this.#modalities = modalitiesOf(features, options.weights, Object.keys(options.powers));
    this.#kernel = new ContentKernel(this.#modalities, options);
    this.#own = readTensor(state, 'own', Float32Array);
    this.#people = readTensor(state, 'people', Float32Array);
    this.#report = readTensor(state, 'report', Float64Array);
    const kernels = kernelsOf(compute);
    this.#kernels = kernels;
    this.#landmarks = this.#modalities.map(({ place, width }) => ({
      transposed: resident(kernels, transpose(readTensor(state, `landmarks.${place}`, Float32Array), width)),
      presence: readTensor(state, `present.${place}`, Uint8Array),
    }));
    this.#coefficients = resident(kernels, readTensor(state, 'coefficients', Float32Array));
  }

  async extract(batch: ExtractBatch, out: FeatureBlock): Promise<void> {
    batch.signal.throwIfAborted();
    const { width } = this;
    const blocks = blocksOf(batch, this.#modalities);
    const described: number[] = [];
    for (let row = 0; row < batch.count; row++) if (blocks.some((block) => directionOf(block, row) > 0)) described.push(row);
    const mapped = await this.#map(blocks, described, batch.signal);
    described.forEach((row, place) => {
      out.values.set(mapped.subarray(place * width, (place + 1) * width), row * width);
    });
    const isDescribed = new Uint8Array(batch.count);
    for (const row of described) isDescribed[row] = 1;
    for (let row = 0; row < batch.count; row++) {
      const item = batch.rows[row] ?? -1;
      const people = this.#people[item] ?? 0;
      const vector = out.values.subarray(row * width, (row + 1) * width);
      if (people > 0) {
        const share = isDescribed[row] === 1 && this.#coefficients.length > 0 ? people / (people + this.#options.evidence) : 1;
        for (let column = 0; column < width; column++) {
          vector[column] = (1 - share) * (vector[column] as number) + share * (this.#own[item * width + column] as number);
        }
      }
      if (vector.some((value) => value !== 0)) out.presence[row] = 1;
    }
  }

  /** How many people speak for the item itself, the share its own vector has, and how well content tells where items belong. */
  inspectItem(row: number): Readonly<Record<string, unknown>> {
    const people = this.#people[row] ?? 0;
    const [lambda, error] = this.#report;
    return { item: this.#items.idOf(row), people, ownShare: people / (people + this.#options.evidence), lambda, leaveOneOutError: error };
  }

  dispose(): void {
    if (this.#disposed) return;
    this.#disposed = true;
    for (const { transposed } of this.#landmarks) this.#kernels.free(transposed);
    this.#kernels.free(this.#coefficients);
  }

  async #map(blocks: readonly FeatureRows[], rows: readonly number[], signal: AbortSignal): Promise<Float32Array> {
    if (rows.length === 0 || this.#coefficients.length === 0) return new Float32Array(rows.length * this.width);
    const work = { compute: this.#compute, signal };
    const units = blocks.map((block) => unitRows(block, rows));
    const kernel = await this.#kernel.between(units, this.#landmarks, work);
    return denseProduct(kernel, this.#coefficients.length / this.width, this.#coefficients, this.width, work);
  }
}

function resident(kernels: Kernels, values: Float32Array): Float32Array {
  const kept = kernels.float32(values.length);
  kept.set(values);
  return kept;
}

/** A number to a whole power. */
function raise(base: number, power: number): number {
  let result = base;
  for (let left = 1; left < power; left++) result *= base;
  return result;
}
