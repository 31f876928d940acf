import type { ExtractBatch, FeatureBlock, FeatureExtractor, FeatureMatrix, FeatureRows } from '@recloom/plugin-api';
import { featureMatrix } from '@recloom/testing';

/** A feature of the given rows; null = the item lacks it. */
export function featureOf(
  name: string,
  rows: readonly (readonly number[] | null)[],
  width = rows.find((row) => row !== null)?.length ?? 1,
): FeatureMatrix {
  const values = new Float32Array(rows.length * width);
  const presence = new Uint8Array(rows.length);
  rows.forEach((row, place) => {
    if (row === null) return;
    values.set(row, place * width);
    presence[place] = 1;
  });
  return featureMatrix(name, width, values, presence);
}

/** Rows of features as a batch at item scope; rows past the features are absent. */
export function batchOf(features: readonly FeatureMatrix[], rows: readonly number[]): ExtractBatch {
  return {
    scope: 'item',
    count: rows.length,
    columns: {},
    features: { vectors: features.map((feature) => rowsOf(feature, rows)) },
    rows: Int32Array.from(rows),
    candidates: undefined,
    signal: new AbortController().signal,
  };
}

/** The same vectors as those of queries. */
export function queryBatch(features: readonly FeatureMatrix[], rows: readonly number[]): ExtractBatch {
  return { ...batchOf(features, rows), scope: 'query', rows: new Int32Array(0) };
}

/** What an extractor gives for a batch, a row each; null = absent. */
export async function extracted(extractor: FeatureExtractor, batch: ExtractBatch): Promise<(number[] | null)[]> {
  const { width } = extractor;
  const out: FeatureBlock = { values: new Float32Array(batch.count * width), presence: new Uint8Array(batch.count) };
  await extractor.extract(batch, out);
  return Array.from({ length: batch.count }, (_, row) =>
    out.presence[row] === 1 ? [...out.values.subarray(row * width, (row + 1) * width)] : null,
  );
}

export function dot(left: readonly number[], right: readonly number[]): number {
  return left.reduce((sum, value, place) => sum + value * (right[place] as number), 0);
}

export function cosine(left: readonly number[], right: readonly number[]): number {
  return dot(left, right) / Math.sqrt(dot(left, left) * dot(right, right));
}

function rowsOf(feature: FeatureMatrix, rows: readonly number[]): FeatureRows {
  const { name, width } = feature;
  const values = new Float32Array(rows.length * width);
  const presence = new Uint8Array(rows.length);
  rows.forEach((row, place) => {
    if (row >= feature.rowCount || feature.presence[row] !== 1) return;
    presence[place] = 1;
    values.set(feature.values.subarray(row * width, (row + 1) * width), place * width);
  });
  return { name, width, values, presence };
}
