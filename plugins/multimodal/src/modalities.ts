import { type ExtractBatch, type FeatureMatrix, type FeatureRows, RecloomError } from '@recloom/plugin-api';

/** A feature that is fused, and how much it counts. */
export interface Modality {
  readonly name: string;
  readonly width: number;
  /** Place among the features that the config gave. */
  readonly place: number;
  /** Above 0; the weights of all modalities sum to 1. */
  readonly weight: number;
}

/**
 * The features in use with their weights, in the order of the config.
 *
 * @throws MULTIMODAL_FEATURES when an option names a feature that is not given, one is given twice, or none is left.
 */
export function modalitiesOf(
  features: readonly FeatureMatrix[],
  weights: Readonly<Record<string, number>>,
  otherNames: readonly string[] = [],
): readonly Modality[] {
  const names = features.map((feature) => feature.name);
  const twice = names.find((name, place) => names.indexOf(name) !== place);
  if (twice !== undefined) throw featuresError(`"${twice}" is given twice`);
  const unknown = [...new Set([...Object.keys(weights), ...otherNames])].filter((name) => !names.includes(name));
  if (unknown.length > 0) {
    throw featuresError(`the options name ${unknown.map((name) => `"${name}"`).join(', ')}, but the features are ${names.join(', ')}`);
  }
  const used = features.flatMap((feature, place) => {
    const weight = weights[feature.name] ?? 1;
    return weight > 0 ? [{ name: feature.name, width: feature.width, place, weight }] : [];
  });
  const total = used.reduce((sum, { weight }) => sum + weight, 0);
  if (used.length === 0 || !Number.isFinite(total)) throw featuresError('no feature is left to fuse');
  return used.map((modality) => ({ ...modality, weight: modality.weight / total }));
}

/**
 * The width all modalities share.
 *
 * @throws MULTIMODAL_WIDTHS when they differ.
 */
export function sharedWidth(modalities: readonly Modality[]): number {
  const { width } = modalities[0] as Modality;
  if (modalities.some((modality) => modality.width !== width)) {
    throw new RecloomError({
      code: 'MULTIMODAL_WIDTHS',
      message: `The features lie in different spaces: ${modalities.map(({ name, width: own }) => `"${name}" has ${own} numbers`).join(', ')}.`,
      hint: 'Fuse features of one space (a text encoder and the picture encoder made for it), or use multimodal/concat, which takes any.',
    });
  }
  return width;
}

/** The blocks of a batch, one per modality. */
export function blocksOf(batch: ExtractBatch, modalities: readonly Modality[]): readonly FeatureRows[] {
  const given = batch.features?.['vectors'] ?? [];
  return modalities.map(({ name, width, place }) => {
    const block = given[place];
    if (block?.width === width) return block;
    // Nothing came for it, e.g. a query without a picture: nobody has it.
    return { name, width, values: new Float32Array(batch.count * width), presence: new Uint8Array(batch.count) };
  });
}

/** Length of a vector; NaN or infinite when a number of it is. */
export function lengthOf(values: Float32Array, start: number, width: number): number {
  let squares = 0;
  for (let place = start; place < start + width; place++) squares += (values[place] as number) ** 2;
  return Math.sqrt(squares);
}

/** What a row's vector is divided by to have length 1; 0 when the row lacks it, or it has no direction. */
export function directionOf(block: FeatureRows, row: number): number {
  if (block.presence[row] !== 1) return 0;
  const length = lengthOf(block.values, row * block.width, block.width);
  return length > 1e-15 && length < Number.POSITIVE_INFINITY ? length : 0;
}

/** Rows of a block at length 1, those without a direction zero, and which have one. New arrays. */
export function unitRows(block: FeatureRows, rows: ArrayLike<number>): { readonly values: Float32Array; readonly presence: Uint8Array } {
  const { width } = block;
  const values = new Float32Array(rows.length * width);
  const presence = new Uint8Array(rows.length);
  for (let place = 0; place < rows.length; place++) {
    const row = rows[place] as number;
    const length = directionOf(block, row);
    if (length === 0) continue;
    presence[place] = 1;
    for (let column = 0; column < width; column++) {
      values[place * width + column] = (block.values[row * width + column] as number) / length;
    }
  }
  return { values, presence };
}

function featuresError(why: string): RecloomError {
  return new RecloomError({
    code: 'MULTIMODAL_FEATURES',
    message: `The features cannot be fused: ${why}.`,
    hint: 'List each feature once under `in: { vectors: [...] }`, and give options by the same names.',
  });
}
