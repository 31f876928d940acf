// That the runner says the truth about what it measured. Nothing is timed here: timings are no part of the tests.
import { existsSync, readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import onnxProto from 'onnx-proto';
import { InferenceSession, Tensor } from 'onnxruntime-node';
import { describe, expect, it } from 'vitest';
import { openLoop, poissonTimes, quantileOf } from './arrivals.js';
import { growthChart } from './chart.js';
import { dequantise } from './dequantise.js';
import { fillPage, meanings } from './document.js';
import { type GoalResult, showNumber, verdictOf } from './goal.js';
import { interleave, spreadOf } from './measure.js';
import { encodeNetwork } from './network.js';
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

/** x · codes as quantize_dynamic of onnxruntime writes it. */
function quantisedProduct(weights: {
  readonly codes: readonly number[];
  readonly rows: number;
  readonly scales: readonly number[];
  readonly zeros: readonly number[];
}): Uint8Array {
  const { codes, rows, scales, zeros } = weights;
  const value = (name: string, width: number) => ({
    name,
    type: { tensorType: { elemType: 1, shape: { dim: [{ dimParam: 'n' }, { dimValue: width }] } } },
  });
  const columns = codes.length / rows;
  return onnxProto.onnx.ModelProto.encode({
    irVersion: 8,
    opsetImport: [{ domain: '', version: 17 }],
    graph: {
      name: 'product',
      input: [value('x', rows)],
      output: [value('y', columns)],
      initializer: [
        { name: 'w', dims: [rows, columns], dataType: 3, rawData: new Uint8Array(Int8Array.from(codes).buffer) },
        { name: 'zero', dims: [columns], dataType: 3, int32Data: [...zeros] },
        { name: 'scale', dims: [columns], dataType: 1, floatData: [...scales] },
      ],
      node: [
        { opType: 'DynamicQuantizeLinear', input: ['x'], output: ['q', 'range', 'offset'] },
        { opType: 'MatMulInteger', input: ['q', 'w', 'offset', 'zero'], output: ['product'] },
        { opType: 'Cast', input: ['product'], output: ['cast'], attribute: [{ name: 'to', type: 2, i: 1 }] },
        { opType: 'Mul', input: ['range', 'scale'], output: ['scales'] },
        { opType: 'Mul', input: ['cast', 'scales'], output: ['y'] },
      ],
    },
  }).finish();
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

describe('arrivals', () => {
  it('are the same for the same seed, as many as wanted in the mean, with exponential gaps', () => {
    const times = poissonTimes(1_000, 20, 3);
    expect(poissonTimes(1_000, 20, 3)).toEqual(times);
    expect(poissonTimes(1_000, 20, 4)).not.toEqual(times);
    // 20,000 with a standard deviation of 141.
    expect(Math.abs(times.length - 20_000)).toBeLessThan(600);
    const gaps = Array.from(times.subarray(1), (time, place) => time - (times[place] as number));
    expect(Math.min(...gaps)).toBeGreaterThanOrEqual(0);
    // Of an exponential distribution e^-1 of the gaps are longer than the mean, e^-3 longer than three means.
    const longer = (milliseconds: number): number => gaps.filter((gap) => gap > milliseconds).length / gaps.length;
    expect(longer(1)).toBeCloseTo(Math.exp(-1), 1);
    expect(longer(3)).toBeCloseTo(Math.exp(-3), 2);
  });

  it('do not wait for answers: what queues behind a slow call is counted from when it was due', async () => {
    let working = Promise.resolve();
    const slowMs = 40;
    // Three calls are due at once; one after the other takes 40 ms, so the last is answered after 120.
    const { latenciesMs, mostAtOnce } = await openLoop(Float64Array.of(0, 0, 0), () => {
      working = working.then(() => new Promise((resolve) => setTimeout(resolve, slowMs)));
      return working;
    });
    expect(mostAtOnce).toBe(3);
    expect(latenciesMs).toHaveLength(3);
    for (const [turn, latencyMs] of latenciesMs.entries()) expect(latencyMs).toBeGreaterThan((turn + 1) * slowMs - 5);
  });

  it('pass on what a call throws, once the others have ended', async () => {
    let ended = 0;
    const calls = openLoop(Float64Array.of(0, 1), async (turn) => {
      if (turn === 0) throw new Error('no answer');
      await new Promise((resolve) => setTimeout(resolve, 20));
      ended++;
    });
    await expect(calls).rejects.toThrow('no answer');
    expect(ended).toBe(1);
  });
});

describe('quantileOf', () => {
  it('is the value that so many do not exceed', () => {
    const values = Array.from({ length: 200 }, (_, index) => 200 - index);
    expect([quantileOf(values, 0), quantileOf(values, 0.5), quantileOf(values, 0.99), quantileOf(values, 1)]).toEqual([1, 100, 198, 200]);
    expect(() => quantileOf([], 0.5)).toThrow(RangeError);
  });
});

describe('dequantise', () => {
  it('multiplies by the numbers that the codes stand for', async () => {
    // y = x · (codes - zero point) · scale, column by column.
    const model = quantisedProduct({ codes: [10, -20, 30, 40, -50, 60], rows: 3, scales: [0.5, 0.25], zeros: [0, 4] });
    const session = await InferenceSession.create(dequantise(model));
    const { y } = await session.run({ x: new Tensor('float32', Float32Array.of(1, 2, 3), [1, 3]) });
    expect(Array.from(y?.data as Float32Array)).toEqual([
      (1 * 10 + 2 * 30 + 3 * -50) * 0.5,
      (1 * (-20 - 4) + 2 * (40 - 4) + 3 * (60 - 4)) * 0.25,
    ]);
    await session.release();
  });

  it('refuses what has no integer products', () => {
    expect(() => dequantise(encodeNetwork())).toThrow('multiplies no integers');
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
  it('have names of their own and measure the goals that are for this machine', () => {
    const ids = suites.map((suite) => suite.id);
    expect(new Set(ids).size).toBe(ids.length);
    const goals = new Set(suites.flatMap((suite) => suite.goals));
    // GROWTH has a section of its own.
    expect([...goals].filter((goal) => goal !== 'GROWTH').sort()).toEqual(Object.keys(meanings).sort());
    expect([...goals]).toEqual(expect.arrayContaining(['G1', 'G2', 'G3', 'G4', 'G7', 'G8', 'G9', 'G10', 'G11', 'G12', 'G13']));
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
