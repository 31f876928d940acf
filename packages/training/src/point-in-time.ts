import { type Dataset, filterDataset } from '@recloom/core';
import type { Cut } from './cuts.js';

/** What counts as taken, how it is graded, and who and what is left out. */
export interface PointInTimeOptions {
  readonly eventTypes: readonly string[] | undefined;
  readonly graded: boolean;
  readonly newUsers: boolean;
  readonly coldItems: boolean;
  readonly minimumItemUsers: number;
  readonly minimumUserItems: number;
}

/** A user who took something in the label window. */
export interface LabelledUser {
  /** Row in the table of all users. */
  readonly userRow: number;
  /** Whether the user has an event before the cut. */
  readonly known: boolean;
  /** By row in `PointInTime.dataset.items`: the label. */
  readonly labels: ReadonlyMap<number, number>;
  /** Rows of `labels` that the user had before the cut. */
  readonly repeated: ReadonlySet<number>;
}

/** The world at a cut, and what came after it. */
export interface PointInTime {
  /** Everything that was known: events before the cut alone, and the items and users they speak of. */
  readonly dataset: Dataset;
  /** Ascending by row. */
  readonly users: readonly LabelledUser[];
  /** By row of the whole item table: the row in `dataset.items`, or -1. */
  readonly itemRows: Int32Array;
  /** Taken (user, item) pairs whose item is not in the catalogue of the cut. */
  readonly unknownItemPairs: number;
  /** Users who took something and are left out for having too few events before the cut. */
  readonly leftOutUsers: number;
}

/**
 * Parts a dataset at a cut. Whatever the dataset says about the time from the cut on reaches `users` (the labels) and nothing
 * else: items and users without an event before the cut are not in the tables unless the options ask for them.
 */
export function pointInTime(whole: Dataset, cut: Cut, options: PointInTimeOptions): PointInTime {
  const { history } = whole;
  const before = pairsBefore(whole, cut.atMs);
  const itemUsers = new Int32Array(history.itemCount);
  for (const rows of before) for (const row of rows) itemUsers[row] = (itemUsers[row] as number) + 1;
  const items = new Uint8Array(history.itemCount);
  const itemRows = new Int32Array(history.itemCount).fill(-1);
  let itemCount = 0;
  for (let row = 0; row < items.length; row++) {
    const count = itemUsers[row] as number;
    if (count < options.minimumItemUsers && !(options.coldItems && count === 0)) continue;
    items[row] = 1;
    itemRows[row] = itemCount++;
  }
  const users = new Uint8Array(history.userCount);
  for (const [user, rows] of before.entries()) {
    let kept = 0;
    for (const row of rows) kept += items[row] as number;
    if (kept >= Math.max(1, options.minimumUserItems)) users[user] = 1;
  }
  const types = options.eventTypes === undefined ? undefined : new Set(options.eventTypes);
  const counts = history.typeNames.map((name) => types === undefined || types.has(name));
  const labelled: LabelledUser[] = [];
  let unknownItemPairs = 0;
  let leftOutUsers = 0;
  for (let userRow = 0; userRow < history.userCount; userRow++) {
    const labels = new Map<number, number>();
    const repeated = new Set<number>();
    const unknown = new Set<number>();
    const had = before[userRow] as ReadonlySet<number>;
    const end = history.offsets[userRow + 1] as number;
    for (let event = history.offsets[userRow] as number; event < end; event++) {
      const time = history.timesMs[event] as number;
      if (time < cut.atMs || time >= cut.untilMs || counts[history.types[event] as number] !== true) continue;
      const whole = history.items[event] as number;
      const row = itemRows[whole] as number;
      if (row < 0) {
        unknown.add(whole);
        continue;
      }
      const label = options.graded ? Math.max(0, history.weights[event] as number) : 1;
      labels.set(row, Math.max(labels.get(row) ?? 0, label));
      if (had.has(whole)) repeated.add(row);
    }
    const known = users[userRow] === 1;
    if (labels.size + unknown.size > 0 && !known && !(options.newUsers && had.size === 0)) {
      leftOutUsers++;
      continue;
    }
    unknownItemPairs += unknown.size;
    if (labels.size > 0) labelled.push({ userRow, known, labels, repeated });
  }
  return { dataset: filterDataset(whole, { beforeMs: cut.atMs, items, users }), users: labelled, itemRows, unknownItemPairs, leftOutUsers };
}

/** By user: the distinct items before an instant. */
function pairsBefore(dataset: Dataset, cutMs: number): readonly ReadonlySet<number>[] {
  const { history } = dataset;
  return Array.from({ length: history.userCount }, (_, user) => {
    const rows = new Set<number>();
    const end = history.offsets[user + 1] as number;
    for (let event = history.offsets[user] as number; event < end; event++) {
      if ((history.timesMs[event] as number) >= cutMs) break;
      rows.add(history.items[event] as number);
    }
    return rows;
  });
}
