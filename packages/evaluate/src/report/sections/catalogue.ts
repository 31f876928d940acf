import type { CatalogueFigures } from '../../evaluation.js';
import { html } from '../html.js';
import { exact, missing, numberText } from '../numbers.js';
import type { Plots } from '../plots.js';
import type { ReportView } from '../view.js';
import { figure, heads, keys, type Section, table } from './section.js';

interface Row {
  readonly label: string;
  readonly meaning: string;
  readonly value: (catalogue: CatalogueFigures) => number | undefined;
  readonly text: (value: number) => string;
}

const share = (value: number): string => numberText(value, 'share');
const decimals = (value: number): string => numberText(value, 'amount');

/** What the lists are like besides right or wrong. */
export function catalogueSection(view: ReportView, plots: Plots): Section {
  const { series, k } = view;
  const rows: readonly Row[] = [
    {
      label: 'Products shown to anybody',
      meaning: 'Share of the catalogue in at least one list.',
      value: ({ coverage }) => coverage,
      text: share,
    },
    {
      label: 'Concentration (Gini)',
      meaning: '0: every product is shown equally often; 1: one product gets every place.',
      value: ({ gini }) => gini,
      text: decimals,
    },
    {
      label: 'Novelty',
      meaning: 'How unknown what is shown is, in bits: one more when half as many customers have it.',
      value: ({ novelty }) => novelty,
      text: decimals,
    },
    {
      label: 'Popularity lift',
      meaning: 'How much more popular the lists are than what customers had themselves.',
      value: ({ popularityLift }) => popularityLift,
      text: (value) => (value > 0 ? '+' : '') + share(value),
    },
    {
      label: 'Bestsellers shown',
      meaning: 'From the products that make up the first fifth of all purchases.',
      value: ({ popularityShares }) => popularityShares.head,
      text: share,
    },
    {
      label: 'Middle shown',
      meaning: 'From those that make up the next three fifths.',
      value: ({ popularityShares }) => popularityShares.middle,
      text: share,
    },
    {
      label: 'Long tail shown',
      meaning: 'From those that make up the last fifth.',
      value: ({ popularityShares }) => popularityShares.tail,
      text: share,
    },
    {
      label: 'Hits bestsellers would miss',
      meaning: `Right products that the bestseller list of ${k} would not have shown, per place.`,
      value: ({ serendipity }) => serendipity,
      text: share,
    },
    {
      label: 'New products',
      meaning: 'Share of what is shown that first appeared in the last 30 days of training.',
      value: ({ newItemShare }) => newItemShare,
      text: share,
    },
    {
      label: 'Diversity of a list',
      meaning: 'Mean distance of two products of a list by category: 0 all alike, 1 all different.',
      value: ({ intraListDiversity }) => intraListDiversity,
      text: decimals,
    },
  ];
  const present = rows.filter(({ value }) => series.some(({ pipeline }) => value(pipeline.catalogue) !== undefined));
  return {
    id: 'catalogue',
    title: 'What the lists are like',
    body: html`<p>Right products are not all: a shop also wants its catalogue seen. Of all purchases about a fifth are bestsellers, three fifths the middle and a fifth the long tail; the bar shows how the places of the lists are shared out among them.</p>
<div class="plots one">${figure(
      html`${keys([
        ['var(--head)', 'bestsellers'],
        ['var(--middle)', 'middle'],
        ['var(--tail)', 'long tail'],
      ])}${plots.stacked(
        series.map(({ label, pipeline: { catalogue } }) => ({
          label,
          parts: [
            { share: catalogue.popularityShares.head, colour: 'var(--head)', ink: 'var(--head-ink)' },
            { share: catalogue.popularityShares.middle, colour: 'var(--middle)', ink: 'var(--middle-ink)' },
            { share: catalogue.popularityShares.tail, colour: 'var(--tail)', ink: 'var(--tail-ink)' },
          ],
        })),
      )}`,
      html`<b>What is shown, by how well it sells.</b>`,
    )}</div>
${table(
  'catalogue-table',
  'Beyond accuracy: what the lists are like',
  [html`figure`, ...heads(view)],
  present.map(({ label, meaning, value, text }) => [
    html`${label}<span class="meaning">${meaning}</span>`,
    ...series.map(({ pipeline }) => {
      const found = value(pipeline.catalogue);
      return found === undefined ? missing() : exact(found, text(found));
    }),
  ]),
  'numbers meanings',
)}`,
  };
}
