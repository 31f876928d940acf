import type { Column, ComponentDefinition, FeatureBlock, FeatureRows, FeatureScope } from '@recloom/plugin-api';
import type { AnyInstance } from '../../host/host.js';
import { hold, type Law, provides } from '../law.js';
import { emptyBlock, extractBatch } from '../probes.js';
import type { Subject } from '../subject.js';

const signal = (): AbortSignal => new AbortController().signal;

/** The scopes an extractor works at. */
export function scopesOf(definition: ComponentDefinition): readonly FeatureScope[] {
  return definition.capabilities.scopes ?? ['item'];
}

/** Item rows the laws look at. */
export function someRows(subject: Subject): number[] {
  return Array.from({ length: Math.min(11, subject.shop.items.rowCount) }, (_, row) => row);
}

async function extract(subject: Subject, instance: AnyInstance, scope: FeatureScope, rows: readonly number[]): Promise<FeatureBlock> {
  const out = emptyBlock(rows.length, instance.width);
  await instance.extract(extractBatch(subject, scope, rows, signal()), out);
  return out;
}

const rowsTimesWidth: Law = {
  id: 'EXT-01',
  title: 'n × width numbers',
  law: 'The width is a whole number that never changes; values of exactly n × width and presence of 0 or 1 are written, nothing beyond them, and absent rows stay zero.',
  appliesTo: provides('extractor'),
  async run(subject) {
    const { instance } = await subject.open();
    const { width } = instance;
    hold(Number.isInteger(width) && width > 0, `The width is ${width}.`);
    for (const scope of scopesOf(subject.definition)) {
      const rows = someRows(subject);
      // Guards on both sides: an extractor that works on the whole buffer instead of its view is caught.
      const guard = 7;
      const values = new Float32Array(rows.length * width + 2 * guard).fill(-77);
      const presence = new Uint8Array(rows.length + 2 * guard).fill(77);
      const out = {
        values: values.subarray(guard, values.length - guard).fill(0),
        presence: presence.subarray(guard, presence.length - guard).fill(0),
      };
      await instance.extract(extractBatch(subject, scope, rows, signal()), out);
      hold(instance.width === width, `The width changed from ${width} to ${instance.width}.`);
      const intact = (array: Float32Array | Uint8Array, mark: number): boolean =>
        [...array.subarray(0, guard), ...array.subarray(array.length - guard)].every((value) => value === mark);
      hold(intact(values, -77) && intact(presence, 77), `At ${scope} scope it writes outside its block.`);
      hold(
        out.presence.every((mark) => mark === 0 || mark === 1),
        `At ${scope} scope presence holds something else than 0 and 1.`,
      );
      hold(out.presence.includes(1), `At ${scope} scope not one row was written.`);
      rows.forEach((_, index) => {
        if (out.presence[index] === 1) return;
        hold(
          out.values.subarray(index * width, (index + 1) * width).every((value) => value === 0),
          `At ${scope} scope row ${index} is absent but was written.`,
        );
      });
    }
    const { instance: other } = await subject.open();
    hold(other.width === width, 'Two instances have different widths.');
    await instance.dispose?.();
    await other.dispose?.();
  },
};

const finite: Law = {
  id: 'EXT-02',
  title: 'values are finite',
  law: 'A row that is present holds finite numbers only.',
  appliesTo: provides('extractor'),
  async run(subject) {
    const { instance } = await subject.open();
    for (const scope of scopesOf(subject.definition)) {
      const { values } = await extract(subject, instance, scope, someRows(subject));
      const bad = values.findIndex((value) => !Number.isFinite(value));
      hold(bad < 0, () => `At ${scope} scope row ${Math.floor(bad / instance.width)} holds ${values[bad]}.`);
    }
    await instance.dispose?.();
  },
};

const emptyBatch: Law = {
  id: 'EXT-03',
  title: 'an empty batch is fine',
  law: 'A batch of no rows is answered with nothing.',
  appliesTo: provides('extractor'),
  async run(subject) {
    const { instance } = await subject.open();
    for (const scope of scopesOf(subject.definition)) await extract(subject, instance, scope, []);
    await instance.dispose?.();
  },
};

/** Cosine distance that still passes: int8 encoders quantise their activations per batch. */
const batchTolerance = 1e-3;

const batchInvariant: Law = {
  id: 'EXT-04',
  title: 'batching does not matter',
  law: `A row's values are the same alone, in a small batch and in a large one: cosine at least ${1 - batchTolerance}, presence equal.`,
  appliesTo: provides('extractor'),
  async run(subject) {
    const { instance } = await subject.open();
    const { width } = instance;
    for (const scope of scopesOf(subject.definition)) {
      const rows = someRows(subject);
      const together = await extract(subject, instance, scope, rows);
      if (scope === 'candidate') continue; // A candidate feature may describe its neighbours.
      for (const size of [1, 3]) {
        for (let start = 0; start < rows.length; start += size) {
          const part = rows.slice(start, start + size);
          const block = await extract(subject, instance, scope, part);
          part.forEach((_, index) => {
            hold(
              block.presence[index] === together.presence[start + index],
              `At ${scope} scope the presence of row ${start + index} depends on its batch.`,
            );
            const alone = block.values.subarray(index * width, (index + 1) * width);
            const before = together.values.subarray((start + index) * width, (start + index + 1) * width);
            hold(alike(alone, before), `At ${scope} scope the values of row ${start + index} depend on its batch.`);
          });
        }
      }
    }
    await instance.dispose?.();
  },
};

/** Equal as far as an encoder can be: cosine and length within the tolerance of EXT-04. */
export function alike(left: Float32Array, right: Float32Array): boolean {
  let dot = 0;
  let leftSquare = 0;
  let rightSquare = 0;
  left.forEach((value, index) => {
    const other = right[index] ?? 0;
    dot += value * other;
    leftSquare += value * value;
    rightSquare += other * other;
  });
  // Numbers that are not finite are another law's matter.
  if (!Number.isFinite(leftSquare + rightSquare)) return true;
  if (leftSquare === 0 && rightSquare === 0) return true;
  if (Math.abs(Math.sqrt(leftSquare) - Math.sqrt(rightSquare)) > 0.02 * Math.sqrt(Math.max(leftSquare, rightSquare))) return false;
  return dot / Math.sqrt(leftSquare * rightSquare) >= 1 - batchTolerance;
}

const missingMarked: Law = {
  id: 'EXT-05',
  title: 'a missing modality is marked',
  law: 'A row without any of its inputs is absent (presence 0); it is never passed off as zeros.',
  appliesTo: (definition) =>
    provides('extractor')(definition) &&
    scopesOf(definition).includes('item') &&
    Object.values(definition.inputs).some((input) => input.kind === 'item-field'),
  async run(subject) {
    const { instance } = await subject.open();
    const rows = someRows(subject);
    const batch = extractBatch(subject, 'item', rows, signal());
    const gone = [1, 4];
    const columns = Object.fromEntries(
      Object.entries(batch.columns).map(([name, some]) => [name, some.map((column) => withNulls(column, gone))]),
    );
    const features = Object.fromEntries(
      Object.entries(batch.features ?? {}).map(([name, some]) => [name, some.map((feature) => withoutRows(feature, gone))]),
    );
    const out = emptyBlock(rows.length, instance.width);
    await instance.extract({ ...batch, columns, features }, out);
    for (const row of gone) hold(out.presence[row] === 0, 'A row whose inputs are all missing is marked as present.');
    hold(out.presence.includes(1), 'Rows beside a missing one are absent as well.');
    await instance.dispose?.();
  },
};

function withoutRows(feature: FeatureRows, rows: readonly number[]): FeatureRows {
  const values = feature.values.slice();
  const presence = feature.presence.slice();
  for (const row of rows) {
    presence[row] = 0;
    values.fill(0, row * feature.width, (row + 1) * feature.width);
  }
  return { ...feature, values, presence };
}

function withNulls(column: Column, rows: readonly number[]): Column {
  const gone = new Set(rows);
  switch (column.type) {
    case 'number':
      return { type: 'number', values: column.values.map((value, row) => (gone.has(row) ? Number.NaN : value)) };
    case 'boolean':
      return { type: 'boolean', values: column.values.map((value, row) => (gone.has(row) ? 255 : value)) };
    case 'category':
      return { ...column, codes: column.codes.map((code, row) => (gone.has(row) ? -1 : code)) };
    case 'list': {
      const offsets = new Int32Array(column.offsets.length);
      const codes: number[] = [];
      for (let row = 0; row + 1 < offsets.length; row++) {
        if (!gone.has(row)) codes.push(...column.codes.subarray(column.offsets[row] ?? 0, column.offsets[row + 1] ?? 0));
        offsets[row + 1] = codes.length;
      }
      return { ...column, offsets, codes: Int32Array.from(codes) };
    }
    default:
      return { type: column.type, values: column.values.map((value, row) => (gone.has(row) ? null : value)) };
  }
}

/** Laws of feature extractors. */
export const extractorLaws: readonly Law[] = [rowsTimesWidth, finite, emptyBatch, batchInvariant, missingMarked];
