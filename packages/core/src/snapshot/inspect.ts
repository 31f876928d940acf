import { type Column, columnLength, columnValue, type HistoryStore } from '@recloom/plugin-api';
import { columnEquals } from '../data/columns.js';
import type { ColumnarTable } from '../data/dataset.js';
import type { OpenedSnapshot, SnapshotComponent, TensorEntry } from './types.js';

/** One tensor, for people. */
export interface TensorInspection {
  readonly name: string;
  /** Element type, e.g. `F32`. */
  readonly dtype: string;
  readonly shape: readonly number[];
  readonly bytes: number;
}

/** What is in a snapshot, as plain JSON without any item's or user's data. */
export interface SnapshotInspection {
  readonly id: string;
  readonly directory: string;
  readonly formatVersion: number;
  readonly pipeline: string;
  readonly configHash: string;
  readonly dataHash: string;
  /** ISO 8601 in UTC; null without events. */
  readonly firstEvent: string | null;
  readonly lastEvent: string | null;
  readonly counts: { readonly items: number; readonly users: number; readonly events: number };
  /** Size of all tensor files. */
  readonly bytes: number;
  readonly itemFields: readonly FieldInspection[];
  readonly userFields: readonly FieldInspection[];
  readonly eventTypes: readonly { readonly name: string; readonly count: number }[];
  /** Baskets or orders; null when the data name none. */
  readonly baskets: number | null;
  readonly components: readonly ComponentInspection[];
  readonly files: readonly { readonly name: string; readonly bytes: number; readonly sha256: string }[];
}

/** One field of a table. */
export interface FieldInspection {
  readonly name: string;
  readonly type: string;
  /** Rows that have a value. */
  readonly filled: number;
}

/** One component's share. */
export interface ComponentInspection {
  readonly name: string;
  readonly reference: string;
  readonly optionsHash: string;
  readonly stateVersion: number;
  readonly bytes: number;
  /** Its item feature: width, and how many items have it; null without one. */
  readonly feature: { readonly width: number; readonly items: number } | null;
  readonly tensors: readonly TensorInspection[];
}

/** Rows added and removed between two tables. */
export interface RowDifference {
  readonly before: number;
  readonly after: number;
  readonly added: number;
  readonly removed: number;
}

/** What changed about one component. */
export interface ComponentDifference {
  readonly name: string;
  readonly change: 'added' | 'removed' | 'changed' | 'same';
  /** What of it changed; empty unless `changed`. */
  readonly what: readonly ('component' | 'options' | 'stateVersion' | 'state' | 'feature')[];
}

/** How two snapshots differ, as plain JSON. */
export interface SnapshotDifference {
  readonly before: string;
  readonly after: string;
  readonly same: boolean;
  readonly pipelineChanged: boolean;
  readonly configChanged: boolean;
  readonly dataChanged: boolean;
  readonly items: RowDifference & {
    /** Up to ten ids each, ascending. */
    readonly addedIds: readonly string[];
    readonly removedIds: readonly string[];
    readonly addedFields: readonly string[];
    readonly removedFields: readonly string[];
    /** Items in both whose value differs, for fields in both; fields without a difference are left out. */
    readonly changedFields: readonly { readonly field: string; readonly items: number }[];
  };
  /** Counts only: the ids of users are nobody's business here. */
  readonly users: RowDifference;
  readonly events: {
    readonly before: number;
    readonly after: number;
    readonly lastEventBefore: string | null;
    readonly lastEventAfter: string | null;
    readonly byType: readonly { readonly name: string; readonly before: number; readonly after: number }[];
  };
  readonly components: readonly ComponentDifference[];
}

const exampleIds = 10;
const elementBytes: Readonly<Record<string, number>> = { F64: 8, I64: 8, F32: 4, I32: 4, I16: 2, I8: 1, U8: 1 };

/** Describes a snapshot for `recloom inspect`. */
export function inspectSnapshot(snapshot: OpenedSnapshot): SnapshotInspection {
  const { manifest, history } = snapshot;
  const files = Object.entries(manifest.files)
    .map(([name, { bytes, sha256 }]) => ({ name, bytes, sha256 }))
    .sort((left, right) => (left.name < right.name ? -1 : 1));
  const eventTypes = countTypes(history);
  return {
    id: snapshot.id,
    directory: snapshot.directory,
    formatVersion: manifest.formatVersion,
    pipeline: manifest.pipeline,
    configHash: manifest.configHash,
    dataHash: manifest.dataHash,
    firstEvent: history.eventCount === 0 ? null : isoTime(history.timesMs.reduce((first, timeMs) => Math.min(first, timeMs))),
    lastEvent: lastEvent(snapshot),
    counts: manifest.counts,
    bytes: files.reduce((total, file) => total + file.bytes, 0),
    itemFields: inspectFields(snapshot.items),
    userFields: inspectFields(snapshot.users),
    eventTypes: history.typeNames.map((name) => ({ name, count: eventTypes.get(name) ?? 0 })),
    baskets: history.baskets === undefined ? null : history.baskets.reduce((largest, basket) => Math.max(largest, basket), -1) + 1,
    components: manifest.components.map((component) => ({
      name: component.name,
      reference: component.reference,
      optionsHash: component.optionsHash,
      stateVersion: component.stateVersion,
      bytes: manifest.files[component.file]?.bytes ?? 0,
      feature: inspectFeature(snapshot.components.get(component.name)),
      tensors: inspectTensors(component.tensors),
    })),
    files,
  };
}

/** Compares two snapshots for `recloom inspect`: `before` is the older. */
export function diffSnapshots(before: OpenedSnapshot, after: OpenedSnapshot): SnapshotDifference {
  const items = compareIds(before.items.ids, after.items.ids);
  const users = compareIds(before.users.ids, after.users.ids);
  const typesBefore = countTypes(before.history);
  const typesAfter = countTypes(after.history);
  return {
    before: before.id,
    after: after.id,
    same: before.id === after.id,
    pipelineChanged: before.manifest.pipeline !== after.manifest.pipeline,
    configChanged: before.manifest.configHash !== after.manifest.configHash,
    dataChanged: before.manifest.dataHash !== after.manifest.dataHash,
    items: {
      ...counts(items, before.items, after.items),
      addedIds: items.added.slice(0, exampleIds),
      removedIds: items.removed.slice(0, exampleIds),
      addedFields: after.items.fields.filter((field) => before.items.column(field) === undefined),
      removedFields: before.items.fields.filter((field) => after.items.column(field) === undefined),
      changedFields: changedFields(before.items, after.items, items.common),
    },
    users: counts(users, before.users, after.users),
    events: {
      before: before.history.eventCount,
      after: after.history.eventCount,
      lastEventBefore: lastEvent(before),
      lastEventAfter: lastEvent(after),
      byType: [...new Set([...typesBefore.keys(), ...typesAfter.keys()])]
        .sort()
        .map((name) => ({ name, before: typesBefore.get(name) ?? 0, after: typesAfter.get(name) ?? 0 })),
    },
    components: compareComponents(before, after),
  };
}

function isoTime(timeMs: number): string {
  return new Date(timeMs).toISOString();
}

function lastEvent(snapshot: OpenedSnapshot): string | null {
  return snapshot.history.eventCount === 0 ? null : isoTime(snapshot.manifest.lastEventMs);
}

function countTypes(history: HistoryStore): ReadonlyMap<string, number> {
  const counts = new Float64Array(history.typeNames.length);
  for (const type of history.types) counts[type] = (counts[type] as number) + 1;
  return new Map(history.typeNames.map((name, type) => [name, counts[type] as number]));
}

function inspectFields(table: ColumnarTable): FieldInspection[] {
  return table.fields.map((name) => {
    const column = table.columns[name] as Column;
    return { name, type: column.type, filled: countFilled(column) };
  });
}

function countFilled(column: Column): number {
  let filled = 0;
  const rowCount = columnLength(column);
  for (let row = 0; row < rowCount; row++) {
    switch (column.type) {
      case 'number':
        if (!Number.isNaN(column.values[row])) filled++;
        break;
      case 'boolean':
        if (column.values[row] !== 255) filled++;
        break;
      case 'category':
        if ((column.codes[row] as number) >= 0) filled++;
        break;
      case 'list':
        if ((column.offsets[row + 1] as number) > (column.offsets[row] as number)) filled++;
        break;
      default:
        if (column.values[row] !== null) filled++;
    }
  }
  return filled;
}

function inspectFeature(component: SnapshotComponent | undefined): ComponentInspection['feature'] {
  if (component?.feature === undefined) return null;
  return {
    width: component.feature.width,
    items: component.feature.presence.reduce((count, present) => count + (present === 0 ? 0 : 1), 0),
  };
}

function inspectTensors(tensors: Readonly<Record<string, TensorEntry>>): TensorInspection[] {
  return Object.entries(tensors)
    .map(([name, { dtype, shape }]) => ({
      name,
      dtype,
      shape,
      bytes: shape.reduce((product, size) => product * size, elementBytes[dtype] ?? 1),
    }))
    .sort((left, right) => (left.name < right.name ? -1 : 1));
}

interface IdComparison {
  readonly added: readonly string[];
  readonly removed: readonly string[];
  /** Pairs of rows of the ids in both: before, after, before, after… */
  readonly common: readonly number[];
}

/** Both lists ascend. */
function compareIds(before: readonly string[], after: readonly string[]): IdComparison {
  const added: string[] = [];
  const removed: string[] = [];
  const common: number[] = [];
  let left = 0;
  let right = 0;
  while (left < before.length || right < after.length) {
    const one = before[left];
    const other = after[right];
    if (one === other) common.push(left++, right++);
    else if (other === undefined || (one !== undefined && one < other)) {
      removed.push(one as string);
      left++;
    } else {
      added.push(other);
      right++;
    }
  }
  return { added, removed, common };
}

function counts(comparison: IdComparison, before: ColumnarTable, after: ColumnarTable): RowDifference {
  return { before: before.rowCount, after: after.rowCount, added: comparison.added.length, removed: comparison.removed.length };
}

function changedFields(before: ColumnarTable, after: ColumnarTable, common: readonly number[]): { field: string; items: number }[] {
  const changed: { field: string; items: number }[] = [];
  for (const field of before.fields) {
    const left = before.column(field);
    const right = after.column(field);
    if (left === undefined || right === undefined) continue;
    const unmoved = before.rowCount === after.rowCount && common.length === before.rowCount * 2;
    if (unmoved && columnEquals(left, right, before.rowCount)) continue;
    let items = 0;
    for (let pair = 0; pair < common.length; pair += 2) {
      if (!valueEquals(left, common[pair] as number, right, common[pair + 1] as number)) items++;
    }
    if (items > 0) changed.push({ field, items });
  }
  return changed;
}

function valueEquals(left: Column, leftRow: number, right: Column, rightRow: number): boolean {
  const one = columnValue(left, leftRow);
  const other = columnValue(right, rightRow);
  if (Array.isArray(one) && Array.isArray(other)) return one.length === other.length && one.every((entry, place) => entry === other[place]);
  return Object.is(one, other);
}

function compareComponents(before: OpenedSnapshot, after: OpenedSnapshot): ComponentDifference[] {
  const left = new Map(before.manifest.components.map((component) => [component.name, component]));
  const right = new Map(after.manifest.components.map((component) => [component.name, component]));
  return [...new Set([...left.keys(), ...right.keys()])].sort().map((name): ComponentDifference => {
    const one = left.get(name);
    const other = right.get(name);
    if (one === undefined) return { name, change: 'added', what: [] };
    if (other === undefined) return { name, change: 'removed', what: [] };
    const what: ComponentDifference['what'][number][] = [];
    if (one.reference !== other.reference) what.push('component');
    if (one.optionsHash !== other.optionsHash) what.push('options');
    if (one.stateVersion !== other.stateVersion) what.push('stateVersion');
    if (!tensorsEqual(one.tensors, other.tensors, 'state.')) what.push('state');
    if (!tensorsEqual(one.tensors, other.tensors, 'feature.')) what.push('feature');
    return { name, change: what.length > 0 ? 'changed' : 'same', what };
  });
}

function tensorsEqual(left: Readonly<Record<string, TensorEntry>>, right: Readonly<Record<string, TensorEntry>>, prefix: string): boolean {
  const describe = (tensors: Readonly<Record<string, TensorEntry>>): string =>
    Object.keys(tensors)
      .filter((name) => name.startsWith(prefix))
      .sort()
      .map((name) => `${name} ${tensors[name]?.dtype} ${tensors[name]?.shape.join('x')} ${tensors[name]?.sha256}`)
      .join('\n');
  return describe(left) === describe(right);
}
