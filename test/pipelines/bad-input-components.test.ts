import { type Answer, type Dataset, openPipeline, type Pipeline, readPipelineData } from '@recloom/core';
import { loggerToken, RecloomError } from '@recloom/plugin-api';
import { recordingLogger } from '@recloom/testing';
import { afterAll, beforeAll, describe, expect } from 'vitest';
import { badInput, codesOf, expectReadableWarning, failureOf } from './support/bad-input.js';
import { hang, type Misbehaviour, misbehavingPlugin, quoteData } from './support/misbehaving-plugin.js';
import { canary, makeShop, type ShopFolder, userId } from './support/shop-folder.js';

const dataYaml = `data:
  events: { use: data-duckdb/events, with: { path: events.csv, user: user, item: item, time: time, type: kind } }
  items: { use: data-duckdb/items, with: { path: items.csv, id: sku, fields: { title: text } } }
  users: { use: data-duckdb/users, with: { path: users.csv, id: id, fields: { country: category, name: text } } }
  now: data
`;
const componentsYaml = `components:
  popular: { use: popularity/popular }
  source: { use: odd/source }
  fitted: { use: odd/fitted }
  filter: { use: odd/filter }
  scorer: { use: odd/scorer }
  ranker: { use: odd/ranker }
  privacy: { use: odd/privacy }
  feature: { use: odd/feature, in: { text: item.title } }
  effect: { use: odd/effect }
`;

let shop: ShopFolder;
let dataset: Dataset;
beforeAll(async () => {
  shop = await makeShop({}, { keep: true });
  await shop.write(
    'data.yaml',
    `format: "1.0"\nname: odd\n${dataYaml}components: { popular: { use: popularity/popular } }\nsurfaces: { home: { sources: { popular: 5 } } }\n`,
  );
  dataset = await readPipelineData(shop.file('data.yaml'));
});
afterAll(() => shop.remove());

interface Opened {
  readonly pipeline: Pipeline;
  readonly logs: () => string;
}

let count = 0;
/** A pipeline over the small shop with one surface. */
async function open(surface: string, behaviour: Misbehaviour): Promise<Opened> {
  const config = `odd-${++count}.yaml`;
  await shop.write(config, `format: "1.0"\nname: odd\n${dataYaml}${componentsYaml}surfaces:\n  home: ${surface}\n`);
  const logger = recordingLogger();
  const pipeline = await openPipeline(shop.file(config), {
    plugins: [misbehavingPlugin(behaviour)],
    dataset,
    provide: [[loggerToken, logger]],
  });
  return { pipeline, logs: () => JSON.stringify(logger.records) };
}

/** One request, and that neither the answer nor the log repeats what the component quoted. */
async function ask(surface: string, behaviour: Misbehaviour): Promise<Answer> {
  const { pipeline, logs } = await open(surface, behaviour);
  const answer = await pipeline.recommend({ user: userId(1), limit: 5 });
  await pipeline.close();
  for (const warning of answer.warnings) expectReadableWarning(warning);
  expect(JSON.stringify(answer)).not.toContain(canary);
  expect(logs()).not.toContain(canary);
  return answer;
}

async function refused(surface: string, behaviour: Misbehaviour): Promise<RecloomError> {
  const { pipeline, logs } = await open(surface, behaviour);
  const error = await failureOf(pipeline.recommend({ user: userId(1), limit: 5 }));
  await pipeline.close();
  expect(logs()).not.toContain(canary);
  return error;
}

/** The answer of the same surface when everything behaves. */
const ids = (answer: Answer): string[] => answer.items.map((item) => item.id);
const proposals = (rows: number[], scores: number[]): object => ({
  offsets: Int32Array.of(0, rows.length),
  rows: Int32Array.from(rows),
  scores: Float32Array.from(scores),
});

describe('components', () => {
  badInput('component-throws', async (code) => {
    for (const propose of [quoteData, () => Promise.reject(new Error(`no such user ${canary}`))]) {
      const answer = await ask('{ sources: { source: 5, popular: 25 } }', { propose });
      expect(codesOf(answer.warnings)).toEqual([code]);
      expect(answer.warnings[0]).toMatchObject({
        message: '"source" failed while proposing and was left out.',
        at: { node: 'source', component: 'odd/source' },
      });
      expect(answer.items).toHaveLength(5);
    }
    // Of an error with a code, the answer has the code; its message is for the log.
    const coded = new RecloomError({ code: 'ODD_BROKEN', message: 'The cupboard is bare.', hint: 'Fill it.' });
    const { warnings } = await ask('{ sources: { source: 5, popular: 25 } }', { propose: () => Promise.reject(coded) });
    expect(warnings).toMatchObject([{ code, detail: { cause: 'ODD_BROKEN' } }]);
    expect(warnings[0]?.message).toBe('"source" failed while proposing and was left out (ODD_BROKEN).');
    expect(JSON.stringify(warnings)).not.toContain('cupboard');
  });

  badInput('component-required', async (code) => {
    const error = await refused('{ sources: { source: { limit: 5, required: true }, popular: 25 } }', { propose: quoteData });
    expect(error).toMatchObject({ code, retryable: true, at: { node: 'source', component: 'odd/source' } });
  });

  badInput('component-hangs', async (code) => {
    const started = performance.now();
    const answer = await ask('{ sources: { source: { limit: 5, timeoutMs: 40 }, popular: 25 } }', { propose: hang });
    expect(performance.now() - started).toBeLessThan(20_000);
    expect(codesOf(answer.warnings)).toEqual([code]);
    expect(answer.warnings[0]?.message).toBe('"source" did not answer within 40 ms and was left out.');
    expect(answer.items).toHaveLength(5);
  });

  badInput('component-deadline', async (code) => {
    // Every stage that may wait hangs; the request still ends at its deadline, and says what was lost.
    for (const [name, behaviour] of [
      ['source', { propose: hang }],
      ['scorer', { score: hang }],
      ['ranker', { rank: hang }],
    ] as const) {
      const surface = '{ sources: { source: 5, popular: 25 }, scorers: [scorer], rankers: [ranker], limits: { timeoutMs: 120 } }';
      const { pipeline } = await open(surface, { propose: () => proposals([], []), ...behaviour });
      const started = performance.now();
      const answer = await pipeline.recommend({ limit: 5 });
      const took = performance.now() - started;
      await pipeline.close();
      expect([name, took < 3_000]).toEqual([name, true]);
      const late = answer.warnings.find((warning) => warning.code === code && warning.at?.node === name);
      expect([name, late !== undefined]).toEqual([name, true]);
      expect([name, answer.items.length]).toEqual([name, 5]);
    }
  });

  badInput('component-not-finite', async (code) => {
    const score = (out: Float32Array): void => {
      out.fill(Number.NaN);
      out[3] = 1;
      out[4] = Number.POSITIVE_INFINITY;
      out[5] = 2;
      out[6] = Number.NEGATIVE_INFINITY;
    };
    const calm = await ask('{ sources: { popular: 25 } }', {});
    const answer = await ask('{ sources: { popular: 25 }, scorers: [scorer], value: score.scorer }', { score });
    expect(calm.ledger.merged).toBeGreaterThan(6);
    expect(answer.items[0]?.value).toBe(2);
    expect(answer.items[1]?.value).toBe(1);
    expect(answer.items.slice(2).every((item) => item.value === Number.NEGATIVE_INFINITY)).toBe(true);
    expect(answer.ledger.missingScores).toEqual({ scorer: answer.ledger.scored - 2 });
    expect(answer.warnings.find((warning) => warning.at?.node === 'scorer')).toMatchObject({ code, count: answer.ledger.scored - 2 });
  });

  badInput('component-scorer-throws', async (code) => {
    const answer = await ask('{ sources: { popular: 25 }, scorers: [popular, scorer], value: score.popular + score.scorer }', {
      score: quoteData,
    });
    const calm = await ask('{ sources: { popular: 25 }, scorers: [popular], value: score.popular }', {});
    expect(codesOf(answer.warnings)).toEqual([code]);
    expect(ids(answer)).toEqual(ids(calm));
  });

  badInput('component-too-few', async (code) => {
    const answer = await ask('{ sources: { source: 5 } }', { propose: () => proposals([3, 1], [2, 1]) });
    expect(codesOf(answer.warnings)).toEqual([code]);
    expect(answer.warnings[0]?.message).toBe(
      'The answer has 2 of the 5 items asked for: the sources proposed no more that pass the filters.',
    );
    expect(ids(answer)).toEqual(['i04', 'i02']);
  });

  badInput('component-too-many', async (code) => {
    const many = Array.from({ length: 20 }, (_, row) => row);
    const answer = await ask('{ sources: { source: 6 } }', {
      propose: () =>
        proposals(
          many,
          many.map((row) => 20 - row),
        ),
    });
    expect(answer.warnings).toMatchObject([
      { code, count: 14, message: '"source" proposed more than the 6 it was asked for; the rest was cut.' },
    ]);
    expect(answer.ledger).toMatchObject({ proposed: { source: 6 }, merged: 6 });
  });

  badInput('component-wrong-rows', async (code) => {
    const answer = await ask('{ sources: { source: 8 } }', {
      propose: () => proposals([99, -1, 3, 3, 2, 7, 8, 9], [8, 7, 6, 5, 4, 3, 2, 1]),
    });
    expect(answer.warnings).toMatchObject([{ code, count: 3 }]);
    expect(ids(answer)).toEqual(['i04', 'i03', 'i08', 'i09', 'i10']);
  });

  badInput('component-wrong-shape', async (code) => {
    for (const propose of [() => undefined, () => 7, () => proposals([1, 2], [1]), () => ({ rows: [1], scores: [1], offsets: [0, 1] })]) {
      const answer = await ask('{ sources: { source: 5, popular: 25 } }', { propose });
      expect(codesOf(answer.warnings)).toEqual([code]);
      expect(answer.items).toHaveLength(5);
    }
  });

  badInput('component-ranker-invents', async (code) => {
    const calm = await ask('{ sources: { popular: 25 } }', {});
    const answer = await ask('{ sources: { popular: 25 }, rankers: [ranker] }', { rank: () => Int32Array.of(2, 2, 999, -1, 0, 1, 3, 4) });
    expect(answer.warnings).toMatchObject([{ code, count: 3 }]);
    expect(ids(answer)).toEqual([2, 0, 1, 3, 4].map((place) => ids(calm)[place]));
  });

  badInput('component-filter-fails', async (code) => {
    expect((await refused('{ sources: { popular: 25 }, filters: [filter] }', { filter: quoteData })).code).toBe(code);
    const lenient = await ask('{ sources: { popular: 25 }, filters: [{ use: filter, onError: skip }] }', { filter: quoteData });
    expect(codesOf(lenient.warnings)).toEqual(['RECLOOM_RUN_NODE_FAILED']);
    expect(lenient.items).toHaveLength(5);
  });

  badInput('component-gate-fails', async (code) => {
    for (const gate of [quoteData, () => Promise.reject(new Error(canary)), () => 'history', hang]) {
      const answer = await ask('{ sources: { popular: 25 }, privacy: [privacy], limits: { timeoutMs: 400 } }', { gate });
      expect(codesOf(answer.warnings)).toContain(code);
      expect(answer.personalised).toBe(false);
      // Also when the gate hangs: it may take half of the time at most.
      expect(answer.items).toHaveLength(5);
    }
  });

  badInput('component-withholds-on-failure', async (code) => {
    const answer = await ask('{ sources: { popular: 25 }, privacy: [privacy] }', { filterResult: quoteData });
    expect(codesOf(answer.warnings)).toContain(code);
    expect(answer.items).toEqual([]);
    expect(answer.ledger.withheld).toBeGreaterThan(0);
  });

  badInput('component-fit-throws', async (code) => {
    const error = await failureOf(open('{ sources: { fitted: 5 } }', { fit: quoteData }));
    expect(error).toMatchObject({ code, message: 'The component failed in fit().', at: { node: 'fitted', component: 'odd/fitted' } });
  });

  badInput('component-create-throws', async (code) => {
    const error = await failureOf(open('{ sources: { fitted: 5 } }', { create: quoteData }));
    expect(error).toMatchObject({ code, message: 'The component failed in create().', at: { node: 'fitted', line: expect.any(Number) } });
  });

  badInput('component-wrong-state', async (code) => {
    for (const fit of [() => undefined, () => ({ rows: { shape: [3], data: Int32Array.of(1, 2) } })]) {
      const error = await failureOf(open('{ sources: { fitted: 5 } }', { fit }));
      expect(error).toMatchObject({ code, at: { node: 'fitted' } });
    }
  });

  badInput('component-feature-not-finite', async (code) => {
    const { pipeline } = await open('{ sources: { popular: 25 } }', {
      extract: (values) => {
        values[3] = Number.NaN;
        values[8] = Number.POSITIVE_INFINITY;
      },
    });
    expect(pipeline.warnings).toMatchObject([{ code, count: 2, at: { node: 'feature' } }]);
    await pipeline.close();
  });

  badInput('component-effect-throws', async () => {
    const { pipeline, logs } = await open('{ sources: { popular: 25 }, effects: [effect] }', { effect: quoteData });
    expect((await pipeline.recommend({ limit: 5 })).warnings).toEqual([]);
    await pipeline.close();
    expect(logs()).toContain('a side effect failed');
    expect(logs()).not.toContain(canary);
  });

  badInput('component-dispose-throws', async () => {
    const { pipeline, logs } = await open('{ sources: { source: 5 } }', { dispose: quoteData });
    await pipeline.close();
    await pipeline.close();
    expect(logs()).toContain('while it was disposed');
    expect(logs()).not.toContain(canary);
  });
});
