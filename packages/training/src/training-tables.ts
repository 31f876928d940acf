import type { Dataset } from '@recloom/core';
import { type Column, type ContextValue, columnValue, type HistoryView } from '@recloom/plugin-api';
import type { Cut } from './cuts.js';
import { dayMs } from './cuts.js';
import type { ParquetColumn, ParquetTable, ParquetType, ParquetValues, ParquetWriter } from './parquet-writer.js';
import type { TrainingColumn } from './schema.js';

/** One request's rows: candidates that are kept, and positives that were none. */
export interface TrainingGroup {
  readonly cut: Cut;
  /** Row in the table of all users. */
  readonly userRow: number;
  /** Item rows of the cut's table. */
  readonly itemRows: Int32Array;
  readonly labels: Float32Array;
  /** How many of the rows, from the front, were candidates. */
  readonly proposed: number;
  /** By pipeline column, the values of the rows that were candidates; a column that is missing is NaN. */
  readonly columns: ReadonlyMap<string, Float32Array>;
  /** Candidates before negatives were sampled, and those of them that were not taken. */
  readonly candidates: number;
  readonly negatives: number;
  readonly history: HistoryView;
}

/** A column that scorers see: a CEL expression, and what its extractor calls it. */
export interface PipelineColumn {
  readonly name: string;
  readonly component?: string | undefined;
}

/** What the tables of an export are written from and to. */
export interface TrainingTablesParts {
  readonly writer: ParquetWriter;
  readonly dataset: Dataset;
  /** Columns that scorers see, in the order of the pipeline; each is a CEL expression too. */
  readonly pipelineColumns: readonly PipelineColumn[];
  readonly context: Readonly<Record<string, ContextValue>>;
  readonly historyLength: number;
  readonly withIds: boolean;
}

type Constant = { readonly constant: string | number | boolean | null };

/** The tables `rows` and `groups`, and at the end `items`. */
export class TrainingTables {
  /** In the order of `rows.parquet`. */
  readonly columns: readonly TrainingColumn[];
  readonly #parts: TrainingTablesParts;
  readonly #rows: ParquetTable;
  readonly #groups: ParquetTable;
  readonly #itemFields: readonly string[];
  /** Items of the whole table that stand in a row or a history. */
  readonly #occurs: Uint8Array;
  /** By row of the whole user table: the number in the export, in order of appearance. */
  readonly #userNumbers = new Map<number, number>();
  #groupCount = 0;

  private constructor(
    parts: TrainingTablesParts,
    columns: readonly TrainingColumn[],
    itemFields: readonly string[],
    rows: ParquetTable,
    groups: ParquetTable,
  ) {
    this.#parts = parts;
    this.columns = columns;
    this.#itemFields = itemFields;
    this.#rows = rows;
    this.#groups = groups;
    this.#occurs = new Uint8Array(parts.dataset.items.rowCount);
  }

  static async create(parts: TrainingTablesParts): Promise<TrainingTables> {
    const { items } = parts.dataset;
    const itemFields = items.fields.filter((field) => ['number', 'boolean', 'category'].includes((items.column(field) as Column).type));
    const columns: TrainingColumn[] = [
      { name: 'group', type: 'number', role: 'group' },
      { name: 'cut', type: 'number', role: 'time' },
      { name: 'split', type: 'category', role: 'time' },
      { name: 'time', type: 'number', role: 'time' },
      { name: 'user', type: 'number', role: 'id' },
      { name: 'item', type: 'category', role: 'id', expression: 'item.id' },
      { name: 'label', type: 'number', role: 'label' },
      { name: 'proposed', type: 'boolean', role: 'label' },
      ...parts.pipelineColumns.map(
        ({ name, component }): TrainingColumn => ({
          name,
          type: 'number',
          role: 'feature',
          expression: name,
          ...(component === undefined ? {} : { component }),
        }),
      ),
      ...itemFields.map(
        (field): TrainingColumn => ({
          name: `item.${field}`,
          type: items.column(field)?.type === 'category' ? 'category' : 'number',
          role: 'feature',
          expression: `item.${field}`,
          current: true,
        }),
      ),
      ...Object.entries(parts.context).map(
        ([key, value]): TrainingColumn => ({
          name: `request.${key}`,
          type: typeof value === 'string' ? 'category' : 'number',
          role: 'feature',
          expression: `request.${key}`,
        }),
      ),
    ];
    const rows = await parts.writer.table('rows', columns.map(storageOf));
    const groups = await parts.writer.table('groups', [
      { name: 'group', type: 'long' },
      { name: 'cut', type: 'int' },
      { name: 'split', type: 'text' },
      { name: 'time', type: 'time' },
      { name: 'user', type: 'long' },
      ...(parts.withIds ? [{ name: 'user_id', type: 'text' } as const] : []),
      { name: 'candidates', type: 'int' },
      { name: 'negatives', type: 'int' },
      { name: 'negatives_kept', type: 'int' },
      { name: 'history', type: 'texts' },
      { name: 'history_age_days', type: 'floats' },
      { name: 'history_weight', type: 'floats' },
    ]);
    return new TrainingTables(parts, columns, itemFields, rows, groups);
  }

  get rowCount(): number {
    return this.#rows.rowCount;
  }

  get groupCount(): number {
    return this.#groupCount;
  }

  /** `world` is the dataset of the group's cut. */
  add(group: TrainingGroup, world: Dataset): void {
    const { cut, itemRows, labels, proposed } = group;
    const count = itemRows.length;
    const number = this.#groupCount++;
    const user = this.#numberOf(group.userRow);
    const ids = this.#note(itemRows, world);
    const rest = count - proposed;
    const padded = (name: string): ParquetValues | Constant => {
      const values = group.columns.get(name);
      if (values === undefined) return { constant: Number.NaN };
      if (rest === 0) return values;
      const all = new Float32Array(count).fill(name.endsWith('.rank') ? 0 : Number.NaN, proposed);
      all.set(values);
      return all;
    };
    this.#rows.append(count, [
      { constant: number },
      { constant: cut.index },
      { constant: cut.split },
      { constant: cut.atMs },
      { constant: user },
      ids,
      labels,
      rest === 0 ? { constant: true } : Array.from({ length: count }, (_, row) => row < proposed),
      ...this.#parts.pipelineColumns.map(({ name }) => padded(name)),
      ...this.#itemFields.map((field) => fieldValues(world.items.column(field) as Column, itemRows)),
      ...Object.values(this.#parts.context).map((value): Constant => ({ constant: typeof value === 'boolean' ? Number(value) : value })),
    ]);
    this.#addGroup(group, world, number, user);
  }

  /** Writes the items that occurred, with all their fields. */
  async writeItems(): Promise<void> {
    const { dataset, writer } = this.#parts;
    const { items } = dataset;
    const rows = this.occurring();
    const fields = items.fields.map((field) => ({ field, column: items.column(field) as Column }));
    const table = await writer.table('items', [
      { name: 'item', type: 'text' },
      ...fields.map(({ field, column }): ParquetColumn => ({ name: field === 'item' ? 'item.item' : field, type: itemTypes[column.type] })),
    ]);
    table.append(rows.length, [
      Array.from(rows, (row) => items.idOf(row)),
      ...fields.map(({ column }) => Array.from(rows, (row) => columnValue(column, row))),
    ]);
  }

  /** Rows of the whole item table that stand in a row or a history, ascending. */
  occurring(): Int32Array {
    return Int32Array.from(this.#occurs.keys()).filter((row) => this.#occurs[row] === 1);
  }

  #addGroup(group: TrainingGroup, world: Dataset, number: number, user: number): void {
    const { cut, history, labels } = group;
    const { historyLength, withIds, dataset } = this.#parts;
    const from = Math.max(0, history.length - historyLength);
    const ages = Array.from(history.timesMs.subarray(from, history.length), (time) => (cut.atMs - time) / dayMs);
    let kept = 0;
    for (const label of labels.subarray(0, group.proposed)) if (label === 0) kept++;
    this.#groups.append(1, [
      { constant: number },
      { constant: cut.index },
      { constant: cut.split },
      { constant: cut.atMs },
      { constant: user },
      ...(withIds ? [{ constant: dataset.users.idOf(group.userRow) }] : []),
      { constant: group.candidates },
      { constant: group.negatives },
      { constant: kept },
      [this.#note(history.items.subarray(from, history.length), world)],
      [ages],
      [Array.from(history.weights.subarray(from, history.length))],
    ]);
  }

  #numberOf(userRow: number): number {
    let number = this.#userNumbers.get(userRow);
    if (number === undefined) {
      number = this.#userNumbers.size;
      this.#userNumbers.set(userRow, number);
    }
    return number;
  }

  /** The ids of some items of a cut's table, which from now on occur. */
  #note(itemRows: Int32Array, world: Dataset): string[] {
    const { items } = this.#parts.dataset;
    return Array.from(itemRows, (row) => {
      const id = world.items.idOf(row);
      this.#occurs[items.rowOf(id)] = 1;
      return id;
    });
  }
}

const itemTypes: Readonly<Record<Column['type'], ParquetType>> = {
  number: 'double',
  boolean: 'boolean',
  category: 'text',
  text: 'text',
  image: 'text',
  list: 'texts',
};

function storageOf(column: TrainingColumn): ParquetColumn {
  const { name } = column;
  if (name === 'group' || name === 'user') return { name, type: 'long' };
  if (name === 'cut') return { name, type: 'int' };
  if (name === 'time') return { name, type: 'time' };
  if (column.type === 'boolean') return { name, type: 'boolean' };
  return { name, type: column.type === 'category' ? 'text' : 'float' };
}

/** Numbers (booleans as 0 and 1) with NaN for a missing value, categories as text with null. */
function fieldValues(column: Column, rows: Int32Array): ParquetValues {
  switch (column.type) {
    case 'number':
      return Float32Array.from(rows, (row) => column.values[row] as number);
    case 'boolean':
      return Float32Array.from(rows, (row) => (column.values[row] === 255 ? Number.NaN : (column.values[row] as number)));
    default:
      return Array.from(rows, (row) => columnValue(column, row) as string | null);
  }
}
