// What the framework adds to a request: G1 against the same kernel calls by hand, G11 with next to no work at all.
import { datasetFromArrays, openPipeline, type Pipeline } from '@recloom/core';
import { type Kernels, kernelsOf } from '@recloom/kernels';
import { type CandidateBatch, computeToken, defineCandidateSource, definePlugin, defineScorer, type Proposals } from '@recloom/plugin-api';
import { Container } from 'inversify';
import { z } from 'zod';
import type { GoalResult } from './goal.js';
import { interleave, type Measured, uniformSource } from './measure.js';
import type { SuiteOptions } from './suites.js';

/** Items of the catalogues here. */
export const itemCount = 5_000;
/** Lists that `bench/lists` has; the seed of a request, modulo this, is the one it proposes. */
export const listCount = 16;
const answerLength = 10;

/** Lists of distinct random items, best first; a request's seed says which of them is proposed. */
export class FixedLists {
  readonly lists: readonly Proposals[];

  constructor(candidates: number) {
    const uniform = uniformSource(candidates);
    this.lists = Array.from({ length: listCount }, () => {
      const rows = Int32Array.from({ length: itemCount }, (_, row) => row);
      for (let place = 0; place < candidates; place++) {
        const other = place + Math.floor(uniform() * (itemCount - place));
        const moved = rows[place] as number;
        rows[place] = rows[other] as number;
        rows[other] = moved;
      }
      return {
        offsets: Int32Array.of(0, candidates),
        rows: rows.slice(0, candidates),
        scores: Float32Array.from({ length: candidates }, (_, place) => candidates - place),
      };
    });
  }

  propose(batch: { readonly requests: readonly { readonly seed: number }[] }): Proposals {
    return this.lists[(batch.requests[0]?.seed ?? 0) % listCount] as Proposals;
  }
}

/** weights · features of each candidate, by one kernel call. */
class LinearScorer {
  readonly kernels: Kernels;
  readonly width: number;
  readonly features: Float32Array;
  readonly weights: Float32Array;

  constructor(kernels: Kernels, width: number) {
    const uniform = uniformSource(width);
    this.kernels = kernels;
    this.width = width;
    this.features = kernels.float32(itemCount * width);
    for (let index = 0; index < this.features.length; index++) this.features[index] = uniform() - 0.5;
    this.weights = kernels.float32(width);
    for (let index = 0; index < width; index++) this.weights[index] = uniform() - 0.5;
  }

  score(batch: CandidateBatch, out: Float32Array): void {
    this.kernels.gatherDot(this.features, this.width, batch.rows, this.weights, out);
  }

  dispose(): void {
    this.kernels.free(this.features);
    this.kernels.free(this.weights);
  }
}

/** Scores by place in the list: falling, or rising, which is the worst there is for keeping the best ten. */
class PlaceScorer {
  readonly #sign: number;

  constructor(rising: boolean) {
    this.#sign = rising ? 1 : -1;
  }

  score(batch: CandidateBatch, out: Float32Array): void {
    for (let place = 0; place < batch.count; place++) out[place] = this.#sign * place;
  }
}

/** Sources and scorers that cost next to nothing themselves. */
export const plugin = definePlugin({
  apiVersion: 1,
  id: 'bench',
  components: [
    defineCandidateSource({
      id: 'lists',
      summary: 'Proposes one of a few fixed lists.',
      options: z.strictObject({ candidates: z.int().min(1) }),
      capabilities: {},
      stateVersion: 1,
      create: ({ options }) => new FixedLists(options.candidates),
    }),
    defineScorer({
      id: 'linear',
      summary: 'A linear model over dense item features.',
      options: z.strictObject({ width: z.int().min(1) }),
      needs: { compute: computeToken },
      capabilities: {},
      stateVersion: 1,
      create: ({ options, deps }) => new LinearScorer(kernelsOf(deps.compute), options.width),
    }),
    defineScorer({
      id: 'place',
      summary: 'Scores by place.',
      options: z.strictObject({ rising: z.boolean() }),
      capabilities: {},
      stateVersion: 1,
      create: ({ options }) => new PlaceScorer(options.rising),
    }),
  ],
});

async function open(
  candidates: number,
  scorer: { readonly use: string; readonly with: Readonly<Record<string, unknown>> },
): Promise<Pipeline> {
  const items = Array.from({ length: itemCount }, (_, row) => ({ id: `i${String(row).padStart(5, '0')}`, title: `t${row}` }));
  const events = items.map((item, row) => ({ user: `u${row % 100}`, item: item.id, timeMs: Date.UTC(2024, 0, 1) + row * 1000 }));
  return openPipeline(
    {
      format: '1.0',
      name: 'bench',
      data: {},
      components: { lists: { use: 'bench/lists', with: { candidates } }, model: scorer },
      surfaces: {
        home: {
          sources: { lists: candidates },
          scorers: ['model'],
          value: 'score.model',
          limits: { candidates: itemCount, timeoutMs: 10_000 },
        },
      },
    },
    { plugins: [plugin], dataset: datasetFromArrays({ items, events }) },
  );
}

/** A pipeline of a source and a linear scorer, and the same kernel calls by hand. */
interface LinearPair {
  readonly framework: () => Promise<readonly string[]>;
  readonly byHand: () => readonly string[];
  close(): Promise<void>;
}

async function openLinearPair(candidates: number, width: number): Promise<LinearPair> {
  const pipeline = await open(candidates, { use: 'bench/linear', with: { width } });
  const { lists } = pipeline.component<FixedLists>('lists');
  const { kernels, features, weights } = pipeline.component<LinearScorer>('model');
  const ids = Array.from({ length: itemCount }, (_, row) => `i${String(row).padStart(5, '0')}`);
  const scores = new Float32Array(candidates);
  let turn = 0;
  let handTurn = 0;
  const framework = async (): Promise<readonly string[]> => {
    const answer = await pipeline.recommend({ user: 'u1', limit: answerLength, seed: turn++ % listCount });
    return answer.items.map((item) => item.id);
  };
  const byHand = (): readonly string[] => {
    const { rows } = lists[handTurn++ % listCount] as Proposals;
    kernels.gatherDot(features, width, rows, weights, scores);
    return Array.from(kernels.topK(scores, answerLength).rows, (place) => ids[rows[place] as number] as string);
  };
  for (let list = 0; list < listCount; list++) {
    const [one, other] = [(await framework()).join(), byHand().join()];
    if (one !== other) throw new Error(`The pipeline answers ${one} and the kernels by hand ${other}.`);
  }
  return { framework, byHand, close: () => pipeline.close() };
}

/** G1. */
export async function benchOverhead({ quick }: SuiteOptions): Promise<GoalResult[]> {
  const candidates = 1_000;
  const small = await openLinearPair(candidates, 50);
  const wideFeatures = 4_096;
  const wide = await openLinearPair(candidates, wideFeatures);
  try {
    const times = await interleave(
      { framework: small.framework, byHand: small.byHand, wideFramework: wide.framework, wideByHand: wide.byHand },
      {
        rounds: quick ? 5 : 25,
        warmUpRounds: 5,
        calls: { framework: 2_000, byHand: 2_000, wideFramework: 100, wideByHand: 100 },
      },
    );
    const microseconds = (name: keyof typeof times): number => times[name].cpuMs.median * 1000;
    return [
      {
        goal: 'G1',
        name: 'added to 1,000 candidates × 50 features',
        figure: microseconds('framework') - microseconds('byHand'),
        unit: 'µs CPU',
        bound: { atMost: 100 },
        limit: { name: 'the same kernels by hand', value: microseconds('byHand'), unit: 'µs CPU' },
        note: `whole request ${microseconds('framework').toFixed(1)} µs: source, merge, linear scorer, value, best ten, answer`,
      },
      {
        goal: 'G1',
        name: `added to a scorer of ${(microseconds('wideByHand') / 1000).toFixed(1)} ms, as a share`,
        figure: microseconds('wideFramework') / microseconds('wideByHand') - 1,
        unit: 'share',
        bound: { atMost: 0.1 },
        limit: { name: 'the same kernels by hand', value: microseconds('wideByHand'), unit: 'µs CPU' },
        note: `1,000 × ${wideFeatures.toLocaleString('en-GB')} features, ${(microseconds('wideFramework') / 1000).toFixed(2)} ms a request`,
      },
    ];
  } finally {
    await small.close();
    await wide.close();
  }
}

/** G11. The fixed cost is measured before anything else runs in the process, and once more after that. */
export async function benchFixedCost({ quick }: SuiteOptions): Promise<GoalResult[]> {
  const resolves = countResolves();
  const falling = { use: 'bench/place', with: { rising: false } };
  const tiny = await open(answerLength, falling);
  const assembling = resolves.count;
  if (assembling === 0) throw new Error('Opening a pipeline resolved nothing: the counter of container resolves is broken.');
  const ask = (pipeline: Pipeline): (() => Promise<unknown>) => {
    let turn = 0;
    return () => pipeline.recommend({ user: 'u1', limit: answerLength, seed: turn++ % listCount });
  };
  const opened = [tiny];
  try {
    const calls = 4_000;
    const rounds = quick ? 5 : 31;
    let resolved = -resolves.count;
    const alone = await interleave({ tiny: ask(tiny), byHand: handWritten(tiny) }, { rounds, warmUpRounds: 8, calls });
    resolved += resolves.count;
    const bestFirst = await open(1_000, falling);
    const worstFirst = await open(1_000, { use: 'bench/place', with: { rising: true } });
    const linear = await open(1_000, { use: 'bench/linear', with: { width: 50 } });
    opened.push(bestFirst, worstFirst, linear);
    resolved -= resolves.count;
    const among = await interleave(
      { tiny: ask(tiny), bestFirst: ask(bestFirst), worstFirst: ask(worstFirst), linear: ask(linear) },
      { rounds, warmUpRounds: 8, calls: { tiny: calls, bestFirst: calls / 4, worstFirst: calls / 4, linear: calls / 4 } },
    );
    resolved += resolves.count;
    const microseconds = ({ cpuMs }: Measured): number => cpuMs.median * 1000;
    return [
      {
        goal: 'G11',
        name: 'fixed cost of a request',
        figure: microseconds(alone.tiny),
        unit: 'µs CPU',
        bound: { atMost: 10 },
        limit: { name: 'a hand-written async function with the same answer', value: microseconds(alone.byHand), unit: 'µs CPU' },
        note: `ten candidates, one source, one scorer, answer of ten; rounds from ${(alone.tiny.cpuMs.lowest * 1000).toFixed(1)} to ${(alone.tiny.cpuMs.highest * 1000).toFixed(1)} µs`,
      },
      {
        goal: 'G11',
        name: 'the same in turns with three other pipelines of the process',
        figure: microseconds(among.tiny),
        unit: 'µs CPU',
        limit: { name: 'the same alone', value: microseconds(alone.tiny), unit: 'µs CPU' },
        note: 'several kinds of sources and scorers then share the compiled code of the pipeline',
      },
      {
        goal: 'G11',
        name: 'container resolves by requests',
        figure: resolved,
        unit: 'resolves',
        bound: { atMost: 0 },
        limit: { name: 'opening one pipeline', value: assembling, unit: 'resolves' },
        note: "every get of Inversify's container is counted, over all requests of this measurement",
      },
      {
        goal: 'G11',
        name: 'a request of 1,000 candidates whose values rise (the worst order for keeping the best ten)',
        figure: microseconds(among.worstFirst),
        unit: 'µs CPU',
        limit: { name: 'the same with falling values', value: microseconds(among.bestFirst), unit: 'µs CPU' },
        note: 'sum of merging, scoring, value and selection; no goal of its own, G1 bounds it',
      },
    ];
  } finally {
    for (const pipeline of opened) await pipeline.close();
    resolves.stop();
  }
}

/** What a program without a framework would do for the same ten items: ask, score, sort, name. */
function handWritten(pipeline: Pipeline): () => Promise<unknown> {
  const source = pipeline.component<FixedLists>('lists');
  const scorer = pipeline.component<PlaceScorer>('model');
  const ids = Array.from({ length: itemCount }, (_, row) => `i${String(row).padStart(5, '0')}`);
  let turn = 0;
  return async () => {
    const requests = [{ seed: turn++ % listCount }];
    const { rows, offsets } = source.propose({ requests });
    const scores = new Float32Array(rows.length);
    scorer.score({ count: rows.length, rows, offsets, requests: [], sources: [], column: () => undefined }, scores);
    const order = Array.from(rows.keys()).sort((one, other) => (scores[other] as number) - (scores[one] as number) || one - other);
    return {
      items: order.slice(0, answerLength).map((place) => ({ id: ids[rows[place] as number], value: scores[place] })),
      at: Date.now(),
    };
  };
}

/** Counts every resolution of every container of Inversify in this process, until stopped. */
function countResolves(): { readonly count: number; stop(): void } {
  const methods = ['get', 'getAsync', 'getAll', 'getAllAsync'] as const;
  const prototype = Container.prototype as unknown as Record<string, (...parameters: unknown[]) => unknown>;
  const originals = methods.map((name) => [name, prototype[name] as (...parameters: unknown[]) => unknown] as const);
  const counter = {
    count: 0,
    stop: () => {
      for (const [name, original] of originals) prototype[name] = original;
    },
  };
  for (const [name, original] of originals) {
    prototype[name] = function (this: unknown, ...parameters: unknown[]): unknown {
      counter.count++;
      return original.apply(this, parameters);
    };
  }
  return counter;
}
