import {
  buildInteractions,
  type Interactions,
  InterestReader,
  LinkedItems,
  recencyAmounts,
  SparseLinks,
  typeMask,
  unknownEventType,
  usersCut,
} from '@recloom/item-models';
import { kernelsOf, type SparseMatrix } from '@recloom/kernels';
import {
  type ComponentState,
  type Compute,
  type CreateContext,
  type computeToken,
  type FitContext,
  type InputsSpec,
  tensor,
} from '@recloom/plugin-api';
import type { SharedOptions } from './options.js';

interface Needs {
  readonly [name: string]: typeof computeToken;
  readonly compute: typeof computeToken;
}
/** What the fits of this plugin get. */
export type NeighboursFit<Options extends SharedOptions> = FitContext<Options, Needs, InputsSpec> & {
  readonly deps: { readonly compute: Compute };
};
/** What the instances of this plugin are opened with. */
export type NeighboursCreate<Options extends SharedOptions> = CreateContext<Options, Needs, InputsSpec> & {
  readonly deps: { readonly compute: Compute };
};

/**
 * Factor of the popularity that orders items of exactly equal score. It is far below any similarity and matters only
 * where float32 sums tie, above all at 0.
 */
export const popularityTieBreak = 1e-9;

/** Users × items as the options say. */
export function interactionsOf(context: NeighboursFit<SharedOptions>): Interactions {
  const { history, options } = context;
  const counted = typeMask(history.typeNames, options.eventTypes, (name) =>
    context.warn(unknownEventType('NEIGHBOURS_EVENT_TYPE_UNKNOWN', name, history.typeNames)),
  );
  const interactions = buildInteractions(history, options, options, context.asOfMs, counted, context.signal);
  if (interactions.cutUsers > 0) context.warn(usersCut('NEIGHBOURS_USERS_CUT', interactions.cutUsers, options.maximumUserItems));
  return interactions;
}

/** The state of `item-knn` and `rp3beta`: links by history item (CSR) and users per item. */
export function linksState(links: SparseMatrix, itemUsers: Float32Array): ComponentState {
  return {
    offsets: tensor(links.rowOffsets),
    neighbours: tensor(links.columnIndices),
    similarities: tensor(links.values ?? new Float32Array(links.columnIndices.length).fill(1)),
    itemUsers: tensor(itemUsers),
  };
}

/** Reads what requests want, as the options say. */
export function interestsOf(itemCount: number, options: SharedOptions): InterestReader {
  return new InterestReader(itemCount, {
    requestItems: options.requestItems,
    pairs: options.pairs,
    amounts: recencyAmounts({
      eventTypes: options.historyEventTypes,
      useWeights: options.useWeights,
      recencyDays: options.historyRecencyDays ?? options.recencyDays,
      recencyFloor: options.historyRecencyFloor,
    }),
  });
}

/** Opens what `linksState` holds. */
export function openLinks(context: NeighboursCreate<SharedOptions>): LinkedItems {
  const { state, options } = context;
  const itemUsers = state['itemUsers']?.data as Float32Array;
  const itemCount = itemUsers.length;
  const links: SparseMatrix = {
    rowCount: itemCount,
    columnCount: itemCount,
    rowOffsets: state['offsets']?.data as Int32Array,
    columnIndices: state['neighbours']?.data as Int32Array,
    values: state['similarities']?.data as Float32Array,
  };
  const tieBreaks = itemUsers.map((users) => users * popularityTieBreak);
  return new LinkedItems(new SparseLinks(kernelsOf(context.deps.compute), links, tieBreaks), {
    interests: interestsOf(itemCount, options),
    excludeHistory: options.excludeHistory,
    items: context.items,
  });
}
