/**
 * Writes tiny ONNX models as protobuf bytes, by hand, for tests (field numbers: onnx/onnx.proto).
 * Not part of the package: `tsconfig.json` leaves fixtures out.
 */
type Field = Uint8Array;

export interface TinyValue {
  readonly name: string;
  readonly type: 'float32' | 'uint8' | 'int32' | 'int64' | 'bool' | 'float16';
  readonly dims: readonly (number | string)[];
}
export interface TinyNode {
  readonly operator: string;
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
}
export interface TinyInitializer {
  readonly name: string;
  readonly dims: readonly number[];
  readonly values: Float32Array;
  /** Written as a reference to a file instead of the values. */
  readonly externalLocation?: string;
}
export interface TinyModel {
  readonly inputs: readonly TinyValue[];
  readonly outputs: readonly TinyValue[];
  readonly nodes: readonly TinyNode[];
  readonly initializers?: readonly TinyInitializer[];
}

const elementTypes = { float32: 1, uint8: 2, int32: 6, int64: 7, bool: 9, float16: 10 } as const;

export function writeOnnx(model: TinyModel): Uint8Array {
  const graph = join([
    ...model.nodes.map((node) =>
      message(1, [...node.inputs.map((name) => text(1, name)), ...node.outputs.map((name) => text(2, name)), text(4, node.operator)]),
    ),
    text(2, 'tiny'),
    ...(model.initializers ?? []).map((initializer) =>
      message(5, [
        ...initializer.dims.map((size) => number(1, size)),
        number(2, elementTypes.float32),
        text(8, initializer.name),
        ...(initializer.externalLocation === undefined
          ? [bytes(9, new Uint8Array(initializer.values.buffer, initializer.values.byteOffset, initializer.values.byteLength))]
          : [message(13, [text(1, 'location'), text(2, initializer.externalLocation)]), number(14, 1)]),
      ]),
    ),
    ...model.inputs.map((value) => valueInfo(11, value)),
    ...model.outputs.map((value) => valueInfo(12, value)),
  ]);
  return join([number(1, 8), bytes(7, graph), message(8, [text(1, ''), number(2, 17)])]);
}

function valueInfo(field: number, value: TinyValue): Field {
  const shape = value.dims.map((size) => message(1, [typeof size === 'number' ? number(1, size) : text(2, size)]));
  return message(field, [text(1, value.name), message(2, [message(1, [number(1, elementTypes[value.type]), message(2, shape)])])]);
}

function varint(value: number): number[] {
  const out: number[] = [];
  let rest = value;
  while (rest >= 128) {
    out.push((rest % 128) + 128);
    rest = Math.floor(rest / 128);
  }
  out.push(rest);
  return out;
}
const number = (field: number, value: number): Field => Uint8Array.from([...varint(field * 8), ...varint(value)]);
const bytes = (field: number, value: Uint8Array): Field =>
  join([Uint8Array.from([...varint(field * 8 + 2), ...varint(value.length)]), value]);
const text = (field: number, value: string): Field => bytes(field, new TextEncoder().encode(value));
const message = (field: number, fields: readonly Field[]): Field => bytes(field, join(fields));

function join(parts: readonly Uint8Array[]): Uint8Array {
  const out = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let place = 0;
  for (const part of parts) {
    out.set(part, place);
    place += part.length;
  }
  return out;
}

/** y = x × [2, 3, 4], by row; x is n × 3. */
export const scaleModel: TinyModel = {
  inputs: [{ name: 'x', type: 'float32', dims: ['rows', 3] }],
  outputs: [{ name: 'y', type: 'float32', dims: ['rows', 3] }],
  nodes: [{ operator: 'Mul', inputs: ['x', 'w'], outputs: ['y'] }],
  initializers: [{ name: 'w', dims: [3], values: Float32Array.of(2, 3, 4) }],
};

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
