import { type FeatureExtractor, recloomError } from '@recloom/plugin-api';
import { stampError } from './assemble.js';
import { isThenable } from './deadline.js';
import type { Engine } from './engine.js';
import { gatherColumn, gatherFeature, itemInputs, serveBatchRows, settleRows } from './extraction.js';
import type { LiveFeature } from './live-feature.js';
import type { PlannedNode } from './plan.js';
import type { EventInput, ItemInput } from './types.js';

/** Applies an event to an engine's overlay; false when its item is unknown. */
export function applyEvent(engine: Engine, event: EventInput, timeMs: number): boolean {
  const row = engine.items.rowOf(event.item);
  if (row < 0) return false;
  engine.history.record(event.user, row, event.type, timeMs, event.weight);
  if (timeMs > engine.newestEventMs) engine.newestEventMs = timeMs;
  return true;
}

/** What an `upsertItems` changed. */
interface ChangedItems {
  readonly added: ReadonlySet<number>;
  /** By item field: rows whose value was given. */
  readonly given: ReadonlyMap<string, ReadonlySet<number>>;
}

/**
 * Applies items to an engine's overlay and works out their item features, those that others are made of first. One call after
 * the other: two for the same item leave the features of the later one.
 *
 * @throws RECLOOM_RUN_REQUEST before anything changed; the error of an extractor, with the fields already written
 */
export function applyItems(engine: Engine, items: readonly ItemInput[]): Promise<void> {
  return engine.inTurn(async () => {
    if (items.length === 0) return;
    // All are checked before the first is written: a refused call has changed nothing.
    for await (const { id, ...fields } of inStretches(items)) engine.items.check(id, fields);
    const added = new Set<number>();
    const given = new Map<string, Set<number>>();
    for await (const { id, ...fields } of inStretches(items)) {
      const before = engine.items.rowCount;
      const row = engine.items.upsert(id, fields);
      if (row >= before) added.add(row);
      for (const [field, value] of Object.entries(fields)) {
        if (value === undefined) continue;
        const rows = given.get(field);
        if (rows === undefined) given.set(field, new Set([row]));
        else rows.add(row);
      }
    }
    await extractChanged(engine, { added, given });
  });
}

/** The items, letting requests in after every few. */
async function* inStretches(items: readonly ItemInput[]): AsyncGenerator<ItemInput, void, undefined> {
  for (let start = 0; start < items.length; start += serveBatchRows) {
    if (start > 0) await new Promise<void>((resolve) => setImmediate(resolve));
    yield* items.slice(start, start + serveBatchRows);
  }
}

/** Runs the item-scope extractors over the items whose inputs changed, in dependency order. */
async function extractChanged(engine: Engine, changed: ChangedItems): Promise<void> {
  /** By feature: the rows that were worked out anew. */
  const renewed = new Map<string, ReadonlySet<number>>();
  for (const planned of engine.plan.nodes) {
    const matrix = engine.features.get(planned.name);
    const { fit, capabilities } = planned.definition;
    // A fitted extractor knows the items of its build only, unless it says that it can do others.
    if (matrix === undefined || (fit !== undefined && capabilities.coldItem !== true)) continue;
    const rows = new Set(changed.added);
    for (const { entries } of planned.inputs.values()) {
      for (const entry of entries) {
        const touched = entry.kind === 'feature' ? renewed.get(entry.node.name) : changed.given.get(entry.field);
        if (entry.kind !== 'user-field') for (const row of touched ?? []) rows.add(row);
      }
    }
    if (rows.size === 0) continue;
    await extractRows(engine, planned, matrix, Int32Array.from(rows).sort());
    renewed.set(planned.name, rows);
  }
}

async function extractRows(engine: Engine, planned: PlannedNode, matrix: LiveFeature, rows: Int32Array): Promise<void> {
  const extractor = engine.assembly.nodes.get(planned.name)?.instance as FeatureExtractor;
  const signal = new AbortController().signal;
  const { width } = matrix;
  await matrix.reserve((rows.at(-1) ?? -1) + 1);
  let bad = 0;
  for (let start = 0; start < rows.length; start += serveBatchRows) {
    // Requests come in between: a large change must not stall them.
    if (start > 0) await new Promise<void>((resolve) => setImmediate(resolve));
    const some = rows.subarray(start, start + serveBatchRows);
    const inputs = itemInputs(
      planned,
      (field) => {
        const column = engine.items.column(field);
        return column === undefined ? undefined : gatherColumn(column, some);
      },
      (name) => {
        const input = engine.features.get(name);
        return input === undefined ? undefined : gatherFeature(input, some);
      },
    );
    const out = { values: new Float32Array(some.length * width), presence: new Uint8Array(some.length) };
    try {
      const pending = extractor.extract({ scope: 'item', count: some.length, ...inputs, rows: some, candidates: undefined, signal }, out);
      if (isThenable(pending)) await pending;
    } catch (error) {
      throw stampError(error, planned, engine.plan, 'extract()');
    }
    bad += settleRows(out.values, out.presence, width);
    matrix.update(some, out.values, out.presence);
  }
  if (bad === 0) return;
  const { message } = recloomError('RECLOOM_LAW_NON_FINITE', { name: planned.name, count: bad });
  engine.services.logger.warn(message, { node: planned.name, count: bad });
}
