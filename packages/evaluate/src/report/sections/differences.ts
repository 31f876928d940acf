import type { Comparison } from '../../evaluation.js';
import { html, shortened } from '../html.js';
import { countText, differenceText, exact, intervalText, isNumber, metricFacts, pText } from '../numbers.js';
import type { DifferenceRow, Plots } from '../plots.js';
import { type ReportView, verdictOf } from '../view.js';
import { figure, keys, name, type Section, table } from './section.js';

const words = { better: 'better', worse: 'worse', open: 'may be chance' } as const;

/** Every pipeline against the bestseller list and every later one against the first, around zero. */
export function differencesSection(view: ReportView, plots: Plots): Section | undefined {
  const { comparisons } = view.evaluation;
  if (comparisons.length === 0) return undefined;
  const facts = metricFacts(view.k);
  const metrics = [...new Set(comparisons.map(({ metric }) => metric))];
  const rowOf = (comparison: Comparison): DifferenceRow => ({
    label: `${shortened(view.labelOf(comparison.challenger), 17)} − ${shortened(view.labelOf(comparison.baseline), 17)}`,
    ...comparison.difference,
    adjustedPValue: comparison.adjustedPValue,
    verdict: verdictOf(comparison),
  });
  const isMeasured = ({ difference: { mean, low, high } }: Comparison): boolean => [mean, low, high].every(isNumber);
  return {
    id: 'differences',
    title: 'Differences',
    body: html`<p>Each customer’s list is compared with the same customer’s other list. ${
      comparisons.length === 1
        ? 'The bar is the 95 % interval of the difference; the p-value is that of a two-sided paired randomisation test.'
        : `Each bar is the 95 % interval of its difference alone. The p-value (two-sided paired randomisation test) is corrected by Holm’s method for all ${comparisons.length} comparisons of this page, the interval is not: a bar may stay clear of zero and yet be chance, one of so many.`
    } The p-value decides: below .05 other customers of the same shop would show a difference, too.</p>
${keys([
  ['var(--good)', '▲ better'],
  ['var(--bad)', '■ worse'],
  ['var(--baseline)', '● may be chance'],
])}
<div class="plots">${metrics.map((metric) => {
      const rows = comparisons.filter((comparison) => comparison.metric === metric && isMeasured(comparison)).map(rowOf);
      return (
        rows.length > 0 &&
        figure(plots.differences(rows, facts[metric].kind), html`${facts[metric].label}, differences with 95 % intervals`)
      );
    })}</div>
${table(
  'differences-table',
  'Differences per customer, with 95 % intervals and p after Holm',
  ['pipeline', 'against', 'figure', 'difference', '95 % interval', 'p', 'won', 'lost', 'equal', 'verdict'],
  comparisons.map((comparison) => {
    const { challenger, baseline, metric, difference, adjustedPValue, wins, losses, ties } = comparison;
    const { label, kind } = facts[metric];
    const verdict = verdictOf(comparison);
    return [
      name(view.labelOf(challenger)),
      name(view.labelOf(baseline)),
      label,
      exact(difference.mean, differenceText(difference.mean, kind)),
      intervalText(difference, kind, differenceText),
      exact(adjustedPValue, pText(adjustedPValue)),
      countText(wins),
      countText(losses),
      countText(ties),
      html`<span class="${verdict}">${words[verdict]}</span>`,
    ];
  }),
  'numbers compact',
)}`,
  };
}
