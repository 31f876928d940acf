import type { ComponentState, CreateContext, FieldInput, FitContext, InputsSpec } from '@recloom/plugin-api';
import { countedTypes } from './item-counts.js';
import type { PopularOptions } from './options.js';
import { RankedItems, rankingState, readRanking } from './ranked-items.js';
import { rankBySegment } from './segments.js';

interface SegmentInputs {
  readonly segment: FieldInput | undefined;
}

/** Ranks items by the share of users (or of events, or of weight) that they have. Ages are relative to the build's last event. */
export function fitPopular(
  context: Omit<FitContext<PopularOptions, Record<never, never>, InputsSpec>, 'inputs'> & { readonly inputs: SegmentInputs },
): ComponentState {
  const { history, options } = context;
  const rule = {
    count: options.count,
    countedTypes: countedTypes(history, options.eventTypes, context.warn),
    asOfMs: context.asOfMs,
    fromAgeDays: 0,
    untilAgeDays: options.windowDays ?? Number.POSITIVE_INFINITY,
    decayDays: undefined,
  };
  return rankingState(rankBySegment(history, rule, context.inputs.segment, options, context.signal));
}

/** Opens what `fitPopular` left. */
export function openPopular(
  context: Omit<CreateContext<PopularOptions, Record<never, never>, InputsSpec>, 'inputs'> & { readonly inputs: SegmentInputs },
): RankedItems {
  return new RankedItems(readRanking(context.state), {
    excludeHistory: context.options.excludeHistory,
    segmentField: context.inputs.segment?.field,
    reason: { code: 'popular', text: 'Popular with other customers' },
  });
}
