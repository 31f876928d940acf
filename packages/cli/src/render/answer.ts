import type { Answer, AnswerItem, AttributeValue, Pipeline, RecommendRequest } from '@recloom/core';
import { warningLines } from '../report-error.js';
import { formatCount, formatCountOf, formatDuration, formatInstant, formatScore } from './format.js';
import type { Style } from './style.js';
import { heading, renderTable, type TableColumn } from './table.js';
import { printable, wrap } from './text.js';

/** A table of items, best first; with explanations, the reason of each and below it where it came from. */
export interface ItemTableOptions {
  readonly style: Style;
  /** Name of the field that is an item's title. */
  readonly title: string;
  /** Adds the sources, scores and value of each item that has an explanation. Default true. */
  readonly details?: boolean;
  /** Marks before the items, e.g. what changed; by place. */
  readonly marks?: readonly string[];
}

/** Lines for the items of an answer. */
export function itemLines(items: readonly AnswerItem[], options: ItemTableOptions): string[] {
  const { style, title, marks } = options;
  const fields = [...new Set(items.flatMap((item) => Object.keys(item.attributes)))].filter((field) => field !== title);
  const hasTitle = items.some((item) => item.attributes[title] != null);
  const columns: TableColumn[] = [
    { header: '', align: 'right', paint: style.dim },
    ...(marks === undefined ? [] : [{ header: '', paint: style.green }]),
    { header: 'item', paint: style.cyan },
    ...(hasTitle ? [{ header: title, narrow: 'cut', paint: style.bold } as const] : []),
    ...fields.map((field): TableColumn => {
      const isNumber = items.every((item) => item.attributes[field] == null || typeof item.attributes[field] === 'number');
      return isNumber ? { header: field, align: 'right' } : { header: field, narrow: 'cut' };
    }),
  ];
  const decimals = new Map(fields.map((field) => [field, decimalsOf(items.map((item) => item.attributes[field]))]));
  const lines = renderTable(
    columns,
    items.map((item, place) => [
      String(place + 1),
      ...(marks === undefined ? [] : [marks[place] ?? '']),
      printable(item.id),
      ...(hasTitle ? [attributeText(item.attributes[title], 0)] : []),
      ...fields.map((field) => attributeText(item.attributes[field], decimals.get(field) ?? 0)),
    ]),
    { style },
  );
  const [header, ...rows] = lines;
  const indent = ' '.repeat(4 + String(items.length).length);
  return [
    header as string,
    ...items.flatMap((item, place) => [
      rows[place] as string,
      ...(item.reason === undefined ? [] : wrap(printable(item.reason), style.width, indent)),
      ...(options.details === false || item.explanation === undefined ? [] : wrap(detailOf(item), style.width, indent).map(style.dim)),
    ]),
  ];
}

/** Numbers of one column are shown with the same number of decimals, so that they line up. */
function decimalsOf(values: readonly (AttributeValue | undefined)[]): number {
  const numbers = values.filter((value) => typeof value === 'number');
  return Math.min(4, Math.max(0, ...numbers.map((value) => (String(value).split('.')[1] ?? '').length)));
}

function attributeText(value: AttributeValue | undefined, decimals: number): string {
  if (value === null || value === undefined) return '';
  if (typeof value === 'number') return value.toFixed(decimals);
  if (typeof value === 'boolean') return value ? 'yes' : 'no';
  return printable(typeof value === 'string' ? value : value.join(', '));
}

function detailOf(item: AnswerItem): string {
  const explanation = item.explanation;
  if (explanation === undefined) return '';
  const sources = explanation.sources.map(({ name, rank }) => `${name} #${rank}`).join(', ');
  const scores = Object.entries(explanation.scores)
    .map(([name, score]) => `${name.replace(/^score\./, '')} ${formatScore(score)}`)
    .join(', ');
  const rankers = explanation.rankers.map(({ name, place }) => `${name} → ${place}`).join(', ');
  return [
    sources === '' ? 'from the overflow' : `from ${sources}`,
    ...(scores === '' ? [] : [`scores ${scores}`]),
    `value ${formatScore(explanation.value.result)} (place ${explanation.value.place})`,
    ...(rankers === '' ? [] : [rankers]),
  ].join(' · ');
}

/** Who asked for what, for a heading. */
function titleOfRequest(answer: Answer, request: RecommendRequest): string {
  const about = [
    ...(request.text === undefined ? [] : [`“${printable(request.text)}”`]),
    ...(request.image === undefined ? [] : ['a picture']),
    ...(request.item === undefined ? [] : [`item ${printable(request.item)}`]),
    ...(request.items === undefined ? [] : [formatCountOf(request.items.length, 'item')]),
    ...(request.user === undefined ? [] : [`user ${printable(request.user)}`]),
    ...(request.session === undefined ? [] : [`a session of ${formatCountOf(request.session.length, 'event')}`]),
  ];
  return `${answer.surface}${about.length === 0 ? '' : ` for ${about.join(', ')}`}`;
}

/** A whole answer for a person: items, what stood in the way, and what it rests on. */
export function answerLines(
  answer: Answer,
  request: RecommendRequest,
  pipeline: Pipeline,
  style: Style,
  marks?: readonly string[],
): string[] {
  const { engine } = pipeline;
  const lines = [
    style.bold(titleOfRequest(answer, request)) + (answer.personalised ? `  ${style.green('personalised')}` : ''),
    '',
    ...(answer.items.length === 0
      ? ['  Nothing was found.', ...ledgerLines(answer, style)]
      : itemLines(answer.items, {
          style,
          title: engine.plan.loaded.config.data.title,
          ...(marks === undefined ? {} : { marks }),
        })),
    ...(request.explain === true && answer.items.length > 0 ? ledgerLines(answer, style) : []),
    '',
    ...requestWarningLines(answer, style),
  ];
  const known = request.user !== undefined && engine.users.rowOf(request.user) >= 0;
  if (request.user !== undefined && !known)
    lines.push(...wrap('The user is not in this snapshot: treated as a new one.', style.width, '  '));
  else if (known && !answer.personalised) {
    lines.push(
      ...wrap(
        (request.purposes ?? []).length === 0
          ? 'Nothing that is known about the user was read: the request grants no purpose. If they agreed, add --purpose personalisation.'
          : 'Nothing that is known about the user was read: no purpose of the request opened it, or no component asked for it.',
        style.width,
        '  ',
      ),
    );
  }
  const total = answer.timings.reduce((sum, timing) => sum + timing.milliseconds, 0);
  const facts = [
    `${formatCount(answer.items.length)} of ${formatCountOf(answer.ledger.scored, 'candidate')}`,
    formatDuration(total),
    `now ${formatInstant(answer.asOfMs)}`,
    `snapshot ${answer.snapshotId}`,
  ];
  lines.push(style.dim(`  ${facts.join(' · ')}`));
  return lines;
}

/** Warnings of an answer; what consent left out is one line. */
export function requestWarningLines(answer: Pick<Answer, 'warnings'>, style: Style): string[] {
  const refused = answer.warnings.filter((warning) => warning.code === 'RECLOOM_PRV_NOT_GRANTED');
  const others = answer.warnings.filter((warning) => warning.code !== 'RECLOOM_PRV_NOT_GRANTED');
  const names = [...new Set(refused.flatMap((warning) => (warning.at?.node === undefined ? [] : [warning.at.node])))];
  return [
    ...warningLines(others, style),
    ...(refused.length === 0
      ? []
      : wrap(`! Without consent ${names.join(', ')} did not run: what they read was not granted.`, style.width, '    ', '  ').map(
          style.yellow,
        )),
  ];
}

/** How many candidates each stage saw. */
export function ledgerLines(answer: Answer, style: Style): string[] {
  const { proposed, merged, removed, scored } = answer.ledger;
  return [
    ...heading('Candidates', style),
    ...renderTable(
      [{ header: 'stage' }, { header: '', paint: style.cyan }, { header: 'items', align: 'right' }],
      [
        ...Object.entries(proposed).map(([name, count]) => ['proposed by', name, formatCount(count)]),
        ['merged', '', formatCount(merged)],
        ...removed.map((entry) => ['removed by', `${entry.filter} (${entry.reason})`, formatCount(entry.count)]),
        ['scored', '', formatCount(scored)],
        ['shown', '', formatCount(answer.items.length)],
      ],
      { style, headers: false },
    ),
  ];
}
