import type { Figure, RankingFigures, SegmentFigures } from '../evaluation.js';
import { bootstrapMeans } from '../metrics/significance.js';
import { meanOf } from '../metrics.js';
import { type CaseColumns, figureNames } from './case-measures.js';
import { meansPerUnit, type Questions, type Units } from './questions.js';
import type { SegmentMeasures } from './segments.js';

/** Draws that one bootstrap may take in all: 10,000 rounds over 2,000 users, and never fewer than 1,000 rounds. */
const mostDraws = 20_000_000;

/** Rounds of a bootstrap over so many cases. */
export function roundsFor(cases: number): number {
  return Math.max(1_000, Math.min(10_000, Math.floor(mostDraws / Math.max(1, cases))));
}

/** Means with standard errors and 95 % intervals of columns over the same users. */
function figuresOfColumns(columns: readonly Float64Array[]): readonly Figure[] {
  const count = columns[0]?.length ?? 0;
  if (count === 0) return columns.map(() => ({ mean: 0, standardError: 0, low: 0, high: 0 }));
  const intervals = bootstrapMeans(columns, { rounds: roundsFor(count) });
  return columns.map((column, at) => {
    const { mean, standardError } = meanOf(column);
    // The mean of equal numbers may differ from them in the last digit.
    return { mean, standardError, low: Math.min(mean, intervals[at]?.low ?? mean), high: Math.max(mean, intervals[at]?.high ?? mean) };
  });
}

/** Figures of one pipeline over all users; `gradedNdcg` and `revenue` only where they say something. */
export function rankingFigures(
  columns: CaseColumns,
  all: readonly Questions[],
  units: Units,
): { readonly figures: RankingFigures; readonly perUnit: Readonly<Record<'ndcg' | 'recall', Float64Array>> } {
  const graded = all.some((questions) => questions.graded);
  const priced = all.some(({ facts }) => facts.prices !== undefined);
  const names = figureNames.filter((name) => (name !== 'gradedNdcg' || graded) && (name !== 'revenue' || priced));
  const perUnit = names.map((name) => meansPerUnit(columns[name], units.unitOf, units.count));
  const found = figuresOfColumns(perUnit);
  const figures = Object.fromEntries(
    names.map((name, at) => {
      const spread = spreadOf(columns[name], all);
      return [name, spread === undefined ? found[at] : { ...found[at], spread }];
    }),
  ) as unknown as RankingFigures;
  return {
    figures,
    perUnit: { ndcg: perUnit[names.indexOf('ndcg')] as Float64Array, recall: perUnit[names.indexOf('recall')] as Float64Array },
  };
}

/** Standard deviation (n − 1) of the repetitions' means; undefined for one repetition. */
function spreadOf(values: Float64Array, all: readonly Questions[]): number | undefined {
  if (all.length < 2) return undefined;
  const means = all.map(
    ({ firstCase, split }) =>
      meanOf(values.subarray(firstCase, firstCase + split.cases.length).filter((value) => !Number.isNaN(value))).mean,
  );
  const mean = means.reduce((sum, value) => sum + value, 0) / means.length;
  return Math.sqrt(means.reduce((sum, value) => sum + (value - mean) ** 2, 0) / (means.length - 1));
}

/** Figures of each part that has cases, in the segmenting's order. */
export function segmentFigures(measures: SegmentMeasures, columns: CaseColumns, units: Units): readonly SegmentFigures[] {
  const { segmenting } = measures;
  const { partOfCase } = segmenting;
  return segmenting.names.flatMap((name, part): SegmentFigures[] => {
    const places: number[] = [];
    const parts = partOfCase ?? measures.parts;
    for (let place = 0; place < parts.length; place++) if (parts[place] === part) places.push(place);
    if (places.length === 0) return [];
    const pick = (values: ArrayLike<number>): Float64Array => Float64Array.from(places, (place) => values[place] as number);
    const source = partOfCase === undefined ? measures : columns;
    const unitOf = Int32Array.from(
      places,
      (place) => units.unitOf[partOfCase === undefined ? (measures.cases[place] as number) : place] as number,
    );
    const perUnit = [source.ndcg, source.recall, source.hitRate].map((values) => meansPerUnit(pick(values), unitOf, units.count));
    const [ndcg, recall, hitRate] = figuresOfColumns(perUnit) as readonly [Figure, Figure, Figure];
    return [{ by: segmenting.by, name, cases: places.length, ndcg, recall, hitRate }];
  });
}
