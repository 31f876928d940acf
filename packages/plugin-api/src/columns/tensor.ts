import { recloomError } from '../errors/recloom-error.js';

/** The element types a state can hold. */
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

/**
 * The data of the state's tensor `name`, not copied: they are the snapshot's, so read them and never write.
 * `type` is the array that `fit` wrote, e.g. `readTensor(state, 'rates', Float32Array)`; the shape is `state[name].shape`.
 *
 * @throws RECLOOM_DAT_STATE_TENSOR when there is no such tensor, or one of another element type: the state comes from
 *   another version of the plugin whose `fit` wrote something else.
 */
export function readTensor<Data extends TensorData>(
  state: ComponentState,
  name: string,
  type: { readonly name: string; new (length: number): Data },
): Data {
  const data = Object.hasOwn(state, name) ? state[name]?.data : undefined;
  // By tag and not by instanceof: a host that runs its tests in a vm context has typed arrays of two realms.
  const found = data?.[Symbol.toStringTag];
  if (found !== type.name) throw recloomError('RECLOOM_DAT_STATE_TENSOR', { tensor: name, expected: type.name, found });
  return data as Data;
}
