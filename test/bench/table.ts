import { isSkipped, type Outcome, showBound, showNumber, verdictOf } from './goal.js';
import type { Growth, GrowthSeries } from './growth.js';

/** The outcomes as aligned lines for a terminal. */
export function tableOf(outcomes: readonly Outcome[]): string {
  const lines: string[][] = [['', 'what', 'figure', 'goal', '', 'limit kernel or peer']];
  for (const outcome of outcomes) {
    if (isSkipped(outcome)) {
      lines.push([outcome.goal, outcome.name, '–', '–', verdictOf(outcome), outcome.skipped]);
      continue;
    }
    const { goal, name, figure, unit, bound, limit } = outcome;
    lines.push([
      goal,
      name,
      `${showNumber(figure)} ${unit}`,
      showBound(bound),
      bound === undefined ? '' : verdictOf(outcome),
      limit === undefined ? '' : `${showNumber(limit.value)} ${limit.unit} (${limit.name})`,
    ]);
  }
  return align(lines);
}

/** The growth as aligned lines for a terminal. */
export function growthLines(growth: Growth): string {
  const rows = (title: string, series: readonly GrowthSeries[]): string[][] =>
    series.map((one) => [title, one.name, ...one.points.map((point) => showNumber(point.value)), `× ${showNumber(growthFactor(one))}`]);
  return align([
    ['users', '', ...growth.users.map((size) => size.users.toLocaleString('en-GB')), ''],
    ...rows('fit, s CPU', growth.fits),
    ...rows('request, ms CPU', growth.requests),
    ['items', '', ...growth.items.map((size) => size.items.toLocaleString('en-GB')), ''],
    ...rows('fit, s CPU', growth.itemFits),
  ]);
}

/** Last value over first. */
export function growthFactor(series: GrowthSeries): number {
  return (series.points.at(-1)?.value ?? Number.NaN) / (series.points[0]?.value ?? Number.NaN);
}

function align(lines: readonly (readonly string[])[]): string {
  const widths: number[] = [];
  for (const line of lines) for (const [column, cell] of line.entries()) widths[column] = Math.max(widths[column] ?? 0, cell.length);
  return lines
    .map((line) =>
      line
        .map((cell, column) => cell.padEnd(widths[column] ?? 0))
        .join('  ')
        .trimEnd(),
    )
    .join('\n');
}
