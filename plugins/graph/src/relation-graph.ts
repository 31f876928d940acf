import { type ComponentState, recloomError, type Tensor, tensor } from '@recloom/plugin-api';
import { type MeasureName, type RelationName, relationNames } from './options.js';

/** Edges from items to items as columns; the edges of item `a` lie in `[offsets[a], offsets[a + 1])`, best first. */
export interface RelationEdges {
  /** One more than there are items. */
  readonly offsets: Int32Array;
  /** The item an edge leads to. */
  readonly rows: Int32Array;
  /** Baskets in which the edge occurs. */
  readonly support: Int32Array;
  /** Share of the baskets with the first item in which it occurs. */
  readonly confidence: Float32Array;
  /** How many times as often as by chance. */
  readonly lift: Float32Array;
  /** Normalised pointwise mutual information, -1 to 1. */
  readonly npmi: Float32Array;
  /** Log-likelihood ratio G² against chance. */
  readonly significance: Float32Array;
}

/** Neighbours of one item, best first; the arrays are the caller's. */
export type Neighbours = Omit<RelationEdges, 'offsets'>;

const columns = ['rows', 'support', 'confidence', 'lift', 'npmi', 'significance'] as const;

/** A stored graph of item relations that can be queried. */
export class RelationGraph {
  readonly #edges: ReadonlyMap<RelationName, RelationEdges>;

  constructor(edges: ReadonlyMap<RelationName, RelationEdges>) {
    this.#edges = edges;
  }

  /** The graph that `toState` wrote. @throws RECLOOM_DAT_SNAPSHOT_CORRUPT when a tensor is missing. */
  static open(state: ComponentState): RelationGraph {
    const edges = new Map<RelationName, RelationEdges>();
    for (const relation of relationNames) {
      if (state[`${relation}.offsets`] === undefined) continue;
      const integers = (name: string): Int32Array => dataOf(state[`${relation}.${name}`], Int32Array);
      const floats = (name: string): Float32Array => dataOf(state[`${relation}.${name}`], Float32Array);
      edges.set(relation, {
        offsets: integers('offsets'),
        rows: integers('rows'),
        support: integers('support'),
        confidence: floats('confidence'),
        lift: floats('lift'),
        npmi: floats('npmi'),
        significance: floats('significance'),
      });
    }
    return new RelationGraph(edges);
  }

  toState(): ComponentState {
    const state: Record<string, Tensor> = {};
    for (const [relation, edges] of this.#edges) {
      state[`${relation}.offsets`] = tensor(edges.offsets);
      for (const column of columns) state[`${relation}.${column}`] = tensor(edges[column]);
    }
    return state;
  }

  /** The relations stored here. */
  get relations(): readonly RelationName[] {
    return [...this.#edges.keys()];
  }

  /** All edges of a relation, to be read only; undefined when it was not mined. */
  edges(relation: RelationName): RelationEdges | undefined {
    return this.#edges.get(relation);
  }

  /**
   * The neighbours of an item in a relation, best first by what the graph was built with or by `by`. An item without edges,
   * an unknown row and a relation that was not mined have none.
   */
  neighbours(row: number, query: { readonly relation: RelationName; readonly limit?: number; readonly by?: MeasureName }): Neighbours {
    const edges = this.#edges.get(query.relation);
    const inside = edges !== undefined && row >= 0 && row + 1 < edges.offsets.length;
    const start = inside ? (edges.offsets[row] as number) : 0;
    const end = inside ? (edges.offsets[row + 1] as number) : 0;
    const order = Uint32Array.from({ length: end - start }, (_, place) => start + place);
    if (query.by !== undefined && edges !== undefined) {
      const values = edges[query.by];
      order.sort((a, b) => (values[b] as number) - (values[a] as number) || (edges.rows[a] as number) - (edges.rows[b] as number));
    }
    const kept = order.subarray(0, query.limit ?? order.length);
    const integers = (name: 'rows' | 'support'): Int32Array => Int32Array.from(kept, (edge) => edges?.[name][edge] as number);
    const floats = (name: 'confidence' | 'lift' | 'npmi' | 'significance'): Float32Array =>
      Float32Array.from(kept, (edge) => edges?.[name][edge] as number);
    return {
      rows: integers('rows'),
      support: integers('support'),
      confidence: floats('confidence'),
      lift: floats('lift'),
      npmi: floats('npmi'),
      significance: floats('significance'),
    };
  }
}

/** The data of a tensor of the expected kind. @throws RECLOOM_DAT_SNAPSHOT_CORRUPT */
export function dataOf<Data extends Int32Array | Float32Array | Uint8Array>(
  found: Tensor | undefined,
  kind: { new (length: number): Data; readonly name: string },
): Data {
  if (found?.data instanceof kind) return found.data;
  throw recloomError('RECLOOM_DAT_SNAPSHOT_CORRUPT', { file: 'of a graph component', why: `a tensor of type ${kind.name} is missing` });
}
