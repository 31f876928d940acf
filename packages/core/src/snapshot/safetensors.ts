import { type ComponentState, recloomError, type Tensor, type TensorData } from '@recloom/plugin-api';

/** Element types by their name in the format, in the order in which the reference implementation lays tensors out. */
const elementTypes = {
  I64: { bytes: 8, view: BigInt64Array },
  F64: { bytes: 8, view: Float64Array },
  F32: { bytes: 4, view: Float32Array },
  I32: { bytes: 4, view: Int32Array },
  I16: { bytes: 2, view: Int16Array },
  I8: { bytes: 1, view: Int8Array },
  U8: { bytes: 1, view: Uint8Array },
} as const;
type ElementType = keyof typeof elementTypes;
const layoutOrder = Object.keys(elementTypes);

/** Largest header the reference implementation reads, in bytes. */
const maximumHeaderBytes = 100_000_000;
const metadataKey = '__metadata__';

/** The name of a tensor's element type in the format, e.g. `F32`. */
export function elementTypeOf(data: TensorData): string {
  for (const [name, { view }] of Object.entries(elementTypes)) if (data instanceof view) return name;
  throw recloomError('RECLOOM_LAW_SHAPE', { name: 'A component', expected: 'tensors of a known element type', found: 'another' });
}

/** The bytes of a tensor's data, in place where a file or hash may read them, else copied. */
export function bytesOf(data: TensorData): Uint8Array {
  const bytes = new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
  // Shared memory could change under an asynchronous write, and its hash would not be that of the file.
  return typeof SharedArrayBuffer !== 'undefined' && data.buffer instanceof SharedArrayBuffer ? new Uint8Array(bytes) : bytes;
}

/**
 * A safetensors file (https://github.com/huggingface/safetensors, format of version 0.4 and later) as pieces to be written
 * one after the other; the data are not copied. Tensors lie by element type, larger elements first, then name, without gaps:
 * each is aligned, and the bytes are those that the reference implementation writes.
 *
 * @throws RECLOOM_LAW_SHAPE when a tensor's shape does not fit its data or its name is reserved.
 */
export function encodeSafetensors(tensors: ComponentState, metadata?: Readonly<Record<string, string>>): readonly Uint8Array[] {
  const entries = Object.entries(tensors).map(([name, tensor]) => {
    const dtype = elementTypeOf(tensor.data) as ElementType;
    const valid = tensor.shape.every((size) => Number.isSafeInteger(size) && size >= 0);
    if (!valid || tensor.shape.reduce((product, size) => product * size, 1) !== tensor.data.length) {
      throw recloomError('RECLOOM_LAW_SHAPE', {
        name: `tensor ${name}`,
        expected: `a shape of ${tensor.data.length} elements`,
        found: `[${tensor.shape.join(', ')}]`,
      });
    }
    if (name === metadataKey) throw recloomError('RECLOOM_LAW_SHAPE', { name, expected: 'another name', found: 'a tensor of this name' });
    return { name, dtype, tensor };
  });
  entries.sort((left, right) => layoutOrder.indexOf(left.dtype) - layoutOrder.indexOf(right.dtype) || (left.name < right.name ? -1 : 1));
  const header: [string, unknown][] = metadata === undefined ? [] : [[metadataKey, metadata]];
  let offset = 0;
  for (const { name, dtype, tensor } of entries) {
    const end = offset + tensor.data.byteLength;
    header.push([name, { dtype, shape: tensor.shape, data_offsets: [offset, end] }]);
    offset = end;
  }
  const json = new TextEncoder().encode(JSON.stringify(Object.fromEntries(header)));
  const headerBytes = Math.ceil(json.length / 8) * 8;
  const head = new Uint8Array(8 + headerBytes).fill(0x20);
  new DataView(head.buffer).setBigUint64(0, BigInt(headerBytes), true);
  head.set(json, 8);
  return [head, ...entries.filter(({ tensor }) => tensor.data.byteLength > 0).map(({ tensor }) => bytesOf(tensor.data))];
}

/** What a safetensors file holds. */
export interface DecodedSafetensors {
  /** Views of the bytes given where they are aligned, else copies. */
  readonly tensors: ComponentState;
  readonly metadata: Readonly<Record<string, string>>;
}

/**
 * Reads a safetensors file and checks all of its structure: header size, element types, shapes, offsets without gaps or overlaps.
 *
 * @throws RECLOOM_DAT_SNAPSHOT_CORRUPT naming `file`.
 */
export function decodeSafetensors(bytes: Uint8Array, file = 'safetensors'): DecodedSafetensors {
  const corrupt = (why: string): Error => recloomError('RECLOOM_DAT_SNAPSHOT_CORRUPT', { file, why });
  if (bytes.length < 8) throw corrupt('it is shorter than its header');
  const headerLength = new DataView(bytes.buffer, bytes.byteOffset, 8).getBigUint64(0, true);
  if (headerLength > BigInt(maximumHeaderBytes)) throw corrupt('the size of the header is impossible');
  const headerBytes = Number(headerLength);
  if (8 + headerBytes > bytes.length) throw corrupt('it is shorter than its header');
  const header = parseHeader(bytes.subarray(8, 8 + headerBytes), corrupt);
  const data = bytes.subarray(8 + headerBytes);

  const metadata = Object.hasOwn(header, metadataKey) ? header[metadataKey] : {};
  if (!isRecord(metadata) || !Object.values(metadata).every((value) => typeof value === 'string'))
    throw corrupt('its metadata are no texts');
  const entries = Object.entries(header)
    .filter(([name]) => name !== metadataKey)
    .map(([name, entry]) => ({ name, ...checkEntry(name, entry, corrupt) }));
  entries.sort((left, right) => left.begin - right.begin || left.end - right.end);
  let offset = 0;
  for (const { name, begin, end } of entries) {
    if (begin !== offset) throw corrupt(`tensor ${name} ${begin < offset ? 'overlaps another' : 'leaves a gap'}`);
    offset = end;
  }
  if (offset !== data.length) throw corrupt(`it has ${data.length} bytes of data where its header names ${offset}`);
  const tensors = entries.map(({ name, dtype, shape, begin, end }): [string, Tensor] => [
    name,
    { shape, data: viewOf(dtype, data.subarray(begin, end)) },
  ]);
  return { tensors: Object.fromEntries(tensors), metadata: metadata as Record<string, string> };
}

function parseHeader(bytes: Uint8Array, corrupt: (why: string) => Error): Record<string, unknown> {
  let header: unknown;
  try {
    header = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
  } catch {
    throw corrupt('its header is no JSON');
  }
  if (!isRecord(header)) throw corrupt('its header is no JSON object');
  return header;
}

function checkEntry(
  name: string,
  entry: unknown,
  corrupt: (why: string) => Error,
): { dtype: ElementType; shape: readonly number[]; begin: number; end: number } {
  if (!isRecord(entry)) throw corrupt(`the entry of tensor ${name} is no object`);
  const { dtype, shape, data_offsets: offsets } = entry;
  if (typeof dtype !== 'string' || !Object.hasOwn(elementTypes, dtype)) throw corrupt(`tensor ${name} has an unsupported element type`);
  const { bytes } = elementTypes[dtype as ElementType];
  if (!isSizes(shape)) throw corrupt(`the shape of tensor ${name} is impossible`);
  if (!isSizes(offsets) || offsets.length !== 2) throw corrupt(`the offsets of tensor ${name} are impossible`);
  const [begin, end] = offsets as readonly [number, number];
  if (end - begin !== shape.reduce((product, size) => product * size, bytes))
    throw corrupt(`the shape of tensor ${name} does not fit its bytes`);
  if (begin % bytes !== 0) throw corrupt(`tensor ${name} is not aligned`);
  return { dtype: dtype as ElementType, shape, begin, end };
}

function isSizes(value: unknown): value is readonly number[] {
  return Array.isArray(value) && value.every((size) => Number.isSafeInteger(size) && size >= 0);
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function viewOf(dtype: ElementType, bytes: Uint8Array): TensorData {
  const { bytes: elementBytes, view } = elementTypes[dtype];
  const aligned = bytes.byteOffset % elementBytes === 0 ? bytes : bytes.slice();
  return new view(aligned.buffer as ArrayBuffer, aligned.byteOffset, aligned.length / elementBytes);
}
