import type { ColumnarTable, Dataset } from '@recloom/core';
import { suggest } from '@recloom/core';
import { columnValue, recloomError } from '@recloom/plugin-api';
import { rankingMetrics } from '../metrics/ranking.js';
import type { Questions } from './questions.js';

/** One way to divide the cases: by what the user is or has, or by what the right answers are. */
export interface Segmenting {
  readonly by: string;
  /** Names of the parts, in the order to be shown. */
  readonly names: readonly string[];
  /** By case of all splits, the part that it belongs to; present when users divide the cases. */
  readonly partOfCase?: Int32Array;
  /** By split, the part of each numbered item; present when the right answers divide the cases. */
  readonly partOfItem?: readonly Int32Array[];
}

/** Figures of the cases of one segmenting, a growing column each: of a case in several parts, one entry per part. */
export class SegmentMeasures {
  readonly segmenting: Segmenting;
  readonly parts: number[] = [];
  readonly cases: number[] = [];
  readonly ndcg: number[] = [];
  readonly recall: number[] = [];
  readonly hitRate: number[] = [];

  constructor(segmenting: Segmenting) {
    this.segmenting = segmenting;
  }

  /** Where the right answers divide the cases: each part of a case is scored against its own right answers alone. */
  noteList(questions: Questions, splitIndex: number, index: number, list: ArrayLike<number>, k: number): void {
    const partOfItem = this.segmenting.partOfItem?.[splitIndex];
    if (partOfItem === undefined) return;
    const byPart = new Map<number, Map<number, number>>();
    for (const answer of questions.answers[index] as Int32Array) {
      const part = answer < 0 ? -1 : (partOfItem[answer] as number);
      if (part < 0) continue;
      const own = byPart.get(part);
      if (own === undefined) byPart.set(part, new Map([[answer, 1]]));
      else own.set(answer, 1);
    }
    for (const [part, answers] of byPart) {
      const { ndcg, recall, hitRate } = rankingMetrics(list, answers, k);
      this.parts.push(part);
      this.cases.push(questions.firstCase + index);
      this.ndcg.push(ndcg);
      this.recall.push(recall);
      this.hitRate.push(hitRate);
    }
  }
}

/** Most parts of one field; the smaller ones are shown together. */
const mostParts = 12;
const unknown = 'unknown';
const others = 'others';

/** Divides the cases by how many items their users have: below `bounds[0]` cold, below `bounds[1]` warm, else heavy. */
export function byHistory(all: readonly Questions[], bounds: readonly [number, number]): Segmenting {
  const [warm, heavy] = bounds;
  const range = (from: number, to: number): string => (to - from === 1 ? `${from}` : `${from}–${to - 1}`);
  return {
    by: 'history',
    names: [`cold (${range(0, warm)} items)`, `warm (${range(warm, heavy)} items)`, `heavy (${heavy}+ items)`],
    partOfCase: Int32Array.from(
      all.flatMap(({ split }) => split.cases.map(({ known }) => (known.length < warm ? 0 : known.length < heavy ? 1 : 2))),
    ),
  };
}

/**
 * Divides the cases by a field, `country`, `user.country` or `item.category`: a user's own value, or those of the right
 * answers. Numbers fall into thirds of the items; of many values the 11 with most cases stand alone.
 *
 * @throws RECLOOM_CFG_UNKNOWN_FIELD
 */
export function byField(all: readonly Questions[], field: string, whole: Pick<Dataset, 'users'> | undefined): Segmenting {
  const [first] = all;
  const users = whole?.users ?? (first as Questions).split.train.users;
  const items = (first as Questions).split.train.items;
  const name = field.replace(/^(?:user|item)\./, '');
  const ofUsers = field.startsWith('item.') ? undefined : users.column(name);
  const ofItems = field.startsWith('user.') ? undefined : items.column(name);
  if (ofUsers !== undefined) return byUserField(all, field, name, users);
  if (ofItems !== undefined) return byItemField(all, field, name);
  const available = [...users.fields.map((known) => `user.${known}`), ...items.fields.map((known) => `item.${known}`)];
  const near = suggest(name, [...users.fields, ...items.fields]);
  throw recloomError('RECLOOM_CFG_UNKNOWN_FIELD', {
    field,
    available: available.length === 0 ? 'none' : available.join(', '),
    ...(near === undefined ? {} : { suggestion: near }),
  });
}

function byUserField(all: readonly Questions[], by: string, field: string, users: Pick<ColumnarTable, 'rowOf' | 'column'>): Segmenting {
  const column = users.column(field);
  const values = all.flatMap(({ split }) =>
    split.cases.map(({ user }) => {
      const row = users.rowOf(user);
      return row < 0 || column === undefined ? unknown : textOf(columnValue(column, row));
    }),
  );
  const names = namesByCases(values);
  const partOf = partFinder(names);
  return { by, names, partOfCase: Int32Array.from(values, partOf) };
}

function byItemField(all: readonly Questions[], by: string, field: string): Segmenting {
  const valueOf = all.map(({ split }) => {
    const column = split.train.items.column(field);
    const count = split.train.items.rowCount;
    return (item: number): ReturnType<typeof columnValue> =>
      item < count ? (column === undefined ? null : columnValue(column, item)) : (split.newItems?.[item - count]?.[field] ?? null);
  });
  const type = (all[0] as Questions).split.train.items.column(field)?.type;
  const toText = type === 'number' ? thirdsOf(all, valueOf) : textOf;
  const texts = all.map(({ facts }, index) =>
    Array.from({ length: facts.itemCount }, (_, item) =>
      toText((valueOf[index] as (item: number) => ReturnType<typeof columnValue>)(item)),
    ),
  );
  const ofAnswers = all.flatMap(({ answers }, index) =>
    answers.flatMap((numbers) => [
      ...new Set(
        Array.from(numbers)
          .filter((item) => item >= 0)
          .map((item) => texts[index]?.[item] ?? unknown),
      ),
    ]),
  );
  const names = type === 'number' ? namesByValue(ofAnswers) : namesByCases(ofAnswers);
  const partOf = partFinder(names);
  return { by, names, partOfItem: texts.map((own) => Int32Array.from(own, partOf)) };
}

/** Three parts with as many items each, named by their bounds. */
function thirdsOf(
  all: readonly Questions[],
  valueOf: readonly ((item: number) => ReturnType<typeof columnValue>)[],
): (value: ReturnType<typeof columnValue>) => string {
  const { facts } = all[0] as Questions;
  const numbers: number[] = [];
  for (let item = facts.from; item < facts.itemCount; item++) {
    const value = valueOf[0]?.(item);
    if (typeof value === 'number') numbers.push(value);
  }
  numbers.sort((left, right) => left - right);
  const low = numbers[Math.floor(numbers.length / 3)] ?? 0;
  const high = numbers[Math.floor((2 * numbers.length) / 3)] ?? 0;
  return (value) => {
    if (typeof value !== 'number') return unknown;
    return value < low ? `below ${low}` : value < high || low === high ? `${low} up to ${high}` : `from ${high}`;
  };
}

function textOf(value: ReturnType<typeof columnValue>): string {
  if (value === null || value === '') return unknown;
  if (typeof value === 'object') return value.length === 0 ? unknown : (value[0] as string);
  return String(value);
}

/** The values with most cases first (ties by name), the rest as `others`, those without a value last. */
function namesByCases(values: readonly string[]): readonly string[] {
  const counts = new Map<string, number>();
  for (const value of values) counts.set(value, (counts.get(value) ?? 0) + 1);
  const named = [...counts].filter(([name]) => name !== unknown).sort(([left, a], [right, b]) => b - a || (left < right ? -1 : 1));
  const kept = named.length > mostParts ? named.slice(0, mostParts - 1) : named;
  return [...kept.map(([name]) => name), ...(kept.length < named.length ? [others] : []), ...(counts.has(unknown) ? [unknown] : [])];
}

/** Thirds from low to high, those without a value last. */
function namesByValue(values: readonly string[]): readonly string[] {
  const seen = new Set(values);
  const low = (name: string): number => (name.startsWith('below') ? 0 : name.startsWith('from') ? 2 : name === unknown ? 3 : 1);
  return [...seen].sort((left, right) => low(left) - low(right));
}

function partFinder(names: readonly string[]): (value: string) => number {
  const parts = new Map(names.map((name, part) => [name, part]));
  const rest = parts.get(others) ?? -1;
  return (value) => parts.get(value) ?? rest;
}
