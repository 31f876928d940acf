// Data no shop should have, and some have: every component of this plugin answers, and says so where it leaves something out.
import type { CandidateSource, ComponentDefinition, Scorer } from '@recloom/plugin-api';
import { candidateBatch, createTestHost, historyFrom, requestBatch, requestView, type TestUserEvent, tableFrom } from '@recloom/testing';
import { describe, expect, it } from 'vitest';
import { itemKnn, rp3beta, userKnn } from './index.js';

const signal = new AbortController().signal;

function shopOf(events: readonly TestUserEvent[], items: number, users: number) {
  return {
    items: tableFrom(Array.from({ length: items }, (_, row) => `i${row}`)),
    users: tableFrom(Array.from({ length: users }, (_, row) => `u${row}`)),
    history: historyFrom(events, { itemCount: items, userCount: users }),
  };
}

/** Fits, asks with one item in the history, and gives the proposals with the scores of all items. */
async function ask(definition: ComponentDefinition, shop: ReturnType<typeof shopOf>, options: object = {}, item = 0) {
  const host = createTestHost();
  const component = await host.open<CandidateSource & Scorer>(definition, { shop, options: { minimumItemUsers: 1, ...options } });
  const request = requestView({ history: [{ item }] });
  const proposals = await component.propose(requestBatch([request]), 10);
  const out = new Float32Array(shop.items.rowCount).fill(Number.NaN);
  await component.score(candidateBatch({ rows: [Array.from(out.keys())], requests: [request] }), out, signal);
  expect([...out].every((score) => Number.isFinite(score) && score >= 0)).toBe(true);
  return { rows: [...proposals.rows], scores: [...proposals.scores], out, warnings: host.warnings };
}

const all = [
  ['item-knn', itemKnn],
  ['rp3beta', rp3beta],
  ['user-knn', userKnn],
] as const;

describe.each(all)('%s on bad input', (id, definition) => {
  const isUsers = id === 'user-knn';

  it('answers from nothing', async () => {
    expect((await ask(definition, shopOf([], 3, 0))).rows).toEqual([]);
  });

  it('has nothing to add to one item', async () => {
    const { rows } = await ask(
      definition,
      shopOf(
        [
          { user: 0, item: 0 },
          { user: 1, item: 0 },
        ],
        1,
        2,
      ),
    );
    // Neighbours by people vote for what they have, the history's own item included; items have no link to themselves.
    expect(rows).toEqual(isUsers ? [0] : []);
  });

  it('takes one user', async () => {
    const { rows } = await ask(
      definition,
      shopOf(
        [
          { user: 0, item: 0 },
          { user: 0, item: 1 },
        ],
        2,
        1,
      ),
    );
    // One person is not people.
    expect(rows).toEqual(isUsers ? [] : [1]);
  });

  it('orders by row when all users are identical', async () => {
    const events = Array.from({ length: 24 }, (_, index) => ({ user: Math.floor(index / 4), item: index % 4 }));
    const { rows, scores } = await ask(definition, shopOf(events, 4, 6), { excludeHistory: true });
    expect(rows).toEqual([1, 2, 3]);
    expect(new Set(scores).size).toBe(1);
  });

  it('is not blinded by an item that everybody has', async () => {
    // Item 0: all 8; items 1 and 2 go together, as do 3 and 4.
    const events = Array.from({ length: 8 }, (_, user) => [
      { user, item: 0 },
      { user, item: user < 4 ? 1 : 3 },
      { user, item: user < 4 ? 2 : 4 },
    ]).flat();
    const { rows } = await ask(definition, shopOf(events, 5, 8), { excludeHistory: true }, 1);
    // What goes with item 1 is proposed, and nothing of the other half before it.
    expect(rows).toContain(2);
    expect(rows.filter((row) => row !== 0)[0]).toBe(2);
  });

  it('counts duplicated events once', async () => {
    const events = [
      { user: 0, item: 0 },
      { user: 0, item: 1 },
      { user: 1, item: 0 },
      { user: 1, item: 2 },
      { user: 2, item: 1 },
      { user: 2, item: 0 },
    ];
    const once = await ask(definition, shopOf(events, 3, 3));
    const often = await ask(definition, shopOf([...events, ...events, ...events], 3, 3));
    expect(often.rows).toEqual(once.rows);
    expect(often.scores).toEqual(once.scores);
  });

  it('stays finite on extreme weights and leaves out what is no number', async () => {
    const weights = [3e38, 1e-38, 1, Number.NaN, Number.POSITIVE_INFINITY, -5];
    const events = weights.flatMap((weight, index) => [
      { user: index % 3, item: index % 3, weight },
      { user: index % 3, item: 3, weight: 1e30 },
    ]);
    await ask(definition, shopOf(events, 4, 3), { useWeights: true }, 3);
  });

  it('takes more neighbours than there are', async () => {
    const events = [0, 1].flatMap((user) => [0, 1].map((item) => ({ user, item })));
    expect((await ask(definition, shopOf(events, 2, 2), { neighbours: 10_000 })).rows).toContain(1);
  });

  it('says that a crawler was cut', async () => {
    const events = [
      ...Array.from({ length: 50 }, (_, item) => ({ user: 0, item, timeMs: item })),
      { user: 1, item: 49, timeMs: 60 },
      { user: 1, item: 48, timeMs: 61 },
    ];
    const { warnings } = await ask(definition, shopOf(events, 50, 2), { maximumUserItems: 10 }, 49);
    expect(warnings).toMatchObject([{ code: 'NEIGHBOURS_USERS_CUT', count: 1 }]);
  });
});
