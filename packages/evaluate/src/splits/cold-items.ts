import { createHash } from 'node:crypto';
import type { Dataset } from '@recloom/core';
import { columnValue, recloomError } from '@recloom/plugin-api';
import type { RelevantTypesOptions } from './relevant-types.js';
import { type Split, splitFrom } from './split.js';

export interface ColdItemsOptions extends RelevantTypesOptions {
  /** Share of the items that is taken out; default .2. Ignored when `isCold` is given. */
  readonly fraction?: number;
  /** Which items are taken out, by id; default: those whose SHA-256 of `<seed>:<id>` falls below `fraction`. */
  readonly isCold?: (id: string) => boolean;
  readonly seed?: number;
  /** Users with fewer items that stay are not asked; default 5. */
  readonly minimumUserItems?: number;
}

/**
 * Takes items out of the data entirely (events, table, everything) and asks which of them each user took: what a
 * recommender makes of products that are new. `newItems` holds their fields, to be added to the opened pipeline; only
 * they count as answers, so a list is to be drawn from them alone.
 *
 * @throws RECLOOM_DAT_SPLIT_NO_TRAINING, RECLOOM_DAT_SPLIT_NO_TEST when no item or no user is left; RECLOOM_RUN_EVALUATION for a share outside (0, 1)
 */
export function coldItems(dataset: Dataset, options: ColdItemsOptions = {}): Split {
  const { history, items } = dataset;
  const fraction = options.fraction ?? 0.2;
  if (!(fraction > 0 && fraction < 1)) throw recloomError('RECLOOM_RUN_EVALUATION', { why: '"fraction" must lie between 0 and 1' });
  const isCold =
    options.isCold ??
    ((id: string): boolean =>
      createHash('sha256')
        .update(`${options.seed ?? 0}:${id}`)
        .digest()
        .readUInt32BE(0) <
      fraction * 2 ** 32);
  const cold = Uint8Array.from({ length: items.rowCount }, (_, row) => (isCold(items.idOf(row)) ? 1 : 0));
  const warm = cold.map((flag) => 1 - flag);
  const training = new Uint8Array(history.eventCount);
  const byUser = new Map<number, number[]>();
  const minimum = options.minimumUserItems ?? 5;
  let few = 0;
  for (let user = 0; user < history.userCount; user++) {
    const known = new Set<number>();
    const places: number[] = [];
    for (let place = history.offsets[user] as number; place < (history.offsets[user + 1] as number); place++) {
      const row = history.items[place] as number;
      if (cold[row] === 1) places.push(place);
      else {
        training[place] = 1;
        known.add(row);
      }
    }
    if (places.length === 0) continue;
    if (known.size < minimum) few++;
    else byUser.set(user, places);
  }
  const split = splitFrom(dataset, {
    training,
    items: warm,
    byUser,
    answers: cold,
    ...(options.relevantTypes === undefined ? {} : { relevantTypes: options.relevantTypes }),
    cutMs: dataset.lastEventMs,
    dropped: [{ what: 'users', reason: minimum === 1 ? 'no item that stays' : `fewer than ${minimum} items that stay`, count: few }],
    change: `Change the share of items that is taken out, or lower the items a user must have besides (${minimum} now).`,
  });
  const newItems = Array.from({ length: items.rowCount }, (_, row) => row)
    .filter((row) => cold[row] === 1)
    .map((row) => ({
      id: items.idOf(row),
      ...Object.fromEntries(Object.entries(items.columns).map(([field, column]) => [field, columnValue(column, row)])),
    }));
  return { ...split, newItems };
}
