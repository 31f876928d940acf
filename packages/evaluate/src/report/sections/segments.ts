import type { SegmentFigures } from '../../evaluation.js';
import { html, plain } from '../html.js';
import { countText, exact, figureCell } from '../numbers.js';
import type { Plots, SegmentRow } from '../plots.js';
import type { ReportView } from '../view.js';
import { details, figure, heads, legend, name, type Section, table } from './section.js';

const mostBars = 4;
/** Below so many customers a segment's figure is an anecdote. */
const fewCases = 30;

/** Who is served how well. */
export function segmentsSection(view: ReportView, plots: Plots): Section | undefined {
  const { series, k } = view;
  const all = new Map<string, Map<string, number>>();
  for (const { pipeline } of series)
    for (const { by, name: part, cases } of pipeline.segments) {
      const parts = all.get(by) ?? new Map<string, number>();
      all.set(by, parts.set(part, Math.max(cases, parts.get(part) ?? 0)));
    }
  if (all.size === 0) return undefined;
  const bars = view.few(mostBars);
  const find = (entry: (typeof series)[number], by: string, part: string): SegmentFigures | undefined =>
    entry.pipeline.segments.find((segment) => segment.by === by && segment.name === part);
  const titleOf = (by: string): string => (by === 'history' ? 'what the shop knows about them' : plain(by));
  const hasFew = [...all.values()].some((parts) => [...parts.values()].some((cases) => cases < fewCases));
  return {
    id: 'segments',
    title: 'Who is served how well',
    body: html`<p>Share of customers with a right product among ${k}, by groups; the thin line on a bar is its 95 % interval. ${
      hasFew && html`Groups of fewer than ${fewCases} customers say little, as their long lines show.`
    } ${bars.length < series.length && html`The bars show ${bars.length} of ${series.length} pipelines, the tables all.`}</p>
${legend(bars, plots)}
<div class="plots">${[...all].map(([by, parts]) => {
      const rows = [...parts].map(
        ([part, cases]): SegmentRow => ({
          label: part,
          cases,
          bars: bars.flatMap((entry) => {
            const segment = find(entry, by, part);
            return segment === undefined ? [] : [{ series: entry, figure: segment.hitRate }];
          }),
        }),
      );
      return figure(
        plots.segments(rows, 'share'),
        html`<b>By ${name(titleOf(by))}.</b> ${by === 'history' && 'Cold, warm and heavy: few, some, many different products before the questions.'}`,
      );
    })}</div>
${details(
  'The groups as tables, with NDCG and recall',
  [...all].map(([by, parts], place) =>
    (
      [
        ['hitRate', 'Customers with a right product', 'share'],
        ['ndcg', `NDCG@${k}`, 'figure'],
        ['recall', `Recall@${k}`, 'share'],
      ] as const
    ).map(([metric, label, kind]) =>
      table(
        `segments-${place}-${metric}`,
        html`${label} by ${name(titleOf(by))}`,
        [html`group`, html`cases`, ...heads(view)],
        [...parts].map(([part, cases]) => [
          name(plain(part)),
          exact(cases, countText(cases)),
          ...series.map((entry) => figureCell(find(entry, by, part)?.[metric], kind)),
        ]),
        'numbers compact',
      ),
    ),
  ),
)}`,
  };
}
