// Data that cannot be split or measured as asked: one row of the table, one test.
import { join } from 'node:path';
import { type Dataset, datasetFromArrays } from '@recloom/core';
import {
  type Evaluation,
  type EvaluationOptions,
  evaluateClicks,
  evaluatePipelines,
  makeSplits,
  type PipelineEvaluation,
  type SplitRequest,
} from '@recloom/evaluate';
import { describe, expect } from 'vitest';
import { badInput, failureOf } from './support/bad-input.js';

const root = join(import.meta.dirname, '..', '..');
const day = 86_400_000;
const start = Date.UTC(2024, 0, 1);

interface Row {
  readonly user: string;
  readonly item: string;
  readonly day: number;
  readonly weight?: number;
  readonly type?: string;
}

const dataOf = (rows: readonly Row[]): Dataset =>
  datasetFromArrays({ events: rows.map(({ day: onDay, ...row }) => ({ ...row, timeMs: start + onDay * day })) });

const config = {
  format: '1.0',
  name: 'shop',
  data: {},
  components: { popular: { use: 'popularity/popular' }, alike: { use: 'collaborative-neighbours/item-knn' } },
  surfaces: { home: { sources: { alike: 100, popular: 100 }, scorers: ['alike', 'popular'], limits: { items: 20 } } },
};

async function evaluate(data: Dataset, request: SplitRequest, options: EvaluationOptions = {}): Promise<Evaluation> {
  return evaluatePipelines([{ source: config }], makeSplits(data, request), { directory: root, k: 3, ...options });
}

const ours = ({ pipelines }: Evaluation): PipelineEvaluation => pipelines[0] as PipelineEvaluation;
const codes = ({ warnings }: Evaluation): string[] => (warnings ?? []).map(({ code }) => code);

/** Every figure is a number in [0, 1], its interval around it. */
function expectSane(evaluation: Evaluation): void {
  for (const { figures } of evaluation.pipelines) {
    for (const { mean, standardError, low, high } of Object.values(figures)) {
      for (const value of [mean, low, high]) expect(value >= 0 && value <= 1).toBe(true);
      expect([low <= mean, mean <= high, Number.isFinite(standardError)]).toEqual([true, true, true]);
    }
  }
}

/** 40 users, each with six of ten items in their own order, a day apart. */
const usual: readonly Row[] = Array.from({ length: 240 }, (_, place) => {
  const user = Math.floor(place / 6);
  return { user: `u${String(user).padStart(2, '0')}`, item: `i${(user * 3 + (place % 6) * (1 + (user % 2) * 2)) % 10}`, day: place % 6 };
});

describe('evaluation', () => {
  badInput('evaluation-no-test-users', async (code) => {
    const error = await failureOf(Promise.resolve().then(() => makeSplits(dataOf(usual), { cutMs: start + 400 * day })));
    expect(error.code).toBe(code);
    expect(error.message).toMatch(/240 events of 40 users and 10 items.*Move the cut earlier/);
  });

  badInput('evaluation-no-training', async (code) => {
    const error = await failureOf(Promise.resolve().then(() => makeSplits(dataOf(usual), { cutMs: start })));
    expect(error.code).toBe(code);
    expect(error.message).toContain('Move the cut later');
  });

  badInput('evaluation-one-item', async (code) => {
    const data = dataOf(Array.from({ length: 20 }, (_, place) => ({ user: `u${place % 5}`, item: 'only', day: place })));
    for (const request of [{}, { kind: 'leave-last-out' }, { kind: 'random' }, { kind: 'k-fold' }] as const)
      expect((await failureOf(Promise.resolve().then(() => makeSplits(data, request)))).code).toBe(code);
  });

  badInput('evaluation-one-user', async (code) => {
    const data = dataOf(Array.from({ length: 8 }, (_, place) => ({ user: 'only', item: `i${place}`, day: place })));
    const evaluation = await evaluate(data, { kind: 'leave-n-out', count: 2 });
    expect(codes(evaluation)).toContain(code);
    const { ndcg } = ours(evaluation).figures;
    expect([ndcg.low, ndcg.high, ndcg.standardError]).toEqual([ndcg.mean, ndcg.mean, 0]);
    expectSane(evaluation);
  });

  badInput('evaluation-identical-users', async () => {
    const rows = Array.from({ length: 40 }, (_, user) => ['a', 'b', 'c'].map((item, place) => ({ user: `u${user}`, item, day: place })));
    // One user who bought the last item early keeps it in the catalogue.
    const data = dataOf([...rows.flat(), { user: 'early', item: 'c', day: 0 }]);
    const evaluation = await evaluate(data, { kind: 'temporal', cutMs: start + 2 * day });
    expect(ours(evaluation).figures.ndcg).toEqual({ mean: 1, standardError: 0, low: 1, high: 1 });
    expect(evaluation.comparisons[0]).toMatchObject({ pValue: 1, significant: false, ties: 40 });
  });

  badInput('evaluation-item-of-everybody', async () => {
    const everybody = usual.map(({ user }) => user).filter((user, place, all) => all.indexOf(user) === place);
    const data = dataOf([...usual, ...everybody.map((user) => ({ user, item: 'bag', day: -1 }))]);
    const evaluation = await evaluate(data, { kind: 'leave-last-out' }, { k: 5 });
    expectSane(evaluation);
    // Ten of eleven items can be shown; the bag is in every history, so in no list.
    expect(ours(evaluation).catalogue.coverage).toBeLessThanOrEqual(10 / 11);
    for (const { lists, took } of evaluation.examples) {
      expect(took.map(({ id }) => id)).not.toContain('bag');
      for (const { items } of lists) expect(items.map(({ id }) => id)).not.toContain('bag');
    }
  });

  badInput('evaluation-duplicated-events', async () => {
    const once = await evaluate(dataOf(usual), { kind: 'leave-last-out' });
    const thrice = await evaluate(dataOf([...usual, ...usual, ...usual]), { kind: 'leave-last-out' });
    expect(ours(thrice).figures.ndcg).toEqual(ours(once).figures.ndcg);
    expect(thrice.pipelines.at(-1)?.figures).toEqual(once.pipelines.at(-1)?.figures);
    expect(thrice.split.reports).toEqual(once.split.reports);
    expect(ours(once).figures.ndcg.mean).toBeGreaterThan(0);
  });

  badInput('evaluation-extreme-weights', async () => {
    const data = dataOf(usual.map((row, place) => ({ ...row, weight: place % 2 === 0 ? 1e30 : 1e-30 })));
    const evaluation = await evaluate(data, { kind: 'leave-n-out', count: 2 });
    expectSane(evaluation);
    expect(ours(evaluation).figures.gradedNdcg).toBeDefined();
  });

  badInput('evaluation-k-beyond-catalogue', async (code) => {
    const evaluation = await evaluate(dataOf(usual), { kind: 'leave-last-out' }, { k: 12 });
    expect(codes(evaluation)).toEqual([code]);
    // Everything is shown, so what is right is: one hit among twelve places.
    expect(ours(evaluation).figures.recall.mean).toBe(1);
    expect(ours(evaluation).figures.precision.mean).toBeCloseTo(1 / 12, 12);
    expect(ours(evaluation).curves.at).toEqual([1, 2, 3, 5, 10, 12]);
  });

  badInput('evaluation-k-beyond-limit', async (code) => {
    const error = await failureOf(evaluate(dataOf(usual), { kind: 'leave-last-out' }, { k: 21 }));
    expect([error.code, error.message]).toEqual([code, expect.stringContaining('20')]);
  });

  badInput('evaluation-option-of-another-split', async (code) => {
    const error = await failureOf(Promise.resolve().then(() => makeSplits(dataOf(usual), { kind: 'temporal', fraction: 0.5 })));
    expect([error.code, error.message]).toEqual([code, expect.stringContaining('"cutMs"')]);
  });

  badInput('evaluation-unknown-segment', async (code) => {
    const data = datasetFromArrays({
      events: usual.map(({ day: onDay, ...row }) => ({ ...row, timeMs: start + onDay * day })),
      users: [{ id: 'u00', country: 'Norway' }],
    });
    const error = await failureOf(evaluate(data, { kind: 'leave-last-out' }, { segments: ['county'] }));
    expect([error.code, error.message]).toEqual([code, expect.stringContaining('did you mean "country"')]);
  });

  badInput('evaluation-other-events', async (code) => {
    const request = { kind: 'leave-last-out' } as const;
    const own = makeSplits(dataOf(usual.slice(0, -6)), request).splits;
    const error = await failureOf(
      evaluatePipelines([{ source: config }, { source: { ...config, name: 'other' }, splits: own }], makeSplits(dataOf(usual), request), {
        directory: root,
      }),
    );
    expect([error.code, error.message]).toEqual([code, expect.stringContaining('39 test users and not 40')]);
  });

  badInput('evaluation-no-click-labels', async (code) => {
    const error = await failureOf(
      evaluateClicks(config, dataOf(usual), { directory: root, shown: 'impression', clicked: 'click', column: 'score.popular' }),
    );
    expect([error.code, error.message]).toEqual([code, expect.stringContaining('"impression"; the data have event')]);
  });

  badInput('evaluation-no-probability', async (code) => {
    const shown = usual.map((row) => ({ ...row, type: 'view' }));
    const clicked = usual.filter((_, place) => place % 2 === 0).map((row) => ({ ...row, day: row.day + 0.1, type: 'click' }));
    const options = { directory: root, shown: 'view', clicked: 'click', cutMs: start + 3 * day };
    const error = await failureOf(evaluateClicks(config, dataOf([...shown, ...clicked]), { ...options, column: 'score.popular * 100.0' }));
    expect(error.code).toBe(code);
  });
});
