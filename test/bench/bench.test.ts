// That the runner says the truth about what it measured. Nothing is timed here: timings are no part of the tests.
import { existsSync, readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { describe, expect, it } from 'vitest';
import { growthChart } from './chart.js';
import { fillPage } from './document.js';
import { type GoalResult, showNumber, verdictOf } from './goal.js';
import { interleave, spreadOf } from './measure.js';
import { root } from './online-retail.js';
import { type Measurement, mergeResults, type Results, readResults } from './results.js';
import { suites } from './suites.js';
import { tableOf } from './table.js';

function figureOf(figure: number, bound?: GoalResult['bound']): GoalResult {
  return { goal: 'G11', name: 'a figure', figure, unit: 'µs', note: 'made up', ...(bound === undefined ? {} : { bound }) };
}

const machine = { processor: 'P', cores: 2, memoryGb: 4, platform: 'linux x64', node: 'v20.19.0' };

function measured(suite: string, outcomes: Measurement['outcomes']): Measurement {
  return { suite, measuredAt: '2026-01-01T00:00:00.000Z', load: { before: 1, after: 2 }, quick: false, seconds: 1, outcomes };
}

describe('verdicts', () => {
  it.each([
    [10, { atMost: 10 }, 'met'],
    [11.4, { atMost: 10 }, 'missed'],
    [11.6, { atMost: 10 }, 'far off'],
    [0.9, { atLeast: 0.9 }, 'met'],
    [0.77, { atLeast: 0.9 }, 'missed'],
    [0.76, { atLeast: 0.9 }, 'far off'],
    [0, { atMost: 0 }, 'met'],
    [1, { atMost: 0 }, 'far off'],
    [Number.NaN, { atMost: 10 }, 'far off'],
    [Number.NaN, { atLeast: 10 }, 'far off'],
    [5, undefined, 'for information'],
  ] as const)('%d against %o: %s', (figure, bound, verdict) => {
    expect(verdictOf(figureOf(figure, bound))).toBe(verdict);
  });

  it('of something not measured is never "met"', () => {
    const skipped = { goal: 'EASE', name: 'inverse', skipped: 'no numpy' };
    expect(verdictOf(skipped)).toBe('not measured');
    expect(tableOf([skipped])).toMatch(/EASE .*not measured +no numpy/);
  });
});

describe('interleave', () => {
  it('runs the variants in turns and takes the times of a variant that measured itself', async () => {
    const order: string[] = [];
    const times = await interleave(
      {
        own: () => void order.push('own'),
        foreign: async () => {
          order.push('foreign');
          return { cpuMs: order.length, wallMs: 7 };
        },
      },
      { rounds: 3, warmUpRounds: 1, calls: { own: 2 } },
    );
    expect(order.join(' ')).toBe(Array(4).fill('own own foreign').join(' '));
    expect(times.foreign).toEqual({ cpuMs: { median: 9, lowest: 6, highest: 12 }, wallMs: { median: 7, lowest: 7, highest: 7 } });
  });

  it('has a median that one slow round does not move', () => {
    expect(spreadOf([3, 1, 900, 2, 2])).toEqual({ median: 2, lowest: 1, highest: 900 });
    expect(() => spreadOf([])).toThrow(RangeError);
  });
});

describe('results', () => {
  const before: Results = {
    format: 1,
    machine,
    measurements: [measured('overhead', [figureOf(9), { ...figureOf(1), goal: 'G1' }]), measured('walks', [figureOf(3)])],
  };

  it('of some goals take the place of the older ones of those goals only', () => {
    const now: Results = { format: 1, machine, measurements: [measured('overhead', [figureOf(8)])] };
    const merged = mergeResults(before, now).measurements.map(({ suite, outcomes }) => [
      suite,
      outcomes.map((found) => [found.goal, 'figure' in found && found.figure]),
    ]);
    expect(merged).toEqual([
      [
        'overhead',
        [
          ['G1', 1],
          ['G11', 8],
        ],
      ],
      ['walks', [['G11', 3]]],
    ]);
  });

  it('of another machine are not mixed with these', () => {
    const now: Results = { format: 1, machine: { ...machine, processor: 'Q' }, measurements: [measured('walks', [figureOf(4)])] };
    expect(mergeResults(before, now)).toEqual(now);
  });
});

describe('showNumber', () => {
  it.each([
    [0.012345, '0.0123'],
    [9.999, '10'],
    [1234.5, '1,235'],
    [0, '0'],
    [Number.NaN, '?'],
  ])('%d is %s', (value, shown) => {
    expect(showNumber(value)).toBe(shown);
  });
});

describe('the suites', () => {
  it('measure each goal in one place', () => {
    const goals = suites.flatMap((suite) => suite.goals);
    expect(new Set(goals).size).toBe(goals.length);
    expect(goals).toEqual(expect.arrayContaining(['G1', 'G4', 'G11', 'G12', 'G13']));
  });
});

describe('docs/guide/performance.md', () => {
  const found = readResults(resolve(root, 'bench/results.json'));
  const page = readFileSync(resolve(root, 'docs/guide/performance.md'), 'utf8');

  it('shows what bench/results.json holds, and nothing that was not measured', () => {
    expect(found).toBeDefined();
    expect(fillPage(page, found as Results)).toBe(page);
    expect(found?.measurements.every((entry) => !entry.quick) && found.growth?.quick === false).toBe(true);
  });

  it('has the picture of the growth it has the table of', () => {
    const file = resolve(root, 'docs/images/growth.svg');
    expect(existsSync(file)).toBe(true);
    expect(readFileSync(file, 'utf8')).toBe(growthChart((found as Results & { growth: NonNullable<Results['growth']> }).growth));
  });
});
