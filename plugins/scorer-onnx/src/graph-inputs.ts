import type { Kernels } from '@recloom/kernels';
import type { CandidateBatch, Expressions, FeatureMatrix, InferenceTensor, InferenceTensorInfo, Table } from '@recloom/plugin-api';
import { sliceBatch } from './batch-slices.js';
import { categoryInput, Vocabulary } from './category-input.js';
import { columnsInput } from './columns-input.js';
import { embeddingInput, queryEmbeddingInput } from './embedding-inputs.js';
import { historyEmbeddingInput, historyIdsInput, historyMaskInput, historyNumberInput } from './history-inputs.js';
import type { Arena, InputFiller } from './input-filler.js';
import type { Manifest } from './manifest.js';
import type { InputDescription } from './manifest-schema.js';
import { scorerError } from './plugin-error.js';
import { showShape, showTensor } from './show-tensor.js';

/** What inputs are made of. */
export interface InputMaterial {
  readonly expressions: Expressions;
  readonly items: Table;
  readonly kernels: Kernels;
  /** The features under `in:`. */
  readonly features: readonly FeatureMatrix[];
}

/** What an input gives, to be held against what the graph wants; -1 stands for the number of candidates. */
interface Offer {
  readonly types: readonly string[];
  /** Accepted shapes; the first is the usual one. */
  readonly shapes: readonly (readonly number[])[];
}

/**
 * What fills each input of the graph, in the graph's order.
 *
 * @throws SCORER_ONNX_INPUT naming every input that is unknown, not fed, of another type or width, or reads a feature that is
 * not under `in:`; RECLOOM_CFG_EXPRESSION for a column that does not exist.
 */
export async function openInputs(
  manifest: Manifest,
  graph: readonly InferenceTensorInfo[],
  material: InputMaterial,
): Promise<readonly InputFiller[]> {
  const names = Object.keys(manifest.inputs);
  const problems: string[] = [];
  for (const name of names) {
    if (graph.some((info) => info.name === name)) continue;
    problems.push(`${manifest.place('inputs', name)}: the graph has no input "${name}"; it has ${listInputs(graph)}`);
  }
  for (const info of graph) {
    if (!Object.hasOwn(manifest.inputs, info.name)) {
      problems.push(`${manifest.place('inputs')}: nothing feeds the input ${showTensor(info)} of the graph`);
    }
  }
  const fillers: InputFiller[] = [];
  const rowNames = new Set<string>();
  for (const info of graph) {
    const description = Object.hasOwn(manifest.inputs, info.name) ? manifest.inputs[info.name] : undefined;
    if (description === undefined) continue;
    const problem = fit(info, description, material.features);
    if (problem !== undefined) problems.push(`${manifest.place('inputs', info.name)}: ${problem}`);
    // Dimensions without a name are all called '', and say nothing about each other.
    if (isPerCandidate(description) && typeof info.dims[0] === 'string' && info.dims[0] !== '') rowNames.add(info.dims[0]);
  }
  if (problems.length > 0) throw scorerError('SCORER_ONNX_INPUT', `The inputs do not fit the model: ${problems.join('; ')}.`);
  for (const info of graph) {
    const description = manifest.inputs[info.name] as InputDescription;
    const filler = await openInput(info, description, manifest, material);
    // A graph that gives rows and request one dimension wants the request's values beside every row.
    const repeat = !filler.perCandidate && typeof info.dims[0] === 'string' && rowNames.has(info.dims[0]);
    fillers.push(repeat ? repeated(filler) : filler);
  }
  return fillers;
}

/** True for an input with a row per candidate; the others are made once per request. */
export function isPerCandidate(description: InputDescription): boolean {
  return 'columns' in description || 'category' in description || 'embedding' in description;
}

/** What speaks against feeding an input of the graph this way. */
function fit(info: InferenceTensorInfo, description: InputDescription, features: readonly FeatureMatrix[]): string | undefined {
  const name = featureName(description);
  const feature = features.find((candidate) => candidate.name === name);
  if (name !== undefined && feature === undefined) {
    const known = features.length === 0 ? 'it has none' : `it has ${features.map((candidate) => candidate.name).join(', ')}`;
    return `the feature "${name}" is not under "in: { features }" of the component; ${known}`;
  }
  const { types, shapes } = offer(description, feature?.width ?? 0);
  if (!types.includes(info.type)) return `the graph wants ${info.type} for "${info.name}", this gives ${types.join(' or ')}`;
  if (shapes.some((shape) => accepts(info.dims, shape))) return undefined;
  const wanted = showShape(info.dims);
  const usual = shapes[0] as readonly number[];
  if (info.dims.length === usual.length && usual[0] === -1 && typeof info.dims[0] === 'number' && info.dims[0] >= 0) {
    return `the graph wants ${wanted} for "${info.name}": it was exported for ${info.dims[0]} row${info.dims[0] === 1 ? '' : 's'}; export it with a dynamic first dimension`;
  }
  return `the graph wants ${wanted} for "${info.name}", this gives [${usual.map((size) => (size === -1 ? 'candidates' : size)).join(', ')}]`;
}

function accepts(dims: InferenceTensorInfo['dims'], shape: readonly number[]): boolean {
  return (
    dims.length === shape.length && dims.every((size, place) => typeof size === 'string' || size < 0 || size === (shape[place] as number))
  );
}

function featureName(description: InputDescription): string | undefined {
  if ('embedding' in description) return description.embedding;
  if ('queryEmbedding' in description) return description.queryEmbedding;
  return 'feature' in description ? description.feature : undefined;
}

function offer(description: InputDescription, width: number): Offer {
  if ('columns' in description) {
    const columns = description.columns.length;
    return { types: ['float32'], shapes: columns === 1 ? [[-1, 1], [-1]] : [[-1, columns]] };
  }
  if ('category' in description) return { types: ['int64', 'int32'], shapes: [[-1], [-1, 1]] };
  if ('embedding' in description) return { types: ['float32'], shapes: [[-1, width]] };
  if ('queryEmbedding' in description) return { types: ['float32'], shapes: [[1, width]] };
  const { history, length } = description;
  switch (history) {
    case 'ids':
      return { types: ['int64', 'int32'], shapes: [[1, length]] };
    case 'embedding':
      return { types: ['float32'], shapes: [[1, length, width]] };
    case 'mask':
      return { types: ['float32', 'bool'], shapes: [[1, length]] };
    default:
      return { types: ['float32'], shapes: [[1, length]] };
  }
}

async function openInput(
  info: InferenceTensorInfo,
  description: InputDescription,
  manifest: Manifest,
  { expressions, items, kernels, features }: InputMaterial,
): Promise<InputFiller> {
  const { name: input } = info;
  const rank = info.dims.length === 1 ? 1 : 2;
  const integers = info.type === 'int32' ? 'int32' : 'int64';
  const feature = (name: string): FeatureMatrix => features.find((candidate) => candidate.name === name) as FeatureMatrix;
  if ('columns' in description) {
    return columnsInput(
      {
        input,
        texts: description.columns,
        missing: description.missing === 'nan' ? Number.NaN : description.missing,
        rank,
        place: (index) => manifest.place('inputs', input, 'columns', index),
      },
      expressions,
      items,
      kernels,
    );
  }
  if ('category' in description) {
    const values = await manifest.vocabulary(description.vocabulary, 'inputs', input, 'vocabulary');
    return categoryInput(
      {
        input,
        source: description.category,
        vocabulary: new Vocabulary(values, description.unknown),
        type: integers,
        rank,
        place: manifest.place('inputs', input, 'category'),
      },
      items,
    );
  }
  if ('embedding' in description) return embeddingInput(input, feature(description.embedding));
  if ('queryEmbedding' in description) return queryEmbeddingInput(input, feature(description.queryEmbedding));
  switch (description.history) {
    case 'ids': {
      const values = await manifest.vocabulary(description.vocabulary, 'inputs', input, 'vocabulary');
      return historyIdsInput(input, description.length, integers, new Vocabulary(values, description.unknown), items);
    }
    case 'embedding':
      return historyEmbeddingInput(input, description.length, feature(description.feature));
    case 'mask':
      return historyMaskInput(input, description.length, info.type === 'bool' ? 'bool' : 'float32');
    default:
      return historyNumberInput(input, description.length, description.history);
  }
}

/** A request's tensor once per candidate of the request. */
function repeated(filler: InputFiller): InputFiller {
  return {
    input: filler.input,
    perCandidate: true,
    reads: filler.reads,
    fill(batch: CandidateBatch, arena: Arena): InferenceTensor {
      let out: InferenceTensor['data'] | undefined;
      let tail: readonly number[] = [];
      let type: InferenceTensor['type'] = 'float32';
      for (let request = 0; request < batch.requests.length; request++) {
        const one = filler.fill(sliceBatch(batch, request, request + 1), arena);
        const size = one.data.length;
        type = one.type;
        tail = one.dims.slice(1);
        out ??= bufferLike(one.data, arena, batch.count * size);
        for (let place = batch.offsets[request] as number; place < (batch.offsets[request + 1] as number); place++) {
          // Buffer and piece are of one kind: both come from the same filler.
          out.set(one.data as never, place * size);
        }
      }
      return { type, dims: [batch.count, ...tail], data: out ?? arena.floats(0) };
    },
  };
}

function bufferLike(data: InferenceTensor['data'], arena: Arena, length: number): InferenceTensor['data'] {
  if (data instanceof Float32Array) return arena.floats(length);
  if (data instanceof BigInt64Array) return arena.longs(length);
  return data instanceof Int32Array ? arena.words(length) : arena.bytes(length);
}

function listInputs(graph: readonly InferenceTensorInfo[]): string {
  return graph.map(showTensor).join(', ') || 'none';
}
