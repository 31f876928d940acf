import type { Kernels } from '@recloom/kernels';
import { numberOf, numbersOf, textOf, textsOf } from './node-attributes.js';
import type { OnnxConstant, OnnxNode } from './onnx-graph.js';
import { newValues, type RowStep, type RowValues, require } from './row-steps.js';
import { logistic, type Transform, transformOf } from './score-transforms.js';

/** A value of the graph and what computes it. */
export interface Step {
  readonly result: RowValues;
  readonly step: RowStep;
}

/** Weights of a linear layer by output: `weights[target]` has one per input. */
interface Layer {
  readonly weights: readonly Float32Array[];
  readonly bias: Float32Array;
}

/** `LinearRegressor` of ai.onnx.ml. @throws NotUnderstood */
export function linearRegressor(node: OnnxNode, input: RowValues, kernels: Kernels): Step {
  const targets = numberOf(node, 'targets', 1);
  const post = textOf(node, 'post_transform', 'NONE');
  require(targets > 1 || post !== 'PROBIT', () => 'the post-transform PROBIT');
  // Of a single target onnxruntime applies none but PROBIT.
  return layerStep(layerOf(node, input.width, targets), input, kernels, targets === 1 ? undefined : transformOf(post));
}

/** The scores of `LinearClassifier` of ai.onnx.ml. @throws NotUnderstood */
export function linearClassifier(node: OnnxNode, input: RowValues, kernels: Kernels): Step {
  const classes = Math.max(numbersOf(node, 'classlabels_ints').length, textsOf(node, 'classlabels_strings').length);
  const scores = numbersOf(node, 'intercepts').length;
  const post = textOf(node, 'post_transform', 'NONE');
  const layer = layerOf(node, input.width, scores);
  if (scores === 1 && classes === 2) {
    require(post === 'LOGISTIC', () => `the post-transform ${post} of one score`);
    const single = layerStep(layer, input, kernels, undefined);
    const result = newValues(2);
    return {
      result,
      step: (rows) => {
        single.step(rows);
        for (let row = 0; row < rows; row++) {
          const score = single.result.values[row] as number;
          result.values[2 * row] = logistic(-score);
          result.values[2 * row + 1] = logistic(score);
        }
      },
    };
  }
  require(scores === classes && classes > 1, () => `a linear classifier of ${classes} classes with ${scores} scores`);
  return layerStep(layer, input, kernels, transformOf(post));
}

function layerOf(node: OnnxNode, width: number, targets: number): Layer {
  const coefficients = Float32Array.from(numbersOf(node, 'coefficients'));
  const intercepts = numbersOf(node, 'intercepts');
  require(targets > 0 && coefficients.length === width * targets, () => `${coefficients.length} coefficients for ${targets} × ${width}`);
  require(intercepts.length === 0 || intercepts.length === targets, () => `${intercepts.length} intercepts for ${targets} targets`);
  return {
    weights: Array.from({ length: targets }, (_, target) => coefficients.slice(target * width, (target + 1) * width)),
    bias: Float32Array.from({ length: targets }, (_, target) => intercepts[target] ?? 0),
  };
}

/** `Gemm` with constant weights: alpha · x · B + beta · C. @throws NotUnderstood */
export function gemm(node: OnnxNode, input: RowValues, matrix: OnnxConstant, added: OnnxConstant | undefined, kernels: Kernels): Step {
  require(numberOf(node, 'transA', 0) === 0 && input.rank === 2, () => 'a transposed Gemm');
  const alpha = Math.fround(numberOf(node, 'alpha', 1));
  const beta = Math.fround(numberOf(node, 'beta', 1));
  const columns = columnsOf(matrix, input.width, numberOf(node, 'transB', 0) === 1);
  const bias = added === undefined ? undefined : rowVector(added, columns.length);
  const layer: Layer = {
    weights: columns.map((column) => column.map((value) => alpha * value)),
    bias: Float32Array.from({ length: columns.length }, (_, target) => beta * (bias?.[target] ?? 0)),
  };
  return layerStep(layer, input, kernels, undefined);
}

/** `MatMul` with constant weights on the right. @throws NotUnderstood */
export function matMul(input: RowValues, matrix: OnnxConstant, kernels: Kernels): Step {
  require(input.rank === 2, () => 'a MatMul of a vector');
  const weights = columnsOf(matrix, input.width, false);
  return layerStep({ weights, bias: new Float32Array(weights.length) }, input, kernels, undefined);
}

/** Products per row of a linear layer: what it costs. */
export function productsOf(matrix: OnnxConstant): number {
  return matrix.values.length;
}

function columnsOf({ dims, values }: OnnxConstant, width: number, transposed: boolean): Float32Array[] {
  require(dims.length === 2 && values instanceof Float32Array, () => 'weights that are no matrix of float32');
  const [inputs, outputs] = (transposed ? [dims[1], dims[0]] : dims) as [number, number];
  require(inputs === width, () => `weights for ${inputs} inputs on ${width}`);
  return Array.from({ length: outputs }, (_, target) =>
    Float32Array.from(
      { length: inputs },
      (_unused, from) => values[transposed ? target * inputs + from : from * outputs + target] as number,
    ),
  );
}

/** A constant that is added to, or multiplied with, every row: one value, or one per column. @throws NotUnderstood */
export function rowVector({ dims, values }: OnnxConstant, width: number): Float32Array {
  const last = dims.at(-1) ?? 1;
  require(values instanceof Float32Array && values.length === last && (last === 1 || last === width), () => 'a constant of another shape');
  return last === 1 ? new Float32Array(width).fill(values[0] as number) : values;
}

function layerStep({ weights, bias }: Layer, input: RowValues, kernels: Kernels, transform: Transform | undefined): Step {
  const width = weights.length;
  const result = newValues(width);
  const single = width === 1 ? result.values : newValues(1).values;
  return {
    result,
    step: (rows) => {
      const { values } = result;
      const { columns } = input;
      const from = input.values.subarray(0, columns === undefined ? rows * input.width : 0);
      const products = single.subarray(0, rows);
      for (let target = 0; target < width; target++) {
        const weight = weights[target] as Float32Array;
        if (columns === undefined) kernels.multiplyRows(from, input.width, weight, products);
        else kernels.combineColumns(columns.values, weight, columns.missing, products);
        const start = bias[target] as number;
        for (let row = 0; row < rows; row++) values[row * width + target] = (products[row] as number) + start;
      }
      transform?.(values, rows, width);
    },
  };
}

type Arithmetic = 'Add' | 'Sub' | 'Mul' | 'Div';
const operations: Readonly<Record<Arithmetic, (left: number, right: number) => number>> = {
  Add: (left, right) => left + right,
  Sub: (left, right) => left - right,
  Mul: (left, right) => left * right,
  Div: (left, right) => left / right,
};

/** True for the four operators of arithmetic. */
export function isArithmetic(operator: string): operator is Arithmetic {
  return Object.hasOwn(operations, operator);
}

/** A value and a constant, on whichever side. @throws NotUnderstood */
export function arithmetic(operator: Arithmetic, input: RowValues, constant: OnnxConstant, constantIsLeft: boolean): Step {
  const { width, rank } = input;
  // A vector of rows and a constant of one dimension would be matched by rows.
  require(rank === 2 || constant.values.length === 1, () => 'a constant of another shape');
  require(constant.dims.length <= rank, () => 'a constant of more dimensions');
  const vector = rowVector(constant, width);
  const apply = operations[operator];
  const result = newValues(width, rank);
  return {
    result,
    step: (rows) => {
      for (let row = 0, place = 0; row < rows; row++) {
        for (let index = 0; index < width; index++, place++) {
          const value = input.values[place] as number;
          const other = vector[index] as number;
          result.values[place] = constantIsLeft ? apply(other, value) : apply(value, other);
        }
      }
    },
  };
}

/** `Scaler` of ai.onnx.ml: (x − offset) · scale. @throws NotUnderstood */
export function scaler(node: OnnxNode, input: RowValues): Step {
  const { width } = input;
  const list = (name: string): Float32Array => {
    const given = numbersOf(node, name);
    require(given.length === 1 || given.length === width, () => `a Scaler of ${given.length} values on ${width}`);
    return Float32Array.from({ length: width }, (_, index) => given[given.length === 1 ? 0 : index] as number);
  };
  require(numbersOf(node, 'offset').length === numbersOf(node, 'scale').length, () => 'a Scaler of two lengths');
  const offset = list('offset');
  const scale = list('scale');
  const result = newValues(width, input.rank);
  return {
    result,
    step: (rows) => {
      for (let row = 0, place = 0; row < rows; row++) {
        for (let index = 0; index < width; index++, place++) {
          // As onnxruntime does it: both steps in float32.
          const centred = Math.fround((input.values[place] as number) - (offset[index] as number));
          result.values[place] = centred * (scale[index] as number);
        }
      }
    },
  };
}

/** A transform of each row, into a place of its own. */
export function transformed(input: RowValues, transform: Transform): Step {
  const result = newValues(input.width, input.rank);
  return {
    result,
    step: (rows) => {
      result.values.set(input.values.subarray(0, rows * input.width));
      transform(result.values, rows, input.width);
    },
  };
}

/** Several values side by side. */
export function joined(inputs: readonly RowValues[]): Step {
  require(inputs.every((input) => input.rank === 2), () => 'a Concat of vectors');
  const result = newValues(inputs.reduce((sum, input) => sum + input.width, 0));
  return {
    result,
    step: (rows) => {
      let first = 0;
      for (const input of inputs) {
        for (let row = 0; row < rows; row++) {
          for (let index = 0; index < input.width; index++) {
            result.values[row * result.width + first + index] = input.values[row * input.width + index] as number;
          }
        }
        first += input.width;
      }
    },
  };
}
