import {
  type CandidateBatch,
  type CandidateSource,
  type ComponentState,
  type Explainer,
  type HistoryStore,
  type Inspectable,
  joinProposals,
  type Proposals,
  type Reason,
  type RequestBatch,
  type RequestProposals,
  type RequestView,
  type Scorer,
  type Table,
  type Warning,
} from '@recloom/plugin-api';
import { type Anchors, anchorsOf } from './anchors.js';
import { bestRows } from './best-rows.js';
import { mineRelation } from './mine-relation.js';
import { type MeasureName, measureOf, type RelatedOptions, type RelationName, relationNames } from './options.js';
import { type Neighbours, type RelationEdges, RelationGraph } from './relation-graph.js';
import { visitsOf } from './visits.js';

/** What mining needs. */
export interface RelatedFitContext {
  readonly options: RelatedOptions;
  readonly history: HistoryStore;
  readonly itemCount: number;
  readonly asOfMs: number;
  readonly signal: AbortSignal;
  progress(fraction: number, note?: string): void;
  readonly warn: (warning: Warning) => void;
}

/** Mines the configured relations from the baskets of a history; see `mineRelation`. */
export async function fitRelated(context: RelatedFitContext): Promise<ComponentState> {
  const { options, itemCount, signal } = context;
  const visits = visitsOf(context.history, options, context.asOfMs, context.warn);
  const wanted = relationNames.filter((name) => name === options.relation || options.keep.includes(name));
  const edges = new Map<RelationName, RelationEdges>();
  for (const [index, relation] of wanted.entries()) {
    const progress = (fraction: number): void => context.progress((index + fraction) / wanted.length, `mining ${relation}`);
    edges.set(relation, await mineRelation(relation, visits, itemCount, options, signal, progress));
  }
  return new RelationGraph(edges).toState();
}

const sentences: Readonly<Record<RelationName, string>> = {
  'bought-together': 'Often bought together with {item}',
  'bought-after': 'Often bought after {item}',
};

/** Proposes and scores items related to the items of a request, or to the last ones of its history. */
export class Related implements CandidateSource, Scorer, Explainer, Inspectable {
  readonly #graph: RelationGraph;
  readonly #options: RelatedOptions;
  readonly #items: Table;
  readonly #edges: RelationEdges;
  /** The number of each edge that it is ranked and scored by. */
  readonly #values: Int32Array | Float32Array;
  readonly #itemCount: number;
  /** One sum per item, zero between requests: every use is synchronous and cleans up what it touched. */
  readonly #sums: Float64Array;

  /** Opens the graph that `fitRelated` left. @throws RECLOOM_DAT_SNAPSHOT_CORRUPT when the state lacks it. */
  constructor(state: ComponentState, options: RelatedOptions, items: Table) {
    this.#graph = RelationGraph.open(state);
    this.#options = options;
    this.#items = items;
    this.#edges = this.#graph.edges(options.relation) ?? {
      offsets: new Int32Array(1),
      rows: new Int32Array(0),
      support: new Int32Array(0),
      confidence: new Float32Array(0),
      lift: new Float32Array(0),
      npmi: new Float32Array(0),
      significance: new Float32Array(0),
    };
    this.#values = this.#edges[measureOf(options.relation, options)];
    this.#itemCount = this.#edges.offsets.length - 1;
    this.#sums = new Float64Array(this.#itemCount);
  }

  /** The neighbours of an item row, best first; see `RelationGraph.neighbours`. */
  neighbours(
    row: number,
    query: { readonly relation?: RelationName; readonly limit?: number; readonly by?: MeasureName } = {},
  ): Neighbours {
    return this.#graph.neighbours(row, { ...query, relation: query.relation ?? this.#options.relation });
  }

  propose(batch: RequestBatch, limit: number): Proposals {
    batch.signal.throwIfAborted();
    return joinProposals(
      batch.requests.map((request) => this.#proposeOne(request, batch.eligible, limit)),
      limit,
    );
  }

  score(batch: CandidateBatch, out: Float32Array, signal: AbortSignal): void {
    signal.throwIfAborted();
    for (let index = 0; index < batch.requests.length; index++) {
      const anchors = this.#anchorsOf(batch.requests[index] as RequestView);
      const touched = this.#accumulate(anchors);
      for (let place = batch.offsets[index] ?? 0; place < (batch.offsets[index + 1] ?? 0); place++) {
        const row = batch.rows[place] ?? -1;
        out[place] = row >= 0 && row < this.#itemCount ? (this.#sums[row] as number) : 0;
      }
      this.#clear(touched);
    }
  }

  reasons(request: RequestView, rows: Int32Array): readonly (Reason | undefined)[] {
    const anchors = this.#anchorsOf(request);
    const { relation } = this.#options;
    return Array.from(rows, (row) => {
      const found: { readonly anchor: number; readonly edge: number; readonly value: number }[] = [];
      for (let place = 0; place < anchors.rows.length; place++) {
        const anchor = anchors.rows[place] as number;
        const edge = this.#edgeTo(anchor, row);
        if (edge >= 0) found.push({ anchor, edge, value: (anchors.weights[place] as number) * this.#measure(edge) });
      }
      found.sort((a, b) => b.value - a.value);
      const best = found[0];
      if (best === undefined) return undefined;
      return {
        code: relation,
        text: sentences[relation],
        items: found.map(({ anchor }) => anchor),
        values: {
          support: this.#edges.support[best.edge] as number,
          lift: Math.round((this.#edges.lift[best.edge] as number) * 100) / 100,
        },
        strength: Math.min(1, 0.5 + 0.5 * Math.max(0, this.#edges.npmi[best.edge] as number)),
      };
    });
  }

  /** The item's neighbours per stored relation, by id, at most ten each. */
  inspectItem(row: number): Readonly<Record<string, unknown>> {
    const relations: Record<string, unknown> = {};
    for (const relation of this.#graph.relations) {
      const found = this.#graph.neighbours(row, { relation });
      relations[relation] = {
        count: found.rows.length,
        neighbours: Array.from(found.rows.subarray(0, 10), (other, place) => ({
          item: this.#items.idOf(other),
          support: found.support[place],
          confidence: found.confidence[place],
          lift: found.lift[place],
          npmi: found.npmi[place],
        })),
      };
    }
    return relations;
  }

  #anchorsOf(request: RequestView): Anchors {
    return anchorsOf(request, this.#itemCount, this.#options);
  }

  #proposeOne(request: RequestView, eligible: Uint8Array | undefined, limit: number): RequestProposals | undefined {
    const anchors = this.#anchorsOf(request);
    if (anchors.rows.length === 0) return undefined;
    const touched = this.#accumulate(anchors);
    const own = new Set(anchors.rows);
    const allowed = touched.filter((row) => !own.has(row) && (eligible === undefined || eligible[row] === 1));
    const best = bestRows(allowed, this.#sums, limit);
    this.#clear(touched);
    return best;
  }

  /** Adds the weighted mean of the anchors' edges to `#sums` and returns the rows it touched. */
  #accumulate(anchors: Anchors): number[] {
    const touched: number[] = [];
    let total = 0;
    for (const weight of anchors.weights) total += weight;
    for (let place = 0; place < anchors.rows.length; place++) {
      const anchor = anchors.rows[place] as number;
      const share = (anchors.weights[place] as number) / total;
      for (let edge = this.#edges.offsets[anchor] as number; edge < (this.#edges.offsets[anchor + 1] as number); edge++) {
        const row = this.#edges.rows[edge] as number;
        if (this.#sums[row] === 0) touched.push(row);
        this.#sums[row] = (this.#sums[row] as number) + share * this.#measure(edge);
      }
    }
    return touched;
  }

  #clear(touched: readonly number[]): void {
    for (const row of touched) this.#sums[row] = 0;
  }

  #measure(edge: number): number {
    return this.#values[edge] as number;
  }

  #edgeTo(from: number, to: number): number {
    for (let edge = this.#edges.offsets[from] as number; edge < (this.#edges.offsets[from + 1] as number); edge++) {
      if (this.#edges.rows[edge] === to) return edge;
    }
    return -1;
  }
}
