import type { AlsFoldIn } from '@recloom/kernels';

/**
 * What each item of a history adds to the score of each target (Hu, Koren and Volinsky 2008, section 5): with
 * A = D + sum of value × y yᵀ the person's system, target t's score is the sum over the history of
 * yₜᵀ A⁻¹ y (unobservedWeight + value). By Cholesky in float64, in a basis where D is diagonal; time
 * width² × (history + targets) + width³, so for explanations only.
 *
 * Returns one array per target (one number per place of the history), undefined for a target of -1.
 */
export function contributions(
  model: AlsFoldIn,
  unobservedWeight: number,
  places: Int32Array,
  values: Float32Array,
  targets: readonly number[],
): readonly (Float64Array | undefined)[] {
  const { width } = model;
  const factors = Array.from(places, (place) => model.factorOf(place));
  const system = new Float64Array(width * width);
  const regularization = model.regularizationOf(places.length);
  for (let row = 0; row < width; row++) {
    for (let column = 0; column <= row; column++) {
      let sum = row === column ? (model.diagonal[row] as number) + regularization : 0;
      for (const [at, factor] of factors.entries()) sum += (values[at] as number) * (factor[row] as number) * (factor[column] as number);
      system[row * width + column] = sum;
    }
  }
  factorize(system, width);
  return targets.map((target) => {
    if (target < 0) return undefined;
    const solution = solve(system, width, model.factorOf(target));
    return Float64Array.from(factors, (factor, at) => {
      let product = 0;
      for (let index = 0; index < width; index++) product += (solution[index] as number) * (factor[index] as number);
      return product * (unobservedWeight + (values[at] as number));
    });
  });
}

/** Lower Cholesky factor in place; the matrix is at least a positive diagonal. */
function factorize(matrix: Float64Array, size: number): void {
  for (let row = 0; row < size; row++) {
    for (let column = 0; column <= row; column++) {
      let value = matrix[row * size + column] as number;
      for (let inner = 0; inner < column; inner++) {
        value -= (matrix[row * size + inner] as number) * (matrix[column * size + inner] as number);
      }
      matrix[row * size + column] = row === column ? Math.sqrt(value) : value / (matrix[column * size + column] as number);
    }
  }
}

function solve(lower: Float64Array, size: number, rightSide: ArrayLike<number>): Float64Array {
  const solution = Float64Array.from(rightSide);
  for (let row = 0; row < size; row++) {
    let value = solution[row] as number;
    for (let inner = 0; inner < row; inner++) value -= (lower[row * size + inner] as number) * (solution[inner] as number);
    solution[row] = value / (lower[row * size + row] as number);
  }
  for (let row = size - 1; row >= 0; row--) {
    let value = solution[row] as number;
    for (let inner = row + 1; inner < size; inner++) value -= (lower[inner * size + row] as number) * (solution[inner] as number);
    solution[row] = value / (lower[row * size + row] as number);
  }
  return solution;
}
