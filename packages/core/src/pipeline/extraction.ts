import type { Column, ComponentDefinition, FeatureMatrix, FeatureRows, InputSpec } from '@recloom/plugin-api';
import type { PlannedNode } from './plan.js';

/** What a request can bring that makes an extractor or source worth asking. */
export type Ask = NonNullable<ComponentDefinition['capabilities']['asks']>[number];

/** Item rows per call of an extractor while serving: few, since tokenising, say, is done on the main thread, between requests. */
export const serveBatchRows = 32;

/** The components whose features a component reads, in the order of its config. */
export function featureInputs(node: PlannedNode): readonly PlannedNode[] {
  return [...node.inputs.values()].flatMap(({ entries }) => entries.flatMap((entry) => (entry.kind === 'feature' ? [entry.node] : [])));
}

/**
 * What a request must bring for an extractor to be asked at query scope: what its capabilities say, else what its modality
 * implies. A component that only reads features has no wish of its own: their vectors are what it waits for.
 */
export function asksOf(node: PlannedNode): readonly Ask[] {
  const { asks, modality } = node.definition.capabilities;
  if (asks !== undefined) return asks;
  if (featureInputs(node).length > 0) return [];
  if (modality === 'image') return ['image'];
  return modality === 'mixed' ? ['text', 'image'] : ['text'];
}

/** Whether an item field input takes pictures: at query scope the request's picture stands in for it, else its words. */
export function takesImages(spec: InputSpec, modality: string | undefined): boolean {
  if (spec.types === undefined) return modality === 'image';
  if (!spec.types.includes('image')) return false;
  return spec.types.length === 1 || modality === 'image';
}

/** The columns and features of an extractor's inputs for some item rows, as `ExtractBatch` wants them. */
export function itemInputs(
  node: PlannedNode,
  column: (field: string) => Column | undefined,
  feature: (name: string) => FeatureRows | undefined,
): { readonly columns: Readonly<Record<string, readonly Column[]>>; readonly features: Readonly<Record<string, readonly FeatureRows[]>> } {
  const columns: Record<string, readonly Column[]> = {};
  const features: Record<string, readonly FeatureRows[]> = {};
  for (const [input, { entries }] of node.inputs) {
    if (node.definition.inputs[input]?.kind === 'feature') {
      features[input] = entries.flatMap((entry) => (entry.kind === 'feature' ? (feature(entry.node.name) ?? []) : []));
    } else {
      columns[input] = entries.flatMap((entry) => (entry.kind === 'item-field' ? (column(entry.field) ?? []) : []));
    }
  }
  return { columns, features };
}

/** Rows `[start, end)` of a feature; views. Rows past its end are absent. */
export function sliceFeature(matrix: FeatureMatrix, start: number, end: number): FeatureRows {
  const { name, width } = matrix;
  if (end <= matrix.rowCount)
    return { name, width, values: matrix.values.subarray(start * width, end * width), presence: matrix.presence.subarray(start, end) };
  return gatherFeature(
    matrix,
    Int32Array.from({ length: end - start }, (_, index) => start + index),
  );
}

/** Some rows of a feature, copied. Rows past its end are absent. */
export function gatherFeature(matrix: FeatureMatrix, rows: Int32Array): FeatureRows {
  const { name, width } = matrix;
  const values = new Float32Array(rows.length * width);
  const presence = new Uint8Array(rows.length);
  for (let index = 0; index < rows.length; index++) {
    const row = rows[index] as number;
    if (row >= matrix.rowCount || matrix.presence[row] !== 1) continue;
    presence[index] = 1;
    values.set(matrix.values.subarray(row * width, (row + 1) * width), index * width);
  }
  return { name, width, values, presence };
}

/** Some rows of a column as a column of its own, of the same type. */
export function gatherColumn(column: Column, rows: Int32Array): Column {
  switch (column.type) {
    case 'number':
      return { type: 'number', values: Float64Array.from(rows, (row) => column.values[row] ?? Number.NaN) };
    case 'boolean':
      return { type: 'boolean', values: Uint8Array.from(rows, (row) => column.values[row] ?? 255) };
    case 'category':
      return { type: 'category', codes: Int32Array.from(rows, (row) => column.codes[row] ?? -1), categories: column.categories };
    case 'text':
    case 'image':
      return { type: column.type, values: Array.from(rows, (row) => column.values[row] ?? null) };
    case 'list': {
      const offsets = new Int32Array(rows.length + 1);
      for (let index = 0; index < rows.length; index++) {
        const row = rows[index] as number;
        const start = column.offsets[row] ?? 0;
        offsets[index + 1] = (offsets[index] as number) + (column.offsets[row + 1] ?? start) - start;
      }
      const codes = new Int32Array(offsets[rows.length] as number);
      for (let index = 0; index < rows.length; index++) {
        const start = column.offsets[rows[index] as number] ?? 0;
        const length = (offsets[index + 1] as number) - (offsets[index] as number);
        codes.set(column.codes.subarray(start, start + length), offsets[index] as number);
      }
      return { type: 'list', offsets, codes, categories: column.categories };
    }
  }
}

/**
 * Makes what an extractor wrote safe to keep, in place: a row with a number that is not finite is marked absent, since one
 * bad row would poison every comparison, and absent rows are zeros whatever was left in them.
 *
 * @returns how many rows were not finite
 */
export function settleRows(values: Float32Array, presence: Uint8Array, width: number): number {
  let bad = 0;
  for (let row = 0; row < presence.length; row++) {
    const start = row * width;
    const end = start + width;
    if (presence[row] === 0) {
      values.fill(0, start, end);
      continue;
    }
    presence[row] = 1;
    for (let at = start; at < end; at++) {
      const value = values[at] as number;
      // x - x is 0 for finite numbers only.
      if (value - value === 0) continue;
      presence[row] = 0;
      values.fill(0, start, end);
      bad++;
      break;
    }
  }
  return bad;
}
