import { definePlugin, defineScorer, isRecloomError, type RecloomError } from '@recloom/plugin-api';
import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { datasetFromArrays } from '../data/dataset-from-arrays.js';
import { openPipeline } from '../open-pipeline.js';
import { validatePipeline } from '../validate-pipeline.js';
import { featurePlugin } from './feature-plugin.test-support.js';
import type { Pipeline } from './pipeline.js';
import { testPlugin } from './test-plugin.test-support.js';

const dataset = () =>
  datasetFromArrays({
    items: ['a', 'b', 'c'].map((id, index) => ({ id, price: index + 1 })),
    events: [
      { user: 'u', item: 'a', timeMs: Date.UTC(2024, 0, 1) },
      { user: 'u', item: 'a', timeMs: Date.UTC(2024, 0, 2) },
      { user: 'u', item: 'b', timeMs: Date.UTC(2024, 0, 3) },
    ],
  });

const components = {
  popular: { use: 'test/counts' },
  walk: { use: 'features/place' },
  click: { use: 'features/constant', with: { value: 1, further: { cvr: 0.25, margin: 3 } } },
  slow: { use: 'features/constant', with: { value: 5, delayMs: 20, further: { second: 7 } } },
  never: { use: 'features/constant', with: { value: 5, delayMs: 10_000, further: { second: 7 } } },
};

async function open(surface: Record<string, unknown>, extra: Record<string, unknown> = {}): Promise<Pipeline> {
  return openPipeline(
    {
      format: '1.0',
      name: 'unit',
      data: { now: 'data' },
      components: { ...components, ...extra },
      surfaces: { home: { sources: ['popular'], ...surface } },
    },
    { plugins: [testPlugin(), featurePlugin({ calls: [] })], dataset: dataset() },
  );
}

async function problemsOf(promise: Promise<unknown>): Promise<readonly RecloomError[]> {
  try {
    await promise;
  } catch (error) {
    if (!isRecloomError(error)) throw error;
    return error.problems.length > 0 ? error.problems : [error];
  }
  throw new Error('it was accepted');
}

const values = async (pipeline: Pipeline, request: Record<string, unknown> = {}): Promise<number[]> => {
  const answer = await pipeline.recommend({ limit: 3, ...request });
  return answer.items.map((item) => item.value);
};

describe('further columns of a scorer', () => {
  it('are read in value, in a request’s filter and boost, and shown in explanations', async () => {
    const pipeline = await open({ scorers: ['click'], value: 'score.click * score.click.cvr + score.click.margin' });
    const answer = await pipeline.recommend({ limit: 1, explain: true });
    expect(answer.items[0]?.value).toBe(3.25);
    expect(answer.items[0]?.explanation?.scores).toMatchObject({ 'score.click': 1, 'score.click.cvr': 0.25, 'score.click.margin': 3 });
    expect(await values(pipeline, { boost: 'score.click.margin' })).toEqual([3, 3, 3]);
    await pipeline.close();
  });

  it('that do not exist are found at assembly, with place and suggestion', async () => {
    const [problem] = await problemsOf(open({ scorers: ['click'], value: 'score.click + score.click.cvt' }));
    expect(problem).toMatchObject({
      code: 'RECLOOM_CFG_EXPRESSION',
      message: 'The expression is wrong: there is no column "score.click.cvt"; did you mean "score.click.cvr"? (at column 15).',
      at: { surface: 'home' },
    });
    const [none] = await problemsOf(open({ scorers: ['popular'], value: 'score.popular.cvr' }));
    expect(none?.message).toContain('"popular" gives one score, score.popular');
  });

  it('that a component reads without saying so in its options are found at the component', async () => {
    const [problem] = await problemsOf(
      open({ scorers: ['hidden', 'click'] }, { hidden: { use: 'features/hidden' }, other: { use: 'features/hidden' } }),
    );
    expect(problem).toMatchObject({ code: 'RECLOOM_CFG_EXPRESSION', at: { node: 'hidden', component: 'features/hidden' } });
    expect(problem?.message).toContain('"click" gives score.click and score.click.cvr, score.click.margin');
  });

  it('that a request asks for and that do not exist are the request’s fault', async () => {
    const pipeline = await open({ scorers: ['click'] });
    await expect(pipeline.recommend({ boost: 'score.click.nothing' })).rejects.toMatchObject({ code: 'RECLOOM_RUN_REQUEST' });
    await pipeline.close();
  });

  it('pass validation, which makes no scorer, and fail only where they are known to be wrong', async () => {
    const config = (value: string): Record<string, unknown> => ({
      format: '1.0',
      name: 'unit',
      data: {},
      components,
      surfaces: { home: { sources: ['popular'], features: ['walk'], scorers: ['click'], value } },
    });
    const options = { plugins: [testPlugin(), featurePlugin({ calls: [] })], data: false };
    await expect(validatePipeline(config('score.click.cvr + feature.walk.1'), options)).resolves.toMatchObject({ surfaces: ['home'] });
    expect((await problemsOf(validatePipeline(config('score.clack.cvr'), options)))[0]?.message).toContain('did you mean "score.click"?');
  });

  it('are zeros, like the first, when the scorer fails or is late', async () => {
    const pipeline = await open({ scorers: ['never'], value: '1 + score.never + score.never.second', limits: { timeoutMs: 40 } });
    const answer = await pipeline.recommend({ limit: 1 });
    expect(answer.items[0]?.value).toBe(1);
    expect(answer.warnings).toContainEqual(
      expect.objectContaining({ code: 'RECLOOM_RUN_TIMEOUT', at: expect.objectContaining({ node: 'never' }) }),
    );
    await pipeline.close();
  });

  it('of a request that failed are not given to the next while a scorer may still write into them', async () => {
    const late = defineScorer({
      id: 'late',
      summary: 'Writes after a while, whether anybody still waits or not.',
      options: z.strictObject({}),
      capabilities: {},
      stateVersion: 1,
      create: () => ({
        score: (_batch, out) => new Promise<void>((resolve) => setTimeout(() => resolve(void out.fill(5)), 20)),
      }),
    });
    const broken = defineScorer({
      id: 'broken',
      summary: 'Fails.',
      options: z.strictObject({}),
      capabilities: {},
      stateVersion: 1,
      create: () => ({ score: () => Promise.reject(new TypeError('no')) }),
    });
    const patient = defineScorer({
      id: 'patient',
      summary: 'Writes at once and is done after a while.',
      options: z.strictObject({}),
      capabilities: {},
      stateVersion: 1,
      create: () => ({
        score: (_batch, out) => {
          out.fill(7);
          return new Promise<void>((resolve) => setTimeout(resolve, 60));
        },
      }),
    });
    const pipeline = await openPipeline(
      {
        format: '1.0',
        name: 'unit',
        data: { now: 'data' },
        components: {
          popular: { use: 'test/counts' },
          late: { use: 'own/late' },
          broken: { use: 'own/broken' },
          patient: { use: 'own/patient' },
        },
        surfaces: {
          first: { sources: ['popular'], scorers: ['late', { use: 'broken', onError: 'fail' }] },
          second: { sources: ['popular'], scorers: ['patient'], value: 'score.patient' },
        },
      },
      { plugins: [testPlugin(), definePlugin({ apiVersion: 1, id: 'own', components: [late, broken, patient] })], dataset: dataset() },
    );
    await expect(pipeline.recommend({ surface: 'first', limit: 3 })).rejects.toMatchObject({ code: 'RECLOOM_RUN_REQUIRED_FAILED' });
    expect(await values(pipeline, { surface: 'second' })).toEqual([7, 7, 7]);
    await pipeline.close();
  });

  it('must have names that expressions can read', async () => {
    const [problem] = await problemsOf(open({ scorers: ['bad'] }, { bad: { use: 'features/constant', with: { further: { 'a.b': 1 } } } }));
    expect(problem).toMatchObject({ code: 'RECLOOM_LAW_SHAPE', at: { node: 'bad' } });
  });
});

describe('columns of a feature', () => {
  it('are read by number, with a dot or in brackets', async () => {
    const pipeline = await open({ features: ['walk'], value: 'feature.walk.1 * 10 + feature.walk + feature.walk[0] * 0.5' });
    // Rows 2, 1, 0: 40 + 2 + 1, 10 + 1 + 0.5, 0.
    expect(await values(pipeline)).toEqual([43, 11.5, 0]);
    // Scaled to [0, 1], plus the boost.
    const boosted = await values(pipeline, { boost: 'has(feature.walk.1) ? feature.walk.1 : -1' });
    expect(boosted).toEqual([5, 1 + Math.fround(11.5 / 43), 0].map((value) => expect.closeTo(value, 5)));
    await pipeline.close();
  });

  it('past the last are found at assembly, at the character where they stand', async () => {
    const [problem] = await problemsOf(open({ features: ['walk'], value: 'feature.walk.1 + feature.walk.2' }));
    expect(problem?.message).toBe(
      'The expression is wrong: there is no column "feature.walk.2"; "walk" has feature.walk.0 to feature.walk.1 (at column 18).',
    );
  });

  it('in a text are a text', async () => {
    const pipeline = await open({ value: '"feature.walk.1" == "x" ? 1 : 2 // feature.walk.9' });
    expect(await values(pipeline)).toEqual([2, 2, 2]);
    await pipeline.close();
  });
});

describe('a scorer that reads columns', () => {
  const total = (...of: string[]) => ({ total: { use: 'features/sum', with: { of } } });

  it('is called when they are there, however long that takes', async () => {
    const pipeline = await open(
      { features: ['walk'], scorers: ['slow', 'popular', 'total'], value: 'score.total' },
      total('score.slow', 'score.slow.second', 'score.popular', 'feature.walk.1'),
    );
    // 5 + 7 + events + row².
    expect((await values(pipeline)).sort()).toEqual([14, 14, 16]);
    await pipeline.close();
  });

  it('still answers, in time, when the one it waits for is late', async () => {
    const pipeline = await open({ scorers: ['never', 'total'], value: '1 + score.total', limits: { timeoutMs: 40 } }, total('score.never'));
    const answer = await pipeline.recommend({ limit: 1 });
    expect(answer.items[0]?.value).toBe(1);
    expect(answer.warnings.filter(({ code }) => code === 'RECLOOM_RUN_TIMEOUT').map(({ at }) => at?.node)).toContain('never');
    await pipeline.close();
  });

  it.each([
    [['total', 'slow'], 'score.slow', '"slow" comes later; name it before.'],
    [['total'], 'score.slow', '"slow" is not among the scorers of the surface.'],
    [['slow', 'total'], 'score.slow.secnod', 'there is no such column; did you mean "score.slow.second"?'],
    [['total'], 'score.total', 'it is its own.'],
    [['total'], 'feature.walk', '"walk" is not among the features of the surface.'],
  ])('is refused at assembly with scorers %j that do not give %s', async (scorers, column, why) => {
    const [problem] = await problemsOf(open({ scorers }, total(column)));
    expect(problem).toMatchObject({ code: 'RECLOOM_CFG_SCORER_ORDER', at: { surface: 'home' } });
    expect(problem?.message).toBe(`Scorer "total" of surface "home" reads ${column}, which is not there when its turn comes: ${why}`);
  });
});
