import type { Style } from './style.js';
import { displayWidth, pad, truncate, wrap } from './text.js';

/** One column of a table. */
export interface TableColumn {
  readonly header: string;
  readonly align?: 'left' | 'right';
  /** What happens when the table is too wide: `cut` with an ellipsis or `wrap` to more lines. Default: it keeps its width. */
  readonly narrow?: 'cut' | 'wrap';
  /** Colour of its cells, applied after they were filled up. */
  readonly paint?: (text: string) => string;
}

export interface TableOptions {
  readonly style: Style;
  /** Before every line. Default two blanks. */
  readonly indent?: string;
  /** Default: headers are shown when one of them is not empty. */
  readonly headers?: boolean;
}

const gap = '  ';
/** Room for the word `popularity`. */
const narrowest = 10;

/**
 * Lines of a table whose columns line up, no wider than the style's width where its columns can give way. Cells are plain
 * text; colours come from the columns. Lines have no blanks at their end.
 */
export function renderTable(columns: readonly TableColumn[], rows: readonly (readonly string[])[], options: TableOptions): string[] {
  const { style } = options;
  const indent = options.indent ?? '  ';
  const widths = columns.map((column, index) =>
    Math.max(displayWidth(column.header), ...rows.map((row) => displayWidth(row[index] ?? ''))),
  );
  let excess = indent.length + widths.reduce((sum, width) => sum + width + gap.length, -gap.length) - style.width;
  while (excess > 0) {
    let widest = -1;
    for (const [index, column] of columns.entries()) {
      if (column.narrow === undefined || (widths[index] as number) <= narrowest) continue;
      if (widest < 0 || (widths[index] as number) > (widths[widest] as number)) widest = index;
    }
    if (widest < 0) break;
    widths[widest] = (widths[widest] as number) - 1;
    excess--;
  }
  const lines: string[] = [];
  const line = (cells: readonly string[], paint: (index: number, text: string) => string): void => {
    const text = cells.map((cell, index) => paint(index, pad(cell, widths[index] as number, columns[index]?.align)));
    // Blanks at the end of a line are lost when a cell is empty or the last is left-aligned; colours hide them from trimEnd.
    lines.push((indent + text.join(gap)).replace(/(?: |\u001b\[[0-9;]*m)+$/, (end) => end.replaceAll(' ', '')));
  };
  if (options.headers ?? columns.some((column) => column.header !== '')) {
    line(
      columns.map((column) => column.header),
      (_, text) => style.dim(text),
    );
  }
  for (const row of rows) {
    const cells = columns.map((column, index) => {
      const cell = row[index] ?? '';
      const width = widths[index] as number;
      if (displayWidth(cell) <= width) return [cell];
      if (column.narrow === 'wrap') return wrap(cell, width).map((part) => truncate(part, width));
      return [column.narrow === 'cut' ? truncate(cell, width) : cell];
    });
    const height = Math.max(...cells.map((parts) => parts.length));
    for (let part = 0; part < height; part++) {
      line(
        cells.map((parts) => parts[part] ?? ''),
        (index, text) => columns[index]?.paint?.(text) ?? text,
      );
    }
  }
  return lines;
}

/** A heading with an empty line before it. */
export function heading(text: string, style: Style, note?: string): string[] {
  return ['', style.bold(text) + (note === undefined ? '' : `  ${style.dim(note)}`)];
}

/** A share in [0, 1] as a bar of `width` characters. */
export function bar(share: number, width: number): string {
  const filled = Math.round(Math.min(1, Math.max(0, share)) * width);
  return '█'.repeat(filled) + '░'.repeat(width - filled);
}
