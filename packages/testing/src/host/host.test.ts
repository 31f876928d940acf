import { createHash } from 'node:crypto';
import {
  type CandidateSource,
  defineCandidateSource,
  defineScorer,
  expressionsToken,
  type FeatureMatrix,
  feature,
  itemField,
  joinProposals,
  loggerToken,
  modelFilesToken,
  type OptionsSchema,
  type Scorer,
  tensor,
  userField,
} from '@recloom/plugin-api';
import { describe, expect, it } from 'vitest';
import { simpleExpressions } from './expressions.js';
import { historyFrom, historyViewOf } from './history.js';
import { createTestHost, openComponent } from './host.js';
import { candidateBatch, featureMatrix, requestBatch, requestView } from './requests.js';
import { syntheticShop } from './shop.js';

const anyOptions: OptionsSchema<unknown, { readonly boost: number }> = {
  '~standard': {
    version: 1,
    vendor: 'test',
    validate: (value) => {
      const boost = (value as { boost?: unknown }).boost ?? 1;
      return typeof boost === 'number' ? { value: { boost } } : { issues: [{ message: 'not a number', path: ['boost'] }] };
    },
    jsonSchema: { input: () => ({ type: 'object' }) },
  },
};

describe('historyFrom', () => {
  it('orders by user and time, stable for ties, and numbers types as they occur', () => {
    const store = historyFrom([
      { user: 2, item: 7, timeMs: 5, type: 'view' },
      { user: 0, item: 3, timeMs: 9, type: 'purchase' },
      { user: 2, item: 1, timeMs: 5, type: 'purchase', basket: 4 },
      { user: 2, item: 9, timeMs: 1, type: 'view' },
    ]);
    expect([...store.offsets]).toEqual([0, 1, 1, 4]);
    expect([...store.items]).toEqual([3, 9, 7, 1]);
    expect(store.typeNames).toEqual(['view', 'purchase']);
    expect([...store.types]).toEqual([1, 0, 0, 1]);
    expect([...(store.baskets ?? [])]).toEqual([-1, -1, -1, 4]);
    expect([...historyViewOf(store, 2).items]).toEqual([9, 7, 1]);
    expect(historyViewOf(store, -1).length).toBe(0);
    expect(historyViewOf(store, 99).length).toBe(0);
  });
});

describe('requestView', () => {
  it('shows only what was granted', () => {
    const parts = { userRow: 4, history: [{ item: 1, timeMs: 8 }], userFields: { country: 'France' } };
    const full = requestView(parts);
    expect([full.userRow, full.history.length, full.userField('country'), full.asOfMs]).toEqual([4, 1, 'France', 8]);
    const none = requestView({ ...parts, grants: ['item'] });
    expect([none.userRow, none.history.length, none.userField('country'), none.granted('history')]).toEqual([-1, 0, undefined, false]);
  });
});

describe('candidateBatch', () => {
  it('derives ranks within each request', () => {
    const batch = candidateBatch({ rows: [[5, 6, 7], [5]], sources: { habits: [0.2, null, 0.9, 0.1] } });
    expect([...batch.offsets]).toEqual([0, 3, 4]);
    expect([...(batch.sources[0]?.ranks ?? [])]).toEqual([2, 0, 1, 1]);
    expect(batch.requests.map((request) => request.index)).toEqual([0, 1]);
  });
});

describe('simpleExpressions', () => {
  it('works out columns, precedence and null', () => {
    const shop = syntheticShop();
    const expressions = simpleExpressions(shop.items);
    const batch = candidateBatch({
      rows: [[0, 12, 22]],
      requests: [{ context: { country: 'France' } }],
      columns: { 'score.habits': [1, 2, Number.NaN] },
      sources: { recent: [3, null, 1] },
    });
    const run = (text: string, result: 'number' | 'boolean' = 'boolean'): number[] => {
      const out = new Float32Array(3);
      expressions.compile(text, result).evaluate(batch, out);
      return [...out];
    };
    expect(run('item.stock > 0')).toEqual([1, 0, 1]);
    expect(run('item.category == "kitchen" || item.category == null')).toEqual([1, 0, 1]);
    expect(run('"kitchen" in item.tags && request.country in ["France", "Norway"]')).toEqual([1, 0, 0]);
    expect(run('1 + 2 * score.habits', 'number')).toEqual([3, 5, Number.NaN]);
    expect(run('source.recent.rank', 'number')).toEqual([1, Number.NaN, 2]);
    expect(run('!(item.stock > 0) ? 1 : -1', 'number')).toEqual([-1, 1, -1]);
    expect(expressions.compile('item.stock > 0', 'boolean').itemsOnly).toBe(true);
    expect(expressions.compile('score.a > item.price', 'boolean').reads).toEqual(['item.price', 'score.a']);
    expect(() => expressions.compile('item.stok > 0', 'boolean')).toThrow(expect.objectContaining({ code: 'RECLOOM_CFG_EXPRESSION' }));
    expect(() => expressions.compile('item.stock >', 'boolean')).toThrow(expect.objectContaining({ code: 'RECLOOM_CFG_EXPRESSION' }));
  });
});

describe('syntheticShop', () => {
  const bytes = (seed: number) => {
    const { history } = syntheticShop({ seed });
    return createHash('sha256').update(history.items).update(history.timesMs).digest('hex');
  };
  it('gives the same bytes for a seed and others for another', () => {
    expect(bytes(7)).toBe(bytes(7));
    expect(bytes(7)).not.toBe(bytes(8));
  });

  it('spans the days it is told', () => {
    const spanDays = (days?: number): number => {
      const { timesMs } = syntheticShop(days === undefined ? {} : { days }).history;
      return (timesMs.reduce((most, time) => Math.max(most, time), 0) - Date.UTC(2024, 0, 1)) / 86_400_000;
    };
    // Of some 2400 events crowding towards the end, the last lies on the last day or, within a visit, just after it.
    for (const days of [7, 120, 400]) expect(Math.abs(spanDays(days) - days)).toBeLessThan(Math.max(1, days / 50));
    expect(spanDays()).toBe(spanDays(120));
    expect(() => syntheticShop({ days: 0 })).toThrow(RangeError);
  });

  it('is skewed, clustered, ordered, and has cold items and users', () => {
    const shop = syntheticShop({ users: 300, items: 200, events: 6000 });
    const { history } = shop;
    expect(history.eventCount).toBeGreaterThan(5000);
    const counts = new Int32Array(200);
    let inside = 0;
    for (let user = 0; user < history.userCount; user++) {
      for (let at = history.offsets[user] ?? 0; at < (history.offsets[user + 1] ?? 0); at++) {
        const item = history.items[at] ?? 0;
        counts[item] = (counts[item] ?? 0) + 1;
        if (shop.itemClusters[item] === shop.userClusters[user]) inside++;
        if (at > (history.offsets[user] ?? 0)) expect(history.timesMs[at]).toBeGreaterThanOrEqual(history.timesMs[at - 1] ?? 0);
      }
    }
    expect(inside / history.eventCount).toBeGreaterThan(0.7);
    const sorted = [...counts].sort((a, b) => b - a);
    // Zipf: the top tenth of the items takes far more than a tenth of the events.
    expect(sorted.slice(0, 20).reduce((sum, count) => sum + count, 0) / history.eventCount).toBeGreaterThan(0.25);
    expect(counts[19]).toBe(0);
    expect((history.offsets[300] ?? 0) - (history.offsets[299] ?? 0)).toBe(0);
    expect((history.offsets[299] ?? 0) - (history.offsets[298] ?? 0)).toBe(1);
  });
});

describe('createTestHost', () => {
  const counting = defineCandidateSource({
    id: 'counting',
    summary: 'Proposes by event count.',
    options: anyOptions,
    needs: { logger: loggerToken },
    inputs: { title: itemField({ description: 'words', types: ['text'] }), home: userField({ description: 'home', optional: true }) },
    capabilities: {},
    stateVersion: 1,
    fit({ history, items, options, warn, progress }) {
      const counts = new Float32Array(items.rowCount);
      for (const item of history.items) counts[item] = (counts[item] ?? 0) + options.boost;
      warn({ code: 'TEST_WARNING', message: 'fitted' });
      progress(1);
      return { counts: tensor(counts) };
    },
    create({ state, inputs, deps }) {
      const counts = state.counts?.data as Float32Array;
      deps.logger.info('opened', { title: inputs.title.field, home: inputs.home?.column() === undefined });
      return {
        propose: ({ requests }, limit) => {
          const rows = Array.from(counts.keys()).sort((a, b) => (counts[b] ?? 0) - (counts[a] ?? 0) || a - b);
          return joinProposals(
            requests.map(() => ({ rows, scores: rows.map((row) => counts[row] ?? 0) })),
            limit,
          );
        },
      };
    },
  });

  it('fits, opens, records', async () => {
    const host = createTestHost();
    const source = await host.open<CandidateSource>(counting, {
      options: { boost: 2 },
      inputs: { title: 'item.title', home: 'user.country' },
    });
    const { rows, scores } = await source.propose(requestBatch([{}]), 3);
    expect(rows).toHaveLength(3);
    const counted = host.shop.history.items.reduce((count, item) => count + (item === rows[0] ? 1 : 0), 0);
    expect(scores[0]).toBe(counted * 2);
    expect(host.warnings.map((warning) => warning.code)).toEqual(['TEST_WARNING']);
    expect(host.progress).toEqual([1]);
    expect(host.logs).toEqual([{ level: 'info', message: 'opened', fields: { title: 'title', home: true } }]);
  });

  it('refuses wrong options, inputs and missing services with the code core uses', async () => {
    const open = (setup: Parameters<typeof openComponent>[1]) => openComponent(counting, setup);
    await expect(open({ options: { boost: 'x' }, inputs: { title: 'item.title' } })).rejects.toMatchObject({ code: 'RECLOOM_CFG_TYPE' });
    await expect(open({})).rejects.toMatchObject({ code: 'RECLOOM_CFG_INPUT' });
    await expect(open({ inputs: { title: 'item.price' } })).rejects.toMatchObject({ code: 'RECLOOM_CFG_INPUT' });
    await expect(open({ inputs: { titel: 'item.title' } })).rejects.toMatchObject({ code: 'RECLOOM_CFG_INPUT' });
    const needy = defineScorer({
      id: 'needy',
      summary: '',
      options: anyOptions,
      needs: { models: modelFilesToken, expressions: expressionsToken },
      capabilities: {},
      stateVersion: 1,
      create: () => ({ score: () => undefined }),
    });
    await expect(openComponent(needy)).rejects.toMatchObject({ code: 'RECLOOM_DI_MISSING' });
  });

  it('hands features in', async () => {
    const scorer = defineScorer({
      id: 'first',
      summary: '',
      options: anyOptions,
      inputs: { vectors: feature({ description: 'vectors', many: true }) },
      capabilities: {},
      stateVersion: 1,
      create: ({ inputs }) => ({
        score: (batch, out) => {
          const matrix = inputs.vectors[0] as FeatureMatrix;
          batch.rows.forEach((row, place) => {
            out[place] = matrix.values[row * matrix.width] ?? Number.NaN;
          });
        },
      }),
    });
    const instance = await openComponent<Scorer>(scorer, { inputs: { vectors: [featureMatrix('text', 2, [1, 2, 3, 4])] } });
    const out = new Float32Array(2).fill(Number.NaN);
    await instance.score(candidateBatch({ rows: [[1, 0]] }), out, new AbortController().signal);
    expect([...out]).toEqual([3, 1]);
  });
});
