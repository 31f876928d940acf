import { type InferenceTensorInfo, importLibrary, recloomError } from '@recloom/plugin-api';
import type * as OnnxProto from 'onnx-proto';

/** What is written into a graph: weights, shapes. */
export interface OnnxConstant {
  readonly dims: readonly number[];
  /** Floats and doubles as they are, integers as numbers. */
  readonly values: Float32Array | Float64Array;
}
/** A setting of a node. */
export type OnnxAttribute = number | string | readonly number[] | readonly string[] | OnnxConstant;

/** One operation. */
export interface OnnxNode {
  readonly operator: string;
  /** Empty for ONNX's own operators. */
  readonly domain: string;
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  readonly attributes: ReadonlyMap<string, OnnxAttribute>;
}

/** A graph as far as our own engine needs it. */
export interface OnnxGraph {
  /** Operator set versions by domain; '' is ONNX's own. */
  readonly opsets: ReadonlyMap<string, number>;
  /** Without the constants that old files list among them. */
  readonly inputs: readonly InferenceTensorInfo[];
  readonly outputs: readonly InferenceTensorInfo[];
  readonly nodes: readonly OnnxNode[];
  readonly constants: ReadonlyMap<string, OnnxConstant>;
}

/** By number in `TensorProto.DataType`. */
const typeNames: Readonly<Record<number, string>> = {
  1: 'float32',
  2: 'uint8',
  3: 'int8',
  6: 'int32',
  7: 'int64',
  8: 'string',
  9: 'bool',
  10: 'float16',
  11: 'float64',
};

/**
 * Reads the graph of an ONNX file. Constants of other types than numbers, or that lie in other files, are left out: whoever
 * needs one does not find it.
 *
 * @throws RECLOOM_DAT_MODEL_INVALID when the bytes are no ONNX model, RECLOOM_PLG_LIBRARY_MISSING without onnx-proto.
 */
export async function readOnnxGraph(bytes: Uint8Array): Promise<OnnxGraph> {
  const { onnx } = await loadProto();
  let model: OnnxProto.onnx.ModelProto;
  try {
    model = onnx.ModelProto.decode(bytes);
  } catch (cause) {
    throw recloomError('RECLOOM_DAT_MODEL_INVALID', { why: 'it is no ONNX file, or cut off' }, { cause });
  }
  const { graph } = model;
  if (graph === null || graph === undefined) throw recloomError('RECLOOM_DAT_MODEL_INVALID', { why: 'it has no graph' });
  const constants = new Map<string, OnnxConstant>();
  for (const tensor of graph.initializer ?? []) {
    const constant = readTensor(tensor);
    if (constant !== undefined) constants.set(tensor.name ?? '', constant);
  }
  const initializers = new Set((graph.initializer ?? []).map((tensor) => tensor.name ?? ''));
  return {
    opsets: new Map((model.opsetImport ?? []).map((opset) => [opset.domain ?? '', Number(opset.version ?? 0)])),
    inputs: (graph.input ?? []).filter((value) => !initializers.has(value.name ?? '')).map(readValue),
    outputs: (graph.output ?? []).map(readValue),
    nodes: (graph.node ?? []).map(readNode),
    constants,
  };
}

async function loadProto(): Promise<typeof OnnxProto> {
  const module = (await importLibrary('onnx-proto', '8.0.1', () => import('onnx-proto'))) as typeof OnnxProto & {
    default?: typeof OnnxProto;
  };
  return module.default ?? module;
}

function readValue(value: OnnxProto.onnx.IValueInfoProto): InferenceTensorInfo {
  const name = value.name ?? '';
  const tensor = value.type?.tensorType;
  if (tensor === null || tensor === undefined) return { name, type: 'not a tensor', dims: [] };
  const dims = (tensor.shape?.dim ?? []).map((dim) => {
    const size = Number(dim.dimValue ?? 0);
    // Converters write 0, or nothing, for a size that is not known.
    return size > 0 ? size : dim.dimParam ? dim.dimParam : -1;
  });
  return { name, type: typeNames[tensor.elemType ?? 0] ?? `type ${tensor.elemType}`, dims };
}

function readNode(node: OnnxProto.onnx.INodeProto): OnnxNode {
  const attributes = new Map<string, OnnxAttribute>();
  for (const attribute of node.attribute ?? []) {
    const value = readAttribute(attribute);
    if (value !== undefined) attributes.set(attribute.name ?? '', value);
  }
  return {
    operator: node.opType ?? '',
    domain: node.domain === 'ai.onnx' ? '' : (node.domain ?? ''),
    inputs: node.input ?? [],
    outputs: node.output ?? [],
    attributes,
  };
}

function readAttribute(attribute: OnnxProto.onnx.IAttributeProto): OnnxAttribute | undefined {
  switch (attribute.type) {
    case 1:
      return attribute.f ?? 0;
    case 2:
      return Number(attribute.i ?? 0);
    case 3:
      return new TextDecoder().decode(attribute.s ?? new Uint8Array());
    case 4:
      return attribute.t ? readTensor(attribute.t) : undefined;
    case 6:
      return attribute.floats ?? [];
    case 7:
      return (attribute.ints ?? []).map(Number);
    case 8: {
      const decoder = new TextDecoder();
      return (attribute.strings ?? []).map((text) => decoder.decode(text));
    }
    default:
      return undefined;
  }
}

function readTensor(tensor: OnnxProto.onnx.ITensorProto): OnnxConstant | undefined {
  if (tensor.dataLocation === 1) return undefined;
  const dims = (tensor.dims ?? []).map(Number);
  const count = dims.reduce((product, size) => product * size, 1);
  const values = readNumbers(tensor);
  return values?.length === count ? { dims, values } : undefined;
}

function readNumbers(tensor: OnnxProto.onnx.ITensorProto): Float32Array | Float64Array | undefined {
  const { dataType, rawData } = tensor;
  if (rawData !== null && rawData !== undefined && rawData.length > 0) {
    // A copy of its own: raw data may begin at any byte.
    const bytes = rawData.slice();
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    const read = <Values extends Float32Array | Float64Array>(values: Values, size: number, at: (place: number) => number): Values => {
      for (let place = 0; place < values.length; place++) values[place] = at(place * size);
      return values;
    };
    switch (dataType) {
      case 1:
        return read(new Float32Array(view.byteLength >> 2), 4, (at) => view.getFloat32(at, true));
      case 2:
        return Float64Array.from(bytes);
      case 6:
        return read(new Float64Array(view.byteLength >> 2), 4, (at) => view.getInt32(at, true));
      case 7:
        return read(new Float64Array(view.byteLength >> 3), 8, (at) => Number(view.getBigInt64(at, true)));
      case 11:
        return read(new Float64Array(view.byteLength >> 3), 8, (at) => view.getFloat64(at, true));
      default:
        return undefined;
    }
  }
  switch (dataType) {
    case 1:
      return Float32Array.from(tensor.floatData ?? []);
    case 2:
    case 6:
      return Float64Array.from(tensor.int32Data ?? []);
    case 7:
      return Float64Array.from((tensor.int64Data ?? []).map(Number));
    case 11:
      return Float64Array.from(tensor.doubleData ?? []);
    default:
      return undefined;
  }
}
