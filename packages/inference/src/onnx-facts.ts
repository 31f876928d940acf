import type { InferenceTensorInfo } from '@recloom/plugin-api';
import { readFields, readText } from './protobuf.js';

/** What can be told of an ONNX file without a runtime. */
export interface OnnxFacts {
  /** What the graph must be fed: its inputs without those that have an initial value. */
  readonly inputs: readonly InferenceTensorInfo[];
  /** Names of inputs that have an initial value, and so may be left out. */
  readonly optionalInputs: readonly string[];
  readonly outputs: readonly InferenceTensorInfo[];
  /** Version of the file format (IR). */
  readonly irVersion: number;
  /** Version of each operator set it imports, by domain; '' is ONNX's own. */
  readonly operatorSets: ReadonlyMap<string, number>;
  /** Domains of its operators that are neither '' nor defined by a function of the file, ascending, each once. */
  readonly domains: readonly string[];
  /** It holds a part compiled for one device (EPContext), which may name files of its own. */
  readonly precompiled: boolean;
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

/** Names of TensorProto.DataType, in its order. */
const elementTypes = [
  'undefined',
  'float32',
  'uint8',
  'int8',
  'uint16',
  'int16',
  'int32',
  'int64',
  'string',
  'bool',
  'float16',
  'float64',
  'uint32',
  'uint64',
];

type Visit = (field: number, bytes: Uint8Array) => void;

/**
 * Walks the protobuf of an ONNX model (field numbers: onnx/onnx.proto, IR version 3 and later) and collects its facts.
 * Weights are skipped, so that a file of many megabytes takes well under a millisecond per thousand nodes.
 *
 * @throws RangeError when the bytes are not a protobuf message with a graph.
 */
export function readOnnxFacts(bytes: Uint8Array): OnnxFacts {
  const locations = new Set<string>();
  const operators: { readonly operator: string; readonly domain: string }[] = [];
  const functions = new Set<string>();
  const operatorSets = new Map<string, number>();
  let graph: Uint8Array | undefined;
  let irVersion = 0;

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
  const visitNode = (node: Uint8Array): void => {
    let operator = '';
    let domain = '';
    walk(node, (field, value) => {
      if (field === 4) operator = readText(value);
      else if (field === 7) domain = readText(value);
      else if (field === 5) walk(value, visitAttribute);
    });
    operators.push({ operator, domain: normalise(domain) });
  };
  const visitGraph: Visit = (field, value) => {
    if (field === 1) visitNode(value);
    else if (field === 5) walk(value, visitTensor);
    else if (field === 15) walk(value, visitSparseTensor);
  };
  for (const { field, bytes: value, value: number } of readFields(bytes)) {
    if (field === 1 && number !== undefined) irVersion = number;
    if (value === undefined) continue;
    if (field === 7) {
      graph = value;
      walk(value, visitGraph);
    } else if (field === 8) {
      const { domain, version } = readOperatorSet(value);
      operatorSets.set(domain, version);
    } else if (field === 25) {
      let name = '';
      let domain = '';
      walk(value, (part, entry) => {
        if (part === 1) name = readText(entry);
        else if (part === 7) visitNode(entry);
        else if (part === 10) domain = readText(entry);
      });
      functions.add(`${normalise(domain)}:${name}`);
    }
  }
  if (graph === undefined) throw new RangeError('it has no graph');
  const foreign = operators.filter(({ operator, domain }) => domain !== '' && !functions.has(`${domain}:${operator}`));
  return {
    ...readSignature(graph),
    irVersion,
    operatorSets,
    domains: [...new Set(foreign.map(({ domain }) => domain))].sort(),
    precompiled: foreign.some(({ operator }) => operator === 'EPContext'),
    externalData: [...locations].sort(),
    batchDependent: operators.some(({ operator }) => dynamicQuantisers.has(operator)),
  };
}

function readSignature(graph: Uint8Array): Pick<OnnxFacts, 'inputs' | 'optionalInputs' | 'outputs'> {
  const inputs: InferenceTensorInfo[] = [];
  const outputs: InferenceTensorInfo[] = [];
  const initialised = new Set<string>();
  walk(graph, (field, value) => {
    if (field === 11) inputs.push(readValueInfo(value));
    else if (field === 12) outputs.push(readValueInfo(value));
    else if (field === 5) initialised.add(textOf(value, 8));
    else if (field === 15) walk(value, (part, entry) => part === 1 && initialised.add(textOf(entry, 8)));
  });
  return {
    inputs: inputs.filter(({ name }) => !initialised.has(name)),
    optionalInputs: inputs.flatMap(({ name }) => (initialised.has(name) ? [name] : [])),
    outputs,
  };
}

/** A ValueInfoProto; what is no dense tensor has the type `not a tensor`. */
function readValueInfo(bytes: Uint8Array): InferenceTensorInfo {
  let name = '';
  let type = 'not a tensor';
  const dims: (number | string)[] = [];
  walk(bytes, (field, value) => {
    if (field === 1) name = readText(value);
    if (field !== 2) return;
    walk(value, (kind, tensor) => {
      if (kind !== 1) return;
      for (const part of readFields(tensor)) {
        if (part.field === 1) type = elementTypes[part.value ?? 0] ?? `element type ${part.value}`;
        if (part.field === 2 && part.bytes !== undefined)
          walk(part.bytes, (place, size) => {
            if (place === 1) dims.push(readDimension(size));
          });
      }
    });
  });
  return { name, type, dims };
}

/** A fixed size, the name of a dynamic one, or -1. */
function readDimension(bytes: Uint8Array): number | string {
  for (const { field, bytes: text, value } of readFields(bytes)) {
    if (field === 1 && value !== undefined) return Number.isSafeInteger(value) ? value : -1;
    if (field === 2 && text !== undefined && text.length > 0) return readText(text);
  }
  return -1;
}

function readOperatorSet(bytes: Uint8Array): { domain: string; version: number } {
  let domain = '';
  let version = 0;
  for (const { field, bytes: text, value } of readFields(bytes)) {
    if (field === 1) domain = normalise(readText(text));
    if (field === 2) version = value ?? 0;
  }
  return { domain, version };
}

/** `ai.onnx` is the long name of ''. */
function normalise(domain: string): string {
  return domain === 'ai.onnx' ? '' : domain;
}

function textOf(bytes: Uint8Array, wanted: number): string {
  for (const { field, bytes: value } of readFields(bytes)) if (field === wanted) return readText(value);
  return '';
}

/** Calls `visit` for every length-delimited field of one message. */
function walk(bytes: Uint8Array, visit: Visit): void {
  for (const entry of readFields(bytes)) if (entry.bytes !== undefined) visit(entry.field, entry.bytes);
}
