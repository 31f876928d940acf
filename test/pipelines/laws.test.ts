import { buildPipeline, openPipeline, type Pipeline } from '@recloom/core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { codesOf, edit } from './support/bad-input.js';
import { hang, type Misbehaviour, misbehavingPlugin } from './support/misbehaving-plugin.js';
import { dataYaml, makeShop, type ShopFolder, shopYaml, userId } from './support/shop-folder.js';

// Laws 8 and 10 of the design's pipelines, through the real plugins; law 9 is in determinism.test.ts.

const diverse = edit(
  edit(shopYaml, 'components:\n', 'components:\n  spread: { use: ranker-diversity/spread, in: { category: item.category } }\n'),
  'attributes: [title, price]',
  'attributes: [title, price]\n    rankers: [spread]',
);

describe('law 8: every answer says what it is and how it came about', () => {
  let shop: ShopFolder;
  let pipeline: Pipeline;
  let configHash: string;
  beforeAll(async () => {
    shop = await makeShop({ 'shop.yaml': diverse }, { keep: true });
    const report = await buildPipeline(shop.config);
    pipeline = await openPipeline(shop.config);
    expect(pipeline.snapshotId).toBe(report.snapshotId);
    configHash = (
      JSON.parse(await (await import('node:fs/promises')).readFile(`${report.directory}/manifest.json`, 'utf8')) as { configHash: string }
    ).configHash;
  }, 60_000);
  afterAll(async () => {
    await pipeline.close();
    await shop.remove();
  });

  it.each([
    ['home', { user: userId(1), purposes: ['personalisation'], limit: 5 }, ['habits', 'neighbours', 'seen', 'popular', 'spread']],
    ['product', { item: 'i03', limit: 5 }, ['together', 'neighbours']],
    ['search', { text: 'tin heart', limit: 5 }, ['words']],
  ])('on the surface "%s"', async (surface, request, nodes) => {
    const answer = await pipeline.recommend({ ...request, surface });
    const another = await pipeline.recommend({ ...request, surface });
    expect(answer).toMatchObject({ surface, snapshotId: pipeline.snapshotId, configHash });
    expect(answer.attributionId).toMatch(/^\S{8,}$/);
    expect(another.attributionId).not.toBe(answer.attributionId);
    expect(Number.isFinite(answer.asOfMs)).toBe(true);
    for (const warning of answer.warnings)
      expect(warning).toMatchObject({ code: expect.stringMatching(/^[A-Z]+_/), message: expect.any(String) });
    for (const timing of answer.timings) expect(timing.milliseconds).toBeGreaterThanOrEqual(0);
    expect(answer.timings.map((timing) => timing.node)).toEqual(expect.arrayContaining(nodes));
    for (const item of answer.items) expect(item.reason ?? item.explanation).toBeUndefined();
    // Nothing is lost on the way: merged = removed + scored.
    const removed = answer.ledger.removed.reduce((sum, entry) => sum + entry.count, 0);
    expect(answer.ledger.merged).toBe(removed + answer.ledger.scored);
  });

  it('and, asked to explain, the way of every item', async () => {
    const request = { user: userId(1), purposes: ['personalisation'], limit: 5 };
    const answer = await pipeline.recommend({ ...request, explain: true });
    expect(answer.items.map((item) => item.id)).toEqual((await pipeline.recommend(request)).items.map((item) => item.id));
    for (const [place, item] of answer.items.entries()) {
      const why = item.explanation;
      expect(why?.sources.length).toBeGreaterThan(0);
      for (const source of why?.sources ?? []) expect(source.rank).toBeGreaterThan(0);
      expect(Object.keys(why?.scores ?? {}).sort()).toEqual(['score.habits', 'score.popular']);
      expect(why?.value).toMatchObject({ expression: 'zscore(score.habits) + 0.1 * rank(score.popular)', result: item.value });
      expect(why?.rankers).toEqual([{ name: 'spread', place: place + 1 }]);
      // A sentence for a shopper: words, no code, no names of components.
      expect(item.reason).toMatch(/^[A-Z][^{}<>_]{5,160}$/);
      expect(item.reason).not.toMatch(/habits|neighbours|popular\b.*\/|score|zscore|undefined/);
    }
    // The value before the rankers is what the places by value follow.
    const byPlace = [...answer.items].sort((left, right) => (left.explanation?.value.place ?? 0) - (right.explanation?.value.place ?? 0));
    for (const [index, item] of byPlace.entries())
      if (index > 0) expect(item.value).toBeLessThanOrEqual((byPlace[index - 1] as typeof item).value);
  });
});

describe('law 10: a deadline covers the request', () => {
  const wait = (milliseconds: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, milliseconds));
  const yaml = `format: "1.0"
name: late
${dataYaml}
components:
  popular: { use: popularity/popular }
  source: { use: odd/source }
  scorer: { use: odd/scorer }
  ranker: { use: odd/ranker }
  gate: { use: odd/privacy }
surfaces:
  home:
    sources: { source: 5, popular: 25 }
    scorers: [popular, scorer]
    rankers: [ranker]
    privacy: [gate]
    value: score.popular + score.scorer
`;
  let shop: ShopFolder;
  beforeAll(async () => {
    shop = await makeShop({ 'shop.yaml': yaml }, { keep: true });
    await buildPipeline(shop.config, { plugins: [misbehavingPlugin()] });
  }, 60_000);
  afterAll(() => shop.remove());

  const nothing = { offsets: Int32Array.of(0, 0), rows: new Int32Array(0), scores: new Float32Array(0) };

  it('of which each node gets what the ones before it left, and the answer says what was lost', async () => {
    const asked: string[] = [];
    const behaviour: Misbehaviour = {
      propose: async () => {
        asked.push('source');
        await wait(150);
        return nothing;
      },
      score: () => {
        asked.push('scorer');
        return hang();
      },
    };
    const pipeline = await openPipeline(shop.config, { plugins: [misbehavingPlugin(behaviour)] });
    const started = performance.now();
    const answer = await pipeline.recommend({ limit: 5, deadlineMs: 600 });
    const took = performance.now() - started;
    await pipeline.close();
    expect(asked).toEqual(['source', 'scorer']);
    const late = answer.warnings.find((warning) => warning.at?.node === 'scorer');
    expect(late?.code).toBe('RECLOOM_RUN_TIMEOUT');
    // 600 ms less the 150 that the source took.
    const granted = Number(/within (\d+) ms/.exec(late?.message ?? '')?.[1]);
    expect(granted).toBeGreaterThan(0);
    expect(granted).toBeLessThanOrEqual(450);
    expect(took).toBeGreaterThanOrEqual(595);
    expect(took).toBeLessThan(5_000);
    // The ranker had nothing left; the order is that of the scorer that was in time.
    expect(codesOf(answer.warnings)).toEqual(['RECLOOM_RUN_TIMEOUT', 'RECLOOM_RUN_TIMEOUT']);
    const calm = await openPipeline(shop.config, { plugins: [misbehavingPlugin({ propose: () => nothing })] });
    expect(answer.items.map((item) => item.id)).toEqual((await calm.recommend({ limit: 5 })).items.map((item) => item.id));
    await calm.close();
  });

  it('and tells the node it left behind that nobody waits', async () => {
    let told = false;
    const plugin = misbehavingPlugin({ propose: () => nothing });
    const scorer = plugin.components.find((component) => component.id === 'scorer');
    const patient = {
      ...plugin,
      components: plugin.components.map((component) =>
        component !== scorer
          ? component
          : {
              ...component,
              create: () => ({
                score: (_batch: unknown, _out: unknown, signal: AbortSignal) =>
                  new Promise<void>(() => {
                    signal.addEventListener('abort', () => {
                      told = true;
                    });
                  }),
              }),
            },
      ),
    };
    const pipeline = await openPipeline(shop.config, { plugins: [patient] });
    const answer = await pipeline.recommend({ limit: 5, deadlineMs: 80 });
    expect(codesOf(answer.warnings)).toContain('RECLOOM_RUN_TIMEOUT');
    expect(told).toBe(true);
    expect(answer.items).toHaveLength(5);
    await pipeline.close();
  });

  it('a gate that never answers leaves time for the others', async () => {
    const pipeline = await openPipeline(shop.config, { plugins: [misbehavingPlugin({ propose: () => nothing, gate: hang })] });
    const answer = await pipeline.recommend({ user: userId(1), limit: 5, deadlineMs: 1_000 });
    await pipeline.close();
    expect(codesOf(answer.warnings)).toEqual(['RECLOOM_PRV_FAILED_CLOSED']);
    expect(answer.items).toHaveLength(5);
    expect(answer.personalised).toBe(false);
  });
});
