import { describe, expect, it } from 'vitest';
import { datasetFromArrays } from '../data/dataset-from-arrays.js';
import { openPipeline } from '../open-pipeline.js';
import { featurePlugin } from './feature-plugin.test-support.js';
import type { Pipeline, ScoreCandidatesOptions } from './pipeline.js';
import type { ScoredCandidates, ScoredResult } from './score-candidates.js';
import { testPlugin } from './test-plugin.test-support.js';
import type { RecommendRequest } from './types.js';

const at = Date.UTC(2024, 0, 1);
/** Bought: a by u1, u2, u3; b by u1, u2; c by u1; d by nobody. */
const dataset = () =>
  datasetFromArrays({
    items: [
      { id: 'a', price: 1, fresh: true },
      { id: 'b', price: 2, fresh: false },
      { id: 'c', price: null, fresh: true },
      { id: 'd', price: 4, fresh: false },
    ],
    events: ['u1a', 'u1b', 'u1c', 'u2a', 'u2b', 'u3a'].map((pair, index) => ({
      user: pair.slice(0, 2),
      item: pair.slice(2),
      timeMs: at + index * 86_400_000,
      type: 'purchase',
    })),
    types: { items: { price: 'number', fresh: 'boolean' } },
  });

const components = {
  popular: { use: 'test/counts' },
  mine: { use: 'test/history' },
  seen: { use: 'test/seen' },
  walk: { use: 'features/place' },
  click: { use: 'features/constant', with: { value: 1, further: { cvr: 0.25 } } },
  shuffle: { use: 'test/custom-rank' },
  consent: { use: 'test/gate' },
};

async function open(surface: Record<string, unknown> = {}): Promise<Pipeline> {
  const home = {
    sources: { popular: 10, mine: 10 },
    features: ['walk'],
    scorers: ['popular', 'click'],
    value: 'score.popular',
    ...surface,
  };
  return openPipeline(
    { format: '1.0', name: 'unit', data: { now: 'data' }, components, surfaces: { home } },
    // A ranker that cuts everything: what it would do must not show.
    { plugins: [testPlugin({ rank: () => new Int32Array(0) }), featurePlugin({ calls: [] })], dataset: dataset() },
  );
}

async function all(
  pipeline: Pipeline,
  requests: readonly (RecommendRequest | string)[],
  options?: ScoreCandidatesOptions,
): Promise<ScoredResult[]> {
  const results: ScoredResult[] = [];
  for await (const result of pipeline.scoreCandidates(requests, options)) results.push(result);
  return results;
}

async function one(pipeline: Pipeline, request: RecommendRequest, options?: ScoreCandidatesOptions): Promise<ScoredCandidates> {
  const [result] = await all(pipeline, [request], options);
  if (result?.candidates === undefined) throw result?.error ?? new Error('nothing');
  return result.candidates;
}

const plain = (candidates: ScoredCandidates): Record<string, number[]> =>
  Object.fromEntries(Object.entries(candidates.columns).map(([name, values]) => [name, Array.from(values)]));

describe('scoreCandidates', () => {
  it('gives every candidate with all columns of the surface, before any ranker', async () => {
    const pipeline = await open({ rankers: ['shuffle'] });
    const candidates = await one(pipeline, { user: 'u2', limit: 1 });
    // Merged place by place: popular a b c d, mine b a.
    expect(candidates.ids).toEqual(['a', 'b', 'c', 'd']);
    expect(Array.from(candidates.rows)).toEqual([0, 1, 2, 3]);
    expect(Object.keys(candidates.columns)).toEqual([
      'source.popular.score',
      'source.popular.rank',
      'source.mine.score',
      'source.mine.rank',
      'feature.walk',
      'feature.walk.1',
      'score.popular',
      'score.click',
      'score.click.cvr',
    ]);
    expect(plain(candidates)).toEqual({
      'source.popular.score': [3, 2, 1, 0],
      'source.popular.rank': [1, 2, 3, 4],
      'source.mine.score': [0.5, 1, Number.NaN, Number.NaN],
      'source.mine.rank': [2, 1, Number.NaN, Number.NaN],
      'feature.walk': [0, 1, 2, 3],
      'feature.walk.1': [0, 1, 4, 9],
      'score.popular': [3, 2, 1, 0],
      'score.click': [1, 1, 1, 1],
      'score.click.cvr': [0.25, 0.25, 0.25, 0.25],
    });
    expect(Array.from(candidates.values)).toEqual([3, 2, 1, 0]);
    expect(candidates).toMatchObject({ surface: 'home', personalised: true, asOfMs: at + 5 * 86_400_000 });
    await pipeline.close();
  });

  it('gives the columns asked for, item fields and expressions among them', async () => {
    const pipeline = await open({ filters: ['seen'] });
    const columns = ['item.price', 'item.fresh', 'item.price > 3.0', 'score.popular * 2 + request.bonus', 'item.price'];
    const candidates = await one(pipeline, { user: 'u3', context: { bonus: 1 } }, { columns });
    expect(candidates.ids).toEqual(['b', 'c', 'd']);
    expect(plain(candidates)).toEqual({
      'item.price': [2, Number.NaN, 4],
      'item.fresh': [0, 1, 0],
      'item.price > 3.0': [0, 0, 1],
      'score.popular * 2 + request.bonus': [5, 3, 1],
    });
    await pipeline.close();
  });

  it('answers a batch as each request alone, in order, with its errors in the stream', async () => {
    const pipeline = await open({ privacy: ['consent'] });
    const requests: (RecommendRequest | string)[] = [
      { user: 'u1', purposes: ['personalisation'] },
      { user: 'u1' },
      { limit: 0 },
      { user: 'u2', purposes: ['personalisation'], filter: 'item.price > 1.0' },
      'u3',
    ];
    const together = await all(pipeline, requests, { batch: 3 });
    expect(together.map(({ index, error }) => [index, error?.code])).toEqual([
      [0, undefined],
      [1, undefined],
      [2, 'RECLOOM_RUN_LIMIT'],
      [3, undefined],
      [4, undefined],
    ]);
    for (const [index, request] of requests.entries()) {
      if (index === 2) continue;
      const alone = await one(pipeline, typeof request === 'string' ? { user: request } : request);
      expect({ ...together[index]?.candidates, timings: [] }).toEqual({ ...alone, timings: [] });
    }
    // Without consent the history is not read.
    expect(together[1]?.candidates?.personalised).toBe(false);
    expect(plain(together[1]?.candidates as ScoredCandidates)['source.mine.rank']).toEqual([
      Number.NaN,
      Number.NaN,
      Number.NaN,
      Number.NaN,
    ]);
    // u1, newest first: c b a.
    expect(together[0]?.candidates?.ids).toEqual(['a', 'c', 'b', 'd']);
    expect(plain(together[0]?.candidates as ScoredCandidates)['source.mine.rank']).toEqual([3, 1, 2, Number.NaN]);
    await pipeline.close();
  });

  it('keeps to the limits of sources and candidates unless they are lifted', async () => {
    const pipeline = await open({ sources: { popular: 2 }, limits: { candidates: 3 } });
    expect((await one(pipeline, { limit: 1 })).ids).toEqual(['a', 'b']);
    expect((await one(pipeline, { limit: 1 }, { unlimited: true })).ids).toEqual(['a', 'b', 'c', 'd']);
    await pipeline.close();
  });

  it('refuses a column that does not exist, an aborted call and a batch of nothing', async () => {
    const pipeline = await open();
    await expect(all(pipeline, ['u1'], { columns: ['score.clikc'] })).rejects.toMatchObject({
      code: 'RECLOOM_RUN_REQUEST',
      message: expect.stringContaining('did you mean "score.click"?'),
    });
    await expect(all(pipeline, ['u1'], { columns: ['item.id'] })).rejects.toMatchObject({ code: 'RECLOOM_RUN_REQUEST' });
    await expect(all(pipeline, ['u1'], { signal: AbortSignal.abort() })).rejects.toMatchObject({ code: 'RECLOOM_RUN_ABORTED' });
    await expect(all(pipeline, ['u1'], { batch: 0 })).rejects.toMatchObject({ code: 'RECLOOM_RUN_REQUEST' });
    await pipeline.close();
    await expect(all(pipeline, ['u1'])).rejects.toMatchObject({ code: 'RECLOOM_RUN_CLOSED' });
  });

  it('hands out arrays of its own', async () => {
    const pipeline = await open();
    const first = await one(pipeline, { user: 'u1' });
    first.rows.fill(9);
    first.values.fill(9);
    for (const column of Object.values(first.columns)) column.fill(9);
    const second = await one(pipeline, { user: 'u1' });
    expect(Array.from(second.rows)).toEqual([0, 2, 1, 3]);
    expect(Array.from(second.values)).toEqual([3, 1, 2, 0]);
    expect(plain(second)['score.popular']).toEqual([3, 1, 2, 0]);
    await pipeline.close();
  });

  it('unfiltered: what the sources propose, with nothing taken out and nothing filled up', async () => {
    const pipeline = await open({
      sources: { mine: 10, popular: { limit: 10, fallback: true } },
      filters: ['seen'],
      limits: { candidates: 1 },
    });
    const request = { user: 'u1', exclude: ['a'], filter: 'item.fresh' };
    const ids = async (options: ScoreCandidatesOptions): Promise<readonly string[]> => {
      const [first] = await all(pipeline, [request], options);
      return [...(first?.candidates?.ids ?? [])].sort();
    };
    // u1 has a, b and c: the source `mine` proposes these, the filter takes them out, and the fallback offers d, which is not fresh.
    expect(await ids({ unfiltered: true })).toEqual(['a', 'b', 'c']);
    expect(await ids({})).toEqual([]);
    await pipeline.close();
  });
});
