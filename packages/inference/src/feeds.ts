import { type InferenceElementType, type InferenceTensor, type InferenceTensorInfo, recloomError } from '@recloom/plugin-api';
import type { TensorMemory } from './tensor-memory.js';

const arrayOf: Readonly<Record<InferenceElementType, { readonly name: string; readonly test: (data: unknown) => boolean }>> = {
  float32: { name: 'Float32Array', test: (data) => data instanceof Float32Array },
  int64: { name: 'BigInt64Array', test: (data) => data instanceof BigInt64Array },
  int32: { name: 'Int32Array', test: (data) => data instanceof Int32Array },
  uint8: { name: 'Uint8Array', test: (data) => data instanceof Uint8Array },
  int8: { name: 'Int8Array', test: (data) => data instanceof Int8Array },
  bool: { name: 'Uint8Array', test: (data) => data instanceof Uint8Array },
};

/** True for the element types a tensor of ours can have. */
export function isElementType(type: string): type is InferenceElementType {
  return Object.hasOwn(arrayOf, type);
}

/** `count` zeros of an element type. */
export function emptyData(type: InferenceElementType, count: number): InferenceTensor['data'] {
  switch (type) {
    case 'float32':
      return new Float32Array(count);
    case 'int64':
      return new BigInt64Array(count);
    case 'int32':
      return new Int32Array(count);
    case 'int8':
      return new Int8Array(count);
    case 'uint8':
    case 'bool':
      return new Uint8Array(count);
  }
}

/**
 * Checks feeds against what a graph declares: names, types, ranks, fixed dimensions, equal sizes for dimensions of
 * one name (those without a name are each for themselves), and as many values as the shape says.
 *
 * @throws RECLOOM_RUN_MODEL_INPUT naming the input, what was expected and what came.
 */
export function checkFeeds(inputs: readonly InferenceTensorInfo[], feeds: Readonly<Record<string, InferenceTensor>>): void {
  for (const name in feeds) {
    if (!hasName(inputs, name)) throw refuse(`there is no input "${name}"; it has ${list(inputs)}`);
  }
  const sizes = inputs.length > 1 || hasRepeatedName(inputs) ? new Map<string, number>() : undefined;
  for (const input of inputs) {
    const feed = Object.hasOwn(feeds, input.name) ? feeds[input.name] : undefined;
    if (feed === undefined) throw refuse(`the input "${input.name}" is missing`);
    checkTensor(input, feed, sizes);
  }
}

/** Checks that every wanted output exists. @throws RECLOOM_RUN_MODEL_INPUT */
export function checkOutputs(outputs: readonly InferenceTensorInfo[], wanted: readonly string[]): void {
  for (const name of wanted) {
    if (!hasName(outputs, name)) throw refuse(`there is no output "${name}"; it has ${list(outputs)}`);
  }
}

/** Deep copies; the values of those in `given` are taken as they are. */
export function copyFeeds(
  feeds: Readonly<Record<string, InferenceTensor>>,
  given: readonly string[] | undefined,
  memory: TensorMemory,
): Record<string, InferenceTensor> {
  const copies: Record<string, InferenceTensor> = Object.create(null) as Record<string, InferenceTensor>;
  for (const name of Object.keys(feeds)) {
    const { type, dims, data } = feeds[name] as InferenceTensor;
    copies[name] = { type, dims: dims.slice(), data: given?.includes(name) === true ? data : memory.copyOf(type, data) };
  }
  return copies;
}

/** The buffers of tensors, each once. */
export function buffersOf(tensors: Readonly<Record<string, InferenceTensor>>): ArrayBufferLike[] {
  const buffers: ArrayBufferLike[] = [];
  for (const name in tensors) {
    const buffer = tensors[name]?.data.buffer;
    if (buffer !== undefined && !buffers.includes(buffer)) buffers.push(buffer);
  }
  return buffers;
}

function checkTensor(input: InferenceTensorInfo, feed: InferenceTensor, sizes: Map<string, number> | undefined): void {
  if (feed.type !== input.type) throw refuse(`the input "${input.name}" is ${input.type}, not ${feed.type}`);
  const array = arrayOf[feed.type];
  if (!array.test(feed.data)) throw refuse(`the values of the input "${input.name}" must be a ${array.name}`);
  if (feed.dims.length !== input.dims.length) {
    throw refuse(`the input "${input.name}" has ${input.dims.length} dimensions [${input.dims.join(', ')}], not ${feed.dims.length}`);
  }
  let count = 1;
  for (let place = 0; place < feed.dims.length; place++) {
    const size = feed.dims[place] ?? -1;
    if (!Number.isSafeInteger(size) || size < 0) throw refuse(`dimension ${place} of the input "${input.name}" is no size`);
    count *= size;
    const declared = input.dims[place] ?? -1;
    if (typeof declared === 'number') {
      if (declared >= 0 && declared !== size) throw refuse(`dimension ${place} of the input "${input.name}" is ${declared}, not ${size}`);
    } else if (declared !== '' && sizes !== undefined) {
      const other = sizes.get(declared);
      if (other !== undefined && other !== size) {
        throw refuse(`dimension ${place} of the input "${input.name}" ("${declared}") is ${size} here and ${other} before`);
      }
      sizes.set(declared, size);
    }
  }
  if (feed.data.length !== count) {
    throw refuse(`the input "${input.name}" has ${feed.data.length} values where its shape [${feed.dims.join(', ')}] needs ${count}`);
  }
}

function hasName(infos: readonly InferenceTensorInfo[], name: string): boolean {
  for (const info of infos) if (info.name === name) return true;
  return false;
}

/** Whether two dimensions of the first input have one name. */
function hasRepeatedName([input]: readonly InferenceTensorInfo[]): boolean {
  const dims = input?.dims ?? [];
  for (let place = 1; place < dims.length; place++) {
    if (typeof dims[place] === 'string' && dims.indexOf(dims[place] as string) < place) return true;
  }
  return false;
}

function refuse(why: string): Error {
  return recloomError('RECLOOM_RUN_MODEL_INPUT', { why });
}

function list(infos: readonly InferenceTensorInfo[]): string {
  return infos.map((info) => `"${info.name}"`).join(', ');
}
