import { readFields, readText } from './protobuf.js';

/** What can be told of an ONNX file without a runtime. */
export interface OnnxFacts {
  /** Locations of external tensor data as the file writes them, ascending, each once. */
  readonly externalData: readonly string[];
  /** An operator computes one quantisation range over a whole activation tensor, so rows of a batch influence each other. */
  readonly batchDependent: boolean;
}

/** Operators (ONNX and com.microsoft) that derive one range from a whole activation tensor. */
const dynamicQuantisers: ReadonlySet<string> = new Set([
  'DynamicQuantizeLinear',
  'DynamicQuantizeMatMul',
  'DynamicQuantizeLSTM',
  'QEmbedLayerNormalization',
]);

type Visit = (field: number, bytes: Uint8Array) => void;

/**
 * Walks the protobuf of an ONNX model (field numbers: onnx/onnx.proto, IR version 3 and later) and collects its facts.
 * Weights are skipped, so that a file of many megabytes takes well under a millisecond per thousand nodes.
 *
 * @throws RangeError when the bytes are not a protobuf message with a graph.
 */
export function readOnnxFacts(bytes: Uint8Array): OnnxFacts {
  const locations = new Set<string>();
  let batchDependent = false;
  let graphs = 0;

  const visitTensor: Visit = (field, value) => {
    if (field !== 13) return;
    let key = '';
    let text = '';
    walk(value, (part, entry) => {
      if (part === 1) key = readText(entry);
      if (part === 2) text = readText(entry);
    });
    if (key === 'location') locations.add(text);
  };
  const visitSparseTensor: Visit = (field, value) => {
    if (field === 1 || field === 2) walk(value, visitTensor);
  };
  const visitAttribute: Visit = (field, value) => {
    if (field === 5 || field === 10) walk(value, visitTensor);
    else if (field === 6 || field === 11) walk(value, visitGraph);
    else if (field === 22 || field === 23) walk(value, visitSparseTensor);
  };
  const visitNode: Visit = (field, value) => {
    if (field === 4 && dynamicQuantisers.has(readText(value))) batchDependent = true;
    else if (field === 5) walk(value, visitAttribute);
  };
  const visitGraph: Visit = (field, value) => {
    if (field === 1) walk(value, visitNode);
    else if (field === 5) walk(value, visitTensor);
    else if (field === 15) walk(value, visitSparseTensor);
  };
  const visitFunction: Visit = (field, value) => {
    if (field === 7) walk(value, visitNode);
  };
  walk(bytes, (field, value) => {
    if (field === 7) {
      graphs++;
      walk(value, visitGraph);
    } else if (field === 25) walk(value, visitFunction);
  });
  if (graphs === 0) throw new RangeError('it has no graph');
  return { externalData: [...locations].sort(), batchDependent };
}

/** Calls `visit` for every length-delimited field of one message. */
function walk(bytes: Uint8Array, visit: Visit): void {
  for (const entry of readFields(bytes)) if (entry.bytes !== undefined) visit(entry.field, entry.bytes);
}
