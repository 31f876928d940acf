import {
  type Clock,
  type Compute,
  type Consent,
  createRandomStream,
  type KeyValueStore,
  type Logger,
  type Metrics,
  type RandomSource,
  type Tracer,
} from '@recloom/plugin-api';

/** One line a component logged. */
export interface LogRecord {
  readonly level: 'debug' | 'info' | 'warn' | 'error';
  readonly message: string;
  readonly fields: Readonly<Record<string, unknown>>;
}

/** A logger that prints nothing and keeps every line in `records`. */
export function recordingLogger(): Logger & { readonly records: readonly LogRecord[] } {
  const records: LogRecord[] = [];
  const at =
    (level: LogRecord['level']) =>
    (message: string, fields: Readonly<Record<string, unknown>> = {}) => {
      records.push({ level, message, fields });
    };
  return { records, debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error') };
}

/** One measurement a component reported. */
export interface MetricRecord {
  readonly kind: 'count' | 'observe';
  readonly name: string;
  readonly value: number;
  readonly labels: Readonly<Record<string, string>>;
}

/** Metrics that keep every measurement in `records`. */
export function recordingMetrics(): Metrics & { readonly records: readonly MetricRecord[] } {
  const records: MetricRecord[] = [];
  return {
    records,
    count: (name, value = 1, labels = {}) => void records.push({ kind: 'count', name, value, labels }),
    observe: (name, value, labels = {}) => void records.push({ kind: 'observe', name, value, labels }),
  };
}

/** A clock that stands still until `advance` is called. */
export function fixedClock(nowMs: number | (() => number)): Clock & { advance(milliseconds: number): void } {
  let passedMs = 0;
  return {
    now: () => (typeof nowMs === 'number' ? nowMs : nowMs()) + passedMs,
    monotonic: () => passedMs,
    advance: (milliseconds) => {
      passedMs += milliseconds;
    },
  };
}

/** A random source that gives the same values and ids for the same seed. */
export function seededRandom(seed: number): RandomSource {
  const stream = createRandomStream(seed);
  let issued = 0;
  return {
    next: () => stream.next(),
    id: () => `test-id-${seed}-${issued++}`,
  };
}

/** A tracer that does nothing. */
export function silentTracer(): Tracer {
  const span = { setAttribute: () => undefined, recordError: () => undefined, end: () => undefined };
  return { startSpan: () => span };
}

/** A key-value store in memory; values are copied in and out. `entries` shows what is stored. */
export function memoryKeyValueStore(): KeyValueStore & { readonly entries: ReadonlyMap<string, Uint8Array> } {
  const entries = new Map<string, Uint8Array>();
  return {
    entries,
    get: (key) => Promise.resolve(entries.get(key)?.slice()),
    set: (key, value) => {
      entries.set(key, value.slice());
      return Promise.resolve();
    },
  };
}

/** Consent by user id; a user who is not named, and a guest, has agreed to nothing. */
export function consentFrom(purposesByUser: Readonly<Record<string, readonly string[]>>): Consent {
  const purposes = new Map(Object.entries(purposesByUser));
  return { purposes: (userId) => (userId === undefined ? [] : (purposes.get(userId) ?? [])) };
}

/**
 * A pool of one thread that runs nothing itself: the functions of `@recloom/kernels` then compute on the calling thread.
 * Hand in a real pool with `provide` to test the parallel path.
 */
export function singleThreadCompute(): Compute {
  return { threads: 1, run: (kernel) => Promise.reject(new Error(`The test compute runs no kernel (${kernel}); provide a real pool.`)) };
}
