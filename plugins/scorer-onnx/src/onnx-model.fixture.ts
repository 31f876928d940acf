/** Writes small ONNX models for tests, with the encoder of onnx-proto. Not part of the package. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import proto from 'onnx-proto';

const { onnx } = proto;

export type ElementName = 'float32' | 'int64' | 'int32' | 'bool' | 'float64' | 'text';
const elementTypes: Readonly<Record<ElementName, number>> = { float32: 1, int32: 6, int64: 7, text: 8, bool: 9, float64: 11 };

export interface ValueSpec {
  readonly name: string;
  readonly type?: ElementName;
  readonly dims: readonly (number | string)[];
}
export type AttributeSpec =
  | number
  | string
  | { readonly float: number }
  | { readonly ints: readonly number[] }
  | { readonly floats: readonly number[] }
  | { readonly strings: readonly string[] }
  | { readonly tensor: ConstantSpec };
export interface NodeSpec {
  readonly operator: string;
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  readonly domain?: string;
  readonly attributes?: Readonly<Record<string, AttributeSpec>>;
}
export interface ConstantSpec {
  readonly name?: string;
  readonly dims: readonly number[];
  readonly values: Float32Array | BigInt64Array | Float64Array | Uint8Array;
  readonly externalLocation?: string;
}
export interface ModelSpec {
  readonly inputs: readonly ValueSpec[];
  readonly outputs: readonly ValueSpec[];
  readonly nodes: readonly NodeSpec[];
  readonly constants?: readonly ConstantSpec[];
  /** Default { '': 17, 'ai.onnx.ml': 3 }. */
  readonly opsets?: Readonly<Record<string, number>>;
}

function tensorOf({ name, dims, values, externalLocation }: ConstantSpec): object {
  const dataType = values instanceof Float32Array ? 1 : values instanceof Uint8Array ? 2 : values instanceof BigInt64Array ? 7 : 11;
  return {
    ...(name === undefined ? {} : { name }),
    dims: [...dims],
    dataType,
    ...(externalLocation === undefined
      ? { rawData: new Uint8Array(values.buffer, values.byteOffset, values.byteLength) }
      : { dataLocation: 1, externalData: [{ key: 'location', value: externalLocation }] }),
  };
}

function attributeOf(name: string, value: AttributeSpec): object {
  const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);
  if (typeof value === 'number') return { name, type: 2, i: value };
  if (typeof value === 'string') return { name, type: 3, s: bytes(value) };
  if ('float' in value) return { name, type: 1, f: value.float };
  if ('ints' in value) return { name, type: 7, ints: [...value.ints] };
  if ('floats' in value) return { name, type: 6, floats: [...value.floats] };
  if ('strings' in value) return { name, type: 8, strings: value.strings.map(bytes) };
  return { name, type: 4, t: tensorOf(value.tensor) };
}

function valueInfo({ name, type = 'float32', dims }: ValueSpec): object {
  const dim = dims.map((size) => (typeof size === 'number' ? { dimValue: size } : { dimParam: size }));
  return { name, type: { tensorType: { elemType: elementTypes[type], shape: { dim } } } };
}

/** The bytes of a model. */
export function writeModel(spec: ModelSpec): Uint8Array {
  const opsets = spec.opsets ?? { '': 17, 'ai.onnx.ml': 3 };
  const message = onnx.ModelProto.fromObject({
    irVersion: 8,
    opsetImport: Object.entries(opsets).map(([domain, version]) => ({ domain, version })),
    graph: {
      name: 'test',
      input: spec.inputs.map(valueInfo),
      output: spec.outputs.map(valueInfo),
      initializer: (spec.constants ?? []).map(tensorOf),
      node: spec.nodes.map((node) => ({
        opType: node.operator,
        domain: node.domain ?? '',
        input: [...node.inputs],
        output: [...node.outputs],
        attribute: Object.entries(node.attributes ?? {}).map(([name, value]) => attributeOf(name, value)),
      })),
    },
  });
  return onnx.ModelProto.encode(message).finish();
}

/** A dense layer: `weights` is inputs × outputs, row-major. */
export interface Layer {
  readonly weights: Float32Array;
  readonly bias: Float32Array;
}

/** Layers with weights drawn from a small generator, so that every run makes the same model. */
export function makeLayers(widths: readonly number[], seed = 1): readonly Layer[] {
  let state = seed >>> 0;
  const draw = (): number => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32 - 0.5;
  };
  return widths.slice(1).map((outputs, index) => {
    const inputs = widths[index] as number;
    const scale = 2 / Math.sqrt(inputs);
    return {
      weights: Float32Array.from({ length: inputs * outputs }, () => draw() * scale),
      bias: Float32Array.from({ length: outputs }, draw),
    };
  });
}

/** `y` [rows, last width] of a ReLU network over `x` [rows, first width]; the last layer is linear. */
export function networkModel(layers: readonly Layer[]): ModelSpec {
  const width = (index: number): number => (layers[index] as Layer).bias.length;
  const first = (layers[0] as Layer).weights.length / width(0);
  const last = layers.length - 1;
  return {
    inputs: [{ name: 'x', dims: ['rows', first] }],
    outputs: [{ name: 'y', dims: ['rows', width(last)] }],
    nodes: layers.flatMap((_, index) => [
      {
        operator: 'Gemm',
        inputs: [index === 0 ? 'x' : `a${index}`, `w${index}`, `b${index}`],
        outputs: [index === last ? 'y' : `h${index}`],
      },
      ...(index === last ? [] : [{ operator: 'Relu', inputs: [`h${index}`], outputs: [`a${index + 1}`] }]),
    ]),
    constants: layers.flatMap(({ weights, bias }, index) => [
      { name: `w${index}`, dims: [weights.length / bias.length, bias.length], values: weights },
      { name: `b${index}`, dims: [bias.length], values: bias },
    ]),
  };
}

/** What that network gives for one row, in doubles. */
export function networkValue(layers: readonly Layer[], row: ArrayLike<number>): number[] {
  let values = Array.from(row);
  layers.forEach(({ weights, bias }, index) => {
    const inputs = values;
    values = Array.from(bias, (start, to) =>
      inputs.reduce((sum, value, from) => sum + value * (weights[from * bias.length + to] as number), start),
    );
    if (index < layers.length - 1) values = values.map((value) => Math.max(0, value));
  });
  return values;
}

/** A folder for the files of a test, removed by `remove`. */
export interface TestFolder {
  readonly path: string;
  write(name: string, content: Uint8Array | string | object): Promise<string>;
  remove(): Promise<void>;
}

export async function makeFolder(): Promise<TestFolder> {
  const path = await mkdtemp(join(tmpdir(), 'recloom-scorer-'));
  return {
    path,
    async write(name, content) {
      const file = join(path, name);
      await writeFile(file, content instanceof Uint8Array || typeof content === 'string' ? content : JSON.stringify(content, null, 2));
      return file;
    },
    remove: () => rm(path, { recursive: true, force: true }),
  };
}
