import type { CandidateBatch, Column, ExtractBatch, FeatureBlock, FeatureScope, RequestView } from '@recloom/plugin-api';
import type { AnyInstance } from '../host/host.js';
import { allLabels, requestBatch, resultList } from '../host/requests.js';
import { itemFeatures, queryColumns, queryFeatures, sampleQueries } from './queries.js';
import { type Subject, sampleCandidates, sampleList, sampleRequests } from './subject.js';

/** One call of a contract with fixed inputs. */
export interface Probe {
  readonly name: string;
  /** Everything handed over; must be the same afterwards. */
  readonly inputs: unknown;
  /** True when the call is handed a signal. */
  readonly abortable: boolean;
  run(instance: AnyInstance, signal: AbortSignal): Promise<unknown>;
}

/** Calls of every contract and facet the component provides. */
export function probesOf(subject: Subject): readonly Probe[] {
  return subject.definition.provides.flatMap((contract): Probe[] => {
    switch (contract) {
      case 'data':
        return dataProbes();
      case 'extractor':
        return extractorProbes(subject);
      case 'source':
        return sourceProbes(subject);
      case 'filter':
        return filterProbes(subject);
      case 'scorer':
        return scorerProbes(subject);
      case 'ranker':
        return rankerProbes(subject);
      case 'privacy':
        return privacyProbes(subject);
      case 'effect':
        return effectProbes(subject);
    }
  });
}

function dataProbes(): Probe[] {
  return [
    {
      name: 'read',
      inputs: undefined,
      abortable: true,
      async run(instance, signal) {
        const batches: unknown[] = [];
        for await (const batch of instance.read({ signal, progress: () => undefined })) {
          batches.push({ rowCount: batch.rowCount, columns: batch.columns });
        }
        return { batches, report: instance.report() };
      },
    },
    { name: 'fingerprint', inputs: undefined, abortable: true, run: async (instance, signal) => instance.fingerprint(signal) },
  ];
}

/** A batch for an extractor at one scope over the given item rows, or as many searches. */
export function extractBatch(subject: Subject, scope: FeatureScope, rows: readonly number[], signal: AbortSignal): ExtractBatch {
  if (scope === 'query') return queryBatch(subject, sampleQueries(subject, rows), signal);
  const columns: Record<string, readonly Column[]> = {};
  for (const [name, given] of Object.entries(subject.inputs)) {
    const fields = (Array.isArray(given) ? (given as readonly unknown[]) : [given]).filter((one) => typeof one === 'string');
    const picked = fields.flatMap((one) => {
      const [side, field = ''] = one.split('.');
      const column = (side === 'user' ? subject.shop.users : subject.shop.items).column(field);
      return column === undefined ? [] : [pickRows(column, rows)];
    });
    if (picked.length > 0) columns[name] = picked;
  }
  return {
    scope,
    count: rows.length,
    columns,
    ...(scope === 'item' ? { features: itemFeatures(subject, rows) } : {}),
    rows: scope === 'item' ? Int32Array.from(rows) : new Int32Array(0),
    candidates: scope === 'candidate' ? sampleCandidatesOf(subject, rows.length) : undefined,
    signal,
  };
}

/** A batch at query scope over the given searches. */
export function queryBatch(subject: Subject, requests: readonly RequestView[], signal: AbortSignal): ExtractBatch {
  const placed = requests.map((request, index) => ({ ...request, index }));
  return {
    scope: 'query',
    count: placed.length,
    columns: queryColumns(subject, placed),
    features: queryFeatures(subject, placed),
    requests: placed,
    rows: new Int32Array(0),
    candidates: undefined,
    signal,
  };
}

function sampleCandidatesOf(subject: Subject, count: number): CandidateBatch {
  const batch = sampleCandidates(subject, [sampleRequests(subject)[0] as RequestView]);
  const offsets = Int32Array.from([0, count]);
  return { ...batch, count, offsets, rows: batch.rows.slice(0, count) };
}

/** The listed rows of a column, in list order. */
export function pickRows(column: Column, rows: readonly number[]): Column {
  switch (column.type) {
    case 'number':
      return { type: 'number', values: Float64Array.from(rows, (row) => column.values[row] ?? Number.NaN) };
    case 'boolean':
      return { type: 'boolean', values: Uint8Array.from(rows, (row) => column.values[row] ?? 255) };
    case 'category':
      return { ...column, codes: Int32Array.from(rows, (row) => column.codes[row] ?? -1) };
    case 'list': {
      const lists = rows.map((row) => [...column.codes.subarray(column.offsets[row] ?? 0, column.offsets[row + 1] ?? 0)]);
      const offsets = new Int32Array(rows.length + 1);
      lists.forEach((list, index) => {
        offsets[index + 1] = (offsets[index] ?? 0) + list.length;
      });
      return { ...column, offsets, codes: Int32Array.from(lists.flat()) };
    }
    default:
      return { type: column.type, values: rows.map((row) => column.values[row] ?? null) };
  }
}

/** A zeroed block for `count` rows. */
export function emptyBlock(count: number, width: number): FeatureBlock {
  return { values: new Float32Array(count * width), presence: new Uint8Array(count) };
}

function extractorProbes(subject: Subject): Probe[] {
  const scopes = subject.definition.capabilities.scopes ?? ['item'];
  return scopes.map((scope) => {
    const rows = Array.from({ length: Math.min(scope === 'item' ? 16 : 5, subject.shop.items.rowCount) }, (_, row) => row);
    const batch = extractBatch(subject, scope, rows, new AbortController().signal);
    return {
      name: `extract at ${scope} scope`,
      inputs: batch,
      abortable: true,
      async run(instance, signal) {
        const out = emptyBlock(rows.length, instance.width);
        await instance.extract({ ...batch, signal }, out);
        return out;
      },
    };
  });
}

function sourceProbes(subject: Subject): Probe[] {
  const requests = sampleRequests(subject);
  const probe = (name: string, some: readonly RequestView[], limit: number): Probe => ({
    name,
    inputs: some,
    abortable: true,
    run: async (instance, signal) => instance.propose(requestBatch(some, { signal }), limit),
  });
  const probes = [
    probe('propose for five requests', requests, 10),
    ...requests.map((request, index) => probe(`propose for request ${index}`, [request], 6)),
  ];
  return [...probes, ...explainProbes(subject)];
}

function explainProbes(subject: Subject): Probe[] {
  const requests = sampleRequests(subject);
  const rows = Int32Array.from([0, 3, 7].filter((row) => row < subject.shop.items.rowCount));
  return requests.slice(0, 2).map((request, index) => ({
    name: `reasons for request ${index}`,
    inputs: { request, rows },
    abortable: false,
    run: async (instance) =>
      typeof instance.reasons === 'function'
        ? (instance.reasons as (request: RequestView, rows: Int32Array) => unknown)(request, rows)
        : null,
  }));
}

function filterProbes(subject: Subject): Probe[] {
  const batch = sampleCandidates(subject, sampleRequests(subject));
  return [
    {
      name: 'filter',
      inputs: batch,
      abortable: true,
      async run(instance, signal) {
        const removed = new Uint8Array(batch.count);
        await instance.filter(batch, removed, signal);
        return { removalReasons: instance.removalReasons, removed };
      },
    },
    {
      name: 'filterItems',
      inputs: undefined,
      abortable: false,
      async run(instance) {
        if (instance.filterItems === undefined) return null;
        const removed = new Uint8Array(subject.shop.items.rowCount);
        instance.filterItems(removed);
        return removed;
      },
    },
  ];
}

/** An output column as the pipeline hands it to a scorer: NaN throughout. */
export function emptyScores(count: number): Float32Array {
  return new Float32Array(count).fill(Number.NaN);
}

/** The further columns a scorer asks for, as the pipeline hands them over. */
export function furtherScores(instance: AnyInstance, count: number): Float32Array[] {
  return (instance.furtherColumns ?? []).map(() => emptyScores(count));
}

function scorerProbes(subject: Subject): Probe[] {
  const requests = sampleRequests(subject);
  const probe = (name: string, some: readonly RequestView[]): Probe => {
    const batch = sampleCandidates(subject, some);
    return {
      name,
      inputs: batch,
      abortable: true,
      async run(instance, signal) {
        const out = emptyScores(batch.count);
        const further = furtherScores(instance, batch.count);
        await instance.score(batch, out, signal, further);
        return { out, further };
      },
    };
  };
  const probes = [probe('score five requests', requests), ...requests.map((request, index) => probe(`score request ${index}`, [request]))];
  return subject.definition.provides.includes('source') ? probes : [...probes, ...explainProbes(subject)];
}

function rankerProbes(subject: Subject): Probe[] {
  return sampleRequests(subject).map((request, index) => {
    const list = sampleList(subject, request);
    return {
      name: `rank for request ${index}`,
      inputs: list,
      abortable: true,
      run: async (instance, signal) => instance.rank(list, signal),
    };
  });
}

function privacyProbes(subject: Subject): Probe[] {
  const purposes = [undefined, [], ['personalisation'], ['another purpose']];
  const list = resultList([3, 1, 2], [3, 2, 1], subject.shop.request(0, { grants: allLabels }));
  return [
    ...purposes.map(
      (some, index): Probe => ({
        name: `gate ${index}`,
        inputs: some,
        abortable: true,
        async run(instance, signal) {
          if (instance.gate !== undefined)
            return instance.gate({ surface: 'home', userId: subject.shop.users.idOf(0), purposes: some, signal });
          signal.throwIfAborted();
          return null;
        },
      }),
    ),
    {
      name: 'filterResult',
      inputs: list,
      abortable: false,
      async run(instance) {
        if (instance.filterResult === undefined) return null;
        const removed = new Uint8Array(list.count);
        await instance.filterResult(list, removed);
        return removed;
      },
    },
  ];
}

function effectProbes(subject: Subject): Probe[] {
  const event = {
    attributionId: 'attribution-1',
    surface: 'home',
    snapshotId: 'snapshot-1',
    asOfMs: subject.shop.asOfMs,
    items: [subject.shop.items.idOf(0), subject.shop.items.idOf(1)],
    totalMs: 3,
    warningCodes: [],
  };
  return [
    {
      name: 'onAnswer',
      inputs: event,
      abortable: false,
      async run(instance) {
        await instance.onAnswer(event);
        return null;
      },
    },
  ];
}
