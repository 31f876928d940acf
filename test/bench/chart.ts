// The picture of the growth as SVG text: log-log panels, so that proportional growth is a straight line of slope 1.

import { showNumber } from './goal.js';
import type { Growth, GrowthSeries } from './growth.js';

interface Panel {
  readonly title: string;
  readonly xLabel: string;
  readonly yLabel: string;
  readonly series: readonly GrowthSeries[];
  /** Slopes of the dashed guides: 1 = proportional, 3 = with the cube. */
  readonly guide: { readonly slope: number; readonly label: string };
}

/** Colours that stay apart for the colour-blind (Okabe and Ito 2008), by series. */
const colours: Readonly<Record<string, string>> = {
  EASE: '#0072b2',
  'item-kNN': '#d55e00',
  transitions: '#009e73',
  'bought together': '#cc79a7',
  PageRank: '#56606b',
  recent: '#b8860b',
};

const panelWidth = 380;
const panelHeight = 400;
const plot = { left: 62, right: 118, top: 46, bottom: 52 } as const;
const gap = 8;
const labelHeight = 15;

/** A picture of all panels side by side. */
export function growthChart(growth: Growth): string {
  const panels: Panel[] = [
    {
      title: 'Fit, by users',
      xLabel: 'users',
      yLabel: 'CPU seconds',
      series: growth.fits,
      guide: { slope: 1, label: 'proportional' },
    },
    {
      title: 'One request, by users',
      xLabel: 'users',
      yLabel: 'CPU milliseconds',
      series: growth.requests,
      guide: { slope: 1, label: 'proportional' },
    },
    {
      title: 'EASE fit, by items',
      xLabel: 'items',
      yLabel: 'CPU seconds',
      series: growth.itemFits,
      guide: { slope: 3, label: 'cubic' },
    },
  ];
  const width = panels.length * panelWidth + (panels.length - 1) * gap;
  const body = panels.map((panel, place) => `<g transform="translate(${place * (panelWidth + gap)} 0)">\n${drawPanel(panel)}\n</g>`);
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${panelHeight}" width="${width}" height="${panelHeight}" font-family="system-ui, -apple-system, 'Segoe UI', 'DejaVu Sans', sans-serif" role="img" aria-labelledby="growth-title growth-text">
<title id="growth-title">Fit and request time as a shop grows</title>
<desc id="growth-text">${escape(describe(growth))}</desc>
<rect width="${width}" height="${panelHeight}" fill="#ffffff"/>
${body.join('\n')}
</svg>
`;
}

function describe(growth: Growth): string {
  const all = [
    ...growth.fits.map((series) => ['fit of', 'users', series] as const),
    ...growth.requests.map((series) => ['request to', 'users', series] as const),
    ...growth.itemFits.map((series) => ['fit of', 'items', series] as const),
  ];
  return all
    .map(([what, unit, { name, points }]) => {
      const [first, last] = [points[0], points.at(-1)];
      if (first === undefined || last === undefined) return '';
      return `${what} ${name}: × ${showNumber(last.value / first.value)} for × ${showNumber(last.size / first.size)} ${unit}`;
    })
    .join('; ');
}

function drawPanel({ title, xLabel, yLabel, series, guide }: Panel): string {
  const points = series.flatMap((one) => one.points);
  const sizes = points.map((point) => point.size);
  const values = points.map((point) => point.value);
  const [lowX, highX] = [Math.min(...sizes), Math.max(...sizes)];
  // Whole decades, unless that would leave most of the panel empty.
  const [lowY, highY] = [niceBelow(Math.min(...values)), niceAbove(Math.max(...values))];
  const [left, right] = [plot.left, panelWidth - plot.right];
  const [top, bottom] = [plot.top, panelHeight - plot.bottom];
  const x = (size: number): number => left + ((right - left) * Math.log(size / lowX)) / Math.log(highX / lowX);
  const y = (value: number): number => bottom - ((bottom - top) * Math.log(value / lowY)) / Math.log(highY / lowY);
  const lines: string[] = [
    `<text x="${left}" y="22" font-size="15" font-weight="600" fill="#1b1f24">${escape(title)}</text>`,
    `<text x="${left}" y="38" font-size="11" fill="#57606a">${escape(yLabel)}, both axes logarithmic</text>`,
  ];
  for (const tick of ticksBetween(lowY, highY)) {
    const at = fixed(y(tick));
    lines.push(`<line x1="${left}" x2="${right}" y1="${at}" y2="${at}" stroke="#e1e4e8"/>`);
    lines.push(`<text x="${left - 8}" y="${at}" dy="4" font-size="11" fill="#57606a" text-anchor="end">${showNumber(tick)}</text>`);
  }
  for (const size of new Set(sizes)) {
    const at = fixed(x(size));
    lines.push(`<line x1="${at}" x2="${at}" y1="${bottom}" y2="${bottom + 5}" stroke="#57606a"/>`);
    lines.push(
      `<text x="${at}" y="${bottom + 19}" font-size="11" fill="#57606a" text-anchor="middle">${size.toLocaleString('en-GB')}</text>`,
    );
  }
  lines.push(
    `<text x="${(left + right) / 2}" y="${bottom + 40}" font-size="12" fill="#57606a" text-anchor="middle">${escape(xLabel)}</text>`,
  );
  lines.push(`<line x1="${left}" x2="${right}" y1="${bottom}" y2="${bottom}" stroke="#57606a"/>`);
  lines.push(...drawGuide(guide, { lowX, highX, lowY, highY, x, y }));
  for (const { name, points: own } of series) {
    const colour = colours[name] ?? '#1b1f24';
    const path = own.map((point, place) => `${place === 0 ? 'M' : 'L'}${fixed(x(point.size))} ${fixed(y(point.value))}`).join(' ');
    lines.push(`<path d="${path}" fill="none" stroke="${colour}" stroke-width="2.2" stroke-linejoin="round"/>`);
    for (const point of own) lines.push(`<circle cx="${fixed(x(point.size))}" cy="${fixed(y(point.value))}" r="3.2" fill="${colour}"/>`);
  }
  const labels = series.map(({ name, points: own }) => ({ name, at: y(own.at(-1)?.value ?? lowY), value: own.at(-1)?.value ?? 0 }));
  for (const { name, at, value } of apart(labels, top, bottom)) {
    const colour = colours[name] ?? '#1b1f24';
    lines.push(
      `<line x1="${right + 5}" x2="${right + 11}" y1="${fixed(y(value))}" y2="${fixed(at)}" stroke="${colour}" stroke-width="1"/>`,
    );
    lines.push(
      `<text x="${right + 14}" y="${fixed(at)}" dy="4" font-size="11.5" fill="${colour}">${escape(name)} ${showNumber(value)}</text>`,
    );
  }
  return lines.join('\n');
}

interface Axes {
  readonly lowX: number;
  readonly highX: number;
  readonly lowY: number;
  readonly highY: number;
  readonly x: (size: number) => number;
  readonly y: (value: number) => number;
}

/** A dashed line of a known slope through the middle of the panel, cut at its edges. */
function drawGuide({ slope, label }: Panel['guide'], { lowX, highX, lowY, highY, x, y }: Axes): string[] {
  const growth = (highX / lowX) ** slope;
  const middle = Math.sqrt(lowY * highY);
  let [startValue, endValue] = [middle / Math.sqrt(growth), middle * Math.sqrt(growth)];
  let [start, end] = [lowX, highX];
  if (startValue < lowY) [start, startValue] = [lowX * (lowY / startValue) ** (1 / slope), lowY];
  if (endValue > highY) [end, endValue] = [highX / (endValue / highY) ** (1 / slope), highY];
  const [x1, y1, x2, y2] = [x(start), y(startValue), x(end), y(endValue)];
  const angle = (Math.atan2(y2 - y1, x2 - x1) * 180) / Math.PI;
  const [labelX, labelY] = [x1 + 0.12 * (x2 - x1), y1 + 0.12 * (y2 - y1)];
  return [
    `<line x1="${fixed(x1)}" y1="${fixed(y1)}" x2="${fixed(x2)}" y2="${fixed(y2)}" stroke="#8c959f" stroke-width="1.2" stroke-dasharray="5 4"/>`,
    `<text transform="translate(${fixed(labelX)} ${fixed(labelY)}) rotate(${fixed(angle)})" dy="-5" font-size="10.5" fill="#6e7781">${escape(label)}</text>`,
  ];
}

/** Moves labels so that none covers another and all stay inside. */
function apart<Label extends { readonly at: number }>(labels: readonly Label[], top: number, bottom: number): Label[] {
  const sorted = [...labels].sort((one, other) => one.at - other.at);
  const places = sorted.map((label) => Math.min(Math.max(label.at, top), bottom));
  for (let index = 1; index < places.length; index++)
    places[index] = Math.max(places[index] as number, (places[index - 1] as number) + labelHeight);
  for (let index = places.length - 1; index >= 0; index--) {
    const limit = index === places.length - 1 ? bottom : (places[index + 1] as number) - labelHeight;
    places[index] = Math.min(places[index] as number, limit);
  }
  return sorted.map((label, index) => ({ ...label, at: places[index] as number }));
}

/** 1, 2 or 5 times a power of ten. */
function niceBelow(value: number): number {
  const power = 10 ** Math.floor(Math.log10(value));
  return ([5, 2, 1].find((factor) => factor * power <= value * (1 + 1e-9)) ?? 1) * power;
}

function niceAbove(value: number): number {
  const power = 10 ** Math.floor(Math.log10(value));
  return ([1, 2, 5, 10].find((factor) => factor * power >= value * (1 - 1e-9)) ?? 10) * power;
}

/** Powers of ten; with their doubles and fives where there are few. */
function ticksBetween(low: number, high: number): number[] {
  const within = (value: number): boolean => value >= low * (1 - 1e-9) && value <= high * (1 + 1e-9);
  const powers = Array.from({ length: 24 }, (_, place) => 10 ** (place - 12));
  const decades = powers.filter(within);
  return decades.length >= 4 ? decades : powers.flatMap((power) => [power, 2 * power, 5 * power]).filter(within);
}

function fixed(value: number): string {
  return String(Math.round(value * 10) / 10);
}

function escape(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');
}
