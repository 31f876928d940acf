import { datasetFromArrays } from '@recloom/core';
import { defineCandidateSource, definePlugin, perRequest, type RequestView } from '@recloom/plugin-api';
import { describe, expect, it } from 'vitest';
import { evaluatePipeline } from './evaluate-pipeline.js';
import { coldItems } from './splits/cold-items.js';
import { leaveLastOut, userHoldout } from './splits/per-user.js';

const day = 86_400_000;
const start = Date.UTC(2024, 0, 1);
const people = ['u1', 'u2', 'u3', 'u4'];
const dataset = datasetFromArrays({
  items: ['a', 'b', 'c', 'd', 'e', 'f'].map((id) => ({ id, title: `the ${id}` })),
  events: people.flatMap((user) => ['a', 'b', 'c', 'd', 'e', 'f'].map((item, place) => ({ user, item, timeMs: start + place * day }))),
});

interface Asked {
  readonly known: boolean;
  readonly history: number;
  readonly asOfMs: number;
}

/** Proposes the catalogue in its order, and notes what each request brought. */
function probe(asked: Asked[]) {
  const all = defineCandidateSource({
    id: 'all',
    summary: 'Everything, in order.',
    options: {
      '~standard': {
        version: 1,
        vendor: 'test',
        validate: (value: unknown) => ({ value: value as object }),
        jsonSchema: { input: () => ({ type: 'object' }) },
      },
    },
    reads: ['history'],
    capabilities: { coldItem: true },
    stateVersion: 1,
    create: ({ items }) => ({
      propose: perRequest((request: RequestView) => {
        asked.push({ known: request.userRow >= 0, history: request.history.length, asOfMs: request.asOfMs });
        const rows = Array.from({ length: items.rowCount }, (_, row) => row);
        return { rows, scores: rows.map((row) => -row) };
      }),
    }),
  });
  return definePlugin({ apiVersion: 1, id: 'probe', components: [all] });
}

const config = {
  format: '1.0',
  name: 'probe',
  data: {},
  components: { all: { use: 'probe/all' } },
  surfaces: { home: { sources: { all: 10 } } },
};

describe('evaluatePipeline', () => {
  it('asks each case at its own time, with what came before', async () => {
    const asked: Asked[] = [];
    const report = await evaluatePipeline(config, leaveLastOut(dataset), { plugins: [probe(asked)], k: 1 });
    expect(asked).toEqual(people.map(() => ({ known: true, history: 5, asOfMs: start + 5 * day })));
    // Five of six are known; the last of the catalogue is what is left, and right.
    expect(report.ndcg.mean).toBe(1);
  });

  it('asks for people who were kept out as for guests, with what they bring', async () => {
    const asked: Asked[] = [];
    const split = userHoldout(dataset, { fraction: 0.5, foldIn: 0.5, seed: 1 });
    await evaluatePipeline(config, split, { plugins: [probe(asked)], k: 1 });
    expect(asked).toEqual(split.cases.map(() => ({ known: false, history: 3, asOfMs: start + 3 * day })));
  });

  it('adds new items by their fields and lets nothing else into the lists', async () => {
    const split = coldItems(dataset, { isCold: (id) => id === 'b' || id === 'e', minimumUserItems: 2 });
    const report = await evaluatePipeline(config, split, { plugins: [probe([])], k: 2 });
    expect(report.recall.mean).toBe(1);
    expect(report.coverage).toBe(1);
  });
});
