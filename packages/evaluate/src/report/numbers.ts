import type { Figure, RankingFigures } from '../evaluation.js';
import { type Html, html } from './html.js';

/** How a figure is read: `share` as per cent, `figure` with four decimals, `amount` with two. */
export type NumberKind = 'share' | 'figure' | 'amount';

/** What a metric is called and what it means to somebody who never heard of it. */
export interface MetricFacts {
  readonly label: string;
  readonly meaning: string;
  readonly kind: NumberKind;
}

/** Facts of the metrics at length `k`, in the order to be shown. */
export function metricFacts(k: number): Readonly<Record<keyof RankingFigures, MetricFacts>> {
  const list = k === 1 ? 'the one product shown' : `the ${k} products shown`;
  return {
    hitRate: { label: 'Customers with a right product', meaning: `Share of customers who took at least one of ${list}.`, kind: 'share' },
    ndcg: {
      label: `NDCG@${k}`,
      meaning: 'How many right products are shown, and how near the top: 1 is a perfect list, 0 holds none. The figure to decide by.',
      kind: 'figure',
    },
    recall: { label: `Recall@${k}`, meaning: `Share of what a customer went on to take that is among ${list}.`, kind: 'share' },
    precision: { label: `Precision@${k}`, meaning: `Share of ${list} that the customer took.`, kind: 'share' },
    f1: { label: `F1@${k}`, meaning: 'Precision and recall in one number (harmonic mean).', kind: 'figure' },
    map: {
      label: `MAP@${k}`,
      meaning: 'Precision at every right product, averaged: rewards right products that come early and together.',
      kind: 'figure',
    },
    mrr: {
      label: `MRR@${k}`,
      meaning: 'How early the first right product comes: 1 is the first place, .5 the second, .1 the tenth.',
      kind: 'figure',
    },
    gradedNdcg: { label: `Graded NDCG@${k}`, meaning: 'NDCG where a product that was bought more counts more.', kind: 'figure' },
    revenue: {
      label: 'Value of right products',
      meaning: 'Summed prices of the right products of a list, in the catalogue’s currency.',
      kind: 'amount',
    },
  };
}

const counts = new Intl.NumberFormat('en-US', { maximumFractionDigits: 0 });
const absent = '–';
const minus = '−';

/** Whether there is a number: what could not be measured is NaN, and null after a way through JSON. */
export function isNumber(value: number | null | undefined): value is number {
  return typeof value === 'number' && Number.isFinite(value);
}

/** `1,003`. */
export function countText(value: number): string {
  return isNumber(value) ? counts.format(value) : absent;
}

/** `1 customer`, `1,003 customers`. */
export function countOf(value: number, singular: string, plural = `${singular}s`): string {
  return `${countText(value)} ${value === 1 ? singular : plural}`;
}

/** `.1155`, `52.4 %`, `2.81`; a dash for what is no number. */
export function numberText(value: number | null | undefined, kind: NumberKind): string {
  if (!isNumber(value)) return absent;
  return value < 0 ? minus + positive(-value, kind) : positive(value, kind);
}

/** `+.0789`, `−5.0 points`: a difference, shares in points of a per cent. */
export function differenceText(value: number | null | undefined, kind: NumberKind): string {
  if (!isNumber(value)) return absent;
  const sign = value < 0 ? minus : value > 0 ? '+' : '';
  return sign + (kind === 'share' ? `${(Math.abs(value) * 100).toFixed(1)} points` : positive(Math.abs(value), kind));
}

/** `52 %` for sentences; less than a tenth keeps a decimal. */
export function roundShare(value: number | null | undefined): string {
  if (!isNumber(value)) return absent;
  const percent = value * 100;
  return `${percent === 0 || percent >= 9.95 ? Math.round(percent) : percent.toFixed(1)}\u00a0%`;
}

/** `< .001`, `.012`. */
export function pText(value: number | null | undefined): string {
  if (!isNumber(value)) return absent;
  return value < 0.001 ? '< .001' : withoutZero(value.toFixed(3));
}

/** `p < .001`, `p = .012`. */
export function pSentence(value: number | null | undefined): string {
  const text = pText(value);
  return text.startsWith('<') ? `p ${text}` : `p = ${text}`;
}

/** `0.4 s`, `38 s`, `3 min 05 s`. */
export function durationText(milliseconds: number): string {
  if (!isNumber(milliseconds)) return absent;
  if (milliseconds < 59_950) return `${(milliseconds / 1000).toFixed(milliseconds < 9950 ? 1 : 0)} s`;
  const seconds = Math.round(milliseconds / 1000);
  return `${Math.floor(seconds / 60)} min ${String(seconds % 60).padStart(2, '0')} s`;
}

/** `49.4 … 55.5 %`, `.1060 … .1253`. */
export function intervalText(
  { low, high }: Pick<Figure, 'low' | 'high'>,
  kind: NumberKind,
  text: (value: number, kind: NumberKind) => string = numberText,
): string {
  if (!isNumber(low) || !isNumber(high)) return absent;
  return `${text(low, kind).replace(/\u00a0%$| points$/, '')} … ${text(high, kind)}`;
}

/** A number as a person reads it, with the exact one behind it for machines. */
export function exact(value: number | null | undefined, text: string): Html {
  return isNumber(value) ? html`<data value="${String(value)}">${text}</data>` : missing();
}

/** A mean with its interval below, and the spread over repetitions where there are several. */
export function figureCell(figure: Figure | undefined, kind: NumberKind): Html {
  if (figure === undefined || !isNumber(figure.mean)) return missing();
  return html`${exact(figure.mean, numberText(figure.mean, kind))}<small>${intervalText(figure, kind)}</small>${
    figure.spread !== undefined && html`<small>spread ${exact(figure.spread, numberText(figure.spread, kind))}</small>`
  }`;
}

/** What stands where there is no number. */
export function missing(): Html {
  return html`<span class="missing"><span aria-hidden="true">–</span><span class="unseen">not measured</span></span>`;
}

function positive(value: number, kind: NumberKind): string {
  if (kind === 'share') return `${(value * 100).toFixed(1)}\u00a0%`;
  if (kind === 'amount') return value.toFixed(2);
  return withoutZero(value.toFixed(4));
}

function withoutZero(text: string): string {
  return text.replace(/^0\./, '.');
}
