import type { MetricCurves } from '../../evaluation.js';
import { type Html, html } from '../html.js';
import { exact, isNumber, numberText } from '../numbers.js';
import type { CurveLine, Plots } from '../plots.js';
import type { ReportView, Series } from '../view.js';
import { details, figure, legend, name, type Section, table } from './section.js';

type Metric = Exclude<keyof MetricCurves, 'at'>;

const shown = [
  ['hitRate', 'Customers with a right product', 'share', 'How many customers find something when more is shown.'],
  ['ndcg', 'NDCG', 'figure', 'How well right products stand at the top.'],
  ['recall', 'Recall', 'share', 'How much of what customers took is in the list.'],
  ['precision', 'Precision', 'share', 'How much of the list customers took.'],
] as const satisfies readonly (readonly [Metric, string, 'share' | 'figure', string])[];

/** Figures by the length of the list, and precision over recall. */
export function curvesSection(view: ReportView, plots: Plots): Section | undefined {
  const { series, lead } = view;
  const lengths = [...new Set(series.flatMap(({ pipeline }) => pipeline.curves.at))].sort((left, right) => left - right);
  if (lengths.length < 2) return undefined;
  const lineOf =
    (metric: Metric) =>
    (entry: Series): CurveLine => ({
      series: entry,
      points: entry.pipeline.curves.at.flatMap((at, place) => {
        const y = entry.pipeline.curves[metric][place];
        return isNumber(y) ? [{ x: at, y, at }] : [];
      }),
    });
  const trade = series.map((entry): CurveLine => {
    const { at, precision, recall } = entry.pipeline.curves;
    return {
      series: entry,
      points: at.flatMap((length, place) => {
        const [x, y] = [recall[place], precision[place]];
        return isNumber(x) && isNumber(y) ? [{ x, y, at: length }] : [];
      }),
    };
  });
  const hasPoints = (lines: readonly CurveLine[]): boolean => lines.some(({ points }) => points.length > 0);
  const plotted = shown.flatMap(([metric, title, kind, meaning]): Html[] => {
    const lines = series.map(lineOf(metric));
    return metric !== 'precision' && hasPoints(lines)
      ? [figure(plots.lengthCurves(lines, kind), html`<b>${title}</b> by number of products shown. ${meaning}`)]
      : [];
  });
  const tables = shown.map(([metric, title, kind]) =>
    table(
      `curve-${metric}`,
      `${title} by number of products shown`,
      ['pipeline', ...lengths.map((length) => `@${length}`)],
      series.map(({ pipeline: { curves }, label }) => [
        name(label),
        ...lengths.map((length) => {
          const place = curves.at.indexOf(length);
          return place < 0 ? '' : exact(curves[metric][place], numberText(curves[metric][place], kind));
        }),
      ]),
      'numbers compact',
    ),
  );
  return {
    id: 'curves',
    title: 'How many products to show',
    body: html`${legend(series, plots)}
<div class="plots">${plotted}${
      hasPoints(trade) &&
      figure(
        plots.precisionRecall(trade, lead),
        html`<b>Precision over recall.</b> A longer list finds more and is less to the point; the further up and to the right the better. @10 is a list of 10.`,
      )
    }</div>
${details('The curves as tables', tables)}`,
  };
}
