import { turn } from './dense.js';

/** Eigenvalues in descending order, and as row `i` of `vectors` (size × size) the eigenvector of value `i`, of length 1. */
export interface Eigen {
  readonly values: Float64Array;
  readonly vectors: Float64Array;
}

const mostSweeps = 60;
const workPerTurn = 30_000_000;

/**
 * All eigenvalues and vectors of a symmetric matrix (size × size, float64; it is overwritten): Householder's reduction to
 * tridiagonal form and the QL algorithm with implicit shifts (Golub and Van Loan, "Matrix Computations", 8.3). Each vector's
 * sign is chosen so that its entry of largest magnitude (the first of equals) is positive.
 */
export async function symmetricEigen(matrix: Float64Array, size: number, signal: AbortSignal): Promise<Eigen> {
  const diagonal = new Float64Array(size);
  const beside = new Float64Array(size);
  const reflectors: (Float64Array | undefined)[] = [];
  let work = 0;
  for (let step = 0; step + 2 < size; step++) {
    const length = size - step - 1;
    let norm = 0;
    for (let row = step + 1; row < size; row++) norm += (matrix[row * size + step] as number) ** 2;
    norm = Math.sqrt(norm);
    if (norm === 0) {
      reflectors.push(undefined);
      continue;
    }
    const first = matrix[(step + 1) * size + step] as number;
    const target = first > 0 ? -norm : norm;
    const reflector = new Float64Array(length);
    for (let index = 0; index < length; index++) reflector[index] = matrix[(step + 1 + index) * size + step] as number;
    reflector[0] = first - target;
    // The squared length of the reflector, without cancellation.
    const factor = 1 / (norm * (norm + Math.abs(first)));
    const product = new Float64Array(length);
    let inner = 0;
    for (let row = 0; row < length; row++) {
      const start = (step + 1 + row) * size + step + 1;
      let sum = 0;
      for (let column = 0; column < length; column++) sum += (matrix[start + column] as number) * (reflector[column] as number);
      product[row] = sum * factor;
      inner += (product[row] as number) * (reflector[row] as number);
    }
    const half = (inner * factor) / 2;
    for (let row = 0; row < length; row++) product[row] = (product[row] as number) - half * (reflector[row] as number);
    for (let row = 0; row < length; row++) {
      const start = (step + 1 + row) * size + step + 1;
      const left = reflector[row] as number;
      const right = product[row] as number;
      for (let column = 0; column < length; column++) {
        matrix[start + column] =
          (matrix[start + column] as number) - left * (product[column] as number) - right * (reflector[column] as number);
      }
    }
    matrix[(step + 1) * size + step] = target;
    reflectors.push(reflector.map((value) => value * Math.sqrt(factor)));
    work += 3 * length * length;
    if (work > workPerTurn) {
      work = 0;
      await turn(signal);
    }
  }
  for (let row = 0; row < size; row++) {
    diagonal[row] = matrix[row * size + row] as number;
    beside[row] = row + 1 < size ? (matrix[(row + 1) * size + row] as number) : 0;
  }
  // Row i of `vectors` is column i of the orthogonal matrix, so that rotations touch two stretches of memory.
  const vectors = new Float64Array(size * size);
  for (let row = 0; row < size; row++) vectors[row * size + row] = 1;
  for (let step = reflectors.length - 1; step >= 0; step--) {
    const reflector = reflectors[step];
    if (reflector === undefined) continue;
    for (let row = step + 1; row < size; row++) {
      const start = row * size + step + 1;
      let sum = 0;
      for (let index = 0; index < reflector.length; index++) sum += (reflector[index] as number) * (vectors[start + index] as number);
      if (sum === 0) continue;
      for (let index = 0; index < reflector.length; index++) {
        vectors[start + index] = (vectors[start + index] as number) - sum * (reflector[index] as number);
      }
    }
    work += 2 * reflector.length * reflector.length;
    if (work > workPerTurn) {
      work = 0;
      await turn(signal);
    }
  }
  for (let row = 0; row < size; row++) {
    for (let sweep = 0; sweep < mostSweeps; sweep++) {
      let end = row;
      for (; end + 1 < size; end++) {
        const around = Math.abs(diagonal[end] as number) + Math.abs(diagonal[end + 1] as number);
        if (Math.abs(beside[end] as number) <= Number.EPSILON * around) break;
      }
      if (end === row) break;
      work += rotate(diagonal, beside, vectors, size, row, end);
      if (work > workPerTurn) {
        work = 0;
        await turn(signal);
      }
    }
  }
  return sorted(diagonal, vectors, size);
}

/** One implicit QL step on rows [row, end]; returns the multiplications it took. */
function rotate(diagonal: Float64Array, beside: Float64Array, vectors: Float64Array, size: number, row: number, end: number): number {
  const own = diagonal[row] as number;
  const next = beside[row] as number;
  let shift = ((diagonal[row + 1] as number) - own) / (2 * next);
  let radius = Math.hypot(shift, 1);
  shift = (diagonal[end] as number) - own + next / (shift + (shift >= 0 ? radius : -radius));
  let sine = 1;
  let cosine = 1;
  let carried = 0;
  for (let index = end - 1; index >= row; index--) {
    const scaled = sine * (beside[index] as number);
    const kept = cosine * (beside[index] as number);
    radius = Math.hypot(scaled, shift);
    beside[index + 1] = radius;
    if (radius === 0) {
      diagonal[index + 1] = (diagonal[index + 1] as number) - carried;
      beside[end] = 0;
      return (end - index) * size * 6;
    }
    sine = scaled / radius;
    cosine = shift / radius;
    shift = (diagonal[index + 1] as number) - carried;
    radius = ((diagonal[index] as number) - shift) * sine + 2 * cosine * kept;
    carried = sine * radius;
    diagonal[index + 1] = shift + carried;
    shift = cosine * radius - kept;
    const upper = index * size;
    const lower = upper + size;
    for (let column = 0; column < size; column++) {
      const left = vectors[upper + column] as number;
      const right = vectors[lower + column] as number;
      vectors[lower + column] = sine * left + cosine * right;
      vectors[upper + column] = cosine * left - sine * right;
    }
  }
  diagonal[row] = (diagonal[row] as number) - carried;
  beside[row] = shift;
  beside[end] = 0;
  return (end - row) * size * 6;
}

function sorted(values: Float64Array, vectors: Float64Array, size: number): Eigen {
  const order = Array.from(values.keys()).sort((a, b) => (values[b] as number) - (values[a] as number) || a - b);
  const ordered = new Float64Array(size * size);
  order.forEach((from, to) => {
    const vector = vectors.subarray(from * size, (from + 1) * size);
    let largest = 0;
    for (const value of vector) if (Math.abs(value) > Math.abs(largest) * (1 + 1e-9)) largest = value;
    ordered.set(largest < 0 ? vector.map((value) => -value) : vector, to * size);
  });
  return { values: Float64Array.from(order, (place) => values[place] as number), vectors: ordered };
}
