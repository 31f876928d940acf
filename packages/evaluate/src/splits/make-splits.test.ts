import { datasetFromArrays } from '@recloom/core';
import { describe, expect, it } from 'vitest';
import { makeSplits, type SplitKind, splitKinds, splitOptionsOf } from './make-splits.js';
import { temporalSplit } from './temporal.js';

const day = 86_400_000;
const start = Date.UTC(2024, 0, 1);
/** 20 users with 6 of 12 items each, an event every day from the first to the hundredth. */
const dataset = datasetFromArrays({
  events: Array.from({ length: 120 }, (_, place) => ({
    user: `u${String(place % 20).padStart(2, '0')}`,
    item: `i${String((place % 20) + Math.floor(place / 20) * 2 - ((place % 20) + Math.floor(place / 20) * 2 >= 12 ? 12 * Math.floor(((place % 20) + Math.floor(place / 20) * 2) / 12) : 0)).padStart(2, '0')}`,
    timeMs: start + Math.floor((place * 100) / 119) * day + 3_600_000,
  })),
});
const refused = (why: RegExp) => expect.objectContaining({ code: 'RECLOOM_RUN_EVALUATION', message: expect.stringMatching(why) });

describe('makeSplits', () => {
  it('cuts at midnight before the last 15 % of the time span, and says so', () => {
    const { splits, description } = makeSplits(dataset);
    // Day 100 minus 15 days.
    const cutMs = start + 85 * day;
    expect(description).toMatchObject({ kind: 'temporal', cut: new Date(cutMs).toISOString(), reports: [splits[0]?.report] });
    expect(description.summary).toContain('2024-03-26');
    expect(description.summary).toContain('no cut was given');
    expect(splits[0]?.cases).toEqual(temporalSplit(dataset, { cutMs }).cases);
    const chosen = makeSplits(dataset, { cutMs: start + 50 * day, untilMs: start + 60 * day });
    expect(chosen.description.summary).toContain('from then on, to 2024-03-01');
    expect(chosen.description.summary).not.toContain('no cut was given');
  });

  it('asks for what is taken again, where that is wanted', () => {
    const request = { cutMs: start + 50 * day } as const;
    for (const repeats of ['masked', 'answers'] as const) {
      const { splits, description } = makeSplits(dataset, { ...request, repeats });
      expect(splits[0]?.cases).toEqual(temporalSplit(dataset, { ...request, repeats }).cases);
      expect(description.summary.includes('that was new to them')).toBe(repeats === 'masked');
    }
    expect(() => makeSplits(dataset, { kind: 'random', repeats: 'answers' })).toThrow(refused(/takes no "repeats"/));
  });

  it.each(splitKinds.filter((kind) => kind !== 'predefined'))('%s: asks somebody and leaves nothing of the answers in training', (kind) => {
    const { splits, description } = makeSplits(dataset, {
      kind,
      ...(kind === 'cold-items' ? { fraction: 0.3 } : {}),
      ...(kind === 'user-holdout' ? { fraction: 0.4 } : {}),
    });
    expect(description.kind).toBe(kind);
    expect(description.reports).toHaveLength(splits.length);
    expect(description.summary).toMatch(/^[A-Z0-9].*\.$/);
    for (const { train, cases } of splits) {
      expect(cases.length).toBeGreaterThan(0);
      for (const { user, relevant } of cases) {
        const row = train.users.rowOf(user);
        const rows = row < 0 ? [] : Array.from(train.history.items.subarray(train.history.offsets[row], train.history.offsets[row + 1]));
        const left = new Set(rows.map((item) => train.items.idOf(item)));
        expect(relevant.filter((id) => left.has(id))).toEqual([]);
      }
    }
  });

  it.each(splitKinds)('%s: asks for the types of events that are wanted, and says so', (kind) => {
    // Everybody looks at each item of theirs two hours before they take it, and at one more on the last day.
    const typed = (type: (place: number) => string) =>
      datasetFromArrays({
        events: Array.from({ length: dataset.history.eventCount }, (_, place) => place).flatMap((place) => {
          const user = dataset.users.idOf(dataset.history.offsets.findLastIndex((offset) => offset <= place));
          const item = dataset.items.idOf(dataset.history.items[place] as number);
          const timeMs = dataset.history.timesMs[place] as number;
          return [
            { user, item, timeMs: timeMs - 7_200_000, type: 'view' },
            { user, item, timeMs, type: type(place) },
            { user, item: 'looked-at', timeMs: start + 101 * day, type: 'view' },
          ];
        }),
      });
    const shop = typed(() => 'purchase');
    const further = {
      ...(kind === 'cold-items' ? { fraction: 0.3 } : {}),
      ...(kind === 'user-holdout' ? { fraction: 0.4 } : {}),
      ...(kind === 'predefined' ? { test: shop } : {}),
    };
    const trained = kind === 'predefined' ? datasetFromArrays({ events: [{ user: 'u00', item: 'i99', timeMs: start }] }) : shop;
    const { splits, description } = makeSplits(trained, { kind, relevantTypes: ['purchase'], ...further });
    expect(description.summary).toMatch(/Right answers are events of type purchase alone; all others are history\.$/);
    for (const { cases, relevantTypes } of splits) {
      expect(relevantTypes).toEqual(['purchase']);
      expect(cases.length).toBeGreaterThan(0);
      for (const { known, relevant } of cases) {
        expect(relevant).not.toContain('looked-at');
        expect(known).not.toContain('looked-at');
      }
    }
    expect(() => makeSplits(trained, { kind, relevantTypes: ['rating'], ...further })).toThrow(
      expect.objectContaining({
        code: 'RECLOOM_DAT_UNKNOWN_EVENT_TYPE',
        message: expect.stringMatching(/"rating"; the data have: (view, purchase|purchase, view)\./),
      }),
    );
    expect(() => makeSplits(trained, { kind, relevantTypes: [], ...further })).toThrow(refused(/names no event type/));
  });

  it('repeats a split per seed, and k-fold per fold', () => {
    const random = makeSplits(dataset, { kind: 'random', seeds: [1, 2, 3] });
    expect(random.splits).toHaveLength(3);
    expect(random.description).toMatchObject({ seeds: [1, 2, 3], summary: expect.stringContaining('3 times') });
    expect(JSON.stringify(random.splits[0]?.cases)).not.toBe(JSON.stringify(random.splits[1]?.cases));
    expect(makeSplits(dataset, { kind: 'random', seeds: [1] }).splits[0]?.cases).toEqual(random.splits[0]?.cases);
    expect(makeSplits(dataset, { kind: 'k-fold', folds: 4 }).splits).toHaveLength(4);
  });

  it('takes what somebody kept back', () => {
    const test = datasetFromArrays({ events: [{ user: 'u00', item: 'i11', timeMs: start + 200 * day }] });
    const { splits, description } = makeSplits(dataset, { kind: 'predefined', test });
    expect(splits[0]?.cases.map(({ user, relevant }) => [user, relevant])).toEqual([['u00', ['i11']]]);
    expect(description.kind).toBe('predefined');
    expect(() => makeSplits(dataset, { kind: 'predefined' })).toThrow(refused(/needs the part/));
  });

  it('refuses what the kind does not take, and options against each other', () => {
    expect(() => makeSplits(dataset, { kind: 'temporal', fraction: 0.1 })).toThrow(
      refused(/a temporal split takes no "fraction"; it takes "cutMs"/),
    );
    expect(() => makeSplits(dataset, { kind: 'leave-one-out' as SplitKind })).toThrow(refused(/there are temporal, leave-last-out/));
    expect(() => makeSplits(dataset, { cutMs: 5, untilMs: 5 })).toThrow(refused(/ends before it begins/));
    expect(() => makeSplits(dataset, { cutMs: Number.NaN })).toThrow(refused(/not a number/));
    expect(() => makeSplits(dataset, { minimumItemUsers: 0.5 })).toThrow(refused(/"minimumItemUsers"/));
    expect(() => makeSplits(dataset, { kind: 'random', seeds: [1, 1] })).toThrow(refused(/twice/));
    expect(() => makeSplits(dataset, { kind: 'random', seeds: [] })).toThrow(refused(/at least one/));
    expect(() => makeSplits(dataset, { kind: 'k-fold', seeds: [1, 2] })).toThrow(refused(/one seed/));
    expect(() => makeSplits(dataset, { kind: 'k-fold', folds: 1 })).toThrow(refused(/two folds/));
    expect(() => makeSplits(dataset, { kind: 'random', fraction: 1 })).toThrow(refused(/between 0 and 1/));
    expect(() => makeSplits(dataset, { kind: 'leave-n-out', count: 0 })).toThrow(refused(/"count"/));
    for (const kind of splitKinds) expect(splitOptionsOf(kind).length).toBeGreaterThan(1);
  });

  it('says the counts and what to change when nobody is left', () => {
    const nobody = (change: RegExp) =>
      expect.objectContaining({ code: 'RECLOOM_DAT_SPLIT_NO_TEST', message: expect.stringMatching(change) });
    expect(() => makeSplits(dataset, { kind: 'leave-last-out', minimumUserItems: 50 })).toThrow(
      nobody(
        /120 events of 20 users and 12 items; 120 left for training; left out: 20 users \(fewer than 50 items\)\. Keep back fewer items/,
      ),
    );
    expect(() => makeSplits(dataset, { cutMs: start + 1000 * day })).toThrow(nobody(/Move the cut earlier/));
    expect(() => makeSplits(dataset, { cutMs: start })).toThrow(
      expect.objectContaining({ code: 'RECLOOM_DAT_SPLIT_NO_TRAINING', message: expect.stringMatching(/Move the cut later/) }),
    );
    const timeless = datasetFromArrays({ events: [1, 2, 3].map((item) => ({ user: 'u', item: `i${item}`, timeMs: start })) });
    expect(() => makeSplits(timeless)).toThrow(nobody(/all of one time\. A split by time needs times/));
  });
});
