import type { ComponentState, CreateContext, FieldInput, FitContext, InputsSpec } from '@recloom/plugin-api';
import { countedTypes } from './item-counts.js';
import type { RecentOptions } from './options.js';
import { RankedItems, rankingState, readRanking } from './ranked-items.js';
import { rankBySegment } from './segments.js';

interface SegmentInputs {
  readonly segment: FieldInput | undefined;
}

/**
 * Ranks items by the sum of exp(-age / decayDays) over their events. Ages are relative to the build's last event, so
 * old data do not underflow; a later request would scale all sums alike and leave the order as it is.
 */
export function fitRecent(
  context: Omit<FitContext<RecentOptions, Record<never, never>, InputsSpec>, 'inputs'> & { readonly inputs: SegmentInputs },
): ComponentState {
  const { history, options } = context;
  const rule = {
    count: options.count,
    countedTypes: countedTypes(history, options.eventTypes, context.warn),
    asOfMs: context.asOfMs,
    fromAgeDays: 0,
    untilAgeDays: Number.POSITIVE_INFINITY,
    decayDays: options.decayDays,
  };
  return rankingState(rankBySegment(history, rule, context.inputs.segment, options, context.signal));
}

/** Opens what `fitRecent` left. */
export function openRecent(
  context: Omit<CreateContext<RecentOptions, Record<never, never>, InputsSpec>, 'inputs'> & { readonly inputs: SegmentInputs },
): RankedItems {
  return new RankedItems(readRanking(context.state), {
    excludeHistory: context.options.excludeHistory,
    segmentField: context.inputs.segment?.field,
    reason: { code: 'popular-now', text: 'Popular right now' },
  });
}
