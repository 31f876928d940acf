import { describe, expect, it } from 'vitest';
import { type CutOptions, instant, planCuts } from './cuts.js';

const day = 86_400_000;
const at = (days: number): number => Date.UTC(2024, 0, 1) + days * day;
const options = (changes: Partial<CutOptions> = {}): CutOptions => ({
  cuts: undefined,
  windowDays: 10,
  validationCuts: 1,
  firstEventMs: at(0),
  lastEventMs: at(100),
  untilMs: undefined,
  ...changes,
});
const problem = (changes: Partial<CutOptions>): string => {
  try {
    planCuts(options(changes));
  } catch (error) {
    const { code, message } = error as { code: string; message: string };
    return `${code} ${message}`;
  }
  return '';
};

describe('planCuts', () => {
  it('counts back from the end: the last window ends with the last event', () => {
    const cuts = planCuts(options({ cuts: { count: 3, everyDays: 10 } }));
    // The end is exclusive and just after the last event, at day 100 + 1 ms.
    expect(cuts.map(({ atMs }) => atMs)).toEqual([at(70) + 1, at(80) + 1, at(90) + 1]);
    expect(cuts.map(({ untilMs }) => untilMs)).toEqual([at(80) + 1, at(90) + 1, at(100) + 1]);
    expect(cuts.map(({ split }) => split)).toEqual(['train', 'train', 'validation']);
    expect(cuts.every(({ complete }) => complete)).toBe(true);
  });

  it('takes four cuts a window apart when nothing is said', () => {
    expect(planCuts(options({ untilMs: at(60) })).map(({ atMs }) => atMs)).toEqual([at(20), at(30), at(40), at(50)]);
  });

  it('sorts the cuts that are given, and marks a window that the data do not fill', () => {
    const cuts = planCuts(options({ cuts: [new Date(at(95)), at(40), at(20)], validationCuts: 2 }));
    expect(cuts.map(({ index, atMs, split, complete }) => [index, atMs, split, complete])).toEqual([
      [0, at(20), 'train', true],
      [1, at(40), 'validation', true],
      [2, at(95), 'validation', false],
    ]);
    expect(cuts[2]?.untilMs).toBe(at(100) + 1);
  });

  it('refuses labels that training and validation would share', () => {
    // The window of day 20 ends on day 30, the one of day 25 begins before.
    expect(problem({ cuts: [at(20), at(25)] })).toBe(
      'RECLOOM_RUN_EXPORT The training rows cannot be made: the window of the training cut 2024-01-21 ends after the validation cut 2024-01-26, so both would have the same labels.',
    );
    expect(problem({ cuts: [at(15), at(25)] })).toBe('');
    // Overlapping windows among training cuts are fine.
    expect(problem({ cuts: [at(10), at(12), at(25)] })).toBe('');
    expect(problem({ cuts: [at(20), at(25)], validationCuts: 0 })).toBe('');
  });

  it.each([
    ['no cut', { cuts: [] }, 'at least one cut'],
    ['a cut that is no time', { cuts: [Number.NaN] }, 'neither a valid date'],
    ['the same cut twice', { cuts: [at(20), at(20)] }, 'twice'],
    ['nothing before a cut', { cuts: [at(0)], validationCuts: 0 }, 'no event before'],
    ['nothing after a cut', { cuts: [at(101)], validationCuts: 0 }, 'no event after'],
    ['a cut after --until', { cuts: [at(50)], untilMs: at(40), validationCuts: 0 }, 'no event after'],
    ['counting back past the first event', { cuts: { count: 50, everyDays: 10 } }, 'no event before'],
    ['no cuts to count', { cuts: { count: 0, everyDays: 10 } }, 'whole number from 1'],
    ['half a cut', { cuts: { count: 1.5, everyDays: 10 } }, 'whole number from 1'],
    ['cuts without a distance', { cuts: { count: 2, everyDays: 0 } }, 'more than 0 days apart'],
    ['an empty window', { windowDays: 0 }, 'longer than 0 days'],
    ['more validation than cuts', { cuts: [at(20)], validationCuts: 2 }, 'can be for validation'],
    ['a negative number of validation cuts', { validationCuts: -1 }, 'can be for validation'],
  ] as const)('refuses %s', (_, changes, words) => {
    expect(problem(changes as Partial<CutOptions>)).toMatch(new RegExp(`^RECLOOM_RUN_EXPORT .*${words}`));
  });

  it('names an instant by its day where it is midnight', () => {
    expect(instant(at(1))).toBe('2024-01-02');
    expect(instant(at(1) + 1)).toBe('2024-01-02T00:00:00.001Z');
  });
});
