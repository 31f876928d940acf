import { confidence, lift, logLikelihoodRatio, npmi } from './measures.js';
import { type MeasureName, measureOf, type RelatedOptions, type RelationName } from './options.js';
import type { RelationEdges } from './relation-graph.js';
import type { Visits } from './visits.js';

const dayMs = 86_400_000;
const rowsPerSlice = 64;

/** What limits mining. */
export type MiningOptions = Pick<
  RelatedOptions,
  'by' | 'neighbours' | 'minimumSupport' | 'minimumUsers' | 'minimumSignificance' | 'windowDays'
>;

/**
 * Mines one relation. Both are a 2 × 2 table over baskets: *a is in the basket* against, for `bought-together`, *b is in it
 * too*, for `bought-after`, *b is in a later basket of the same person within `windowDays`, and not in this one*. Edges run
 * from a to b; kept are those with lift above 1 that reach the floors, at most `neighbours` per item, best first by `measureOf`,
 * ties by ascending row. The event loop turns between slices of items.
 */
export async function mineRelation(
  relation: RelationName,
  visits: Visits,
  itemCount: number,
  options: MiningOptions,
  signal: AbortSignal,
  progress: (fraction: number) => void,
): Promise<RelationEdges> {
  const containing = visitsByItem(visits, itemCount);
  const followUps = relation === 'bought-after' ? new FollowUps(visits, itemCount, options.windowDays * dayMs) : undefined;
  const rightCounts = followUps === undefined ? rowLengths(containing.offsets) : followUps.counts();
  const support = new Int32Array(itemCount);
  const people = new Int32Array(itemCount);
  const lastPerson = new Int32Array(itemCount).fill(-1);
  const touched = new Int32Array(itemCount);
  const collected = new EdgeCollector(itemCount, measureOf(relation, options), options.neighbours);
  for (let row = 0; row < itemCount; row++) {
    if (row % rowsPerSlice === 0) {
      signal.throwIfAborted();
      progress(row / itemCount);
      await new Promise((resolve) => setImmediate(resolve));
    }
    const start = containing.offsets[row] as number;
    const end = containing.offsets[row + 1] as number;
    let touchedCount = 0;
    const count = (other: number, user: number): void => {
      if (support[other] === 0) touched[touchedCount++] = other;
      (support[other] as number)++;
      if (lastPerson[other] === user) return;
      lastPerson[other] = user;
      (people[other] as number)++;
    };
    for (let place = start; place < end; place++) {
      const visit = containing.visits[place] as number;
      const user = visits.users[visit] as number;
      if (followUps !== undefined) {
        followUps.forEach(visit, (other) => count(other, user));
        continue;
      }
      for (let entry = visits.offsets[visit] as number; entry < (visits.offsets[visit + 1] as number); entry++) {
        const other = visits.items[entry] as number;
        if (other !== row) count(other, user);
      }
    }
    for (let place = 0; place < touchedCount; place++) {
      const other = touched[place] as number;
      const both = support[other] as number;
      if (both >= options.minimumSupport && (people[other] as number) >= options.minimumUsers) {
        const counts = { both, left: end - start, right: rightCounts[other] as number, total: visits.count };
        const strength = lift(counts);
        const significance = strength > 1 ? logLikelihoodRatio(counts) : -1;
        if (significance >= options.minimumSignificance) {
          collected.add({ row: other, support: both, confidence: confidence(counts), lift: strength, npmi: npmi(counts), significance });
        }
      }
      support[other] = 0;
      people[other] = 0;
      lastPerson[other] = -1;
    }
    collected.endRow();
  }
  progress(1);
  return collected.finish();
}

interface ItemVisits {
  readonly offsets: Int32Array;
  /** Ascending within an item. */
  readonly visits: Int32Array;
}

function visitsByItem(visits: Visits, itemCount: number): ItemVisits {
  const offsets = new Int32Array(itemCount + 1);
  for (const row of visits.items) offsets[row + 1] = (offsets[row + 1] as number) + 1;
  for (let row = 0; row < itemCount; row++) offsets[row + 1] = (offsets[row + 1] as number) + (offsets[row] as number);
  const next = offsets.slice(0, itemCount);
  const found = new Int32Array(visits.items.length);
  for (let visit = 0; visit < visits.count; visit++) {
    for (let entry = visits.offsets[visit] as number; entry < (visits.offsets[visit + 1] as number); entry++) {
      const row = visits.items[entry] as number;
      found[next[row] as number] = visit;
      next[row] = (next[row] as number) + 1;
    }
  }
  return { offsets, visits: found };
}

function rowLengths(offsets: Int32Array): Int32Array {
  return Int32Array.from({ length: offsets.length - 1 }, (_, row) => (offsets[row + 1] as number) - (offsets[row] as number));
}

/** The different items that follow a visit: in later visits of the same person within a window, and not in it. */
class FollowUps {
  readonly #visits: Visits;
  readonly #windowMs: number;
  readonly #stamps: Int32Array;
  #stamp = 0;

  constructor(visits: Visits, itemCount: number, windowMs: number) {
    this.#visits = visits;
    this.#windowMs = windowMs;
    this.#stamps = new Int32Array(itemCount);
  }

  forEach(visit: number, use: (row: number) => void): void {
    const { offsets, items, users, timesMs, count } = this.#visits;
    const stamp = ++this.#stamp;
    const stamps = this.#stamps;
    const user = users[visit];
    const timeMs = timesMs[visit] as number;
    for (let entry = offsets[visit] as number; entry < (offsets[visit + 1] as number); entry++) stamps[items[entry] as number] = stamp;
    for (let later = visit + 1; later < count && users[later] === user; later++) {
      const gapMs = (timesMs[later] as number) - timeMs;
      if (gapMs > this.#windowMs) break;
      if (gapMs <= 0) continue;
      for (let entry = offsets[later] as number; entry < (offsets[later + 1] as number); entry++) {
        const row = items[entry] as number;
        if (stamps[row] === stamp) continue;
        stamps[row] = stamp;
        use(row);
      }
    }
  }

  /** How many visits each item follows. */
  counts(): Int32Array {
    const counts = new Int32Array(this.#stamps.length);
    for (let visit = 0; visit < this.#visits.count; visit++) {
      this.forEach(visit, (row) => {
        counts[row] = (counts[row] as number) + 1;
      });
    }
    return counts;
  }
}

type Edge = { readonly row: number } & Readonly<Record<MeasureName, number>>;

/** Gathers edges row by row and keeps the best of each, in columns that grow. */
class EdgeCollector {
  readonly #by: MeasureName;
  readonly #neighbours: number;
  readonly #offsets: Int32Array;
  #rows = new Int32Array(1024);
  #support = new Int32Array(1024);
  #confidence = new Float32Array(1024);
  #lift = new Float32Array(1024);
  #npmi = new Float32Array(1024);
  #significance = new Float32Array(1024);
  #length = 0;
  #rowEdges: Edge[] = [];
  #rowCount = 0;

  constructor(itemCount: number, by: MeasureName, neighbours: number) {
    this.#by = by;
    this.#neighbours = neighbours;
    this.#offsets = new Int32Array(itemCount + 1);
  }

  add(edge: Edge): void {
    this.#rowEdges.push(edge);
  }

  endRow(): void {
    const by = this.#by;
    // Compared as they will be stored, so that equal numbers tie.
    this.#rowEdges.sort((a, b) => Math.fround(b[by]) - Math.fround(a[by]) || a.row - b.row);
    this.#reserve(this.#length + Math.min(this.#rowEdges.length, this.#neighbours));
    for (const edge of this.#rowEdges.slice(0, this.#neighbours)) {
      this.#rows[this.#length] = edge.row;
      this.#support[this.#length] = edge.support;
      this.#confidence[this.#length] = edge.confidence;
      this.#lift[this.#length] = edge.lift;
      this.#npmi[this.#length] = edge.npmi;
      this.#significance[this.#length] = edge.significance;
      this.#length++;
    }
    this.#rowEdges = [];
    this.#rowCount++;
    this.#offsets[this.#rowCount] = this.#length;
  }

  finish(): RelationEdges {
    const length = this.#length;
    return {
      offsets: this.#offsets,
      rows: this.#rows.slice(0, length),
      support: this.#support.slice(0, length),
      confidence: this.#confidence.slice(0, length),
      lift: this.#lift.slice(0, length),
      npmi: this.#npmi.slice(0, length),
      significance: this.#significance.slice(0, length),
    };
  }

  #reserve(length: number): void {
    if (length <= this.#rows.length) return;
    const capacity = Math.max(length, this.#rows.length * 2);
    const integers = (from: Int32Array): Int32Array<ArrayBuffer> => {
      const grown = new Int32Array(capacity);
      grown.set(from);
      return grown;
    };
    const floats = (from: Float32Array): Float32Array<ArrayBuffer> => {
      const grown = new Float32Array(capacity);
      grown.set(from);
      return grown;
    };
    this.#rows = integers(this.#rows);
    this.#support = integers(this.#support);
    this.#confidence = floats(this.#confidence);
    this.#lift = floats(this.#lift);
    this.#npmi = floats(this.#npmi);
    this.#significance = floats(this.#significance);
  }
}
