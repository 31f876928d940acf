import type { Kernels } from '@recloom/kernels';
import type { InferenceTensorInfo } from '@recloom/plugin-api';
import {
  arithmetic,
  gemm,
  isArithmetic,
  joined,
  linearClassifier,
  linearRegressor,
  matMul,
  productsOf,
  type Step,
  scaler,
  transformed,
} from './linear-steps.js';
import { numberOf, numbersOf } from './node-attributes.js';
import type { OnnxConstant, OnnxGraph, OnnxNode } from './onnx-graph.js';
import { mostBlockRows, NotUnderstood, type RowStep, type RowValues, require, treeBlockRows } from './row-steps.js';
import { logistics, softmax } from './score-transforms.js';
import { treeStep } from './tree-steps.js';

/** Beyond so many products per row a model is no linear one any more, and onnxruntime is the better place for it. */
const mostProducts = 4096;
/** Newest operator sets whose meaning this file knows. */
const newestOpsets: Readonly<Record<string, number>> = { '': 24, 'ai.onnx.ml': 5 };

/** A graph that the kernels compute, row by row. */
export interface RowProgram {
  /** The graph's inputs that are read; their `values` are set before each block. */
  readonly inputs: ReadonlyMap<string, RowValues>;
  /** Those of the inputs that may come as `columns` instead of `values`. */
  readonly columnInputs: ReadonlySet<string>;
  /** Rows of a block at the most. */
  readonly blockRows: number;
  /** The wanted outputs. */
  readonly outputs: ReadonlyMap<string, RowValues>;
  readonly steps: readonly RowStep[];
  dispose(): void;
}

/**
 * Compiles the part of a graph that the wanted outputs need. `widths` gives the inputs
 * that have a row per candidate, with their width where the graph leaves it open.
 *
 * @throws NotUnderstood when an operator, type or shape is not known here; RECLOOM_KRN_SHAPE for trees that are not well formed.
 */
export function compileProgram(
  graph: OnnxGraph,
  wanted: readonly string[],
  widths: ReadonlyMap<string, number>,
  kernels: Kernels,
): RowProgram {
  for (const [domain, version] of graph.opsets) {
    const newest = newestOpsets[domain === 'ai.onnx' ? '' : domain];
    require(newest === undefined || version <= newest, () => `operator set ${version} of ${domain || 'ai.onnx'}`);
  }
  const compiler = new Compiler(graph, widths, kernels);
  try {
    return compiler.compile(wanted);
  } catch (error) {
    compiler.dispose();
    throw error;
  }
}

class Compiler {
  readonly #graph: OnnxGraph;
  readonly #widths: ReadonlyMap<string, number>;
  readonly #kernels: Kernels;
  readonly #producers = new Map<string, OnnxNode>();
  readonly #values = new Map<string, RowValues>();
  readonly #underway = new Set<string>();
  readonly #inputs = new Map<string, RowValues>();
  readonly #steps: RowStep[] = [];
  /** How many steps read a value. */
  readonly #reads = new Map<RowValues, number>();
  /** What a linear layer of one output reads. */
  readonly #sums = new Set<RowValues>();
  readonly #disposers: (() => void)[] = [];
  #products = 0;

  constructor(graph: OnnxGraph, widths: ReadonlyMap<string, number>, kernels: Kernels) {
    this.#graph = graph;
    this.#widths = widths;
    this.#kernels = kernels;
    for (const node of graph.nodes) for (const output of node.outputs) this.#producers.set(output, node);
  }

  compile(wanted: readonly string[]): RowProgram {
    const outputs = new Map(wanted.map((name) => [name, this.#valueOf(name)]));
    // Columns are laid side by side by a step that wants rows; one that adds them up needs none.
    const takenAsColumns = ([name, value]: [string, RowValues]): boolean =>
      this.#reads.get(value) === 1 && this.#sums.has(value) && !wanted.includes(name);
    const columnInputs = new Set([...this.#inputs].filter(takenAsColumns).map(([name]) => name));
    const blockRows = this.#disposers.length > 0 ? treeBlockRows : mostBlockRows;
    // Every input has to be fed to onnxruntime as well, so an unread one is no reason to decline.
    return { inputs: this.#inputs, columnInputs, blockRows, outputs, steps: this.#steps, dispose: () => this.dispose() };
  }

  dispose(): void {
    for (const dispose of this.#disposers.splice(0)) dispose();
  }

  #valueOf(name: string): RowValues {
    const known = this.#values.get(name);
    if (known !== undefined) return known;
    require(!this.#underway.has(name), () => 'a cycle');
    this.#underway.add(name);
    const info = this.#graph.inputs.find((input) => input.name === name);
    const value = info === undefined ? this.#compute(name) : this.#input(info);
    this.#values.set(name, value);
    return value;
  }

  #input(info: InferenceTensorInfo): RowValues {
    const { name, type, dims } = info;
    require(type === 'float32', () => `an input of ${type}`);
    require(dims.length === 1 || dims.length === 2, () => `an input of ${dims.length} dimensions`);
    require(typeof dims[0] === 'string' || (dims[0] as number) < 0, () => 'a fixed number of rows');
    const last = dims.length === 1 ? 1 : dims[1];
    // What is made once per request has no rows; only what the manifest feeds per candidate has a width there.
    require(this.#widths.has(name), () => 'an input that is no float per candidate');
    const width = typeof last === 'number' && last >= 0 ? last : (this.#widths.get(name) as number);
    // The values are those of the caller, put here block by block.
    const value: RowValues = { width, rank: dims.length === 1 ? 1 : 2, values: new Float32Array(0) };
    this.#inputs.set(name, value);
    return value;
  }

  #compute(name: string): RowValues {
    const node = this.#producers.get(name);
    require(node !== undefined, () => `the value "${name}"`);
    const { domain, operator } = node;
    const place = node.outputs.indexOf(name);
    if (domain === 'ai.onnx.ml') return this.#classical(node, place);
    require(domain === '', () => `the operator ${domain}.${operator}`);
    require(place === 0, () => `the output ${place} of ${operator}`);
    if (isArithmetic(operator)) return this.#arithmetic(node, operator);
    switch (operator) {
      case 'Identity':
        return this.#operand(node, 0);
      case 'Cast':
        require(numberOf(node, 'to', 0) === 1, () => 'a Cast to another type');
        return this.#operand(node, 0);
      case 'Gemm':
      case 'MatMul':
        return this.#layer(node);
      case 'Sigmoid':
        return this.#add(transformed(this.#operand(node, 0), logistics));
      case 'Softmax':
        return this.#softmax(node);
      case 'Concat':
        return this.#concat(node);
      case 'Flatten':
      case 'Reshape':
      case 'Squeeze':
        return this.#reshape(node);
      default:
        throw new NotUnderstood(`the operator ${operator}`);
    }
  }

  /** Operators of ai.onnx.ml. */
  #classical(node: OnnxNode, place: number): RowValues {
    const { operator } = node;
    switch (operator) {
      case 'TreeEnsembleRegressor':
      case 'TreeEnsembleClassifier':
      case 'TreeEnsemble': {
        // The labels, output 0 of a classifier, are no scores.
        require(place === (operator === 'TreeEnsembleClassifier' ? 1 : 0), () => `the output ${place} of ${operator}`);
        const { result, step, dispose } = treeStep(node, this.#matrix(node, 0), this.#kernels);
        this.#disposers.push(dispose);
        this.#steps.push(step);
        return result;
      }
      case 'LinearRegressor': {
        this.#count(numbersOf(node, 'coefficients').length);
        const input = this.#matrix(node, 0);
        return this.#addLayer(input, linearRegressor(node, input, this.#kernels));
      }
      case 'LinearClassifier':
        require(place === 1, () => 'the labels of LinearClassifier');
        this.#count(numbersOf(node, 'coefficients').length);
        return this.#add(linearClassifier(node, this.#matrix(node, 0), this.#kernels));
      case 'Scaler':
        return this.#add(scaler(node, this.#operand(node, 0)));
      case 'ZipMap':
        // A map from labels to probabilities per row: the probabilities, in the order of the labels.
        return this.#operand(node, 0);
      default:
        throw new NotUnderstood(`the operator ${operator}`);
    }
  }

  #add({ result, step }: Step): RowValues {
    this.#steps.push(step);
    return result;
  }

  #count(products: number): void {
    this.#products += products;
    require(this.#products <= mostProducts, () => `${this.#products} products per row`);
  }

  #operand(node: OnnxNode, place: number): RowValues {
    const value = this.#valueOf(node.inputs[place] ?? '');
    this.#reads.set(value, (this.#reads.get(value) ?? 0) + 1);
    return value;
  }

  #addLayer(input: RowValues, layer: Step): RowValues {
    if (layer.result.width === 1) this.#sums.add(input);
    return this.#add(layer);
  }

  #matrix(node: OnnxNode, place: number): RowValues {
    const value = this.#operand(node, place);
    require(value.rank === 2, () => `a ${node.operator} of a vector`);
    return value;
  }

  #constant(name: string | undefined): OnnxConstant | undefined {
    if (name === undefined || name === '') return undefined;
    const known = this.#graph.constants.get(name);
    if (known !== undefined) return known;
    const node = this.#producers.get(name);
    if (node?.operator !== 'Constant' || node.domain !== '') return undefined;
    const value = node.attributes.get('value');
    return typeof value === 'object' && 'dims' in value ? value : undefined;
  }

  #layer(node: OnnxNode): RowValues {
    const matrix = this.#constant(node.inputs[1]);
    require(matrix !== undefined, () => `a ${node.operator} without constant weights`);
    this.#count(productsOf(matrix));
    const input = this.#operand(node, 0);
    if (node.operator === 'MatMul') return this.#addLayer(input, matMul(input, matrix, this.#kernels));
    const hasBias = (node.inputs[2] ?? '') !== '';
    const bias = this.#constant(node.inputs[2]);
    require(!hasBias || bias !== undefined, () => 'a Gemm without a constant bias');
    return this.#addLayer(input, gemm(node, input, matrix, bias, this.#kernels));
  }

  #arithmetic(node: OnnxNode, operator: 'Add' | 'Sub' | 'Mul' | 'Div'): RowValues {
    const left = this.#constant(node.inputs[0]);
    const right = this.#constant(node.inputs[1]);
    const constant = left ?? right;
    require(constant !== undefined && (left === undefined || right === undefined), () => `a ${operator} of two values`);
    return this.#add(arithmetic(operator, this.#operand(node, left === undefined ? 0 : 1), constant, left !== undefined));
  }

  #softmax(node: OnnxNode): RowValues {
    const input = this.#matrix(node, 0);
    const axis = numberOf(node, 'axis', (this.#graph.opsets.get('') ?? 1) >= 13 ? -1 : 1);
    require(axis === 1 || axis === -1, () => 'a Softmax over rows');
    return this.#add(transformed(input, softmax));
  }

  #concat(node: OnnxNode): RowValues {
    const axis = numberOf(node, 'axis', 0);
    require(axis === 1 || axis === -1, () => 'a Concat of rows');
    return this.#add(joined(node.inputs.map((_, place) => this.#operand(node, place))));
  }

  /** Shapes that leave every row where it is: [rows, 1] and [rows] for each other, or no change at all. */
  #reshape(node: OnnxNode): RowValues {
    const input = this.#operand(node, 0);
    const { width } = input;
    const otherRank = (rank: 1 | 2): RowValues => {
      if (rank === input.rank) return input;
      require(width === 1, () => `a ${node.operator} that moves values between rows`);
      // One set of values under two shapes: what is written into the one is read through the other.
      return Object.defineProperty({ width, rank, values: input.values }, 'values', { get: () => input.values });
    };
    if (node.operator === 'Flatten') {
      require(numberOf(node, 'axis', 1) === 1, () => 'a Flatten of rows');
      return otherRank(2);
    }
    if (node.operator === 'Squeeze') {
      const axes = this.#constant(node.inputs[1])?.values ?? numbersOf(node, 'axes');
      require(axes.length === 1 && (axes[0] === 1 || axes[0] === -1) && input.rank === 2, () => 'a Squeeze of rows');
      return otherRank(1);
    }
    const shape = this.#constant(node.inputs[1])?.values;
    require(shape !== undefined && shape.length <= 2, () => 'a Reshape to a shape that is no constant');
    const [first, second] = shape;
    if (shape.length === 1) {
      require(first === -1, () => 'a Reshape to a fixed number of rows');
      return otherRank(1);
    }
    const keepsRows = (first === -1 && second === width) || (first === 0 && (second === width || second === -1) && input.rank === 2);
    require(keepsRows, () => 'a Reshape that moves values between rows');
    return otherRank(2);
  }
}
