import { datasetFromArrays } from '@recloom/core';
import { describe, expect, it } from 'vitest';
import { evaluatePipelines } from './evaluate-pipelines.js';
import type { Evaluation, PipelineEvaluation } from './evaluation.js';
import { type Asked, probePlugin } from './probe-plugin.test-support.js';
import { makeSplits } from './splits/make-splits.js';

const day = 86_400_000;
const start = Date.UTC(2024, 0, 1);
const training = ['u1 a', 'u1 b', 'u2 a', 'u2 c', 'u3 a', 'u3 b', 'u3 d', 'u4 a', 'u4 e'];
const test = ['u1 c', 'u1 d', 'u2 b', 'u3 c', 'u4 d'];
const event = (pair: string, onDay: number) => {
  const [user, item] = pair.split(' ') as [string, string];
  return { user, item, timeMs: start + onDay * day };
};

/** Worked out by hand: items a … e cost 1 … 5; a, b, e are of category x, c and d of y; the cut is on day 10. */
const arrays = {
  items: ['a', 'b', 'c', 'd', 'e'].map((id, place) => ({
    id,
    title: `the ${id}`,
    price: place + 1,
    category: ['c', 'd'].includes(id) ? 'y' : 'x',
  })),
  users: ['u1', 'u2', 'u3', 'u4'].map((id, place) => ({ id, country: place % 2 === 0 ? 'Norway' : 'Sweden' })),
  events: [...training.map((pair, place) => event(pair, 1 + place / 10)), ...test.map((pair) => event(pair, 10))],
  types: { items: { category: 'category' as const }, users: { country: 'category' as const } },
};
const dataset = datasetFromArrays(arrays);
const described = makeSplits(dataset, { cutMs: start + 10 * day });

function config(name: string, source: string, further: object = {}) {
  return {
    format: '1.0',
    name,
    data: {},
    components: { all: { use: `probe/${source}` } },
    surfaces: { home: { sources: { all: 3 }, ...further } },
  };
}

const evaluate = (options: object = {}, pipelines = [{ source: config('down', 'down'), file: 'down.yaml' }], splits = described) =>
  evaluatePipelines(pipelines, splits, { plugins: [probePlugin()], k: 2, at: [1, 3], ...options });

const only = (evaluation: Evaluation, name: string): PipelineEvaluation => {
  const found = evaluation.pipelines.find((pipeline) => pipeline.name === name);
  if (found === undefined) throw new Error(`there is no ${name}`);
  return found;
};
/** 1 / log2(3): a hit in the second place. */
const second = 1 / Math.log2(3);

describe('evaluatePipelines', () => {
  it('gives the figures worked out by hand', async () => {
    const evaluation = await evaluate();
    expect(evaluation).toMatchObject({
      format: 'recloom-evaluation/1',
      shop: 'down',
      k: 2,
      split: { kind: 'temporal', cut: '2024-01-11T00:00:00.000Z' },
    });
    expect(evaluation.pipelines.map(({ name }) => name)).toEqual(['down', 'popularity']);
    // Lists of two, without what is known: u1 e d (d is right), u2 e d (nothing), u3 e c (c), u4 d c (d).
    const down = only(evaluation, 'down');
    expect(down).toMatchObject({ file: 'down.yaml', surface: 'home', cases: 4, configHash: expect.stringMatching(/^[0-9a-f]{64}$/) });
    const means = Object.fromEntries(Object.entries(down.figures).map(([name, figure]) => [name, figure.mean]));
    expect(means).toEqual({
      ndcg: expect.closeTo((second / (1 + second) + 0 + second + 1) / 4, 12),
      recall: expect.closeTo((0.5 + 0 + 1 + 1) / 4, 12),
      precision: expect.closeTo((0.5 + 0 + 0.5 + 0.5) / 4, 12),
      f1: expect.closeTo((0.5 + 0 + 2 / 3 + 2 / 3) / 4, 12),
      hitRate: 0.75,
      map: expect.closeTo((0.25 + 0 + 0.5 + 1) / 4, 12),
      mrr: expect.closeTo((0.5 + 0 + 0.5 + 1) / 4, 12),
      revenue: expect.closeTo((4 + 0 + 3 + 4) / 4, 12),
    });
    // By popularity (a 4, then b 2, c d e 1): u1 c d, u2 b d, u3 c e, u4 b c.
    const popularity = only(evaluation, 'popularity');
    expect(popularity.figures.ndcg.mean).toBe(0.75);
    expect(popularity.figures.revenue?.mean).toBe((7 + 2 + 3 + 0) / 4);
  });

  it('gives the curves worked out by hand', async () => {
    const { curves } = only(await evaluate(), 'down');
    expect(curves.at).toEqual([1, 2, 3]);
    // With a third place u1 finds c too, and u2 b: (1/log2 3 + 1/2) / (1 + 1/log2 3), 1/2, 1/log2 3, 1.
    expect(curves.ndcg).toEqual([
      0.25,
      expect.closeTo((second / (1 + second) + second + 1) / 4, 12),
      expect.closeTo(((second + 0.5) / (1 + second) + 0.5 + second + 1) / 4, 12),
    ]);
    expect(curves.recall).toEqual([0.25, 0.625, 1]);
    expect(curves.precision).toEqual([0.25, 0.375, expect.closeTo(5 / 12, 12)]);
    expect(curves.hitRate).toEqual([0.25, 0.75, 1]);
  });

  it('tells what the lists are like', async () => {
    const { catalogue } = only(await evaluate(), 'down');
    // Shown: c twice, d and e three times, a and b never: Gini (0·2 + 2·3 + 4·3) / (5·8) over ascending exposures 0 0 2 3 3.
    expect(catalogue).toEqual({
      coverage: 0.6,
      gini: expect.closeTo(0.45, 12),
      novelty: 2,
      // Lists: known by one user each. Histories: (4+2)/2, (4+1)/2, (4+2+1)/3, (4+1)/2.
      popularityLift: expect.closeTo(1 / ((3 + 2.5 + 7 / 3 + 2.5) / 4) - 1, 12),
      // Of nine pairs a has four, the head; b, c, d begin below four fifths; e does not.
      popularityShares: { head: 0, middle: 5 / 8, tail: 3 / 8 },
      // Of the hits only u4's d is not in popularity's own two.
      serendipity: 1 / 8,
      intraListDiversity: 0.75,
    });
  });

  it('divides the cases by history, by a field of users, and by what the right answers are', async () => {
    const { segments } = only(await evaluate({ segments: ['country', 'item.category', 'price'], historyBounds: [2, 3] }), 'down');
    const figures = segments.map(({ by, name, cases, ndcg }) => [by, name, cases, ndcg.mean]);
    const first = second / (1 + second);
    expect(figures).toEqual([
      ['history', 'warm (2 items)', 3, expect.closeTo((first + 0 + 1) / 3, 12)],
      ['history', 'heavy (3+ items)', 1, expect.closeTo(second, 12)],
      ['country', 'Norway', 2, expect.closeTo((first + second) / 2, 12)],
      ['country', 'Sweden', 2, 0.5],
      ['item.category', 'y', 3, expect.closeTo((first + second + 1) / 3, 12)],
      ['item.category', 'x', 1, 0],
      // Thirds of the items by price: a | b c | d e. Right are c and d of u1 (each alone: d in the second place), b, c, d.
      ['price', '2 up to 4', 3, expect.closeTo((0 + 0 + second) / 3, 12)],
      ['price', 'from 4', 2, expect.closeTo((second + 1) / 2, 12)],
    ]);
  });

  it('follows the right answers through the stages of serving, with its limits', async () => {
    const { funnel } = only(await evaluate(), 'down');
    // Three proposals each, e d c; then without what is known; then two.
    expect(funnel).toEqual([
      { stage: 'source all', candidates: 3, recall: 0.75, cases: 4 },
      { stage: 'candidates', candidates: 3, recall: 0.75, cases: 4 },
      { stage: 'filters', candidates: (3 + 2 + 2 + 2) / 4, recall: 0.75, cases: 4 },
      { stage: 'ranked', candidates: 2, recall: 0.625, cases: 4 },
    ]);
  });

  it('counts fallbacks where they came in', async () => {
    const own = config('both', 'down');
    const both = {
      ...own,
      components: { ...own.components, rest: { use: 'probe/up' } },
      surfaces: { home: { sources: { all: 1, rest: { limit: 2, fallback: true } } } },
    };
    const { funnel } = only(await evaluate({}, [{ source: both, file: '' }]), 'both');
    // e from the main source, then (two are wanted) a and b; u4 has e: a b alone, of which a is known.
    expect(funnel.map(({ stage, candidates, recall }) => [stage, candidates, recall])).toEqual([
      ['source all', 1, 0],
      // What a user has is left out before it is counted: u1 nothing, u2 b, u3 nothing, u4 b.
      ['source rest', 0.5, 0.25],
      ['candidates', 1.5, 0.25],
      ['filters', (1 + 2 + 1 + 1) / 4, 0.25],
      ['ranked', (1 + 2 + 1 + 1) / 4, 0.25],
    ]);
  });

  it('compares each with popularity and the later ones with the first, paired by user', async () => {
    const evaluation = await evaluate({}, [
      { source: config('down', 'down'), file: 'a' },
      { source: config('up', 'up'), file: 'b' },
    ]);
    const facts = evaluation.comparisons.map(({ challenger, baseline, metric, wins, losses, ties }) => [
      challenger,
      baseline,
      metric,
      wins,
      losses,
      ties,
    ]);
    expect(facts).toEqual([
      ['down', 'popularity', 'ndcg', 1, 3, 0],
      ['down', 'popularity', 'recall', 1, 2, 1],
      ['up', 'popularity', 'ndcg', 0, 0, 4],
      ['up', 'popularity', 'recall', 0, 0, 4],
      ['up', 'down', 'ndcg', 3, 1, 0],
      ['up', 'down', 'recall', 2, 1, 1],
    ]);
    const [first, , same] = evaluation.comparisons;
    expect(first?.difference.mean).toBeCloseTo((second / (1 + second) - 1 + (0 - 1) + (second - 1) + (1 - 0)) / 4, 12);
    expect(same).toMatchObject({ pValue: 1, adjustedPValue: 1, significant: false, difference: { mean: 0, low: 0, high: 0 } });
    expect(evaluation.comparisons.every(({ pValue, adjustedPValue }) => adjustedPValue >= pValue)).toBe(true);
  });

  it('shows examples: what was had, taken and proposed, and why', async () => {
    const { examples } = await evaluate();
    expect(examples.map(({ user, why }) => [user, why])).toEqual([
      ['u3', 'typical'],
      ['u4', 'best'],
      ['u2', 'missed'],
    ]);
    const best = examples.find(({ why }) => why === 'best');
    expect(best).toEqual({
      user: 'u4',
      why: 'best',
      history: [
        { id: 'e', title: 'the e' },
        { id: 'a', title: 'the a' },
      ],
      took: [{ id: 'd', title: 'the d' }],
      lists: [
        {
          pipeline: 'down',
          items: [
            { id: 'd', title: 'the d', hit: true, reason: 'it comes late' },
            { id: 'c', title: 'the c', hit: false, reason: 'it comes late' },
          ],
        },
        {
          pipeline: 'popularity',
          items: [
            { id: 'b', title: 'the b', hit: false, reason: 'Taken by 2 users' },
            { id: 'c', title: 'the c', hit: false, reason: 'Taken by 1 user' },
          ],
        },
      ],
    });
  });

  it('takes a user who is asked in several repetitions for one, and gives the spread', async () => {
    const splits = makeSplits(dataset, { kind: 'random', fraction: 0.3, minimumUserItems: 3, seeds: [1, 2, 3] });
    const evaluation = await evaluate({}, undefined, splits);
    const down = only(evaluation, 'down');
    const users = new Set(splits.splits.flatMap(({ cases }) => cases.map(({ user }) => user)));
    expect(down.cases).toBe(splits.splits.reduce((sum, { cases }) => sum + cases.length, 0));
    expect(down.users).toBe(users.size);
    expect(down.figures.ndcg.spread).toBeGreaterThanOrEqual(0);
    expect(evaluation.comparisons[0]).toMatchObject({ metric: 'ndcg' });
    const { wins, losses, ties } = evaluation.comparisons[0] as Evaluation['comparisons'][number];
    expect(wins + losses + ties).toBe(users.size);
    // The curve at k and the figure are the same mean, summed in another order.
    expect(down.curves.ndcg[1]).toBeCloseTo(down.figures.ndcg.mean, 12);
  });

  it('asks for lists of k where rankers choose among as many as the list is long', async () => {
    const asked: Asked[] = [];
    const run = async (further: object): Promise<number> => {
      asked.length = 0;
      const source = { ...config('ranked', 'up', further), components: { all: { use: 'probe/up' }, turn: { use: 'probe/turn' } } };
      await evaluate({ plugins: [probePlugin(asked)], funnelCases: 0, examples: 0 }, [{ source, file: '' }]);
      return asked.length;
    };
    expect(await run({})).toBe(4);
    expect(await run({ rankers: ['turn'] })).toBe(8);
  });

  it('gives new items alone to both, and no share of new ones', async () => {
    const splits = makeSplits(dataset, { kind: 'cold-items', fraction: 0.5, minimumUserItems: 1, seeds: [3] });
    const fresh = splits.splits[0]?.newItems?.map(({ id }) => id) as string[];
    const evaluation = await evaluate({ k: fresh.length, at: [] }, undefined, splits);
    for (const name of ['down', 'popularity']) {
      const { figures, catalogue } = only(evaluation, name);
      expect(figures.recall.mean).toBe(1);
      expect(catalogue.coverage).toBe(1);
      expect(catalogue.newItemShare).toBeUndefined();
    }
  });

  it('says which component failed while it was asked, and how often', async () => {
    const own = config('with-broken', 'down');
    const source = {
      ...own,
      components: { ...own.components, bad: { use: 'probe/broken' } },
      surfaces: { home: { sources: { all: 3, bad: 3 } } },
    };
    const { warnings } = await evaluate({ funnelCases: 0 }, [{ source, file: '' }]);
    expect(warnings).toContainEqual(
      expect.objectContaining({ code: 'RECLOOM_RUN_NODE_FAILED', pipeline: 'with-broken', node: 'bad', times: 4 }),
    );
    expect(warnings?.[0]).toEqual({ code: 'RECLOOM_RUN_FEW_CASES', message: expect.stringContaining('4 users'), times: 1 });
  });

  it('gives the same document again, but for the times', async () => {
    const stable = (evaluation: Evaluation): string =>
      JSON.stringify({
        ...evaluation,
        createdAt: '',
        pipelines: evaluation.pipelines.map((pipeline) => ({ ...pipeline, milliseconds: undefined })),
      });
    expect(stable(await evaluate())).toBe(stable(await evaluate()));
  });

  it('compares configs whose data differ in fields alone, and refuses other events', async () => {
    const renamed = datasetFromArrays({
      ...arrays,
      items: arrays.items.map(({ id }) => ({ id, colour: 'red' })),
      types: { users: { country: 'category' } },
    });
    const own = makeSplits(renamed, { cutMs: start + 10 * day }).splits;
    const pipelines = (splits: typeof own) => [
      { source: config('down', 'down'), file: 'a' },
      { source: config('up', 'up'), file: 'b', splits },
    ];
    const evaluation = await evaluate({}, pipelines(own));
    expect(only(evaluation, 'up').figures.ndcg.mean).toBe(0.75);
    const fewer = datasetFromArrays({ ...arrays, events: arrays.events.slice(0, -1) });
    const other = makeSplits(fewer, { cutMs: start + 10 * day }).splits;
    await expect(evaluate({}, pipelines(other))).rejects.toMatchObject({
      code: 'RECLOOM_DAT_NOT_COMPARABLE',
      message: '"up" cannot be compared with "down": its data give 3 test users and not 4.',
    });
    const swapped = datasetFromArrays({
      ...arrays,
      events: arrays.events.map((entry) => (entry.timeMs === start + 10 * day && entry.user === 'u2' ? { ...entry, item: 'e' } : entry)),
    });
    await expect(evaluate({}, pipelines(makeSplits(swapped, { cutMs: start + 10 * day }).splits))).rejects.toMatchObject({
      code: 'RECLOOM_DAT_NOT_COMPARABLE',
    });
  });

  it('refuses what makes no sense before anything is fitted', async () => {
    await expect(evaluate({ k: 0 })).rejects.toMatchObject({ code: 'RECLOOM_RUN_EVALUATION' });
    await expect(evaluate({ at: [0] })).rejects.toMatchObject({ code: 'RECLOOM_RUN_EVALUATION' });
    await expect(evaluate({ historyBounds: [5, 5] })).rejects.toMatchObject({ code: 'RECLOOM_RUN_EVALUATION' });
    await expect(evaluate({}, [])).rejects.toMatchObject({ code: 'RECLOOM_RUN_EVALUATION' });
    await expect(evaluate({ segments: ['contry'] })).rejects.toMatchObject({
      code: 'RECLOOM_CFG_UNKNOWN_FIELD',
      message: expect.stringContaining('did you mean "country"'),
    });
    await expect(evaluate({ k: 201 })).rejects.toMatchObject({ code: 'RECLOOM_RUN_LIMIT' });
    const signal = AbortSignal.abort(new Error('enough'));
    await expect(evaluate({ signal })).rejects.toThrow();
  });

  it('names configs of one name apart, and none like the baseline', async () => {
    const evaluation = await evaluate({ examples: 0, funnelCases: 0 }, [
      { source: config('popularity', 'down'), file: '1' },
      { source: config('popularity', 'down'), file: '2' },
    ]);
    expect(evaluation.pipelines.map(({ name }) => name)).toEqual(['popularity 2', 'popularity 3', 'popularity']);
    expect(evaluation.examples).toEqual([]);
  });
});
