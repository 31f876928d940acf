import type { Column, Table } from '@recloom/plugin-api';
import type { ColumnarTable } from './dataset.js';

export type FieldValue = string | number | boolean | readonly string[] | null | undefined;

export class OverlayTable implements Table {
  declare readonly rowCount: number;
  declare readonly fields: readonly string[];
  declare readonly version: number;
  constructor(_base: ColumnarTable, _options?: { readonly what?: 'item' | 'user' }) {}
  idOf(_row: number): string {
    throw new Error('in work');
  }
  rowOf(_id: string): number {
    throw new Error('in work');
  }
  column(_field: string): Column | undefined {
    throw new Error('in work');
  }
  /** Returns the row. */
  upsert(_id: string, _fields: Readonly<Record<string, FieldValue>>): number {
    throw new Error('in work');
  }
  /** Rows added or changed (in one of `fields`, when given) after `version`, ascending. */
  changedSince(_version: number, _fields?: readonly string[]): Int32Array {
    throw new Error('in work');
  }
}
