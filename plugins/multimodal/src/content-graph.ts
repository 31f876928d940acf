import { kernelsOf, VectorIndex } from '@recloom/kernels';
import {
  type ComponentState,
  type Compute,
  type ExtractBatch,
  type FeatureBlock,
  type FeatureExtractor,
  type FeatureMatrix,
  type FeatureRows,
  type HistoryStore,
  type Inspectable,
  type RandomStream,
  readTensor,
  type Table,
  tensor,
  type Warning,
} from '@recloom/plugin-api';
import { behaviourFactors, behaviourOf } from './behaviour-factors.js';
import { turn, type Work } from './dense.js';
import { blocksOf, directionOf, type Modality, modalitiesOf, unitRows } from './modalities.js';
import type { ContentGraphOptions } from './options.js';

/** What the fit needs of its context. */
export interface ContentGraphFit extends Work {
  readonly options: ContentGraphOptions;
  readonly features: readonly FeatureMatrix[];
  readonly history: HistoryStore;
  readonly asOfMs: number;
  readonly random: RandomStream;
  progress(fraction: number, note?: string): void;
  readonly warn: (warning: Warning) => void;
}

/** Up to this many rows the float scan is as quick as proposing by int8. */
const exactRows = 8192;
/** Queries of one scan. */
const queriesPerScan = 32;

/** Items that content comes from, and how similar they are. */
interface Links {
  readonly rows: readonly number[];
  readonly cosines: readonly number[];
}

/** Items that content is passed on from, by feature, ready to be searched. */
class Neighbourhood {
  readonly #index: VectorIndex;
  /** Item row of each row of the index, ascending. */
  readonly #rows: Int32Array;
  readonly #limit: number;

  constructor(compute: Compute, feature: FeatureMatrix, givers: Int32Array, limit: number) {
    this.#limit = limit;
    this.#rows = givers.filter((row) => row < feature.rowCount && directionOf(feature, row) > 0);
    this.#index = new VectorIndex(kernelsOf(compute), { width: feature.width, normalize: true, capacity: this.#rows.length });
    const slice = 4096;
    for (let start = 0; start < this.#rows.length; start += slice) {
      this.#index.append(unitRows(feature, this.#rows.subarray(start, start + slice)).values);
    }
  }

  /** The givers most similar to each query (consecutive unit vectors), without the query's own row, most similar first. */
  nearest(queries: Float32Array, own: ArrayLike<number>): readonly Links[] {
    const { width } = this.#index;
    const count = queries.length / width;
    if (this.#rows.length === 0) return Array.from({ length: count }, () => ({ rows: [], cosines: [] }));
    const found =
      this.#rows.length <= exactRows
        ? this.#index.searchMany(queries, this.#limit + 1)
        : Array.from({ length: count }, (_, query) =>
            this.#index.search(queries.subarray(query * width, (query + 1) * width), this.#limit + 1),
          );
    return found.map(({ rows, scores }, query) => {
      const places = Array.from(rows.keys()).filter((place) => this.#rows[rows[place] as number] !== own[query]);
      const kept = places.slice(0, this.#limit);
      return {
        rows: kept.map((place) => this.#rows[rows[place] as number] as number),
        cosines: kept.map((place) => scores[place] as number),
      };
    });
  }

  dispose(): void {
    this.#index.dispose();
  }
}

/**
 * The frozen item–item graph of FREEDOM (Zhou and Shen 2023, "A tale of two graphs: freezing and denoising graph structures
 * for multimodal recommendation"): each item is linked to its k most similar items per feature, the links of an item sum to
 * 1, and the graphs are mixed by the features' weights. Other than there, only items with behaviour are linked to, since the
 * others have nothing to pass on, and a link counts cos^power: on new items that is better by a good deal than equal links
 * (`power: 0`). An item that lacks a feature is linked by the others.
 */
class ContentGraph {
  readonly #modalities: readonly Modality[];
  readonly #neighbourhoods: readonly Neighbourhood[];
  readonly #power: number;

  constructor(modalities: readonly Modality[], neighbourhoods: readonly Neighbourhood[], power: number) {
    this.#modalities = modalities;
    this.#neighbourhoods = neighbourhoods;
    this.#power = power;
  }

  /** Adds what content passes on to each row of the blocks: `base` holds width numbers per item row. Marks rows that got something. */
  propagate(blocks: readonly FeatureRows[], own: ArrayLike<number>, base: Float32Array, width: number, out: Float32Array): Uint8Array {
    const count = own.length;
    const reached = new Uint8Array(count);
    const totals = new Float64Array(count);
    blocks.forEach((block, place) => {
      for (let row = 0; row < count; row++) {
        if (directionOf(block, row) > 0) totals[row] = (totals[row] as number) + (this.#modalities[place] as Modality).weight;
      }
    });
    blocks.forEach((block, place) => {
      const { weight } = this.#modalities[place] as Modality;
      const rows: number[] = [];
      for (let row = 0; row < count; row++) if (directionOf(block, row) > 0) rows.push(row);
      const lists = (this.#neighbourhoods[place] as Neighbourhood).nearest(
        unitRows(block, rows).values,
        rows.map((row) => own[row] as number),
      );
      lists.forEach((list, index) => {
        const row = rows[index] as number;
        const strengths = list.cosines.map((cosine) => (cosine > 0 ? cosine ** this.#power : 0));
        const sum = strengths.reduce((total, strength) => total + strength, 0);
        list.rows.forEach((item, link) => {
          const factor = sum > 0 ? ((weight / (totals[row] as number)) * (strengths[link] as number)) / sum : 0;
          if (factor === 0) return;
          for (let column = 0; column < width; column++) {
            out[row * width + column] = (out[row * width + column] as number) + factor * (base[item * width + column] as number);
          }
          reached[row] = 1;
        });
      });
    });
    return reached;
  }

  /** The neighbours of one row of the blocks, by feature. */
  neighbours(blocks: readonly FeatureRows[], row: number, own: number): Readonly<Record<string, readonly number[]>> {
    return Object.fromEntries(
      blocks.flatMap((block, place) => {
        if (directionOf(block, row) === 0) return [];
        const [list] = (this.#neighbourhoods[place] as Neighbourhood).nearest(unitRows(block, [row]).values, [own]);
        return [[block.name, list?.rows ?? []]];
      }),
    );
  }

  dispose(): void {
    for (const neighbourhood of this.#neighbourhoods) neighbourhood.dispose();
  }
}

/**
 * Behaviour factors and what the graph passes on. State: `own` (items × width: V of the truncated SVD), `base` (what
 * neighbours pass on: `own` after layers − 1 rounds over the graph), `givers` (rows with behaviour).
 */
export async function fitContentGraph(context: ContentGraphFit): Promise<ComponentState> {
  const { options, features, history, signal, compute } = context;
  const modalities = modalitiesOf(features, options.weights);
  const behaviour = behaviourOf(history, options, context.asOfMs, signal, context.warn);
  const { width, values: own } = await behaviourFactors(behaviour.matrix, options.width, context.random, context);
  context.progress(0.5, 'factors');
  const givers = Int32Array.from(behaviour.itemUsers.keys()).filter((row) => (behaviour.itemUsers[row] as number) > 0);
  const neighbourhoods = modalities.map(
    ({ place }) => new Neighbourhood(compute, features[place] as FeatureMatrix, givers, options.neighbours),
  );
  try {
    const graph = new ContentGraph(modalities, neighbourhoods, options.power);
    let base = own;
    for (let layer = 1; layer < options.layers; layer++) {
      const passed = new Float32Array(own.length);
      for (let start = 0; start < givers.length; start += queriesPerScan) {
        const slice = givers.subarray(start, start + queriesPerScan);
        const some = new Float32Array(slice.length * width);
        graph.propagate(
          modalities.map(({ place }) => rowsOf(features[place] as FeatureMatrix, slice)),
          slice,
          base,
          width,
          some,
        );
        slice.forEach((row, place) => {
          passed.set(some.subarray(place * width, (place + 1) * width), row * width);
        });
        await turn(signal);
      }
      base = passed;
    }
    return {
      own: tensor(own, [history.itemCount, width]),
      base: tensor(base, [history.itemCount, width]),
      givers: tensor(givers),
    };
  } finally {
    for (const neighbourhood of neighbourhoods) neighbourhood.dispose();
  }
}

/** What an item's own behaviour says plus what items with similar content pass on. Works for items nobody has chosen yet. */
export class ContentGraphVectors implements FeatureExtractor, Inspectable {
  readonly width: number;
  readonly #options: ContentGraphOptions;
  readonly #features: readonly FeatureMatrix[];
  readonly #modalities: readonly Modality[];
  readonly #own: Float32Array;
  readonly #base: Float32Array;
  readonly #isGiver: Uint8Array;
  readonly #graph: ContentGraph;
  readonly #items: Table;

  /** Opens what `fitContentGraph` left. @throws MULTIMODAL_FEATURES, RECLOOM_DAT_STATE_TENSOR, RECLOOM_KRN_OUT_OF_MEMORY */
  constructor(options: ContentGraphOptions, features: readonly FeatureMatrix[], state: ComponentState, items: Table, compute: Compute) {
    this.width = options.width;
    this.#options = options;
    this.#features = features;
    this.#items = items;
    this.#modalities = modalitiesOf(features, options.weights);
    this.#own = readTensor(state, 'own', Float32Array);
    this.#base = readTensor(state, 'base', Float32Array);
    const givers = readTensor(state, 'givers', Int32Array);
    this.#isGiver = new Uint8Array(this.#own.length / this.width);
    for (const row of givers) this.#isGiver[row] = 1;
    const neighbourhoods = this.#modalities.map(
      ({ place }) => new Neighbourhood(compute, features[place] as FeatureMatrix, givers, options.neighbours),
    );
    this.#graph = new ContentGraph(this.#modalities, neighbourhoods, options.power);
  }

  async extract(batch: ExtractBatch, out: FeatureBlock): Promise<void> {
    batch.signal.throwIfAborted();
    const blocks = blocksOf(batch, this.#modalities);
    for (let start = 0; start < batch.count; start += queriesPerScan) {
      const end = Math.min(batch.count, start + queriesPerScan);
      const own = Int32Array.from({ length: end - start }, (_, place) => batch.rows[start + place] ?? -1);
      const slices = blocks.map((block) => ({
        ...block,
        values: block.values.subarray(start * block.width, end * block.width),
        presence: block.presence.subarray(start, end),
      }));
      const values = out.values.subarray(start * this.width, end * this.width);
      const reached = this.#graph.propagate(slices, own, this.#base, this.width, values);
      own.forEach((row, place) => {
        const giver = this.#isGiver[row] === 1;
        const from = place * this.width;
        if (giver) {
          for (let column = 0; column < this.width; column++) {
            values[from + column] =
              this.#options.strength * (values[from + column] as number) + (this.#own[row * this.width + column] as number);
          }
        }
        const vector = values.subarray(from, from + this.width);
        // The strength is a matter of proportion: an item without behaviour has nothing to be weighed against.
        if ((giver || reached[place] === 1) && vector.some((value) => value !== 0)) out.presence[start + place] = 1;
      });
      if (end < batch.count) await turn(batch.signal);
    }
  }

  /** Whether the item has behaviour of its own, and the items that content is passed on from, by feature. */
  inspectItem(row: number): Readonly<Record<string, unknown>> {
    const blocks = this.#modalities.map(({ place }) => rowsOf(this.#features[place] as FeatureMatrix, [row]));
    const neighbours = this.#graph.neighbours(blocks, 0, row);
    return {
      behaviour: this.#isGiver[row] === 1,
      neighbours: Object.fromEntries(
        Object.entries(neighbours).map(([name, list]) => [name, list.map((other) => this.#items.idOf(other))]),
      ),
    };
  }

  dispose(): void {
    this.#graph.dispose();
  }
}

/** Rows of a feature as a block; rows it does not cover are absent. */
function rowsOf(feature: FeatureMatrix, rows: ArrayLike<number>): FeatureRows {
  const { name, width } = feature;
  const values = new Float32Array(rows.length * width);
  const presence = new Uint8Array(rows.length);
  for (let place = 0; place < rows.length; place++) {
    const row = rows[place] as number;
    if (row >= feature.rowCount || feature.presence[row] !== 1) continue;
    presence[place] = 1;
    values.set(feature.values.subarray(row * width, (row + 1) * width), place * width);
  }
  return { name, width, values, presence };
}
