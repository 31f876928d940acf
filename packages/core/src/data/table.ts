import type { Column } from '@recloom/plugin-api';
import type { ColumnarTable } from './dataset.js';

export function createTable(_ids: readonly string[], _columns: Readonly<Record<string, Column>>): ColumnarTable {
  throw new Error('in work');
}

export function tableEquals(_left: ColumnarTable, _right: ColumnarTable): boolean {
  throw new Error('in work');
}
