import { datasetFromArrays } from '@recloom/core';
import { defineCandidateSource, definePlugin, perRequest } from '@recloom/plugin-api';
import { describe, expect, it } from 'vitest';
import { evaluateClicks } from './evaluate-clicks.js';

const day = 86_400_000;
const start = Date.UTC(2024, 0, 1);
const at = (user: string, item: string, type: string, onDay: number) => ({ user, item, type, timeMs: start + onDay * day });

/** Proposes everything but `hidden`, each with the item's own `chance`. */
const plugin = definePlugin({
  apiVersion: 1,
  id: 'probe',
  components: [
    defineCandidateSource({
      id: 'chance',
      summary: 'Everything with its chance.',
      options: {
        '~standard': {
          version: 1,
          vendor: 'test',
          validate: (value: unknown) => ({ value: value as object }),
          jsonSchema: { input: () => ({ type: 'object' }) },
        },
      },
      capabilities: {},
      stateVersion: 1,
      create: ({ items }) => ({
        propose: perRequest(() => {
          const rows = Array.from({ length: items.rowCount }, (_, row) => row).filter((row) => items.idOf(row) !== 'hidden');
          return { rows, scores: rows.map(() => 1) };
        }),
      }),
    }),
  ],
});
const config = {
  format: '1.0',
  name: 'clicks',
  data: {},
  components: { all: { use: 'probe/chance' } },
  surfaces: { home: { sources: { all: 10 } } },
};

const chances: Readonly<Record<string, number>> = { a: 0.875, b: 0.5, c: 0.25, d: 0.125, hidden: 0.5 };
const arrays = {
  items: Object.entries(chances).map(([id, chance]) => ({ id, chance })),
  events: [
    at('u', 'a', 'view', 1),
    at('w', 'a', 'click', 1),
    // Shown from day 10 on: a to u (clicked an hour later), b to u (clicked two days later: too late), c to u twice, clicked after
    // the second; b to w, clicked at the same instant; d to w, never; hidden to w. Before the cut nothing counts.
    at('u', 'a', 'view', 10),
    at('u', 'a', 'click', 10.04),
    at('u', 'b', 'view', 10),
    at('u', 'b', 'click', 12.5),
    at('u', 'c', 'view', 10),
    at('u', 'c', 'view', 14),
    at('u', 'c', 'click', 14.5),
    at('w', 'b', 'click', 11),
    at('w', 'b', 'view', 11),
    at('w', 'd', 'view', 11),
    at('w', 'hidden', 'view', 11),
  ],
};
const dataset = datasetFromArrays(arrays);
const evaluate = (options: object = {}, data = dataset) =>
  evaluateClicks(config, data, {
    plugins: [plugin],
    shown: 'view',
    clicked: 'click',
    column: 'item.chance',
    cutMs: start + 10 * day,
    ...options,
  });

describe('evaluateClicks', () => {
  it('compares the chance of each pair shown with what followed, by hand', async () => {
    const found = await evaluate();
    // Right: u a (.875), u c (.25), w b (.5). Not: u b (.5), w d (.125).
    const loss = -(Math.log(0.875) + Math.log(0.25) + Math.log(0.5) + Math.log(0.5) + Math.log(0.875)) / 5;
    expect(found).toMatchObject({
      users: 2,
      examples: 5,
      positives: 3,
      notScored: 1,
      column: 'item.chance',
      cut: '2024-01-11T00:00:00.000Z',
    });
    // Of six pairs: a > b, a > d, c < b, c > d, b = b, b > d.
    expect(found.auc).toBeCloseTo(4.5 / 6, 12);
    expect(found.logLoss).toBeCloseTo(loss, 6);
    expect(found.baseRateLogLoss).toBeCloseTo(-0.6 * Math.log(0.6) - 0.4 * Math.log(0.4), 12);
  });

  it('takes the window of a click from its caller', async () => {
    expect((await evaluate({ withinMs: 3 * day })).positives).toBe(4);
    expect((await evaluate({ untilMs: start + 13 * day })).positives).toBe(2);
  });

  it('refuses data without labels, with what is missing', async () => {
    const lacks = (message: RegExp) => ({ code: 'RECLOOM_DAT_NO_LABELS', message: expect.stringMatching(message) });
    await expect(evaluate({ shown: 'impression' })).rejects.toMatchObject(lacks(/no event type "impression"; the data have click, view/));
    await expect(evaluate({ clicked: 'view' })).rejects.toMatchObject(lacks(/the same event type/));
    await expect(evaluate({ cutMs: start + 50 * day })).rejects.toMatchObject(lacks(/nothing of type "view" lies in the test/));
    await expect(evaluate({ withinMs: -1, cutMs: start + 10.5 * day, untilMs: start + 10.6 * day })).rejects.toMatchObject(
      lacks(/nothing of type/),
    );
    const unclicked = datasetFromArrays({
      ...arrays,
      events: arrays.events.filter(({ type, timeMs }) => type === 'view' || timeMs < start + 2 * day),
    });
    await expect(evaluate({}, unclicked)).rejects.toMatchObject(lacks(/none of 6 items shown was followed by "click"/));
  });

  it('refuses a column that is no probability, and one that does not exist', async () => {
    await expect(evaluate({ column: 'item.chance * 10.0' })).rejects.toMatchObject({ code: 'RECLOOM_RUN_EVALUATION' });
    await expect(evaluate({ column: 'score.nothing' })).rejects.toMatchObject({ code: 'RECLOOM_RUN_REQUEST' });
  });
});
