import type { RankingFigures } from '../../evaluation.js';
import { html } from '../html.js';
import { durationText, exact, figureCell, isNumber, metricFacts } from '../numbers.js';
import type { ReportView } from '../view.js';
import { heads, type Section, table } from './section.js';

/** Every figure with its interval. */
export function figuresSection(view: ReportView): Section {
  const { series, k } = view;
  const facts = Object.entries(metricFacts(k)) as [keyof RankingFigures, ReturnType<typeof metricFacts>['ndcg']][];
  const present = facts.filter(([key]) => series.some(({ pipeline }) => pipeline.figures[key] !== undefined));
  const rows = present.map(([key, { label, meaning, kind }]) => {
    const means = series.map(({ pipeline }) => pipeline.figures[key]?.mean);
    const highest = Math.max(...means.filter(isNumber));
    return [
      html`${label}<span class="meaning">${meaning}</span>`,
      ...series.map(({ pipeline }, place) => {
        const cell = figureCell(pipeline.figures[key], kind);
        return series.length > 1 && means[place] === highest ? html`<span class="highest">${cell}</span>` : cell;
      }),
    ];
  });
  const seconds = (key: 'fit' | 'ask', label: string, meaning: string) => [
    html`${label}<span class="meaning">${meaning}</span>`,
    ...series.map(({ pipeline }) =>
      pipeline.milliseconds[key] === 0
        ? html`<span class="missing">none</span>`
        : exact(pipeline.milliseconds[key], durationText(pipeline.milliseconds[key])),
    ),
  ];
  return {
    id: 'figures',
    title: 'All figures',
    body: html`<p>Means over customers. Below each its 95 % interval: of twenty such intervals, from other customers of the same shop, nineteen would hold the true mean. ${
      view.evaluation.comparisons.length > 0 &&
      html`The highest of a row is bold, which says nothing about chance: see <a href="#differences">Differences</a>.`
    }</p>
${table(
  'figures-table',
  `Ranking quality of lists of ${k}, with 95 % intervals`,
  [html`figure`, ...heads(view)],
  [
    ...rows,
    seconds('fit', 'Time to fit', 'On the machine that measured.'),
    seconds('ask', 'Time to ask', 'For all customers, the full catalogue ranked.'),
  ],
  'numbers meanings',
)}`,
  };
}
