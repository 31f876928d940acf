import { recloomError } from '@recloom/plugin-api';
import { suggest } from '../config/suggest.js';
import type { EventInput, RecommendRequest } from './types.js';

type Check = (value: unknown) => string | undefined;

const isText = (value: unknown): value is string => typeof value === 'string';
const text: Check = (value) => (isText(value) ? undefined : 'must be a text');
const texts: Check = (value) => (Array.isArray(value) && value.every(isText) ? undefined : 'must be a list of texts');

function numberFrom(minimum: number, maximum: number): Check {
  const range = Number.isFinite(maximum) ? ` from ${minimum} to ${maximum}` : Number.isFinite(minimum) ? ` of at least ${minimum}` : '';
  return (value) => (typeof value === 'number' && value >= minimum && value <= maximum ? undefined : `must be a number${range}`);
}

function checkImage(value: unknown): string | undefined {
  if (value instanceof Uint8Array) return value.length > 0 ? undefined : 'has no bytes';
  if (!isText(value)) return 'must be bytes, a path or a URI';
  return value.trim() === '' ? 'is empty' : undefined;
}

function checkWeights(value: unknown): string | undefined {
  const what = 'must be { text, image }, two numbers that are not negative';
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return what;
  const { text: words, image, ...others } = value as Record<string, unknown>;
  const valid = (weight: unknown): weight is number => typeof weight === 'number' && Number.isFinite(weight) && weight >= 0;
  if (!valid(words) || !valid(image) || Object.keys(others).length > 0) return what;
  return words + image > 0 ? undefined : 'must not both be zero';
}

/** What each key of a request must be. `limit` is checked against its surface, times and expressions where they are read. */
const checks: Readonly<Record<keyof RecommendRequest, Check | undefined>> = {
  surface: text,
  user: text,
  session: (value) => (Array.isArray(value) ? undefined : 'must be a list of events'),
  item: text,
  items: texts,
  text,
  image: checkImage,
  queryWeights: checkWeights,
  purposes: texts,
  limit: undefined,
  filter: text,
  boost: text,
  exclude: texts,
  diversity: numberFrom(0, 1),
  minRelevance: numberFrom(Number.NEGATIVE_INFINITY, Number.POSITIVE_INFINITY),
  context: (value) => (typeof value === 'object' && value !== null && !Array.isArray(value) ? undefined : 'must be an object of values'),
  seed: (value) => (Number.isSafeInteger(value) ? undefined : 'must be a whole number'),
  deadlineMs: numberFrom(0, Number.POSITIVE_INFINITY),
  signal: (value) =>
    typeof (value as AbortSignal | null)?.addEventListener === 'function' ? undefined : 'must be the signal of an AbortController',
  explain: (value) => (typeof value === 'boolean' ? undefined : 'must be true or false'),
  attributes: texts,
  asOf: undefined,
};

/**
 * Refuses what a caller without types may send: keys that do not exist, and values of another kind. An id sent as a number is
 * refused rather than taken for an unknown one.
 *
 * @throws RECLOOM_RUN_REQUEST
 */
export function checkRequest(request: RecommendRequest): void {
  if (typeof request !== 'object' || request === null) throw recloomError('RECLOOM_RUN_REQUEST', { why: 'it is not an object' });
  for (const key in request) {
    const value = request[key as keyof RecommendRequest];
    if (!Object.hasOwn(checks, key)) {
      const near = suggest(key, Object.keys(checks));
      throw recloomError('RECLOOM_RUN_REQUEST', {
        why:
          near === undefined
            ? `it has a key that does not exist (allowed: ${Object.keys(checks).join(', ')})`
            : `there is no key "${key}"; did you mean "${near}"?`,
      });
    }
    if (value === undefined) continue;
    const fault = checks[key as keyof RecommendRequest]?.(value);
    if (fault !== undefined) throw recloomError('RECLOOM_RUN_REQUEST', { why: `"${key}" ${fault}` });
  }
}

/** 1990-01-01T00:00:00Z, the earliest time that a build takes for real too. */
const earliestTimeMs = 631_152_000_000;
const dayMs = 86_400_000;

/**
 * Refuses an event that a host should not record. A time in another unit would become the newest of all and make everything
 * else look old.
 *
 * @throws RECLOOM_RUN_REQUEST
 */
export function checkEvent(event: EventInput, timeMs: number, nowMs: number): void {
  const refuse = (why: string): never => {
    throw recloomError('RECLOOM_RUN_REQUEST', { why });
  };
  if (timeMs < earliestTimeMs || timeMs > nowMs + dayMs)
    refuse('the time of an event must lie between 1990 and one day from now; it is in milliseconds');
  if (event.type !== undefined && (typeof event.type !== 'string' || event.type === ''))
    refuse('the type of an event must be a text that is not empty');
  if (event.weight !== undefined && (typeof event.weight !== 'number' || !Number.isFinite(Math.fround(event.weight))))
    refuse('the weight of an event must be a finite number');
}
