import type { Comparison } from '../../evaluation.js';
import { type Html, type HtmlPart, html } from '../html.js';
import {
  countOf,
  countText,
  differenceText,
  exact,
  intervalText,
  isNumber,
  metricFacts,
  missing,
  numberText,
  pSentence,
  roundShare,
} from '../numbers.js';
import { type ReportView, type Series, verdictOf } from '../view.js';
import { name } from './section.js';

/** The page's first sentence: who shows a right product to how many customers. */
export function headline(view: ReportView): Html {
  const { contenders, baseline, lead } = view;
  const shareOf = ({ pipeline }: Series): number => pipeline.figures.hitRate.mean;
  const share = (series: Series): Html => html`<strong>${exact(shareOf(series), roundShare(shareOf(series)))}</strong>`;
  if (!isNumber(shareOf(lead))) return html`How many customers would have seen a right product could not be measured`;
  const against = baseline !== undefined && isNumber(shareOf(baseline)) && html`; the bestseller list to ${share(baseline)}`;
  if (contenders.length === 1) {
    const who = baseline === undefined ? html`“${name(lead.label)}”` : html`Your pipeline`;
    return html`${who} shows a right product to ${share(lead)} of customers${against}`;
  }
  if (contenders.length > 3)
    return html`The best of ${contenders.length} pipelines, “${name(lead.label)}”, shows a right product to ${share(lead)} of customers${against}`;
  const others = contenders.filter((series) => series !== lead);
  return html`“${name(lead.label)}” shows a right product to ${share(lead)} of customers, ${others.map(
    (series, place) => html`${place > 0 && ' and '}“${name(series.label)}” to ${share(series)}`,
  )}${against}`;
}

/** What the page is about, what the differences come to, and the figures that a shop's manager looks at first. */
export function summary(view: ReportView): Html {
  const { k, lead, contenders } = view;
  const customers = lead.pipeline.users ?? lead.pipeline.cases;
  return html`<p class="lede">A right product is one that the customer went on to take and had not taken before. Measured on ${countOf(customers, 'customer')}, with ${countOf(k, 'product')} shown to each, chosen by what the shop knew before.</p>
${verdicts(view)}
${contenders.length > 1 && html`<p class="about">The figures of ${name(lead.label)}, the highest NDCG here:</p>`}
<div class="tiles">${tiles(view)}</div>
${
  contenders.length > 3 &&
  html`<p class="note">The highest of ${contenders.length} measured on the same customers is partly the luckiest: measure it again on a later month before believing its figure.</p>`
}`;
}

function verdicts(view: ReportView): Html | false {
  const comparisons = view.evaluation.comparisons.filter(({ metric }) => metric === 'ndcg');
  if (comparisons.length === 0) return false;
  const most = 6;
  const ordered = comparisons.length <= most ? comparisons : comparisons.filter(({ challenger }) => challenger === view.lead.pipeline.name);
  return html`<ul class="verdicts">${ordered.map((comparison) => verdict(view, comparison))}</ul>${
    ordered.length < comparisons.length &&
    html`<p class="note">All ${comparisons.length} comparisons: <a href="#differences">Differences</a>.</p>`
  }`;
}

const marks = { better: '▲', worse: '▼', open: '●' } as const;

function verdict(view: ReportView, comparison: Comparison): Html {
  const { challenger, baseline, difference, adjustedPValue, wins, losses, ties } = comparison;
  const found = verdictOf(comparison);
  const own = view.contenders.length === 1 ? html`Your pipeline` : name(view.labelOf(challenger));
  const other = baseline === view.baseline?.pipeline.name ? html`the bestseller list` : name(view.labelOf(baseline));
  const sentence: HtmlPart = {
    better: html`<strong>${own} is better than ${other}</strong>, by more than chance explains`,
    worse: html`<strong>${own} is worse than ${other}</strong>, by more than chance explains`,
    open: html`<strong>${own} and ${other} cannot be told apart</strong> by these customers`,
  }[found];
  return html`<li class="${found}"><span class="mark" aria-hidden="true">${marks[found]}</span><span>${sentence}: ${exact(
    difference.mean,
    differenceText(difference.mean, 'figure'),
  )} NDCG@${view.k} (95 % interval ${intervalText(difference, 'figure', differenceText)}, ${pSentence(adjustedPValue)}). ${countOf(
    wins,
    'customer',
  )} got a better list, ${countText(losses)} a worse one, ${countText(ties)} one as good.</span></li>`;
}

interface Tile {
  readonly label: string;
  readonly meaning: string;
  readonly value: (series: Series) => number;
  readonly text: (value: number) => string;
  readonly interval?: string;
}

function tiles(view: ReportView): readonly Html[] {
  const { k, lead } = view;
  const facts = metricFacts(k);
  const { figures } = lead.pipeline;
  const metric = (key: 'hitRate' | 'ndcg' | 'precision' | 'revenue'): readonly Tile[] => {
    const figure = figures[key];
    const { label, meaning, kind } = facts[key];
    if (figure === undefined) return [];
    return [
      {
        label,
        meaning,
        value: ({ pipeline }) => pipeline.figures[key]?.mean ?? Number.NaN,
        text: (value) => numberText(value, kind),
        interval: intervalText(figure, kind),
      },
    ];
  };
  const shown: readonly Tile[] = [
    ...metric('hitRate'),
    ...metric('ndcg'),
    ...metric('precision'),
    ...metric('revenue'),
    {
      label: 'Products shown to anybody',
      meaning: 'Share of the catalogue that at least one customer gets to see.',
      value: ({ pipeline }) => pipeline.catalogue.coverage,
      text: (value) => numberText(value, 'share'),
    },
  ];
  const others = view.few(3).filter((series) => series !== lead);
  return shown.map(
    ({ label, meaning, value, text, interval }) => html`<div class="tile"><h3>${label}</h3>
<p class="value">${exact(value(lead), text(value(lead)))}${interval !== undefined && isNumber(value(lead)) && html` <small>${interval}</small>`}</p>
${others.map((series) => html`<p class="other">${name(series.label)} ${isNumber(value(series)) ? exact(value(series), text(value(series))) : missing()}</p>`)}
<p class="meaning">${meaning}</p></div>`,
  );
}
