import type { BlendCases } from './blend-cases.js';

/** How many steps are tried at most; ten are usually enough. */
const maximumSteps = 30;
/** Halvings of a step that does not help. */
const maximumHalvings = 20;

/** What weights may be, and how strongly they are held near 0. */
export interface LikelihoodOptions {
  /** Whether weights may be negative. */
  readonly signed: boolean;
  /** Strength of the pull to 0, per case; keeps weights finite where cases can be told apart perfectly. */
  readonly ridge?: number;
  /** Where to begin; default 0. */
  readonly start?: ArrayLike<number>;
  readonly beforeStep?: () => Promise<void>;
}

/**
 * Weights that make the right answers likely: maximises the mean over cases of Σ_right log softmax(w·x) / number of right ones
 * (ListNet's top-one loss with a uniform target over the right answers; Cao et al. 2007). The loss is convex; Newton steps, each
 * a quadratic programme solved by coordinate descent so that no weight falls below 0 unless `signed`, and halved until they help.
 *
 * @returns one weight per column; all 0 when no case of `subset` has a right answer among its candidates
 */
export async function likelyWeights(
  cases: BlendCases,
  columns: readonly Float32Array[],
  subset: Int32Array,
  options: LikelihoodOptions,
): Promise<Float64Array> {
  const width = columns.length;
  const ridge = options.ridge ?? 1e-4;
  let weights = Float64Array.from({ length: width }, (_, which) => options.start?.[which] ?? 0);
  const gradient = new Float64Array(width);
  const hessian = new Float64Array(width * width);
  let loss = accumulate(cases, columns, subset, weights, ridge, gradient, hessian);
  for (let step = 0; step < maximumSteps; step++) {
    await options.beforeStep?.();
    const direction = quadraticStep(weights, gradient, hessian, options.signed);
    let improved = false;
    for (let halving = 0; halving < maximumHalvings; halving++) {
      const next = weights.map((weight, which) => weight + (direction[which] as number) * 0.5 ** halving);
      const nextLoss = accumulate(cases, columns, subset, next, ridge, gradient, hessian);
      if (nextLoss >= loss) continue;
      improved = loss - nextLoss > 1e-9 * Math.max(1, Math.abs(loss));
      weights = next;
      loss = nextLoss;
      break;
    }
    if (!improved) break;
  }
  return weights;
}

/** The loss; fills its gradient and Hessian. */
function accumulate(
  cases: BlendCases,
  columns: readonly Float32Array[],
  subset: Int32Array,
  weights: Float64Array,
  ridge: number,
  gradient: Float64Array,
  hessian: Float64Array,
): number {
  const width = columns.length;
  const { offsets, relevant } = cases;
  gradient.fill(0);
  hessian.fill(0);
  const row = new Float64Array(width);
  const mean = new Float64Array(width);
  const right = new Float64Array(width);
  const squares = new Float64Array(width * width);
  let longest = 0;
  for (const index of subset) longest = Math.max(longest, (offsets[index + 1] as number) - (offsets[index] as number));
  const sums = new Float64Array(longest);
  let loss = 0;
  let counted = 0;
  for (const index of subset) {
    const start = offsets[index] as number;
    const length = (offsets[index + 1] as number) - start;
    let rightCount = 0;
    for (let place = 0; place < length; place++) rightCount += relevant[start + place] as number;
    if (rightCount === 0) continue;
    counted++;
    sums.fill(0, 0, length);
    for (let which = 0; which < width; which++) {
      const weight = weights[which] as number;
      if (weight === 0) continue;
      const column = columns[which] as Float32Array;
      for (let place = 0; place < length; place++) sums[place] = (sums[place] as number) + weight * (column[start + place] as number);
    }
    let highest = Number.NEGATIVE_INFINITY;
    for (let place = 0; place < length; place++) highest = Math.max(highest, sums[place] as number);
    mean.fill(0);
    right.fill(0);
    squares.fill(0);
    let total = 0;
    let rightSum = 0;
    for (let place = 0; place < length; place++) {
      const sum = sums[place] as number;
      const chance = Math.exp(sum - highest);
      total += chance;
      const isRight = relevant[start + place] === 1;
      if (isRight) rightSum += sum;
      // What is next to impossible moves neither mean nor covariance.
      if (!isRight && chance < 1e-9) continue;
      for (let which = 0; which < width; which++) {
        const value = (columns[which] as Float32Array)[start + place] as number;
        row[which] = value;
        mean[which] = (mean[which] as number) + chance * value;
        if (isRight) right[which] = (right[which] as number) + value;
      }
      for (let left = 0; left < width; left++) {
        const scaled = chance * (row[left] as number);
        for (let other = 0; other <= left; other++)
          squares[left * width + other] = (squares[left * width + other] as number) + scaled * (row[other] as number);
      }
    }
    loss += highest + Math.log(total) - rightSum / rightCount;
    for (let left = 0; left < width; left++) {
      const meanLeft = (mean[left] as number) / total;
      gradient[left] = (gradient[left] as number) + meanLeft - (right[left] as number) / rightCount;
      for (let other = 0; other <= left; other++) {
        const covariance = (squares[left * width + other] as number) / total - meanLeft * ((mean[other] as number) / total);
        hessian[left * width + other] = (hessian[left * width + other] as number) + covariance;
      }
    }
  }
  const share = counted === 0 ? 0 : 1 / counted;
  loss *= share;
  for (let left = 0; left < width; left++) {
    const weight = weights[left] as number;
    loss += 0.5 * ridge * weight * weight;
    gradient[left] = (gradient[left] as number) * share + ridge * weight;
    for (let other = 0; other <= left; other++) {
      const value = (hessian[left * width + other] as number) * share + (left === other ? ridge : 0);
      hessian[left * width + other] = value;
      hessian[other * width + left] = value;
    }
  }
  return loss;
}

/** Minimises gradient·d + d·H·d / 2 with weights + d ≥ 0 unless signed, by coordinate descent. */
function quadraticStep(weights: Float64Array, gradient: Float64Array, hessian: Float64Array, signed: boolean): Float64Array {
  const width = weights.length;
  const step = new Float64Array(width);
  const slope = gradient.slice();
  for (let sweep = 0; sweep < 200; sweep++) {
    let largest = 0;
    for (let which = 0; which < width; which++) {
      const curvature = hessian[which * width + which] as number;
      let move = -(slope[which] as number) / curvature;
      const room = -(weights[which] as number) - (step[which] as number);
      if (!signed && move < room) move = room;
      if (move === 0) continue;
      step[which] = (step[which] as number) + move;
      for (let other = 0; other < width; other++)
        slope[other] = (slope[other] as number) + move * (hessian[which * width + other] as number);
      largest = Math.max(largest, Math.abs(move));
    }
    if (largest < 1e-10) break;
  }
  return step;
}
