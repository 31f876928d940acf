export type TensorData = Float32Array | Float64Array | Int8Array | Uint8Array | Int16Array | Int32Array | BigInt64Array;

/** One dense tensor of a component's state, row-major. Strings and JSON are uint8 (see `jsonTensor`). */
export interface Tensor {
  readonly shape: readonly number[];
  readonly data: TensorData;
}

/** What a component's `fit` leaves behind and its `create` starts from: named tensors, stored in the snapshot. */
export type ComponentState = Readonly<Record<string, Tensor>>;

/** A tensor over `data`; one dimension unless a shape is given. The data are not copied. */
export function tensor(data: TensorData, shape: readonly number[] = [data.length]): Tensor {
  return { shape, data };
}

/** JSON as UTF-8 bytes. Key order is kept, so equal input gives equal bytes. */
export function jsonTensor(value: unknown): Tensor {
  return tensor(new TextEncoder().encode(JSON.stringify(value)));
}

/** The value a `jsonTensor` holds. */
export function readJsonTensor(source: Tensor | undefined): unknown {
  if (source === undefined || !(source.data instanceof Uint8Array)) return undefined;
  return JSON.parse(new TextDecoder().decode(source.data));
}
