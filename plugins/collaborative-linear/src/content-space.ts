import type { SparseMatrix } from '@recloom/kernels';
import type { CategoryColumn, FeatureMatrix, FieldInput, ListColumn } from '@recloom/plugin-api';

/** The values of a field that count, and how much. */
export interface AttributeField {
  readonly field: string;
  readonly values: readonly string[];
  /** Inverse document frequency of each: log(items with the field / items with the value). */
  readonly weights: readonly number[];
}

/** Which values of a field become attributes. */
export interface AttributeRule {
  readonly minimumItems: number;
  readonly maximumValues: number;
}

/** What content is made of. */
export interface ContentInputs {
  readonly features: readonly FeatureMatrix[];
  readonly fields: readonly FieldInput[];
  readonly attributes: readonly AttributeField[];
  /** A factor by the name of a feature or field; 1 unless given. */
  readonly weights: Readonly<Record<string, number>>;
}

/** Finds the values of a field that tell items apart; most items first, ties by name. */
export function attributeField(input: FieldInput, itemCount: number, rule: AttributeRule): AttributeField {
  const { field } = input;
  const values = input.column();
  if (values === undefined || (values.type !== 'category' && values.type !== 'list')) return { field, values: [], weights: [] };
  const counts = new Int32Array(values.categories.length);
  let items = 0;
  for (let row = 0; row < itemCount; row++) {
    const codes = codesOf(values, row);
    if (codes.length > 0) items++;
    for (const code of codes) counts[code] = (counts[code] as number) + 1;
  }
  const chosen = values.categories
    .map((name, code) => ({ name, count: counts[code] as number }))
    // What every item has says nothing.
    .filter(({ count }) => count >= rule.minimumItems && count < items)
    .sort((one, other) => other.count - one.count || (one.name < other.name ? -1 : 1))
    .slice(0, rule.maximumValues);
  return { field, values: chosen.map(({ name }) => name), weights: chosen.map(({ count }) => Math.log(items / count)) };
}

/** Codes of a row, each once. */
function codesOf(column: CategoryColumn | ListColumn, row: number): readonly number[] {
  if (column.type === 'category') {
    const code = column.codes[row] ?? -1;
    return code < 0 ? [] : [code];
  }
  const start = column.offsets[row] ?? 0;
  return [...new Set(column.codes.subarray(start, column.offsets[row + 1] ?? start))];
}

/**
 * Content as vectors: each feature and each field is a block of length 1 times the root of its share of the weights, so
 * that the dot product of two items is the weighted mean of their cosines. A block that an item lacks is zero.
 */
export class ContentSpace {
  readonly width: number;
  readonly #inputs: ContentInputs;
  readonly #factors: ReadonlyMap<string, number>;
  readonly #slots: readonly ReadonlyMap<string, number>[];

  constructor(inputs: ContentInputs) {
    this.#inputs = inputs;
    const names = [...inputs.features.map(({ name }) => name), ...inputs.attributes.map(({ field }) => field)];
    const total = names.reduce((sum, name) => sum + (inputs.weights[name] ?? 1), 0);
    this.#factors = new Map(names.map((name) => [name, total > 0 ? Math.sqrt((inputs.weights[name] ?? 1) / total) : 0]));
    this.#slots = inputs.attributes.map(({ values }) => new Map(values.map((value, slot) => [value, slot])));
    this.width =
      inputs.features.reduce((sum, { width }) => sum + width, 0) + inputs.attributes.reduce((sum, { values }) => sum + values.length, 0);
  }

  /** Writes the vector of an item row as it is now; false when nothing is known of it. */
  write(row: number, out: Float32Array): boolean {
    out.fill(0);
    let known = false;
    let begin = 0;
    for (const feature of this.#inputs.features) {
      const block = out.subarray(begin, begin + feature.width);
      begin += feature.width;
      if (row >= feature.rowCount || feature.presence[row] !== 1) continue;
      block.set(feature.values.subarray(row * feature.width, (row + 1) * feature.width));
      if (scale(block, this.#factors.get(feature.name) as number)) known = true;
    }
    this.#inputs.attributes.forEach(({ field, values, weights }, place) => {
      const block = out.subarray(begin, begin + values.length);
      begin += values.length;
      const column = this.#inputs.fields[place]?.column();
      if (column === undefined || (column.type !== 'category' && column.type !== 'list')) return;
      for (const code of codesOf(column, row)) {
        const slot = this.#slots[place]?.get(column.categories[code] as string);
        if (slot !== undefined) block[slot] = weights[slot] as number;
      }
      if (scale(block, this.#factors.get(field) as number)) known = true;
    });
    return known;
  }

  /** Items × width, without the zeros. */
  matrix(itemCount: number): SparseMatrix {
    const vector = new Float32Array(this.width);
    const rowOffsets = new Int32Array(itemCount + 1);
    const columns: Int32Array[] = [];
    const values: Float32Array[] = [];
    for (let row = 0; row < itemCount; row++) {
      this.write(row, vector);
      const kept = Int32Array.from(vector.keys()).filter((column) => vector[column] !== 0);
      columns.push(kept);
      values.push(Float32Array.from(kept, (column) => vector[column] as number));
      rowOffsets[row + 1] = (rowOffsets[row] as number) + kept.length;
    }
    const length = rowOffsets[itemCount] as number;
    const columnIndices = new Int32Array(length);
    const joined = new Float32Array(length);
    columns.forEach((part, row) => {
      columnIndices.set(part, rowOffsets[row]);
      joined.set(values[row] as Float32Array, rowOffsets[row]);
    });
    return { rowCount: itemCount, columnCount: this.width, rowOffsets, columnIndices, values: joined };
  }
}

/** Scales to a length; a vector without a direction becomes zeros, and false. */
function scale(block: Float32Array, length: number): boolean {
  let squares = 0;
  for (const value of block) squares += value * value;
  if (!(squares > 1e-30 && squares < Number.POSITIVE_INFINITY) || length === 0) {
    block.fill(0);
    return false;
  }
  const factor = length / Math.sqrt(squares);
  for (let place = 0; place < block.length; place++) block[place] = (block[place] as number) * factor;
  return true;
}
