// Writes what was measured into docs/guide/performance.md, between its markers, and draws the picture of the growth.
import { readFileSync, writeFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { growthChart } from './chart.js';
import { isSkipped, type Outcome, showBound, showNumber, verdictOf } from './goal.js';
import type { Growth, GrowthSeries } from './growth.js';
import { root } from './online-retail.js';
import { type Load, type Results, readResults } from './results.js';
import type { Inequality } from './synthetic.js';
import { growthFactor } from './table.js';

const page = resolve(root, 'docs/guide/performance.md');
const picture = resolve(root, 'docs/images/growth.svg');
const results = resolve(root, 'bench/results.json');

/** Writes the page and the picture. @throws Error without results, or without a marker in the page */
export function writeDocument(): void {
  const found = readResults(results);
  if (found === undefined) throw new Error('There is no bench/results.json to document: run npm run bench first.');
  writeFileSync(page, fillPage(readFileSync(page, 'utf8'), found));
  if (found.growth !== undefined) writeFileSync(picture, growthChart(found.growth));
}

/** The page with its measured parts replaced. @throws Error without a marker */
export function fillPage(text: string, found: Results): string {
  const parts: Record<string, string> = { machine: machineText(found), goals: goalsText(found) };
  if (found.growth !== undefined) parts['growth'] = growthText(found.growth);
  let filled = text;
  for (const [name, part] of Object.entries(parts)) {
    const [begin, end] = [`<!-- bench:${name} -->`, `<!-- /bench:${name} -->`];
    const [start, stop] = [filled.indexOf(begin), filled.indexOf(end)];
    if (start < 0 || stop < start) throw new Error(`docs/guide/performance.md has no ${begin} … ${end}.`);
    filled = `${filled.slice(0, start + begin.length)}\n${part}\n${filled.slice(stop)}`;
  }
  return filled;
}

function machineText({ machine, measurements, growth }: Results): string {
  const times = [...measurements, ...(growth === undefined ? [] : [growth])].map((entry) => entry.measuredAt).sort();
  const loads = [...measurements, ...(growth === undefined ? [] : [growth])].flatMap(({ load }) => [load.before, load.after]);
  const day = (at: string | undefined): string => (at === undefined ? '?' : `${at.slice(0, 10)} ${at.slice(11, 16)} UTC`);
  return `Measured ${day(times[0])} to ${day(times.at(-1))} on: ${machine.processor}, ${machine.cores} cores, ${machine.memoryGb} GB, ${machine.platform}, Node ${machine.node}. Load average (one minute) ${Math.min(...loads)} to ${Math.max(...loads)}.`;
}

/** What a reader has to know of a goal to read its lines. */
export const meanings: Readonly<Record<string, string>> = {
  G1: 'what the framework adds to a request',
  G2: 'what 1,000 candidates cost a linear model, a network and trees',
  G3: 'latency at half of what one process can answer, requests arriving at random and timed from when they were due',
  G4: 'exact vector search against a read of the same bytes',
  G5: "the best rows for 64 queries at once, against onnxruntime's MatMul and TopK and implicit's topk",
  G6: "an epoch of alternating least squares against implicit's, and its factors against implicit's exact ones",
  G7: "encoders of words and pictures against Python's onnxruntime, and int8 against float32",
  G8: "trees against onnxruntime's",
  G9: 'how long the event loop is held up while encoders are busy',
  G10: 'small concurrent scorings that share runs of a model',
  G11: 'the fixed cost of a request',
  G12: 'random walks',
  G13: 'exact search of 100,000 vectors',
  EASE: 'the closed-form model at the size of protocol Q1',
  KNN: "item-kNN's fit, against implicit's",
  BATCH: 'ten items for each person of Amazon Beauty, against implicit and RecTools',
  EVALUATION: 'asking and scoring every person of Amazon Beauty through the pipeline that serves',
  PRESETS: 'building each preset on Online Retail',
  DATA: "reading the example's raw export",
  GRAPH: 'what the graph says of 1,000 candidates',
  MEMORY: 'what inference workers hold',
  START: 'from the start of a process to its first answer',
};

function goalsText({ measurements }: Results): string {
  const goals = new Set(measurements.flatMap(({ outcomes }) => outcomes.map(({ goal }) => goal)));
  const legend = [...goals].map((goal) => `**${goal}** ${meanings[goal] ?? 'has no description'}`).join(' · ');
  const lines = [
    legend,
    '',
    '| goal | what | figure | wanted | | limit kernel or peer, same run | load |',
    '|---|---|---|---|---|---|---|',
  ];
  const notes: string[] = [];
  for (const { outcomes, load } of measurements)
    for (const outcome of outcomes) {
      lines.push(goalLine(outcome, load));
      if (!isSkipped(outcome)) notes.push(`- **${outcome.goal}**, ${outcome.name}: ${outcome.note}.`);
    }
  return [...lines, '', ...notes].join('\n');
}

function goalLine(outcome: Outcome, load: Load): string {
  if (isSkipped(outcome)) return `| ${outcome.goal} | ${outcome.name} | – | – | not measured | ${outcome.skipped} | ${showLoad(load)} |`;
  const { goal, name, figure, unit, bound, limit } = outcome;
  const verdict = verdictOf(outcome);
  const shown = bound === undefined ? '' : verdict === 'met' ? 'met' : '**missed**';
  const held = limit === undefined ? '' : `${limit.name}: ${showNumber(limit.value)} ${limit.unit}`;
  return `| ${goal} | ${name} | ${showNumber(figure)} ${unit} | ${showBound(bound)} | ${shown} | ${held} | ${showLoad(load)} |`;
}

function showLoad({ before, after }: Load): string {
  return before === after ? String(before) : `${before} → ${after}`;
}

function growthText(growth: NonNullable<Results['growth']>): string {
  const { popularity, activity, repeat, basketEvents, days } = growth.skew;
  return [
    `Fitted to ${count(growth.real.events)} cleaned events of Online Retail. Popularity: the item of rank r of n has a share of the (customer, item) pairs ∝ r^−${showNumber(popularity.exponent)} · e^(−r / ${showNumber(popularity.cutoff)} n), Zipf with an exponential cut-off, by maximum likelihood; the draws without replacement are weighted so that these shares come out. Activity: a customer has 1 + k events, k negative binomial with mean ${showNumber(activity.mean)} and dispersion ${showNumber(activity.dispersion)}, by maximum likelihood. ${showNumber(100 * repeat)} % of the later events repeat an item the customer had. An order has ${showNumber(basketEvents)} events in the mean (geometric); orders spread evenly over ${showNumber(days)} days. There are no tastes in these shops: who takes what depends on popularity alone.`,
    '',
    ...inequalityTable(growth),
    '',
    ...growthTable(growth),
    '',
    `Medians of ${growth.rounds} rounds, sizes in turns; load average ${showLoad(growth.load)}.`,
  ].join('\n');
}

function inequalityTable(growth: Growth): string[] {
  const share = (value: number): string => `${showNumber(100 * value)} %`;
  const line = (name: string, shop: Inequality): string =>
    `| ${name} | ${count(shop.users)} | ${count(shop.items)} | ${count(shop.events)} | ${count(shop.pairs)} | ${share(shop.top1Percent)} | ${share(shop.top10Percent)} | ${shop.medianItems} | ${shop.items99} |`;
  return [
    '| shop | users | items | events | pairs | pairs with the top 1 % of items | top 10 % | items of the median user | of the 99th of 100 |',
    '|---|---|---|---|---|---|---|---|---|',
    line('Online Retail', growth.real),
    ...growth.users.map((shop, place) => line(`made up, ${2 ** place}× users`, shop)),
    ...growth.items.map((shop) => line(`made up, ${count(shop.items)} items`, shop)),
  ];
}

function growthTable(growth: Growth): string[] {
  const line = (series: GrowthSeries, what: string, growsBy: number): string =>
    `| ${what} | ${series.name} | ${series.points.map((point) => showNumber(point.value)).join(' | ')} | × ${showNumber(growthFactor(series))} for × ${showNumber(growsBy)} |`;
  const sizes = growth.users.map((shop) => shop.users);
  const userGrowth = (sizes.at(-1) ?? 1) / (sizes[0] ?? 1);
  const itemSizes = growth.items.map((shop) => shop.items);
  const itemGrowth = (itemSizes.at(-1) ?? 1) / (itemSizes[0] ?? 1);
  return [
    `| by users | | ${sizes.map((size) => count(size)).join(' | ')} | growth |`,
    `|---|---|${sizes.map(() => '---|').join('')}---|`,
    ...growth.fits.map((series) => line(series, 'fit, CPU s', userGrowth)),
    ...growth.requests.map((series) => line(series, 'request, CPU ms', userGrowth)),
    '',
    `| by items | | ${itemSizes.map((size) => count(size)).join(' | ')} | growth |`,
    `|---|---|${itemSizes.map(() => '---|').join('')}---|`,
    ...growth.itemFits.map((series) => line(series, 'fit, CPU s', itemGrowth)),
  ];
}

function count(value: number): string {
  return value.toLocaleString('en-GB');
}
