import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type ConfigSource, openPipeline } from '@recloom/core';
import { isRecloomError, type RecloomError } from '@recloom/plugin-api';
import { describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { evaluatePipeline } from '../evaluate-pipeline.js';
import { leaveLastOut } from '../splits/per-user.js';
import { temporalSplit } from '../splits/temporal.js';
import { type LearnBlendOptions, type LearnedBlend, learnBlend } from './learn-blend.js';
import { chance, cutMs, type Planted, plantedConfig, plantedShop, repository, windows } from './planted.test-support.js';

const plantedWish = (scores: (name: string) => number): number => scores('order') + 0.5 * scores('content');

function learn(shop: Planted, source: ConfigSource, options: Partial<LearnBlendOptions> = {}): Promise<LearnedBlend> {
  return learnBlend(source, shop.dataset, { plugins: [shop.plugin], directory: repository, k: 5, ...windows, ...options });
}

/** A config with a learned patch laid over it. */
function patched(config: Record<string, unknown>, patch: string): Record<string, unknown> {
  const { components, surfaces } = parse(patch) as Record<'components' | 'surfaces', Record<string, object>>;
  const below = config['surfaces'] as Record<string, object>;
  return {
    ...config,
    components: { ...(config['components'] as object), ...components },
    surfaces: { ...below, home: { ...below['home'], ...surfaces['home'] } },
  };
}

async function codeOf(work: Promise<unknown>): Promise<RecloomError> {
  const error = await work.then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  if (!isRecloomError(error)) throw new Error('it did not fail with an error of ours', { cause: error });
  return error;
}

describe('learnBlend', { timeout: 120_000 }, () => {
  it('finds planted weights, and recommends them since they hold on the second cut', async () => {
    const shop = plantedShop({ check: plantedWish, learn: plantedWish });
    const config = plantedConfig('zscore(score.content)');
    const steps: string[] = [];
    const learned = await learn(shop, config, { progress: (step) => steps.at(-1) !== step && steps.push(step) });
    expect(learned.verdict).toBe('recommended');
    expect(learned.summary).toMatch(/^Recommended: the gain survives/);
    expect(learned.weights['order']).toBe(1);
    expect(learned.weights['content']).toBeGreaterThan(0.4);
    expect(learned.weights['content']).toBeLessThan(0.6);
    expect(learned.weights['noise']).toBeLessThan(0.05);
    expect(learned.validation.learned.mean).toBeGreaterThan(0.95);
    expect(learned.confirmation?.learned.mean).toBeGreaterThan(0.95);
    expect(learned.confirmation?.gain.low).toBeGreaterThan(0.2);
    expect(learned.crossValidated.coordinateAscent).toBeGreaterThan(0.95);
    expect(steps).toEqual(['fit on the past', 'ask', 'learn weights', 'measure', 'fit for the check', 'check']);

    // What was measured is what the patched config serves, and what was compared with is what the config serves.
    const split = temporalSplit(shop.dataset, windows.validation);
    const served = (source: ConfigSource) =>
      evaluatePipeline(source, split, { plugins: [shop.plugin], directory: repository, k: 5, surface: 'home' });
    expect((await served(patched(config, learned.patch))).ndcg.mean).toBeCloseTo(learned.validation.learned.mean, 9);
    expect((await served(config)).ndcg.mean).toBeCloseTo(learned.validation.present.mean, 9);
  });

  it('the same data, options and seed give the same, and cases can be sampled', async () => {
    const shop = plantedShop({ check: plantedWish, learn: plantedWish });
    const options = { maximumCases: 60, columns: ['order', 'content'], candidatesPerColumn: 10, minimumSegmentCases: 20 };
    const first = await learn(shop, plantedConfig('score.content'), options);
    expect(first.validation.cases).toBe(60);
    expect(await learn(shop, plantedConfig('score.content'), { ...options, batch: 7 })).toEqual(first);
  });

  it('says that a gain does not survive when what was learned holds no more on the second cut', async () => {
    const shop = plantedShop({ check: (scores) => scores('order'), learn: (scores) => scores('content') });
    const learned = await learn(shop, plantedConfig('score.order'));
    expect(learned.verdict).toBe('does-not-survive');
    expect(learned.summary).toMatch(/^Not recommended: the gain does not survive/);
    expect(learned.validation.gain.low).toBeGreaterThan(0);
    expect(learned.confirmation?.gain.mean).toBeLessThan(0);
  });

  it('recommends nothing on noise, though some weights look better where they were learned', async () => {
    const shop = plantedShop({ check: chance(), learn: chance() });
    const learned = await learn(shop, plantedConfig('score.order + score.content + score.noise'));
    expect(['no-gain', 'does-not-survive']).toContain(learned.verdict);
    expect(learned.summary).toMatch(/^Not recommended/);
    expect(learned.validation.gain.mean).toBeGreaterThan(0);
    expect(learned.patch).toContain('# Not recommended');
  });

  it('says that there is no gain when the present value is right', async () => {
    const shop = plantedShop({ check: plantedWish, learn: plantedWish });
    const learned = await learn(shop, plantedConfig('score.order + 0.5 * score.content'));
    expect(learned.verdict).toBe('no-gain');
  });

  it('gives segments weights of their own when they differ, and not when they do not', async () => {
    const startSize = (user: number): number => (user % 2 === 0 ? 3 : 14);
    const wish = (scores: (name: string) => number, user: number): number => scores(user % 2 === 0 ? 'order' : 'content');
    const segments = [
      { name: 'cold', from: 1, below: 10 },
      { name: 'warm', from: 10 },
    ];
    const config = plantedConfig('score.order + score.content');
    const shop = plantedShop({ check: wish, learn: wish, startSize });
    const learned = await learn(shop, config, { segments, minimumSegmentCases: 50 });
    expect(learned.verdict).toBe('recommended');
    const [cold, warm] = learned.settings.segments ?? [];
    expect(cold?.weights['order']).toBe(1);
    expect(cold?.weights['content']).toBeLessThan(0.5);
    expect(warm?.weights['content']).toBe(1);
    expect(warm?.weights['order']).toBeLessThan(0.5);
    const split = temporalSplit(shop.dataset, windows.validation);
    const served = await evaluatePipeline(patched(config, learned.patch), split, {
      plugins: [shop.plugin],
      directory: repository,
      k: 5,
      surface: 'home',
    });
    expect(served.ndcg.mean).toBeCloseTo(learned.validation.learned.mean, 9);

    const alike = plantedShop({ check: plantedWish, learn: plantedWish, startSize });
    const same = await learn(alike, config, { segments, minimumSegmentCases: 50 });
    expect(same.settings.segments).toBeUndefined();
  });

  it('takes negative weights only when asked', async () => {
    const wish = (scores: (name: string) => number): number => scores('order') - scores('content');
    const shop = plantedShop({ check: wish, learn: wish });
    const columns = ['order', 'content'];
    const plain = await learn(shop, plantedConfig('score.order'), { columns, segments: [] });
    expect(plain.weights).toEqual({ order: 1, content: 0 });
    expect(plain.settings.weights).toEqual({ order: 1 });
    const signed = await learn(shop, plantedConfig('score.order'), { columns, segments: [], signed: true });
    expect(signed.weights['content']).toBeLessThan(-0.7);
    expect(signed.verdict).toBe('recommended');
  });

  it('adds scorers that a column needs, keeps those that are there, and leaves out those that do not count', async () => {
    const shop = plantedShop({ check: plantedWish, learn: plantedWish });
    const config = plantedConfig('score.noise', ['noise']);
    const learned = await learn(shop, config, { columns: ['order', 'score.content', 'flat'], segments: [] });
    expect(learned.verdict).toBe('recommended');
    expect(learned.warnings.map(({ code }) => code)).toEqual(['RECLOOM_DAT_COLUMN_SILENT']);
    expect(learned.weights['flat']).toBe(0);
    expect(parse(learned.patch)).toMatchObject({
      base: './shop.yaml',
      components: { blend: { use: 'blend/scores', with: { weights: { order: 1 } } } },
      surfaces: { home: { scorers: ['noise', 'order', 'content', 'blend'], value: 'score.blend' } },
    });
  });

  it('an earlier blend is replaced: the patch takes out what only that one had', async () => {
    const shop = plantedShop({ check: plantedWish, learn: plantedWish });
    const config = plantedConfig('score.blend', ['order', 'content', 'noise', 'blend']);
    (config['components'] as Record<string, unknown>)['blend'] = {
      use: 'blend/scores',
      with: { weights: { noise: 1, content: 0.1 }, normaliseEach: { noise: 'rank' } },
    };
    const learned = await learn(shop, config, { columns: ['order', 'content'], segments: [] });
    expect(learned.presentValue).toBe('score.blend');
    const { components, surfaces } = parse(learned.patch) as Record<string, Record<string, { with?: Record<string, unknown> }>>;
    expect(components?.['blend']?.with).toMatchObject({ weights: { order: 1, noise: null }, normaliseEach: null });
    expect(surfaces?.['home']).toEqual({ scorers: ['order', 'content', 'noise', 'blend'], value: 'score.blend' });
  });

  it('chooses among the ways to normalise that it is given', async () => {
    const shop = plantedShop({ check: plantedWish, learn: plantedWish });
    const learned = await learn(shop, plantedConfig('score.noise'), {
      columns: ['order', 'content', 'flat'],
      segments: [],
      normalisations: ['minmax', 'rank'],
      maximumCases: 100,
    });
    expect(['minmax', 'rank']).toContain(learned.settings.normalise);
    expect(Object.keys(learned.settings.normaliseEach ?? {})).not.toContain('zscore');
    expect(learned.verdict).toBe('recommended');
    expect(learned.warnings.map(({ code }) => code)).toEqual(['RECLOOM_DAT_COLUMN_SILENT', 'RECLOOM_DAT_FEW_CASES']);
  });

  it('missing numbers, a single candidate and few cases are no trouble', async () => {
    const shop = plantedShop({ check: (scores) => scores('order'), learn: (scores) => scores('order') });
    const learned = await learn(shop, plantedConfig('score.noise'), { columns: ['gaps', 'noise'], maximumCases: 12 });
    expect(learned.weights['gaps']).toBe(1);
    expect(learned.warnings.map(({ code }) => code)).toEqual(['RECLOOM_DAT_FEW_CASES']);
    expect(Number.isFinite(learned.validation.learned.mean)).toBe(true);
    // With 34 of 40 items at the start all that is left is taken: every order is right, and one column stays all the same.
    const narrow = plantedShop({ check: plantedWish, learn: plantedWish, startSize: () => 34 });
    const idle = await learn(narrow, plantedConfig('score.noise'));
    expect(idle.verdict).toBe('no-gain');
    expect(idle.validation.learned.mean).toBe(1);
    expect(Object.values(idle.weights).filter((weight) => weight === 1)).toHaveLength(1);
  });

  it('works on any split; without a second one nothing is recommended yet', async () => {
    const shop = plantedShop({ check: plantedWish, learn: plantedWish });
    const learned = await learnBlend(plantedConfig('score.noise'), shop.dataset, {
      plugins: [shop.plugin],
      directory: repository,
      k: 5,
      validation: leaveLastOut(shop.dataset),
    });
    expect(learned.confirmation).toBeUndefined();
    expect(learned.verdict).toBe('not-checked');
  });

  it('by default the check is the window of the same length before the cut', async () => {
    const shop = plantedShop({ check: plantedWish, learn: plantedWish });
    const { validation } = windows;
    const learned = await learnBlend(plantedConfig('score.noise'), shop.dataset, {
      plugins: [shop.plugin],
      directory: repository,
      k: 5,
      validation,
      columns: ['order', 'content'],
      segments: [],
    });
    expect(learned.confirmation?.cut).toBe(new Date(2 * cutMs - validation.untilMs).toISOString());
  });
});

describe('bad input', { timeout: 120_000 }, () => {
  const shop = plantedShop({ check: plantedWish, learn: plantedWish });

  it('a column of a component that there is none, with what was meant', async () => {
    const error = await codeOf(learn(shop, plantedConfig('score.order'), { columns: ['order', 'contents'] }));
    expect(error.code).toBe('RECLOOM_CFG_UNKNOWN_NAME');
    expect(error.message).toContain('content');
  });

  it('a component that cannot score', async () => {
    expect((await codeOf(learn(shop, plantedConfig('score.order'), { columns: ['all'] }))).code).toBe('RECLOOM_CFG_UNKNOWN_NAME');
  });

  it('a surface that there is none, or that has nothing to blend', async () => {
    expect((await codeOf(learn(shop, plantedConfig('score.order'), { surface: 'hom' }))).code).toBe('RECLOOM_RUN_UNKNOWN_SURFACE');
    expect((await codeOf(learn(shop, plantedConfig('score.order'), { surface: 'other' }))).code).toBe('RECLOOM_RUN_REQUEST');
  });

  it('a name that is taken', async () => {
    expect((await codeOf(learn(shop, plantedConfig('score.order'), { name: 'order' }))).code).toBe('RECLOOM_CFG_DUPLICATE_COMPONENT');
  });

  it('a cut before the data, and an aborted run', async () => {
    const early = learn(shop, plantedConfig('score.order'), { validation: { cutMs: Date.UTC(2020, 0, 1) } });
    expect((await codeOf(early)).code).toMatch(/^RECLOOM_DAT_/);
    const abort = new AbortController();
    const stopped = learn(shop, plantedConfig('score.order'), {
      signal: abort.signal,
      progress: (step) => step === 'learn weights' && abort.abort(),
    });
    expect((await codeOf(stopped)).code).toBe('RECLOOM_RUN_ABORTED');
  });

  it('a blend of a scorer that the surface does not have is refused at its line', async () => {
    const directory = mkdtempSync(join(tmpdir(), 'recloom-blend-'));
    try {
      const file = join(directory, 'shop.yaml');
      writeFileSync(
        file,
        `format: "1.0"
name: planted
plugins: [${JSON.stringify(join(repository, 'plugins/blend'))}]
data: {}
components:
  all: { use: planted/all }
  order: { use: planted/order }
  content: { use: planted/content }
  blend: { use: blend/scores, with: { weights: { order: 1, content: 0.5 } } }
surfaces:
  home:
    sources: { all: 10 }
    scorers: [order, blend]
    value: score.blend
`,
      );
      const split = temporalSplit(shop.dataset, windows.validation);
      const error = await codeOf(openPipeline(file, { plugins: [shop.plugin], dataset: split.train }));
      const problem = error.problems[0] ?? error;
      expect(problem.code).toBe('RECLOOM_CFG_SCORER_ORDER');
      expect(problem.message).toContain('"content" is not among the scorers');
      expect(problem.at).toMatchObject({ line: 13, column: 22 });
      expect(problem.at.file).toContain('shop.yaml');
    } finally {
      rmSync(directory, { recursive: true });
    }
  });
});
