import type { BatchingOptions, InferenceTensor, ModelRequest } from '@recloom/plugin-api';
import type { Call, CallSharing } from './call.js';
import type { OpenedModel } from './protocol.js';
import type { TensorMemory } from './tensor-memory.js';

/** The budgets of one session's shared runs. */
export interface SharingLimits {
  readonly rows: number;
  readonly tokens: number;
  readonly waitMs: number;
}

/** The rows of the warm-up run of a model whose calls may share runs: outputs that follow the rows then show. */
export const probeRows = 2;

/** What a request says of sharing, with the defaults. @throws RangeError for budgets that are no positive whole numbers. */
export function sharingLimitsOf(batching: ModelRequest['batching']): SharingLimits | undefined {
  if (batching === undefined || batching === false) return undefined;
  const { rows = 256, tokens = Number.POSITIVE_INFINITY, waitMs = 1 }: BatchingOptions = batching === true ? {} : batching;
  for (const [name, value] of Object.entries({ rows, tokens })) {
    const whole = Number.isSafeInteger(value) || value === Number.POSITIVE_INFINITY;
    if (!whole || value < 1) throw new RangeError(`batching.${name} must be a positive whole number`);
  }
  if (!Number.isFinite(waitMs) || waitMs < 0) throw new RangeError('batching.waitMs must be a number of milliseconds');
  return { rows, tokens, waitMs };
}

/**
 * Whether calls of a graph can be put together by rows, as far as the graph says: every first dimension is dynamic and
 * of one name, no other dimension follows it, and rows do not influence each other.
 */
export function isShareable(opened: OpenedModel): boolean {
  if (opened.batchDependent || opened.inputs.length === 0) return false;
  const { warmedUp } = opened;
  // A graph need not declare the shape of an output; the warm-up run has shown it.
  const tensors = [...opened.inputs, ...opened.outputs.filter((info) => info.dims.length > 0 || warmedUp?.[info.name] === undefined)];
  const dynamic = (size: number | string | undefined): boolean => typeof size === 'string' || (typeof size === 'number' && size < 0);
  if (!tensors.every((info) => dynamic(info.dims[0]))) return false;
  const names = new Set(tensors.flatMap((info) => (typeof info.dims[0] === 'string' ? [info.dims[0]] : [])));
  const inputNames = new Set(opened.inputs.flatMap((info) => (typeof info.dims[0] === 'string' ? [info.dims[0]] : [])));
  if (inputNames.size > 1) return false;
  if (tensors.some((info) => info.dims.slice(1).some((size) => typeof size === 'string' && names.has(size)))) return false;
  return warmedUp === undefined || Object.values(warmedUp).every((dims) => dims[0] === probeRows);
}

/** How a call may share: undefined when its tensors do not have one number of rows, have none, or are over the budget. */
export function sharingOf(feeds: Readonly<Record<string, InferenceTensor>>, limits: SharingLimits): CallSharing | undefined {
  let rows: number | undefined;
  let length = 1;
  for (const name in feeds) {
    const { dims } = feeds[name] as InferenceTensor;
    const first = dims[0];
    if (first === undefined || first === 0 || (rows !== undefined && first !== rows)) return undefined;
    rows = first;
    length = Math.max(length, dims[1] ?? 1);
  }
  if (rows === undefined) return undefined;
  // Tokens count where a budget for them is set; a wide row of numbers is no text.
  const tokens = limits.tokens === Number.POSITIVE_INFINITY ? 0 : rows * length;
  return rows > limits.rows || tokens > limits.tokens ? undefined : { key: undefined, rows, tokens, limits };
}

/** Equal for calls that may share a run: model, outputs, types and all but the first dimension. Undefined for a call that shares none. */
export function sharingKeyOf({ sharing, model, outputs, feeds }: Call): string | undefined {
  if (sharing === undefined || sharing.key !== undefined) return sharing?.key;
  let key = `${model.request.key}|${outputs.join('\n')}`;
  for (const name in feeds) {
    const { type, dims } = feeds[name] as InferenceTensor;
    key += `|${name}:${type}`;
    for (let place = 1; place < dims.length; place++) key += `,${dims[place]}`;
  }
  sharing.key = key;
  return key;
}

/** The tensors of calls one below the other, in memory of their own. A single call's own are given as they are. */
export function joinFeeds(calls: readonly Call[], memory: TensorMemory): Readonly<Record<string, InferenceTensor>> {
  const [first] = calls;
  if (first === undefined) return {};
  if (calls.length === 1) return first.feeds;
  const joined: Record<string, InferenceTensor> = {};
  for (const [name, { type, dims }] of Object.entries(first.feeds)) {
    const parts = calls.map((call) => call.feeds[name] as InferenceTensor);
    const data = memory.values(
      type,
      parts.reduce((sum, part) => sum + part.data.length, 0),
    );
    let place = 0;
    for (const part of parts) {
      data.set(part.data as never, place);
      place += part.data.length;
    }
    joined[name] = { type, dims: [parts.reduce((sum, part) => sum + (part.dims[0] ?? 0), 0), ...dims.slice(1)], data };
  }
  return joined;
}

/** Each call's rows of a shared run's outputs, in memory of their own; undefined when an output does not follow the rows. */
export function splitOutputs(
  outputs: Readonly<Record<string, InferenceTensor>>,
  calls: readonly Call[],
): readonly Record<string, InferenceTensor>[] | undefined {
  const total = calls.reduce((sum, call) => sum + (call.sharing?.rows ?? 0), 0);
  const named = Object.entries(outputs);
  if (named.some(([, { dims }]) => dims[0] !== total)) return undefined;
  let start = 0;
  return calls.map((call) => {
    const rows = call.sharing?.rows ?? 0;
    const own: Record<string, InferenceTensor> = Object.create(null) as Record<string, InferenceTensor>;
    for (const [name, { type, dims, data }] of named) {
      const width = data.length / total;
      own[name] = { type, dims: [rows, ...dims.slice(1)], data: data.slice(start * width, (start + rows) * width) };
    }
    start += rows;
    return own;
  });
}
