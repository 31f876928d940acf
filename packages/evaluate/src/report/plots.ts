import type * as PlotLibrary from '@observablehq/plot';
import type { SegmentFigures } from '../evaluation.js';
import { Html, plain, shortened } from './html.js';
import { countOf, differenceText, intervalText, isNumber, type NumberKind, numberText, pSentence } from './numbers.js';
import { createSvgDocument } from './svg-document.js';
import type { Series, Verdict } from './view.js';

/** A line of a curve plot, its points by ascending length of the list. */
export interface CurveLine {
  readonly series: Series;
  readonly points: readonly { readonly x: number; readonly y: number; readonly at: number }[];
}

/** A row of the plot of differences. */
export interface DifferenceRow {
  readonly label: string;
  readonly mean: number;
  readonly low: number;
  readonly high: number;
  readonly adjustedPValue: number;
  readonly verdict: Verdict;
}

/** A row of the funnel. */
export interface FunnelRow {
  readonly label: string;
  readonly note: string;
  readonly share: number;
  readonly isSource: boolean;
}

/** A bar of shares that come to one. */
export interface StackedRow {
  readonly label: string;
  readonly parts: readonly { readonly share: number; readonly colour: string; readonly ink: string }[];
}

/** A bar with its interval. */
export interface SegmentBar {
  readonly series: Series;
  readonly figure: SegmentFigures['hitRate'];
}

/** One group of users in a plot, with a bar for each pipeline. */
export interface SegmentRow {
  readonly label: string;
  readonly cases: number;
  readonly bars: readonly SegmentBar[];
}

/**
 * The plots of the page as inline SVG without script, fonts or addresses: colours are the page's CSS variables, text takes
 * the page's. Each is 400 units wide, so that its text can be read on a telephone; what it shows is said elsewhere as a table.
 */
export interface Plots {
  /** Lines over the length of the list, on a logarithmic scale. */
  lengthCurves(lines: readonly CurveLine[], kind: NumberKind): Html;
  /** Precision over recall; the lead's points say their length. */
  precisionRecall(lines: readonly CurveLine[], lead: Series): Html;
  /** Differences with their intervals around zero. */
  differences(rows: readonly DifferenceRow[], kind: NumberKind): Html;
  /** Bars with intervals, grouped. */
  segments(rows: readonly SegmentRow[], kind: NumberKind): Html;
  /** How many right answers are left, stage by stage. */
  funnel(rows: readonly FunnelRow[], colour: string): Html;
  /** Shares of a whole. */
  stacked(rows: readonly StackedRow[]): Html;
  /** A series' line and symbol, for a legend. */
  swatch(series: Series): Html;
}

const width = 400;
const longestLabel = 30;
const axisInk = 'var(--ink-soft)';
const verdictColours: Readonly<Record<Verdict, string>> = { better: 'var(--good)', worse: 'var(--bad)', open: 'var(--baseline)' };
const verdictShapes = { better: 'triangle', worse: 'square', open: 'circle' } as const;
const fontSize = '12px';

/** Opens the library of plots, which takes a moment the first time. */
export async function openPlots(): Promise<Plots> {
  const [Plot, document] = await Promise.all([import('@observablehq/plot'), createSvgDocument()]);
  const draw = (options: PlotLibrary.PlotOptions): Html => {
    const style = { fontSize };
    const drawn = Plot.plot({ width, className: 'plot', document: document as never, ...options, style }) as unknown as {
      querySelector(selector: string): { remove(): void } | null;
      setAttribute(name: string, value: string): void;
      readonly outerHTML: string;
    };
    // The page's own style does what the library's would, once for all plots; and the figure's caption names the picture.
    drawn.querySelector('style')?.remove();
    drawn.setAttribute('aria-hidden', 'true');
    drawn.setAttribute('focusable', 'false');
    return new Html(drawn.outerHTML);
  };
  const tick = (kind: NumberKind) => (value: number) =>
    kind === 'share'
      ? `${Number((value * 100).toFixed(6))}\u00a0%`
      : String(Number(value.toFixed(6)))
          .replace(/^(-?)0\./, '$1.')
          .replace('-', '−');
  const label = (text: string): string => shortened(plain(text), longestLabel);

  const lineMarks = ({ series, points }: CurveLine, kind: NumberKind): PlotLibrary.Markish[] => [
    Plot.line(points, {
      x: 'x',
      y: 'y',
      stroke: series.colour,
      strokeWidth: 2,
      ...(series.dash === undefined ? {} : { strokeDasharray: series.dash }),
    }),
    Plot.dot(points, {
      x: 'x',
      y: 'y',
      symbol: series.symbol,
      r: 3.5,
      ...(series.symbol === 'times'
        ? { stroke: series.colour, strokeWidth: 2 }
        : { fill: series.colour, stroke: 'var(--card)', strokeWidth: 0.75 }),
      title: ({ at, y }: CurveLine['points'][number]) => `${series.label}, ${countOf(at, 'product')}: ${numberText(y, kind)}`,
    }),
  ];

  return {
    lengthCurves: (lines, kind) => {
      const lengths = [...new Set(lines.flatMap(({ points }) => points.map(({ x }) => x)))].sort((left, right) => left - right);
      const highest = Math.max(0, ...lines.flatMap(({ points }) => points.map(({ y }) => y)));
      return draw({
        height: 250,
        // The widest number, "100 %", at the size of a telephone's text.
        marginLeft: 54,
        marginRight: 22,
        marginTop: 12,
        marginBottom: 38,
        x: { domain: [Math.log(lengths[0] ?? 1), Math.log(lengths.at(-1) ?? 1)] },
        y: { domain: [0, highest === 0 ? 1 : highest * 1.05], nice: true },
        marks: [
          Plot.gridY({ ticks: 5, stroke: 'var(--line)', strokeOpacity: 1 }),
          Plot.axisY({ ticks: 5, tickSize: 0, tickFormat: tick(kind), label: null, fill: axisInk }),
          Plot.axisX(spaced(lengths).map(Math.log), {
            // The library's own logarithmic scale leaves out the numbers of 5 and 50.
            tickFormat: (value: number) => String(Math.round(Math.exp(value))),
            tickSize: 4,
            fill: axisInk,
            stroke: axisInk,
            label: 'products shown',
            labelAnchor: 'center',
            labelArrow: 'none',
          }),
          ...lines.flatMap(({ series, points }) =>
            lineMarks({ series, points: points.map((point) => ({ ...point, x: Math.log(point.x) })) }, kind),
          ),
        ],
      });
    },
    precisionRecall: (lines, lead) => {
      const all = lines.flatMap(({ points }) => points);
      const top = (values: readonly number[]): number => (values.every((value) => value === 0) ? 1 : Math.max(...values) * 1.08);
      const labelled = lines.find(({ series }) => series === lead);
      return draw({
        height: 250,
        // The widest number, "100 %", at the size of a telephone's text.
        marginLeft: 54,
        marginRight: 22,
        marginTop: 22,
        marginBottom: 38,
        x: { domain: [0, top(all.map(({ x }) => x))], nice: true },
        y: { domain: [0, top(all.map(({ y }) => y))], nice: true },
        marks: [
          Plot.gridY({ ticks: 5, stroke: 'var(--line)', strokeOpacity: 1 }),
          Plot.axisY({
            ticks: 5,
            tickSize: 0,
            tickFormat: tick('share'),
            label: 'precision',
            labelAnchor: 'top',
            labelArrow: 'none',
            fill: axisInk,
          }),
          Plot.axisX({
            ticks: 5,
            tickFormat: tick('share'),
            tickSize: 4,
            fill: axisInk,
            stroke: axisInk,
            label: 'recall',
            labelAnchor: 'center',
            labelArrow: 'none',
          }),
          ...lines.flatMap((line) => lineMarks(line, 'share')),
          ...(labelled === undefined
            ? []
            : [
                Plot.text(labelled.points, {
                  x: 'x',
                  y: 'y',
                  text: ({ at }: CurveLine['points'][number]) => `@${at}`,
                  dy: -11,
                  dx: 4,
                  textAnchor: 'start',
                  fill: axisInk,
                  fontSize: 11,
                }),
              ]),
        ],
      });
    },
    differences: (rows, kind) => {
      const ends = rows.flatMap(({ low, high }) => [low, high]);
      const [low, high] = [Math.min(0, ...ends), Math.max(0, ...ends)];
      const padding = (high - low || 1) * 0.06;
      const rowHeight = 44;
      const height = rows.length * rowHeight;
      const data = rows.map((row, place) => ({ ...row, text: place * rowHeight + 14, middle: place * rowHeight + 31 }));
      type Row = (typeof data)[number];
      return draw({
        height: height + 44,
        marginLeft: 10,
        marginRight: 10,
        marginTop: 0,
        marginBottom: 44,
        x: { domain: [low - padding, high + padding] },
        y: { domain: [0, height], range: [0, height], axis: null },
        color: { type: 'identity' },
        marks: [
          Plot.gridX({ ticks: 5, stroke: 'var(--line)', strokeOpacity: 1 }),
          Plot.axisX({
            ticks: 5,
            tickFormat: (value: number) => tick('figure')(kind === 'share' ? value * 100 : value),
            tickSize: 4,
            fill: axisInk,
            stroke: axisInk,
            label: `← worse   ${kind === 'share' ? 'points of a per cent' : 'difference'}   better →`,
            labelAnchor: 'center',
            labelArrow: 'none',
          }),
          Plot.ruleX([0], { stroke: 'var(--ink)', strokeWidth: 1.25 }),
          Plot.link(data, {
            x1: 'low',
            x2: 'high',
            y1: 'middle',
            y2: 'middle',
            stroke: (row: Row) => verdictColours[row.verdict],
            strokeWidth: 3,
            strokeLinecap: 'round',
          }),
          ...(['better', 'worse', 'open'] as const).map((verdict) =>
            Plot.dot(
              data.filter((row) => row.verdict === verdict),
              {
                x: 'mean',
                y: 'middle',
                r: 5,
                symbol: verdictShapes[verdict],
                fill: verdictColours[verdict],
                stroke: 'var(--card)',
                title: (row: Row) =>
                  `${row.label}: ${differenceText(row.mean, kind)} (${intervalText(row, kind, differenceText)}), ${pSentence(row.adjustedPValue)}`,
              },
            ),
          ),
          ...rowTexts(
            Plot,
            data.map((row) => ({ y: row.text, left: row.label, right: differenceText(row.mean, kind) })),
            0,
            // Keeps text clear of the lines behind it.
            { stroke: 'var(--card)', strokeWidth: 4, strokeLinejoin: 'round' },
          ),
        ],
      });
    },
    segments: (rows, kind) => {
      const barHeight = 15;
      const rowGap = 30;
      let top = 0;
      const texts: RowText[] = [];
      const bars: {
        readonly y1: number;
        readonly y2: number;
        readonly middle: number;
        readonly bar: SegmentBar;
        readonly row: SegmentRow;
      }[] = [];
      for (const row of rows) {
        texts.push({ y: top + 17, left: label(row.label), right: countOf(row.cases, 'case') });
        top += rowGap - 4;
        for (const bar of row.bars) {
          bars.push({ y1: top, y2: top + barHeight - 3, middle: top + (barHeight - 3) / 2, bar, row });
          top += barHeight;
        }
        top += 4;
      }
      type Bar = (typeof bars)[number];
      const measured = bars.filter(({ bar }) => isNumber(bar.figure.mean));
      const highest = Math.max(0, ...measured.flatMap(({ bar: { figure } }) => [figure.mean, isNumber(figure.high) ? figure.high : 0]));
      const scale = highest === 0 ? 1 : highest;
      return draw({
        height: top + 6,
        opacity: { type: 'identity' },
        marginLeft: 0,
        marginRight: 58,
        marginTop: 0,
        marginBottom: 6,
        x: { domain: [0, scale], axis: null },
        y: { domain: [0, top], range: [0, top], axis: null },
        color: { type: 'identity' },
        marks: [
          Plot.rect(measured, {
            x1: 0,
            x2: ({ bar }: Bar) => bar.figure.mean,
            y1: 'y1',
            y2: 'y2',
            fill: ({ bar }: Bar) => bar.series.colour,
            // Where colours come round again, a lighter bar is a dashed line.
            fillOpacity: ({ bar }: Bar) => (bar.series.dash === undefined || bar.series.isBaseline ? 1 : 0.45),
            rx: 2,
            title: ({ bar, row }: Bar) =>
              `${bar.series.label}, ${row.label}: ${numberText(bar.figure.mean, kind)} (${intervalText(bar.figure, kind)})`,
          }),
          // The line is drawn twice, so that it can be seen on its bar and beside it.
          ...[
            ['var(--card)', 4],
            ['var(--ink)', 1.5],
          ].map(([stroke, strokeWidth]) =>
            Plot.link(
              measured.filter(({ bar: { figure } }) => isNumber(figure.low) && isNumber(figure.high)),
              {
                x1: ({ bar }: Bar) => bar.figure.low,
                x2: ({ bar }: Bar) => bar.figure.high,
                y1: 'middle',
                y2: 'middle',
                stroke: stroke as string,
                strokeWidth: strokeWidth as number,
              },
            ),
          ),
          Plot.text(bars, {
            x: scale,
            y: 'middle',
            dx: 58,
            textAnchor: 'end',
            text: ({ bar }: Bar) => numberText(bar.figure.mean, kind),
            fill: 'var(--ink)',
            fontVariant: 'tabular-nums',
          }),
          ...rowTexts(Plot, texts, 58),
        ],
      });
    },
    funnel: (rows, colour) => {
      const rowHeight = 38;
      const data = rows.map((row, place) => ({ ...row, top: place * rowHeight + 20 }));
      type Row = (typeof data)[number];
      const measured = data.filter(({ share }) => isNumber(share));
      return draw({
        height: rows.length * rowHeight + 4,
        marginLeft: 0,
        marginRight: 0,
        marginTop: 0,
        marginBottom: 4,
        x: { domain: [0, 1], axis: null },
        y: { domain: [0, rows.length * rowHeight], range: [0, rows.length * rowHeight], axis: null },
        marks: [
          Plot.rect(data, { x1: 0, x2: 1, y1: 'top', y2: (row: Row) => row.top + 12, fill: 'var(--line)', rx: 2 }),
          ...[true, false].map((isSource) =>
            Plot.rect(
              measured.filter((row) => row.isSource === isSource),
              { x1: 0, x2: 'share', y1: 'top', y2: (row: Row) => row.top + 12, fill: colour, fillOpacity: isSource ? 0.5 : 1, rx: 2 },
            ),
          ),
          ...rowTexts(
            Plot,
            data.map((row) => ({ y: row.top - 8, left: label(row.label), right: row.note })),
          ),
        ],
      });
    },
    stacked: (rows) => {
      const rowHeight = 46;
      const data = rows.map((row, place) => ({ ...row, top: place * rowHeight + 20 }));
      const parts = data.flatMap(({ parts: own, top }) => {
        let from = 0;
        return own
          .filter(({ share }) => isNumber(share) && share > 0)
          .map(({ share, colour, ink }) => {
            const start = from;
            from += share;
            return { x1: start, x2: from, share, colour, ink, top };
          });
      });
      type Part = (typeof parts)[number];
      return draw({
        height: rows.length * rowHeight + 4,
        marginLeft: 0,
        marginRight: 0,
        marginTop: 0,
        marginBottom: 4,
        x: { domain: [0, 1], axis: null },
        y: { domain: [0, rows.length * rowHeight], range: [0, rows.length * rowHeight], axis: null },
        color: { type: 'identity' },
        marks: [
          Plot.rect(parts, { x1: 'x1', x2: 'x2', y1: 'top', y2: (part: Part) => part.top + 20, fill: 'colour', stroke: 'var(--card)' }),
          // A narrower part has no room for its number, which stands in the table.
          Plot.text(
            parts.filter(({ share }) => share >= 0.09),
            {
              x: ({ x1, x2 }: Part) => (x1 + x2) / 2,
              y: (part: Part) => part.top + 10,
              text: ({ share }: Part) => numberText(share, 'share'),
              fill: 'ink',
            },
          ),
          ...rowTexts(
            Plot,
            data.map((row) => ({ y: row.top - 8, left: label(row.label), right: '' })),
          ),
        ],
      });
    },
    swatch: (series) => {
      const line = lineMarks({ series, points: [0, 17, 34].map((x) => ({ x, y: 7, at: 0 })) }, 'figure')[0];
      const [, dot] = lineMarks({ series, points: [{ x: 17, y: 7, at: 0 }] }, 'figure');
      return draw({
        width: 34,
        height: 14,
        margin: 0,
        axis: null,
        x: { domain: [0, 34], range: [0, 34] },
        y: { domain: [0, 14], range: [0, 14] },
        marks: [line, dot],
      });
    },
  };
}

interface RowText {
  readonly y: number;
  readonly left: string;
  readonly right: string;
}

/** A row's name at the left edge and what is said about it at the right one. */
function rowTexts(
  Plot: typeof PlotLibrary,
  rows: readonly RowText[],
  beyond = 0,
  halo: PlotLibrary.TextOptions = {},
): PlotLibrary.Markish[] {
  return [
    Plot.text(rows, { frameAnchor: 'left', y: 'y', text: 'left', textAnchor: 'start', fill: 'var(--ink)', fontWeight: 600, ...halo }),
    Plot.text(rows, {
      frameAnchor: 'right',
      y: 'y',
      text: 'right',
      textAnchor: 'end',
      dx: beyond,
      fill: axisInk,
      fontVariant: 'tabular-nums',
      ...halo,
    }),
  ];
}

/** Lengths far enough from each other for their numbers not to touch, on a logarithmic scale; the last always. */
function spaced(lengths: readonly number[]): readonly number[] {
  const [first, last] = [lengths[0] ?? 1, lengths.at(-1) ?? 1];
  const room = Math.log(last / first) / 14;
  const kept: number[] = [];
  for (const length of lengths.toReversed()) if (kept.length === 0 || Math.log((kept.at(-1) as number) / length) >= room) kept.push(length);
  return kept.reverse();
}
