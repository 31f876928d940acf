/**
 * Writes tiny ONNX models as protobuf bytes, by hand, for tests (field numbers: onnx/onnx.proto).
 * Not part of the package: `tsconfig.json` leaves fixtures out.
 */
import { joinBytes, writeBytes, writeMessage, writeNumber, writeText } from './protobuf.js';

export interface TinyValue {
  readonly name: string;
  readonly type: 'float32' | 'uint8' | 'int32' | 'int64' | 'bool' | 'float16';
  readonly dims: readonly (number | string)[];
}
export interface TinyNode {
  readonly operator: string;
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  readonly numbers?: Readonly<Record<string, number>>;
  readonly domain?: string;
}
export interface TinyInitializer {
  readonly name: string;
  readonly dims: readonly number[];
  /** A `Uint8Array` holds booleans. */
  readonly values: Float32Array | Int8Array | BigInt64Array | Uint8Array;
  /** Written as a reference to a file instead of the values. */
  readonly externalLocation?: string;
}
export interface TinyModel {
  readonly inputs: readonly TinyValue[];
  readonly outputs: readonly TinyValue[];
  readonly nodes: readonly TinyNode[];
  readonly initializers?: readonly TinyInitializer[];
  /** Default 17. */
  readonly operatorSet?: number;
  /** Further operator sets, by domain. */
  readonly operatorSets?: Readonly<Record<string, number>>;
  /** Default 8. */
  readonly irVersion?: number;
}

const elementTypes = { float32: 1, uint8: 2, int32: 6, int64: 7, bool: 9, float16: 10 } as const;

export function writeOnnx(model: TinyModel): Uint8Array {
  const graph = joinBytes([
    ...model.nodes.map((node) =>
      writeMessage(1, [
        ...node.inputs.map((name) => writeText(1, name)),
        ...node.outputs.map((name) => writeText(2, name)),
        writeText(4, node.operator),
        ...(node.domain === undefined ? [] : [writeText(7, node.domain)]),
        ...Object.entries(node.numbers ?? {}).map(([name, value]) =>
          writeMessage(5, [writeText(1, name), writeNumber(3, value), writeNumber(20, 2)]),
        ),
      ]),
    ),
    writeText(2, 'tiny'),
    ...(model.initializers ?? []).map((initializer) =>
      writeMessage(5, [
        ...initializer.dims.map((size) => writeNumber(1, size)),
        writeNumber(2, initializerType(initializer.values)),
        writeText(8, initializer.name),
        ...(initializer.externalLocation === undefined
          ? [writeBytes(9, new Uint8Array(initializer.values.buffer, initializer.values.byteOffset, initializer.values.byteLength))]
          : [writeMessage(13, [writeText(1, 'location'), writeText(2, initializer.externalLocation)]), writeNumber(14, 1)]),
      ]),
    ),
    ...model.inputs.map((value) => valueInfo(11, value)),
    ...model.outputs.map((value) => valueInfo(12, value)),
  ]);
  const sets = Object.entries({ '': model.operatorSet ?? 17, ...model.operatorSets });
  return joinBytes([
    writeNumber(1, model.irVersion ?? 8),
    writeBytes(7, graph),
    ...sets.map(([domain, version]) => writeMessage(8, [writeText(1, domain), writeNumber(2, version)])),
  ]);
}

function initializerType(values: TinyInitializer['values']): number {
  if (values instanceof Int8Array) return 3;
  if (values instanceof BigInt64Array) return 7;
  return values instanceof Uint8Array ? 9 : 1;
}

function valueInfo(field: number, value: TinyValue): Uint8Array {
  const shape = value.dims.map((size) => writeMessage(1, [typeof size === 'number' ? writeNumber(1, size) : writeText(2, size)]));
  return writeMessage(field, [
    writeText(1, value.name),
    writeMessage(2, [writeMessage(1, [writeNumber(1, elementTypes[value.type]), writeMessage(2, shape)])]),
  ]);
}

/** y = x × [2, 3, 4], by row; x is n × 3. */
export const scaleModel: TinyModel = {
  inputs: [{ name: 'x', type: 'float32', dims: ['rows', 3] }],
  outputs: [{ name: 'y', type: 'float32', dims: ['rows', 3] }],
  nodes: [{ operator: 'Mul', inputs: ['x', 'w'], outputs: ['y'] }],
  initializers: [{ name: 'w', dims: [3], values: Float32Array.of(2, 3, 4) }],
};

/**
 * A scorer as teams train them: x [rows, widths[0]] through layers of MatMul + Add + Relu to y [rows, widths.at(-1)], the
 * last without Relu. Weights are small reproducible numbers.
 */
export function mlpModel(widths: readonly number[]): TinyModel {
  let state = 7;
  const next = (): number => {
    state = (Math.imul(state, 1_103_515_245) + 12_345) & 0x7fffffff;
    return state / 0x7fffffff - 0.5;
  };
  const nodes: TinyNode[] = [];
  const initializers: TinyInitializer[] = [];
  const layers = widths.length - 1;
  for (let layer = 0; layer < layers; layer++) {
    const [from = 0, to = 0] = widths.slice(layer, layer + 2);
    const last = layer === layers - 1;
    initializers.push({
      name: `w${layer}`,
      dims: [from, to],
      values: Float32Array.from({ length: from * to }, () => (2 * next()) / Math.sqrt(from)),
    });
    initializers.push({ name: `b${layer}`, dims: [to], values: Float32Array.from({ length: to }, next) });
    nodes.push({ operator: 'MatMul', inputs: [layer === 0 ? 'x' : `h${layer}`, `w${layer}`], outputs: [`m${layer}`] });
    nodes.push({ operator: 'Add', inputs: [`m${layer}`, `b${layer}`], outputs: [last ? 'y' : `a${layer}`] });
    if (!last) nodes.push({ operator: 'Relu', inputs: [`a${layer}`], outputs: [`h${layer + 1}`] });
  }
  return {
    inputs: [{ name: 'x', type: 'float32', dims: ['rows', widths[0] ?? 0] }],
    outputs: [{ name: 'y', type: 'float32', dims: ['rows', widths.at(-1) ?? 0] }],
    nodes,
    initializers,
  };
}

/** Sixteen matrix products in a row: n = 1,024 keeps a core busy for about a second; y = x^17. */
export const busyModel: TinyModel = {
  inputs: [{ name: 'x', type: 'float32', dims: ['n', 'n'] }],
  outputs: [{ name: 'y', type: 'float32', dims: ['n', 'n'] }],
  nodes: Array.from({ length: 16 }, (_, step) => ({
    operator: 'MatMul',
    inputs: [step === 0 ? 'x' : `h${step}`, 'x'],
    outputs: [step === 15 ? 'y' : `h${step + 1}`],
  })),
};

/** Adds two int64 rows of one length and passes booleans through: other types, two inputs that share a dimension, two outputs. */
export const typesModel: TinyModel = {
  inputs: [
    { name: 'a', type: 'int64', dims: ['n'] },
    { name: 'b', type: 'int64', dims: ['n'] },
    { name: 'flags', type: 'bool', dims: ['m'] },
  ],
  outputs: [
    { name: 'sum', type: 'int64', dims: ['n'] },
    { name: 'same', type: 'bool', dims: ['m'] },
  ],
  nodes: [
    { operator: 'Add', inputs: ['a', 'b'], outputs: ['sum'] },
    { operator: 'Not', inputs: ['flags'], outputs: ['opposite'] },
    { operator: 'Not', inputs: ['opposite'], outputs: ['same'] },
  ],
};

/** Quantises x with one range for the whole tensor, as dynamically quantised encoders do. */
export const dynamicModel: TinyModel = {
  inputs: [{ name: 'x', type: 'float32', dims: ['rows', 3] }],
  outputs: [{ name: 'q', type: 'uint8', dims: ['rows', 3] }],
  nodes: [{ operator: 'DynamicQuantizeLinear', inputs: ['x'], outputs: ['q', 'scale', 'zero'] }],
};

/**
 * y = x · w as quantize_dynamic writes it: x quantised with one range for the whole tensor, an integer product, and the
 * scales multiplied back. x is n × 3; w is [[1, 2], [3, 4], [5, 6]] in eighths.
 */
export const quantisedProductModel: TinyModel = {
  inputs: [{ name: 'x', type: 'float32', dims: ['rows', 3] }],
  outputs: [{ name: 'y', type: 'float32', dims: ['rows', 2] }],
  nodes: [
    { operator: 'DynamicQuantizeLinear', inputs: ['x'], outputs: ['q', 'scale', 'zero'] },
    { operator: 'MatMulInteger', inputs: ['q', 'w', 'zero'], outputs: ['sums'] },
    { operator: 'Cast', inputs: ['sums'], outputs: ['float_sums'], numbers: { to: 1 } },
    { operator: 'Mul', inputs: ['scale', 'w_scale'], outputs: ['scales'] },
    { operator: 'Mul', inputs: ['float_sums', 'scales'], outputs: ['y'] },
  ],
  initializers: [
    { name: 'w', dims: [3, 2], values: Int8Array.of(1, 2, 3, 4, 5, 6) },
    { name: 'w_scale', dims: [1], values: Float32Array.of(0.125) },
  ],
};
