import { InterestReader, LinkedItems, SparseLinks, typeMask, unknownEventType } from '@recloom/item-models';
import { type Kernels, kernelsOf, type SparseMatrix } from '@recloom/kernels';
import {
  type ComponentState,
  type Compute,
  type CreateContext,
  type computeToken,
  type FitContext,
  type HistoryView,
  type InputsSpec,
  tensor,
} from '@recloom/plugin-api';
import type { TransitionsOptions } from './options.js';
import { readSequences, type Sequences } from './sequences.js';

interface Needs {
  readonly [name: string]: typeof computeToken;
  readonly compute: typeof computeToken;
}
type TransitionsFit = FitContext<TransitionsOptions, Needs, InputsSpec> & { readonly deps: { readonly compute: Compute } };
type TransitionsCreate = CreateContext<TransitionsOptions, Needs, InputsSpec> & { readonly deps: { readonly compute: Compute } };

/** Factor of the popularity that orders items of exactly equal score; far below any link. */
const popularityTieBreak = 1e-9;

/**
 * Directed transitions: T[i, j] is the sum of gamma^(gap - 1) over all events of j within `window` events after one of i,
 * plus `back` times the same the other way round; link[i, j] = T[i, j] / ((out_i + s)^sourcePower (in_j + s)^targetPower)
 * with out and in the row and column sums of T. Nothing leads from an item to itself. (Recloom's design notes, quality
 * protocols Q3 and Q4; in the manner of the Markov chains of Ludewig and Jannach 2018, "Evaluation of session-based
 * recommendation algorithms".) Time grows with events × window, memory with the links kept.
 */
export async function fitTransitions(context: TransitionsFit): Promise<ComponentState> {
  const { history, options, signal } = context;
  const counted = typeMask(history.typeNames, options.eventTypes, (name) =>
    context.warn(unknownEventType('SEQUENCE_EVENT_TYPE_UNKNOWN', name, history.typeNames)),
  );
  const sequences = readSequences(history, options, counted, context.asOfMs, signal);
  context.progress(0.1, 'sequences');
  const links = await linksOf(kernelsOf(context.deps.compute), sequences, history.itemCount, options, signal, context.progress);
  const itemEvents = new Float32Array(history.itemCount);
  for (let place = 0; place < sequences.length; place++) {
    const item = sequences.items[place] as number;
    itemEvents[item] = (itemEvents[item] as number) + 1;
  }
  return {
    offsets: tensor(links.rowOffsets),
    targets: tensor(links.columnIndices),
    links: tensor(links.values ?? new Float32Array(0)),
    itemEvents: tensor(itemEvents),
  };
}

/** Opens what `fitTransitions` left. */
export function openTransitions(context: TransitionsCreate): LinkedItems {
  const { state, options } = context;
  const itemEvents = state['itemEvents']?.data as Float32Array;
  const itemCount = itemEvents.length;
  const links: SparseMatrix = {
    rowCount: itemCount,
    columnCount: itemCount,
    rowOffsets: state['offsets']?.data as Int32Array,
    columnIndices: state['targets']?.data as Int32Array,
    values: state['links']?.data as Float32Array,
  };
  const tieBreaks = itemEvents.map((events) => events * popularityTieBreak);
  return new LinkedItems(new SparseLinks(kernelsOf(context.deps.compute), links, tieBreaks), {
    interests: new InterestReader(itemCount, {
      requestItems: options.requestItems,
      pairs: 'strongest',
      amounts: (history) => decayedAmounts(history, options),
    }),
    excludeHistory: options.excludeHistory,
    items: context.items,
  });
}

/** historyDecay^age, age in events that count, several in a row on one item being one; times the weight by hours before the newest when told. */
function decayedAmounts(history: HistoryView, options: TransitionsOptions): Float64Array {
  const { length, items, types, weights, timesMs } = history;
  const counted = typeMask(history.typeNames, options.historyEventTypes);
  const amounts = new Float64Array(length);
  let decay = 1;
  let later = -1;
  let newestMs = 0;
  for (let event = length - 1; event >= 0; event--) {
    if (counted !== undefined && counted[types[event] as number] === 0) continue;
    const weight = options.useWeights ? (weights[event] as number) : 1;
    if (!(weight > 0)) continue;
    const item = items[event] as number;
    if (later < 0) newestMs = timesMs[event] as number;
    else if (item !== later) decay *= options.historyDecay;
    later = item;
    amounts[event] = decay * weight;
    if (options.historyHours !== undefined) {
      const hours = (newestMs - (timesMs[event] as number)) / hourMs;
      amounts[event] = (amounts[event] as number) * (Math.exp(-hours / options.historyHours) + options.historyFloor);
    }
  }
  return amounts;
}

const hourMs = 3_600_000;

/** Rows of items whose links are counted between two turns of the event loop. */
const itemsPerTurn = 512;

async function linksOf(
  kernels: Kernels,
  sequences: Sequences,
  itemCount: number,
  options: TransitionsOptions,
  signal: AbortSignal,
  progress: (fraction: number, note?: string) => void,
): Promise<SparseMatrix> {
  const { items, visits, weights, recency } = sequences;
  const { window, back } = options;
  const gapWeights = Float64Array.from({ length: window + 1 }, (_, gap) => options.gamma ** (gap - 1));
  const { places, placeOffsets } = placesByItem(sequences, itemCount);
  const sums = new Float64Array(itemCount);
  const reached = new Int32Array(itemCount);
  /** Sums up row `item` of T into `sums`; returns how many columns, listed in `reached`, it has. */
  const countRow = (item: number): number => {
    let count = 0;
    const add = (target: number, amount: number): void => {
      if (target === item || !(amount > 0)) return;
      if (sums[target] === 0) reached[count++] = target;
      sums[target] = (sums[target] as number) + amount;
    };
    for (let entry = placeOffsets[item] as number; entry < (placeOffsets[item + 1] as number); entry++) {
      const place = places[entry] as number;
      const visit = visits[place];
      for (let gap = 1; gap <= window && place + gap < sequences.length && visits[place + gap] === visit; gap++) {
        const later = place + gap;
        add(items[later] as number, (gapWeights[gap] as number) * (weights[later] as number) * (recency[later] as number));
      }
      if (back === 0) continue;
      for (let gap = 1; gap <= window && place - gap >= 0 && visits[place - gap] === visit; gap++) {
        const earlier = place - gap;
        add(items[earlier] as number, back * (gapWeights[gap] as number) * (weights[earlier] as number) * (recency[place] as number));
      }
    }
    return count;
  };

  const { leaving, reaching } = totalsOf(sequences, itemCount, gapWeights, options, signal);
  progress(0.3, 'totals');
  const targetFactors = reaching.map((total) => (total + options.smoothing) ** -options.targetPower);

  const rowOffsets = new Int32Array(itemCount + 1);
  const columns: Int32Array[] = [];
  const values: Float32Array[] = [];
  await inTurns(itemCount, signal, (item) => {
    const count = countRow(item);
    const targets = ascending(reached, count, sums);
    const sourceFactor = ((leaving[item] as number) + options.smoothing) ** -options.sourcePower;
    const links = new Float32Array(count);
    for (let index = 0; index < count; index++) {
      const target = targets[index] as number;
      links[index] = (sums[target] as number) * sourceFactor * (targetFactors[target] as number);
      sums[target] = 0;
    }
    const kept = count <= options.neighbours ? undefined : kernels.topK(links, options.neighbours).rows.sort();
    columns.push(kept === undefined ? targets : kept.map((index) => targets[index] as number));
    values.push(kept === undefined ? links : Float32Array.from(kept, (index) => links[index] as number));
    rowOffsets[item + 1] = (rowOffsets[item] as number) + (kept?.length ?? count);
    if (item % itemsPerTurn === 0) progress(0.3 + (0.7 * item) / itemCount, 'links');
  });
  const total = rowOffsets[itemCount] as number;
  const columnIndices = new Int32Array(total);
  const joined = new Float32Array(total);
  columns.forEach((part, item) => {
    columnIndices.set(part, rowOffsets[item]);
    joined.set(values[item] as Float32Array, rowOffsets[item]);
  });
  return { rowCount: itemCount, columnCount: itemCount, rowOffsets, columnIndices, values: joined };
}

/** Everything that leaves and that reaches each item, in all visits: the row and column sums of T. */
function totalsOf(
  { length, items, visits, weights, recency }: Sequences,
  itemCount: number,
  gapWeights: Float64Array,
  { window, back }: TransitionsOptions,
  signal: AbortSignal,
): { readonly leaving: Float64Array; readonly reaching: Float64Array } {
  const leaving = new Float64Array(itemCount);
  const reaching = new Float64Array(itemCount);
  for (let place = 0; place < length; place++) {
    if ((place & 0xfffff) === 0) signal.throwIfAborted();
    const earlier = items[place] as number;
    const end = Math.min(length - 1, place + window);
    for (let after = place + 1; after <= end && visits[after] === visits[place]; after++) {
      const later = items[after] as number;
      if (later === earlier) continue;
      const amount = (gapWeights[after - place] as number) * (recency[after] as number);
      const forward = amount * (weights[after] as number);
      const backward = back * amount * (weights[place] as number);
      leaving[earlier] = (leaving[earlier] as number) + forward;
      reaching[later] = (reaching[later] as number) + forward;
      leaving[later] = (leaving[later] as number) + backward;
      reaching[earlier] = (reaching[earlier] as number) + backward;
    }
  }
  return { leaving, reaching };
}

/** The first `count` rows of `reached` in ascending order: sorted, or read off `sums` (above 0 where reached) when they are many. */
function ascending(reached: Int32Array, count: number, sums: Float64Array): Int32Array {
  if (count * 8 < sums.length) return reached.slice(0, count).sort();
  const rows = new Int32Array(count);
  let length = 0;
  for (let row = 0; row < sums.length; row++) if (sums[row] !== 0) rows[length++] = row;
  return rows;
}

/** Runs `work` for 0 … count - 1 and lets the event loop turn now and then, so that an abort or a progress bar gets its chance. */
async function inTurns(count: number, signal: AbortSignal, work: (index: number) => void): Promise<void> {
  for (let index = 0; index < count; index++) {
    if (index % itemsPerTurn === 0) {
      await new Promise((resolve) => setImmediate(resolve));
      signal.throwIfAborted();
    }
    work(index);
  }
}

/** Places of each item in the sequences, CSR by item, ascending. */
function placesByItem({ length, items }: Sequences, itemCount: number): { readonly places: Int32Array; readonly placeOffsets: Int32Array } {
  const placeOffsets = new Int32Array(itemCount + 1);
  for (let place = 0; place < length; place++) {
    const next = (items[place] as number) + 1;
    placeOffsets[next] = (placeOffsets[next] as number) + 1;
  }
  for (let item = 0; item < itemCount; item++) placeOffsets[item + 1] = (placeOffsets[item + 1] as number) + (placeOffsets[item] as number);
  const next = placeOffsets.slice(0, itemCount);
  const places = new Int32Array(length);
  for (let place = 0; place < length; place++) {
    const item = items[place] as number;
    places[next[item] as number] = place;
    next[item] = (next[item] as number) + 1;
  }
  return { places, placeOffsets };
}
