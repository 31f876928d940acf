import type { Split, TestCase } from '../splits/split.js';
import { type CatalogueFacts, catalogueFacts } from './catalogue-facts.js';

/** One split made ready for measuring: its catalogue, and each case's right answers by number. */
export interface Questions {
  readonly split: Split;
  readonly facts: CatalogueFacts;
  /** By case: right answers by number; those that nobody can propose have numbers below 0, each its own. */
  readonly answers: readonly Int32Array[];
  /** By case: grades above 0 by number, where they differ within the case. */
  readonly grades: readonly (ReadonlyMap<number, number> | undefined)[];
  /** True when the grades of any case differ. */
  readonly graded: boolean;
  /** By case: mean number of users who have what the user has; NaN without a history. */
  readonly historyPopularity: Float64Array;
  /** Number of the first case among those of all splits. */
  readonly firstCase: number;
}

/** Makes the splits of an evaluation ready; cases are numbered through all of them. */
export function questionsOf(splits: readonly Split[], fields: { readonly price: string; readonly category: string }): readonly Questions[] {
  let firstCase = 0;
  return splits.map((split) => {
    const facts = catalogueFacts(split, fields);
    const answers = split.cases.map(({ relevant }) => Int32Array.from(relevant, (id, place) => answerNumber(facts, id, place)));
    const grades = split.cases.map((testCase, index) => gradesOf(testCase, answers[index] as Int32Array));
    const questions: Questions = {
      split,
      facts,
      answers,
      grades,
      graded: grades.some((entry) => entry !== undefined),
      historyPopularity: Float64Array.from(split.cases, ({ known }) => meanUsers(facts, known)),
      firstCase,
    };
    firstCase += split.cases.length;
    return questions;
  });
}

function answerNumber(facts: CatalogueFacts, id: string, place: number): number {
  const number = facts.indexOf(id);
  return number >= facts.from ? number : -2 - place;
}

/** Undefined when all grades are the same, or none is a number above 0: then there is nothing to grade by. */
function gradesOf({ grades }: TestCase, answers: Int32Array): ReadonlyMap<number, number> | undefined {
  if (grades === undefined || grades.every((grade) => grade === grades[0])) return undefined;
  const usable = grades.map((grade) => (Number.isFinite(grade) && grade > 0 ? grade : 0));
  return usable.some((grade) => grade > 0) ? new Map(usable.map((grade, place) => [answers[place] as number, grade])) : undefined;
}

function meanUsers(facts: CatalogueFacts, ids: readonly string[]): number {
  let sum = 0;
  let count = 0;
  for (const id of ids) {
    const number = facts.indexOf(id);
    if (number < 0) continue;
    sum += facts.usersPerItem[number] as number;
    count++;
  }
  return count === 0 ? Number.NaN : sum / count;
}

/**
 * What the figures are means over: users. A user who is asked in several repetitions counts once, with the mean of their
 * cases, since cases of one user are no independent evidence.
 */
export interface Units {
  readonly count: number;
  /** By case. */
  readonly unitOf: Int32Array;
  /** By case: 1 / (cases of its unit · units), so that the weighted sum over cases is the mean over units. */
  readonly weights: Float64Array;
}

/** The users behind the cases of all splits, numbered in the order in which they are first asked. */
export function unitsOf(splits: readonly Split[]): Units {
  const users = new Map<string, number>();
  const numbers: number[] = [];
  for (const { cases } of splits) {
    for (const { user } of cases) {
      const number = users.get(user) ?? users.size;
      users.set(user, number);
      numbers.push(number);
    }
  }
  const unitOf = Int32Array.from(numbers);
  const casesPerUnit = new Int32Array(users.size);
  for (const unit of unitOf) casesPerUnit[unit] = (casesPerUnit[unit] as number) + 1;
  return {
    count: users.size,
    unitOf,
    weights: Float64Array.from(unitOf, (unit) => 1 / ((casesPerUnit[unit] as number) * users.size)),
  };
}

/** Means per unit of figures per case, NaN cases left out; units without a case are left out. */
export function meansPerUnit(values: ArrayLike<number>, unitOf: ArrayLike<number>, unitCount: number): Float64Array {
  const sums = new Float64Array(unitCount);
  const counts = new Int32Array(unitCount);
  for (let index = 0; index < values.length; index++) {
    const value = values[index] as number;
    if (Number.isNaN(value)) continue;
    const unit = unitOf[index] as number;
    sums[unit] = (sums[unit] as number) + value;
    counts[unit] = (counts[unit] as number) + 1;
  }
  for (let unit = 0; unit < unitCount; unit++) sums[unit] = (sums[unit] as number) / (counts[unit] as number);
  return counts.includes(0) ? sums.filter((_, unit) => (counts[unit] as number) > 0) : sums;
}
