import onnxProto from 'onnx-proto';

/** One node of a graph; whole numbers as attributes. */
export interface GraphNode {
  readonly operator: string;
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  readonly domain?: string;
  readonly numbers?: Readonly<Record<string, number>>;
  /** A GraphProto as the attribute `body`. */
  readonly body?: object;
}

/** What a small model differs in from `y [rows, 1] = the sum of x [rows, 2]`. */
export interface SmallModel {
  readonly nodes?: readonly GraphNode[];
  /** Shape of the output; default ['rows', 1]. */
  readonly outputDims?: readonly (number | string)[];
  readonly operatorSet?: number;
  /** Further operator sets by domain. */
  readonly operatorSets?: Readonly<Record<string, number>>;
  /** float32 matrices besides `w` [2, 1], which is all ones. */
  readonly matrices?: Readonly<Record<string, { readonly dims: readonly number[]; readonly values: Float32Array }>>;
  /** Where the values of `w` lie, instead of in the file. */
  readonly externalLocation?: string;
}

/** A Relu keeps it from the kernels, so that onnxruntime runs it. */
const sum: readonly GraphNode[] = [
  { operator: 'MatMul', inputs: ['x', 'w'], outputs: ['s'] },
  { operator: 'Relu', inputs: ['s'], outputs: ['y'] },
];

function typedValue(name: string, dims: readonly (number | string)[], elemType = 1): object {
  const dim = dims.map((size) => (typeof size === 'number' ? { dimValue: size } : { dimParam: size }));
  return { name, type: { tensorType: { elemType, shape: { dim } } } };
}

/** The bytes of a model with the input `x`, float32 [rows, 2], and the output `y`. */
export function smallModel(model: SmallModel = {}): Uint8Array {
  const matrix = (name: string, dims: readonly number[], values: Float32Array): object => ({
    name,
    dims: [...dims],
    dataType: 1,
    rawData: new Uint8Array(values.buffer, values.byteOffset, values.byteLength),
  });
  const weights =
    model.externalLocation === undefined
      ? matrix('w', [2, 1], Float32Array.of(1, 1))
      : { name: 'w', dims: [2, 1], dataType: 1, dataLocation: 1, externalData: [{ key: 'location', value: model.externalLocation }] };
  const message = onnxProto.onnx.ModelProto.fromObject({
    irVersion: 8,
    opsetImport: Object.entries({ '': model.operatorSet ?? 17, ...model.operatorSets }).map(([domain, version]) => ({ domain, version })),
    graph: {
      name: 'small',
      input: [typedValue('x', ['rows', 2])],
      output: [typedValue('y', model.outputDims ?? ['rows', 1])],
      node: (model.nodes ?? sum).map(({ operator, inputs, outputs, domain = '', numbers = {}, body }) => ({
        opType: operator,
        domain,
        input: [...inputs],
        output: [...outputs],
        attribute: [
          ...Object.entries(numbers).map(([name, i]) => ({ name, type: 2, i })),
          ...(body === undefined ? [] : [{ name: 'body', type: 5, g: body }]),
        ],
      })),
      initializer: [weights, ...Object.entries(model.matrices ?? {}).map(([name, { dims, values }]) => matrix(name, dims, values))],
    },
  });
  return onnxProto.onnx.ModelProto.encode(message).finish();
}

/**
 * The same sum, after as many products of two 96 × 96 matrices as the largest number in `x` says (about 0.02 ms each on one
 * core): what comes in decides how long it takes, so that it is quick when it is loaded and may never end when it is used.
 */
export function patientModel(): Uint8Array {
  const size = 96;
  return smallModel({
    nodes: [
      { operator: 'ReduceMax', inputs: ['x'], outputs: ['largest'], numbers: { keepdims: 0 } },
      { operator: 'Cast', inputs: ['largest'], outputs: ['turns'], numbers: { to: 7 } },
      {
        operator: 'Loop',
        inputs: ['turns', '', 'q'],
        outputs: ['last'],
        body: {
          node: [
            { opType: 'Identity', input: ['go'], output: ['goOn'] },
            { opType: 'MatMul', input: ['before', 'q'], output: ['after'] },
          ],
          name: 'turn',
          input: [typedValue('turn', [], 7), typedValue('go', [], 9), typedValue('before', [size, size])],
          output: [typedValue('goOn', [], 9), typedValue('after', [size, size])],
        },
      },
      { operator: 'ReduceMean', inputs: ['last'], outputs: ['mean'], numbers: { keepdims: 0 } },
      { operator: 'MatMul', inputs: ['x', 'w'], outputs: ['s'] },
      { operator: 'Mul', inputs: ['s', 'mean'], outputs: ['y'] },
    ],
    matrices: { q: { dims: [size, size], values: new Float32Array(size * size).fill(1 / size) } },
  });
}

/** A column divided by itself: not a number wherever it is 0. */
export function quotientModel(): Uint8Array {
  return smallModel({
    nodes: [
      { operator: 'Div', inputs: ['x', 'x'], outputs: ['q'] },
      { operator: 'MatMul', inputs: ['q', 'w'], outputs: ['y'] },
    ],
  });
}

/** One number for all rows together. */
export function meanModel(): Uint8Array {
  return smallModel({ nodes: [{ operator: 'ReduceMean', inputs: ['x'], outputs: ['y'] }], outputDims: ['n', 1] });
}

/** Products of rows by themselves: the shapes fit for two rows only, which shows when it runs. */
export function failingModel(): Uint8Array {
  return smallModel({
    nodes: [
      { operator: 'MatMul', inputs: ['x', 'x'], outputs: ['s'] },
      { operator: 'MatMul', inputs: ['s', 'w'], outputs: ['y'] },
    ],
  });
}
