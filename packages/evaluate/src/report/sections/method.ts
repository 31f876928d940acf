import type { EvaluationWarning } from '../../evaluation.js';
import { type Html, html, plain } from '../html.js';
import { countOf, countText, exact } from '../numbers.js';
import type { ReportView } from '../view.js';
import { details, name, type Section, table } from './section.js';

/** How it was measured and how to measure it again. */
export function methodSection(view: ReportView): Section {
  const { evaluation, contenders, k } = view;
  const { split } = evaluation;
  const software = Object.entries(evaluation.software ?? {});
  const facts: readonly (readonly [string, Html | string | undefined])[] = [
    ['Shop', name(plain(evaluation.shop))],
    ['Measured', html`<time datetime="${evaluation.createdAt}">${instant(evaluation.createdAt)}</time>`],
    [
      'Split',
      html`${plain(split.summary)} <span class="meaning">${plain(split.kind)}${split.cut !== undefined && `, cut ${instant(split.cut)}`}</span>`,
    ],
    [
      'Lists',
      html`${countOf(k, 'product')}, chosen from the full catalogue; nothing is sampled. What a customer has already is not asked for.`,
    ],
    ['Seeds', split.seeds === undefined ? 'none: the split holds nothing random' : split.seeds.join(', ')],
    ['Intervals', '95 %, percentiles of a bootstrap over customers; differences are paired by customer.'],
    [
      'Software',
      software.length === 0
        ? undefined
        : html`<ul class="plain">${software.map(([part, version]) => html`<li>${plain(part)} ${plain(version)}</li>`)}</ul>`,
    ],
    ['Repeat it', view.command === undefined ? undefined : html`<code class="command">${plain(view.command)}</code>`],
  ];
  return {
    id: 'method',
    title: 'How it was measured',
    body: html`<dl class="facts">${facts.map(([term, text]) => text !== undefined && html`<div><dt>${term}</dt><dd>${text}</dd></div>`)}</dl>
${table(
  'pipelines-table',
  'The pipelines',
  ['name', 'file', 'surface', 'questions', 'config hash (SHA-256)'],
  view.series.map(({ label, pipeline, isBaseline }) => [
    name(isBaseline ? label : plain(pipeline.name) || label),
    pipeline.file === undefined ? '' : name(plain(pipeline.file)),
    pipeline.surface === undefined ? '' : name(plain(pipeline.surface)),
    countOf(pipeline.cases, 'question'),
    pipeline.configHash === undefined
      ? isBaseline && 'what most customers took, minus what each has'
      : html`<code>${pipeline.configHash}</code>`,
  ]),
)}
${table(
  'split-table',
  split.reports.length === 1 ? 'What was learned from and what was asked' : 'What was learned from and what was asked, by repetition',
  ['repetition', 'training customers', 'training products', 'training pairs', 'test customers', 'test pairs', 'left out'],
  split.reports.map((report, place) => [
    `${place + 1}`,
    exact(report.trainUsers, countText(report.trainUsers)),
    exact(report.trainItems, countText(report.trainItems)),
    exact(report.trainPairs, countText(report.trainPairs)),
    exact(report.testUsers, countText(report.testUsers)),
    exact(report.testPairs, countText(report.testPairs)),
    report.dropped.length === 0
      ? 'nothing'
      : html`<ul class="plain">${report.dropped.map(({ what, count, reason }) => html`<li>${countOf(count, what.slice(0, -1))}: ${plain(reason)}</li>`)}</ul>`,
  ]),
  'numbers compact',
)}
${(contenders.length > 1 || undefined) && html`<p class="note">Choosing among configs by these figures uses the test up: choose on an earlier month, and look at the test once.</p>`}
<p class="note">Such figures reward showing what people would have found anyway. They tell a broken pipeline from a working one; which of two working ones sells more, only an A/B test tells.</p>
${warnings(view, evaluation.warnings ?? [])}`,
  };
}

function warnings(view: ReportView, found: readonly EvaluationWarning[]): Html | false {
  if (found.length === 0) return false;
  return details(
    html`${countOf(found.length, 'warning')} while it was measured`,
    table(
      'warnings-table',
      'Warnings',
      ['code', 'pipeline', 'component', 'what', 'answers'],
      found.map(({ code, message, pipeline, node, times }) => [
        html`<code>${code}</code>`,
        pipeline === undefined ? 'all' : name(view.labelOf(pipeline)),
        node === undefined ? '' : name(plain(node)),
        plain(message),
        countText(times),
      ]),
    ),
  );
}

/** `2011-11-09 08:30 UTC`; a date alone at midnight. */
export function instant(iso: string): string {
  const match = /^(\d{4}-\d{2}-\d{2})T(\d{2}:\d{2})/.exec(iso);
  if (match === null) return plain(iso);
  return match[2] === '00:00' ? (match[1] as string) : `${match[1]} ${match[2]} UTC`;
}
