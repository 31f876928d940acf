import { createRandomStream, deriveSeed } from '@recloom/plugin-api';
import { meanOf } from '../metrics.js';
import type { BlendCases } from './blend-cases.js';
import type { BlendNormalisation } from './blend-config.js';
import { BlendObjective } from './blend-objective.js';
import { bestWeight, coordinateAscent, largestOne } from './coordinate-ascent.js';
import { likelyWeights } from './list-likelihood.js';

/** Users with `from` to `below` (exclusive) distinct items in their history. */
export interface SegmentBounds {
  readonly name: string;
  readonly from: number;
  readonly below?: number;
}

/** What the weights are to be good at, and what they may be. */
export interface LearnWeightsOptions {
  readonly k: number;
  readonly seed: number;
  /** Whether weights may be negative. */
  readonly signed: boolean;
  readonly segments: readonly SegmentBounds[];
  /** Segments with fewer cases keep the weights of all. */
  readonly minimumSegmentCases: number;
  /** Ways to normalise to choose from, one at the least; the first is what the others must beat. */
  readonly normalisations: readonly BlendNormalisation[];
  /** Weights to begin from as well, in the order of the columns. */
  readonly start?: ArrayLike<number>;
  /** Called often: lets other work run, and throws to stop. */
  readonly pause: () => Promise<void>;
  readonly progress: (fraction: number) => void;
}

/** Weights learned on some cases, in the order of the columns. */
export interface LearnedWeights {
  /** The largest is 1; three decimals. */
  readonly weights: Float64Array;
  readonly normalisations: readonly BlendNormalisation[];
  readonly method: 'list-likelihood' | 'coordinate-ascent';
  /** Segments whose own weights are worth having; empty when they are not. */
  readonly segments: readonly (SegmentBounds & { readonly cases: number; readonly weights: Float64Array })[];
  /** Mean NDCG on cases left out of learning, by five-fold cross-validation, of either method and of the segments' weights. */
  readonly crossValidated: { readonly listLikelihood: number; readonly coordinateAscent: number; readonly segments: number | undefined };
  /** How much of a segment's weights is those of all users: 0 its own, 1 theirs. */
  readonly shrinkage: number;
}

const foldCount = 5;
const shrinkages = [1, 0.75, 0.5, 0.25, 0];

/**
 * Learns weights that put the right answers first. How columns are normalised: what beats the first way by more than a
 * standard error of the paired difference, for all columns alike and then for each. Then two ways to learn, of which the better one on
 * cases left out is kept; and weights per segment, pulled towards those of all users as much as pays on cases left out.
 */
export async function learnWeights(cases: BlendCases, options: LearnWeightsOptions): Promise<LearnedWeights> {
  const { k, signed, pause, progress } = options;
  const all = Int32Array.from({ length: cases.count }, (_, index) => index);
  const columnsOf = (ways: readonly BlendNormalisation[]): readonly Float32Array[] =>
    ways.map((way, column) => (cases.scores.get(way) as readonly Float32Array[])[column] as Float32Array);
  const width = (cases.scores.get(options.normalisations[0] as BlendNormalisation) as readonly Float32Array[]).length;
  const objectiveOf = (columns: readonly Float32Array[]): BlendObjective => new BlendObjective(cases, columns, k);
  const chosen = await chooseNormalisations(columnsOf, objectiveOf, width, all, options);
  progress(0.3);
  const columns = columnsOf(chosen.ways);
  const objective = objectiveOf(columns);
  const likely = (subset: Int32Array): Promise<Float64Array> => likelyWeights(cases, columns, subset, { signed, beforeStep: pause });
  const ascend = async (subset: Int32Array, ...from: readonly ArrayLike<number>[]): Promise<Float64Array> => {
    const given = [...from, ...(options.start === undefined ? [] : [options.start])];
    // From nothing ascent may stay at nothing.
    const starts = [...given.filter((weights) => Array.from(weights).some((weight) => weight !== 0)), new Float64Array(width).fill(1)];
    let best: { readonly weights: Float64Array; readonly ndcg: number } | undefined;
    for (const start of starts) {
      const found = await coordinateAscent(objective, start, subset, { signed, beforeStep: pause });
      if (best === undefined || found.ndcg > best.ndcg) best = found;
    }
    return (best as { readonly weights: Float64Array }).weights;
  };
  const folds = foldsOf(cases.count, options.seed);
  const byLikelihood = new Float64Array(cases.count);
  const byAscent = new Float64Array(cases.count);
  const learned: { readonly likelihood: Float64Array; readonly ascent: Float64Array }[] = [];
  const useful = all.length >= 2 * foldCount ? foldCount : 0;
  for (let fold = 0; fold < useful; fold++) {
    const train = all.filter((index) => folds[index] !== fold);
    const held = all.filter((index) => folds[index] === fold);
    const likelihood = await likely(train);
    const ascent = await ascend(train, likelihood);
    learned.push({ likelihood, ascent });
    scatter(objective.perCase(likelihood, held), held, byLikelihood);
    scatter(objective.perCase(ascent, held), held, byAscent);
    progress(0.3 + (0.5 * (fold + 1)) / foldCount);
  }
  const crossValidated = { listLikelihood: meanOf(byLikelihood).mean, coordinateAscent: meanOf(byAscent).mean };
  const smooth = await likely(all);
  // Where every order is right the likelihood has nothing to say, and a blend of nothing would order by nothing.
  const silent = smooth.every((weight) => weight === 0);
  const method = silent || crossValidated.coordinateAscent >= crossValidated.listLikelihood ? 'coordinate-ascent' : 'list-likelihood';
  const weights = method === 'coordinate-ascent' ? await ascend(all, smooth, chosen.weights) : largestOne(smooth);

  // Segments: on the cases left out, is a mixture of a segment's own weights and those of all users better than the latter?
  const segments = options.segments
    .map((bounds) => ({ bounds, members: all.filter((index) => isIn(cases.historySizes[index] as number, bounds)) }))
    .filter(({ members }) => members.length >= options.minimumSegmentCases);
  const base = method === 'coordinate-ascent' ? byAscent : byLikelihood;
  let shrinkage = 1;
  let segmented: number | undefined;
  if (segments.length > 0 && useful > 0) {
    const found = shrinkages.map(() => base.slice());
    for (let fold = 0; fold < useful; fold++) {
      const { likelihood, ascent } = learned[fold] as (typeof learned)[number];
      const common = largestOne(method === 'coordinate-ascent' ? ascent : likelihood);
      for (const { members } of segments) {
        const train = members.filter((index) => folds[index] !== fold);
        const held = members.filter((index) => folds[index] === fold);
        const own = (await coordinateAscent(objective, common, train, { signed, beforeStep: pause })).weights;
        for (const [place, share] of shrinkages.entries())
          scatter(objective.perCase(mixed(own, common, share), held), held, found[place] as Float64Array);
      }
      progress(0.8 + (0.15 * (fold + 1)) / foldCount);
    }
    const means = found.map((values) => meanOf(values).mean);
    const best = means.indexOf(Math.max(...means));
    if (best > 0 && clearlyBetter(found[best] as Float64Array, base)) shrinkage = shrinkages[best] as number;
    segmented = means[best];
  }
  const final = rounded(weights);
  const own: LearnedWeights['segments'][number][] = [];
  for (const { bounds, members } of shrinkage === 1 ? [] : segments) {
    const alone = (await coordinateAscent(objective, final, members, { signed, beforeStep: pause })).weights;
    own.push({ ...bounds, cases: members.length, weights: rounded(mixed(alone, final, shrinkage)) });
  }
  progress(1);
  return {
    weights: final,
    normalisations: chosen.ways,
    method,
    segments: own,
    crossValidated: { ...crossValidated, segments: segmented },
    shrinkage,
  };
}

/** Whether a history of this many distinct items lies in a segment. */
export function isIn(historySize: number, { from, below }: SegmentBounds): boolean {
  return historySize >= from && historySize < (below ?? Number.POSITIVE_INFINITY);
}

/** Ways to normalise, with weights that suit them. */
interface ChosenWays {
  readonly ways: readonly BlendNormalisation[];
  readonly weights: Float64Array;
  readonly perCase: Float64Array;
}

async function chooseNormalisations(
  columnsOf: (ways: readonly BlendNormalisation[]) => readonly Float32Array[],
  objectiveOf: (columns: readonly Float32Array[]) => BlendObjective,
  width: number,
  all: Int32Array,
  options: LearnWeightsOptions,
): Promise<ChosenWays> {
  const { signed, pause, progress } = options;
  const [first, ...others] = options.normalisations as readonly [BlendNormalisation, ...BlendNormalisation[]];
  // Each from equal weights: those that suit one way to normalise lie far from what suits another.
  const equal = new Float64Array(width).fill(1);
  const ascend = async (way: BlendNormalisation): Promise<ChosenWays> => {
    const ways = new Array<BlendNormalisation>(width).fill(way);
    const objective = objectiveOf(columnsOf(ways));
    const { weights } = await coordinateAscent(objective, equal, all, { signed, beforeStep: pause });
    return { ways, weights, perCase: objective.perCase(weights, all) };
  };
  let best = await ascend(first);
  for (const [place, way] of others.entries()) {
    const found = await ascend(way);
    if (clearlyBetter(found.perCase, best.perCase)) best = found;
    progress((0.2 * (place + 1)) / others.length);
  }
  for (let column = 0; column < width; column++) {
    const present = best;
    for (const way of options.normalisations) {
      if (way === present.ways[column]) continue;
      await pause();
      const ways = present.ways.with(column, way);
      const objective = objectiveOf(columnsOf(ways));
      const weights = present.weights.slice();
      weights[column] = bestWeight(objective, weights, column, all, signed).weight;
      const perCase = objective.perCase(weights, all);
      if (clearlyBetter(perCase, present.perCase) && meanOf(perCase).mean > meanOf(best.perCase).mean) best = { ways, weights, perCase };
    }
    progress(0.2 + (0.1 * (column + 1)) / width);
  }
  return best;
}

/** By more than a standard error of the paired difference: less is noise. */
function clearlyBetter(challenger: Float64Array, baseline: Float64Array): boolean {
  const { mean, standardError } = meanOf(challenger.map((value, index) => value - (baseline[index] as number)));
  return mean > standardError && mean > 0;
}

/** The fold of each case: a random half, third … of equal size. */
function foldsOf(count: number, seed: number): Uint8Array {
  const random = createRandomStream(deriveSeed(seed, 'blend folds'));
  const folds = Uint8Array.from({ length: count }, (_, index) => index % foldCount);
  for (let place = count - 1; place > 0; place--) {
    const other = random.integer(place + 1);
    const fold = folds[other] as number;
    folds[other] = folds[place] as number;
    folds[place] = fold;
  }
  return folds;
}

function scatter(values: Float64Array, places: Int32Array, target: Float64Array): void {
  for (const [index, place] of places.entries()) target[place] = values[index] as number;
}

function mixed(own: Float64Array, common: Float64Array, share: number): Float64Array {
  return own.map((weight, index) => (1 - share) * weight + share * (common[index] as number));
}

/** Largest weight 1, three decimals: what a person reads is what is served. */
function rounded(weights: Float64Array): Float64Array {
  return largestOne(weights).map((weight) => Math.round(weight * 1000) / 1000);
}
