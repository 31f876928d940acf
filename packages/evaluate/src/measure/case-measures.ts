import type { CatalogueFigures, MetricCurves, RankingFigures } from '../evaluation.js';
import { intraListDiversity, novelty, serendipity } from '../metrics/catalogue.js';
import { rankingMetrics } from '../metrics/ranking.js';
import type { Questions, Units } from './questions.js';

/** Figures per case, by the names of the document. */
export type CaseColumns = Readonly<Record<keyof RankingFigures, Float64Array>>;

/** Names of all figures of a ranked list, in the document's order. */
export const figureNames = Object.freeze([
  'ndcg',
  'recall',
  'precision',
  'f1',
  'hitRate',
  'map',
  'mrr',
  'gradedNdcg',
  'revenue',
] as const satisfies readonly (keyof RankingFigures)[]);

/** Takes in the lists of one pipeline as they come and keeps numbers only: memory grows with cases and items, not with lists. */
export class CaseMeasures {
  readonly columns: CaseColumns;
  readonly #k: number;
  readonly #at: readonly number[];
  readonly #units: Units;
  /** By length of the curve: NDCG, recall, precision, hit rate, each a weighted sum over cases. */
  readonly #curves: Float64Array[];
  readonly #catalogues: CatalogueFigures[] = [];
  readonly #gains: Float64Array;
  readonly #ideals: Float64Array;

  constructor(units: Units, k: number, at: readonly number[]) {
    this.#k = k;
    this.#at = at;
    this.#units = units;
    this.columns = Object.fromEntries(figureNames.map((name) => [name, new Float64Array(units.unitOf.length)])) as unknown as CaseColumns;
    this.#curves = at.map(() => new Float64Array(4));
    const longest = Math.max(k, ...at);
    this.#gains = Float64Array.from({ length: longest }, (_, place) => 1 / Math.log2(place + 2));
    this.#ideals = this.#gains.slice();
    for (let place = 1; place < longest; place++)
      this.#ideals[place] = (this.#ideals[place] as number) + (this.#ideals[place - 1] as number);
  }

  /** Notes the figures of one case. `list`: numbers, best first, −1 for an id that nobody knows; only the first k count. */
  noteCase(questions: Questions, index: number, list: ArrayLike<number>): void {
    const { facts } = questions;
    const answers = questions.answers[index] as Int32Array;
    const grades = questions.grades[index];
    const { prices } = facts;
    const metrics = rankingMetrics(
      list,
      new Map(Array.from(answers, (answer) => [answer, 1])),
      this.#k,
      prices === undefined ? {} : { value: (item) => prices[item] ?? Number.NaN },
    );
    const place = questions.firstCase + index;
    this.columns.ndcg[place] = metrics.ndcg;
    this.columns.recall[place] = metrics.recall;
    this.columns.precision[place] = metrics.precision;
    this.columns.f1[place] = metrics.f1;
    this.columns.hitRate[place] = metrics.hitRate;
    this.columns.map[place] = metrics.averagePrecision;
    this.columns.mrr[place] = metrics.reciprocalRank;
    this.columns.gradedNdcg[place] = grades === undefined ? metrics.ndcg : rankingMetrics(list, grades, this.#k).gradedNdcg;
    this.columns.revenue[place] = metrics.revenue;
  }

  /** Adds a case to the curves. `list` may be longer than that of `noteCase`. */
  noteCurves(questions: Questions, index: number, list: ArrayLike<number>): void {
    const answers = questions.answers[index] as Int32Array;
    const weight = this.#units.weights[questions.firstCase + index] as number;
    let hits = 0;
    let gain = 0;
    let from = 0;
    for (const [at, length] of this.#at.entries()) {
      for (const end = Math.min(length, list.length); from < end; from++) {
        if (!answers.includes(list[from] as number)) continue;
        hits++;
        gain += this.#gains[from] as number;
      }
      const sums = this.#curves[at] as Float64Array;
      sums[0] = (sums[0] as number) + (weight * gain) / (this.#ideals[Math.min(length, answers.length) - 1] as number);
      sums[1] = (sums[1] as number) + (weight * hits) / answers.length;
      sums[2] = (sums[2] as number) + (weight * hits) / length;
      sums[3] = (sums[3] as number) + (hits > 0 ? weight : 0);
    }
  }

  /** Starts taking in the lists of one split; the function it gives is called with each, `end` once after the last. */
  catalogueOf(questions: Questions, popular: Int32Array): { note(index: number, list: ArrayLike<number>): void; end(): void } {
    const { facts } = questions;
    const k = this.#k;
    const exposure = new Float64Array(facts.itemCount);
    const groups = new Float64Array(3);
    const noveltyMean = new RunningMean();
    const listPopularity = new RunningMean();
    const historyPopularity = new RunningMean();
    const surprise = new RunningMean();
    const newShare = new RunningMean();
    const diversity = new RunningMean();
    return {
      note: (index, list) => {
        const numbers = Array.from(list).filter((item) => item >= 0);
        let users = 0;
        let fresh = 0;
        for (const item of numbers) {
          exposure[item] = (exposure[item] as number) + 1;
          const group = facts.popularityGroup[item] as number;
          groups[group] = (groups[group] as number) + 1;
          users += facts.usersPerItem[item] as number;
          fresh += facts.isNew?.[item] ?? 0;
        }
        surprise.add(serendipity(numbers, new Set(questions.answers[index]), new Set(popular.subarray(index * k, (index + 1) * k)), k));
        if (numbers.length === 0) return;
        noveltyMean.add(novelty(numbers, facts.usersPerItem, facts.users));
        const had = questions.historyPopularity[index] as number;
        if (!Number.isNaN(had)) {
          listPopularity.add(users / numbers.length);
          historyPopularity.add(had);
        }
        newShare.add(fresh / numbers.length);
        if (facts.categoryDistance !== undefined) diversity.add(intraListDiversity(numbers, facts.categoryDistance));
      },
      end: () => {
        const shown = exposure.subarray(facts.from);
        const proposals = (groups[0] as number) + (groups[1] as number) + (groups[2] as number);
        const shareOfGroup = (group: number): number => (proposals === 0 ? 0 : (groups[group] as number) / proposals);
        this.#catalogues.push({
          coverage: shown.reduce((count, times) => count + (times > 0 ? 1 : 0), 0) / Math.max(1, shown.length),
          gini: giniOf(shown),
          novelty: noveltyMean.mean ?? 0,
          popularityLift: (historyPopularity.mean ?? 0) > 0 ? (listPopularity.mean ?? 0) / (historyPopularity.mean as number) - 1 : 0,
          popularityShares: { head: shareOfGroup(0), middle: shareOfGroup(1), tail: shareOfGroup(2) },
          serendipity: surprise.mean ?? 0,
          ...(facts.isNew === undefined || newShare.mean === undefined ? {} : { newItemShare: newShare.mean }),
          ...(diversity.mean === undefined ? {} : { intraListDiversity: diversity.mean }),
        });
      },
    };
  }

  /** Means over users at each length. */
  curves(): MetricCurves {
    const column = (which: number): number[] => this.#curves.map((sums) => sums[which] as number);
    return { at: [...this.#at], ndcg: column(0), recall: column(1), precision: column(2), hitRate: column(3) };
  }

  /** Means over the splits. */
  catalogue(): CatalogueFigures {
    const all = this.#catalogues;
    const mean = (pick: (figures: CatalogueFigures) => number | undefined): number | undefined => {
      const values = all.map(pick).filter((value) => value !== undefined);
      return values.length === 0 ? undefined : values.reduce((sum, value) => sum + value, 0) / values.length;
    };
    const newItemShare = mean((figures) => figures.newItemShare);
    const listDiversity = mean((figures) => figures.intraListDiversity);
    return {
      coverage: mean((figures) => figures.coverage) ?? 0,
      gini: mean((figures) => figures.gini) ?? 0,
      novelty: mean((figures) => figures.novelty) ?? 0,
      popularityLift: mean((figures) => figures.popularityLift) ?? 0,
      popularityShares: {
        head: mean((figures) => figures.popularityShares.head) ?? 0,
        middle: mean((figures) => figures.popularityShares.middle) ?? 0,
        tail: mean((figures) => figures.popularityShares.tail) ?? 0,
      },
      serendipity: mean((figures) => figures.serendipity) ?? 0,
      ...(newItemShare === undefined ? {} : { newItemShare }),
      ...(listDiversity === undefined ? {} : { intraListDiversity: listDiversity }),
    };
  }
}

/** As `exposureGini`, over counts; 0 when nothing is shown. */
function giniOf(exposure: Float64Array): number {
  const counts = exposure.slice().sort();
  let total = 0;
  let sum = 0;
  for (let place = 0; place < counts.length; place++) {
    total += counts[place] as number;
    sum += (2 * (place + 1) - counts.length - 1) * (counts[place] as number);
  }
  return total === 0 ? 0 : sum / (counts.length * total);
}

class RunningMean {
  #sum = 0;
  #count = 0;

  /** NaN is left out. */
  add(value: number): void {
    if (Number.isNaN(value)) return;
    this.#sum += value;
    this.#count++;
  }

  /** Undefined without a value. */
  get mean(): number | undefined {
    return this.#count === 0 ? undefined : this.#sum / this.#count;
  }
}
