// The float32 twin of a dynamically quantised graph: what int8 arithmetic saves, and what it costs in exactness, can then be
// measured without a second download.
import onnxProto, { type onnx as Onnx } from 'onnx-proto';

/** Tensor element types of ONNX. */
const elements = { float: 1, uint8: 2, int8: 3 } as const;

/**
 * Replaces every DynamicQuantizeLinear → MatMulInteger → Cast → Mul by one MatMul with the weights as the numbers their codes
 * stand for. Weights quantised for the size only (DequantizeLinear) stay as they are.
 *
 * @throws Error when an integer product is not followed by the scales that quantize_dynamic of onnxruntime writes, or there is none
 */
export function dequantise(model: Uint8Array): Uint8Array {
  const { onnx } = onnxProto;
  const decoded = onnx.ModelProto.decode(model);
  const graph = decoded.graph;
  if (graph === null || graph === undefined) throw new Error('The model has no graph.');
  const nodes = graph.node ?? [];
  const tensors = new Map((graph.initializer ?? []).map((tensor) => [tensor.name ?? '', tensor]));
  const producer = new Map(nodes.flatMap((node) => (node.output ?? []).map((name) => [name, node] as const)));
  const readers = (name: string): Onnx.INodeProto[] => nodes.filter((node) => node.input?.includes(name));
  const replaced = new Map<Onnx.INodeProto, Onnx.INodeProto>();
  const dropped = new Set<Onnx.INodeProto>();
  const added: Onnx.ITensorProto[] = [];
  for (const product of nodes.filter((node) => node.opType === 'MatMulInteger')) {
    const [codes = '', weights = '', , zeros = ''] = product.input ?? [];
    const cast = only(readers(product.output?.[0] ?? ''), 'Cast');
    const rescale = only(readers(cast.output?.[0] ?? ''), 'Mul');
    const scales = producer.get(rescale.input?.find((name) => name !== cast.output?.[0]) ?? '');
    const source = producer.get(codes);
    const scaleName = scales?.input?.find((name) => tensors.has(name)) ?? '';
    if (scales?.opType !== 'Mul' || source?.opType !== 'DynamicQuantizeLinear') throw new Error('The graph is not of quantize_dynamic.');
    const values = numbersOf(tensors.get(weights));
    const [rows = 0, columns = 0] = (tensors.get(weights)?.dims ?? []).map(Number);
    const scale = numbersOf(tensors.get(scaleName));
    const zero = numbersOf(tensors.get(zeros));
    const floats = Float32Array.from({ length: rows * columns }, (_, index) => {
      const column = index % columns;
      return ((values[index] as number) - (zero[zero.length === 1 ? 0 : column] ?? 0)) * (scale[scale.length === 1 ? 0 : column] as number);
    });
    const name = `${weights}_float`;
    added.push({ name, dims: [rows, columns], dataType: elements.float, rawData: new Uint8Array(floats.buffer) });
    replaced.set(product, { opType: 'MatMul', input: [source.input?.[0] ?? '', name], output: rescale.output ?? [] });
    for (const node of [cast, rescale, scales, source]) dropped.add(node);
  }
  if (replaced.size === 0) throw new Error('The graph multiplies no integers.');
  graph.node = nodes.filter((one) => !dropped.has(one)).map((one) => replaced.get(one) ?? one);
  const used = new Set(graph.node.flatMap((one) => one.input ?? []));
  graph.initializer = [...(graph.initializer ?? []).filter((tensor) => used.has(tensor.name ?? '')), ...added];
  return onnx.ModelProto.encode(decoded).finish();
}

function only(nodes: readonly Onnx.INodeProto[], opType: string): Onnx.INodeProto {
  const [node] = nodes;
  if (node === undefined || nodes.length > 1 || node.opType !== opType)
    throw new Error(`One ${opType} was expected behind a product of integers.`);
  return node;
}

/** The numbers of a small-integer or float tensor, wherever they are kept. */
function numbersOf(tensor: Onnx.ITensorProto | undefined): ArrayLike<number> {
  if (tensor === undefined) throw new Error('A constant of the graph is missing.');
  const { dataType, rawData, int32Data, floatData } = tensor;
  if (rawData !== undefined && rawData !== null && rawData.length > 0) {
    const bytes = Uint8Array.from(rawData);
    if (dataType === elements.int8) return new Int8Array(bytes.buffer);
    if (dataType === elements.uint8) return bytes;
    if (dataType === elements.float) return new Float32Array(bytes.buffer);
  }
  if (dataType === elements.float && floatData) return floatData;
  if ((dataType === elements.int8 || dataType === elements.uint8) && int32Data) return int32Data;
  throw new Error(`A constant of the graph has the element type ${dataType}.`);
}
