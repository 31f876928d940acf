import type { Comparison, Evaluation, EvaluationWarning, Figure, PipelineEvaluation } from '@recloom/evaluate';
import { formatCount, formatCountOf, formatDuration, formatFigure, formatP, formatShare, formatSigned } from './format.js';
import type { Style } from './style.js';
import { heading, renderTable, type TableColumn } from './table.js';
import { printable, wrap } from './text.js';

/** An evaluation for a person: the split, the figures with their intervals, and what they come to in words. */
export function evaluationLines(evaluation: Evaluation, style: Style): string[] {
  return [
    ...splitLines(evaluation, style),
    ...figureLines(evaluation, style),
    ...lengthLines(evaluation, style),
    ...listLines(evaluation, style),
    ...segmentLines(evaluation, style),
    ...funnelLines(evaluation, style),
    ...differenceLines(evaluation, style),
    ...verdictLines(evaluation, style),
    ...evaluationWarningLines(evaluation.warnings ?? [], style),
  ];
}

function formatInterval({ low, high }: Pick<Figure, 'low' | 'high'>, format: (value: number) => string = formatFigure): string {
  return `${format(low)} … ${format(high)}`;
}

function splitLines({ shop, k, split }: Evaluation, style: Style): string[] {
  const [report] = split.reports;
  const repeated = split.reports.length === 1 ? '' : `, first of ${split.reports.length} repetitions`;
  return [
    style.bold(`Quality at ${k}`) + style.dim(`  ${printable(shop)}, ${split.kind}`),
    ...wrap(split.summary, style.width, '  '),
    ...(report === undefined
      ? []
      : [
          '',
          `  training  ${formatCountOf(report.trainUsers, 'user')} × ${formatCountOf(report.trainItems, 'item')}, ${formatCountOf(report.trainPairs, 'pair')}${repeated}`,
          `  test      ${formatCountOf(report.testUsers, 'user')}, ${formatCountOf(report.testPairs, 'pair')} that ${report.testPairs === 1 ? 'is' : 'are'} new to them`,
          ...(report.dropped.length === 0
            ? []
            : wrap(
                report.dropped.map(({ count, what, reason }) => `${formatCountOf(count, what.slice(0, -1))} (${reason})`).join(', '),
                style.width,
                '            ',
                '  left out  ',
              )),
        ]),
  ];
}

function nameColumn(style: Style, header = ''): TableColumn {
  return { header, narrow: 'cut', paint: style.cyan };
}

function figureLines({ pipelines, k }: Evaluation, style: Style): string[] {
  const base = pipelines.at(-1);
  const right = (header: string, paint?: TableColumn['paint']): TableColumn => ({
    header,
    align: 'right',
    ...(paint === undefined ? {} : { paint }),
  });
  const hasRevenue = pipelines.some(({ figures }) => figures.revenue !== undefined);
  const hasGrades = pipelines.some(({ figures }) => figures.gradedNdcg !== undefined);
  const repeated = pipelines.some(({ figures }) => figures.ndcg.spread !== undefined);
  const ratio = (pipeline: PipelineEvaluation): string =>
    base === undefined || pipeline === base || base.figures.ndcg.mean === 0
      ? ''
      : `${(pipeline.figures.ndcg.mean / base.figures.ndcg.mean).toFixed(2)} ×`;
  return [
    ...heading('Figures', style, 'means over users, with 95 % intervals'),
    ...renderTable(
      [
        nameColumn(style),
        right(`NDCG@${k}`, style.bold),
        right('95 %', style.dim),
        ...(repeated ? [right('spread', style.dim)] : []),
        right(`recall@${k}`),
        right('any hit'),
        right('NDCG ratio', style.green),
      ],
      pipelines.map((pipeline) => [
        printable(pipeline.name),
        formatFigure(pipeline.figures.ndcg.mean),
        formatInterval(pipeline.figures.ndcg),
        ...(repeated ? [pipeline.figures.ndcg.spread === undefined ? '' : formatFigure(pipeline.figures.ndcg.spread)] : []),
        formatFigure(pipeline.figures.recall.mean),
        formatShare(pipeline.figures.hitRate.mean),
        ratio(pipeline),
      ]),
      { style },
    ),
    '',
    ...renderTable(
      [
        nameColumn(style),
        right('precision'),
        right('F1'),
        right('MAP'),
        right('MRR'),
        ...(hasGrades ? [right('graded')] : []),
        ...(hasRevenue ? [right('revenue')] : []),
        right('fit'),
        right('ask'),
      ],
      pipelines.map(({ name, figures, milliseconds }) => [
        printable(name),
        formatFigure(figures.precision.mean),
        formatFigure(figures.f1.mean),
        formatFigure(figures.map.mean),
        formatFigure(figures.mrr.mean),
        ...(hasGrades ? [figures.gradedNdcg === undefined ? '' : formatFigure(figures.gradedNdcg.mean)] : []),
        ...(hasRevenue ? [figures.revenue === undefined ? '' : figures.revenue.mean.toFixed(2)] : []),
        milliseconds.fit === 0 ? '' : formatDuration(milliseconds.fit),
        formatDuration(milliseconds.ask),
      ]),
      { style },
    ),
  ];
}

function lengthLines({ pipelines }: Evaluation, style: Style): string[] {
  const lengths = [...new Set(pipelines.flatMap(({ curves }) => curves.at))].sort((left, right) => left - right);
  if (lengths.length < 2) return [];
  const rows = (metric: 'ndcg' | 'recall'): string[][] =>
    pipelines.map(({ name, curves }) => [
      `${printable(name)}`,
      metric === 'ndcg' ? 'NDCG' : 'recall',
      ...lengths.map((length) => {
        const value = curves[metric][curves.at.indexOf(length)];
        return value === undefined ? '' : formatFigure(value);
      }),
    ]);
  return [
    ...heading('By length of the list', style),
    ...renderTable(
      [
        nameColumn(style),
        { header: '', paint: style.dim },
        ...lengths.map((length): TableColumn => ({ header: `@${length}`, align: 'right' })),
      ],
      [...rows('ndcg'), ...rows('recall')],
      { style },
    ),
  ];
}

function listLines({ pipelines }: Evaluation, style: Style): string[] {
  const rows: [string, (pipeline: PipelineEvaluation) => string | undefined][] = [
    ['items shown to anybody', ({ catalogue }) => formatShare(catalogue.coverage)],
    ['concentration (Gini)', ({ catalogue }) => catalogue.gini.toFixed(2)],
    ['novelty, bits', ({ catalogue }) => catalogue.novelty.toFixed(2)],
    ['popularity lift', ({ catalogue }) => `${catalogue.popularityLift < 0 ? '−' : '+'}${formatShare(Math.abs(catalogue.popularityLift))}`],
    ['best sellers (a fifth of sales)', ({ catalogue }) => formatShare(catalogue.popularityShares.head)],
    ['middle', ({ catalogue }) => formatShare(catalogue.popularityShares.middle)],
    ['long tail', ({ catalogue }) => formatShare(catalogue.popularityShares.tail)],
    ['hits popularity would miss, per place', ({ catalogue }) => formatFigure(catalogue.serendipity)],
    [
      'items of the last 30 days',
      ({ catalogue }) => (catalogue.newItemShare === undefined ? undefined : formatShare(catalogue.newItemShare)),
    ],
    ['diversity of a list', ({ catalogue }) => catalogue.intraListDiversity?.toFixed(2)],
  ];
  return [
    ...heading('What the lists are like', style),
    ...renderTable(
      [
        { header: '', narrow: 'cut' },
        ...pipelines.map(({ name }): TableColumn => ({ header: printable(name), align: 'right', narrow: 'cut' })),
      ],
      rows.flatMap(([label, valueOf]) => {
        const values = pipelines.map(valueOf);
        return values.every((value) => value === undefined) ? [] : [[label, ...values.map((value) => value ?? '')]];
      }),
      { style },
    ),
  ];
}

function segmentLines({ pipelines, k }: Evaluation, style: Style): string[] {
  const [first] = pipelines;
  if (first === undefined || first.segments.length === 0) return [];
  let by = '';
  const rows = first.segments.map((segment) => {
    const label = segment.by === by ? '' : segment.by;
    by = segment.by;
    return [
      printable(label),
      printable(segment.name),
      formatCount(segment.cases),
      ...pipelines.map(({ segments }) => {
        const own = segments.find((entry) => entry.by === segment.by && entry.name === segment.name);
        return own === undefined ? '' : formatFigure(own.ndcg.mean);
      }),
    ];
  });
  return [
    ...heading(`Who is served how well`, style, `NDCG@${k}`),
    ...renderTable(
      [
        { header: 'by', paint: style.dim },
        { header: '', narrow: 'cut' },
        { header: 'cases', align: 'right' },
        ...pipelines.map(({ name }): TableColumn => ({ header: printable(name), align: 'right', narrow: 'cut' })),
      ],
      rows,
      { style },
    ),
  ];
}

function funnelLines({ pipelines, k }: Evaluation, style: Style): string[] {
  return pipelines.flatMap(({ name, funnel }) => {
    const [first] = funnel;
    if (first === undefined) return [];
    return [
      ...heading(
        `Where right answers are lost: ${printable(name)}`,
        style,
        `limits of serving, ${formatCountOf(first.cases ?? 0, 'case')}`,
      ),
      ...renderTable(
        [
          { header: 'stage', narrow: 'cut', paint: style.cyan },
          { header: 'candidates', align: 'right' },
          { header: 'right answers there', align: 'right' },
        ],
        funnel.map(({ stage, candidates, recall }) => [
          stage === 'ranked' ? `ranked (the list of ${k})` : printable(stage),
          candidates < 10 ? candidates.toFixed(1) : formatCount(Math.round(candidates)),
          formatShare(recall),
        ]),
        { style },
      ),
    ];
  });
}

const metricNames: Readonly<Partial<Record<Comparison['metric'], string>>> = { ndcg: 'NDCG', recall: 'recall' };

function differenceLines({ comparisons, k }: Evaluation, style: Style): string[] {
  if (comparisons.length === 0) return [];
  const metrics = [...new Set(comparisons.map(({ metric }) => metric))];
  return [
    ...heading(
      'Differences',
      style,
      comparisons.length === 1
        ? 'per user, with the 95 % interval'
        : `per user; intervals of each alone, p corrected for all ${comparisons.length} (Holm)`,
    ),
    ...metrics.flatMap((metric, place) => [
      ...(place === 0 ? [] : ['']),
      ...renderTable(
        [
          { header: `${metricNames[metric] ?? metric}@${k}`, narrow: 'cut', paint: style.cyan },
          { header: 'against', narrow: 'cut' },
          { header: 'by', align: 'right', paint: style.bold },
          { header: '95 %', align: 'right', paint: style.dim },
          { header: 'p', align: 'right' },
          { header: 'won', align: 'right', paint: style.green },
          { header: 'lost', align: 'right', paint: style.red },
          { header: 'tied', align: 'right', paint: style.dim },
        ],
        comparisons
          .filter((comparison) => comparison.metric === metric)
          .map(({ challenger, baseline, difference, adjustedPValue, wins, losses, ties }) => [
            printable(challenger),
            printable(baseline),
            formatSigned(difference.mean),
            formatInterval(difference, formatSigned),
            formatP(adjustedPValue).replace(/^p (?:= )?/, ''),
            formatCount(wins),
            formatCount(losses),
            formatCount(ties),
          ]),
        { style },
      ),
    ]),
  ];
}

/** What the comparisons come to, a sentence each; those among the pipelines last, since they are what was asked. */
function verdictLines({ comparisons, k }: Evaluation, style: Style): string[] {
  const lines = comparisons
    .filter(({ metric }) => metric === 'ndcg')
    .flatMap(({ challenger, baseline, difference, adjustedPValue, significant }) => {
      const figures = `${formatSigned(difference.mean)} NDCG@${k} (${formatInterval(difference, formatSigned)}), ${formatP(adjustedPValue)}`;
      const names = [printable(challenger), printable(baseline)] as const;
      const clearOfZero = difference.low > 0 || difference.high < 0;
      const sentence = significant
        ? `${names[0]} is ${difference.mean > 0 ? 'better' : 'worse'} than ${names[1]}: ${figures}.`
        : `${names[0]} and ${names[1]} cannot be told apart here: ${figures}.${clearOfZero && comparisons.length > 1 ? ` The interval is of this difference alone; p is corrected for all ${comparisons.length} comparisons, and decides.` : ''}`;
      const paint = significant ? (difference.mean > 0 ? style.green : style.red) : style.yellow;
      return wrap(sentence, style.width, '    ', '  ').map(paint);
    });
  return lines.length === 0 ? [] : ['', ...lines];
}

function evaluationWarningLines(warnings: readonly EvaluationWarning[], style: Style): string[] {
  if (warnings.length === 0) return [];
  return [
    '',
    ...warnings.flatMap(({ code, message, pipeline, node, times }) => {
      const about = [pipeline, node].filter((part) => part !== undefined).map(printable);
      const text = `! ${code}${about.length === 0 ? '' : ` [${about.join(', ')}]`} ${message}${times > 1 ? ` (in ${formatCount(times)} answers)` : ''}`;
      return wrap(text, style.width, '    ', '  ').map(style.yellow);
    }),
  ];
}
