import {
  defineCandidateFilter,
  defineComponent,
  definePlugin,
  defineRanker,
  defineScorer,
  expressionsToken,
  itemField,
} from '@recloom/plugin-api';
import { availabilityOptions, boostOptions, groupLimitOptions, pinOptions, seenOptions, whereOptions } from './options.js';

/** Removes what the person has bought, viewed, … before; events sent along with the request count too. */
export const seen = defineCandidateFilter({
  id: 'seen',
  summary: 'Removes items that the history (or the session) holds, by event type and age.',
  options: seenOptions,
  reads: ['history'],
  capabilities: { personal: true, coldUser: true, coldItem: true, incremental: true },
  stateVersion: 1,
  async create({ options, items }) {
    const { Seen } = await import('./seen.js');
    return new Seen(options, items);
  },
});

/** Keeps the candidates for which an expression is true. */
export const where = defineCandidateFilter({
  id: 'where',
  summary: 'Keeps the candidates for which a CEL expression is true.',
  options: whereOptions,
  needs: { expressions: expressionsToken },
  capabilities: { coldUser: true, coldItem: true },
  stateVersion: 1,
  async create({ options, deps }) {
    const { openWhere } = await import('./where.js');
    return openWhere(options, deps.expressions);
  },
});

/** Removes what cannot be bought: sold out, switched off, not yet or no longer on sale. */
export const availability = defineCandidateFilter({
  id: 'availability',
  summary: 'Removes items that are sold out, switched off, or outside their time of sale.',
  options: availabilityOptions,
  inputs: {
    stock: itemField({ description: 'Units in stock.', types: ['number'], optional: true }),
    available: itemField({ description: 'Whether the item can be bought.', types: ['boolean'], optional: true }),
    validFrom: itemField({ description: 'When the sale begins, in milliseconds since the epoch.', types: ['number'], optional: true }),
    validTo: itemField({ description: 'When the sale has ended, in milliseconds since the epoch.', types: ['number'], optional: true }),
  },
  capabilities: { coldUser: true, coldItem: true },
  stateVersion: 1,
  async create({ name, options, inputs, items }) {
    const { openAvailability } = await import('./availability.js');
    return openAvailability(name, options, inputs, items);
  },
});

/** A column to multiply or add in `value`: an expression, and factors for conditions. */
export const boost = defineScorer({
  id: 'boost',
  summary: 'A column from an expression and from conditions that boost or bury.',
  options: boostOptions,
  needs: { expressions: expressionsToken },
  capabilities: { coldUser: true, coldItem: true },
  stateVersion: 1,
  async create({ options, deps }) {
    const { Boost } = await import('./boost.js');
    return new Boost(options, deps.expressions);
  },
});

/** Puts chosen items at chosen places; as a source it makes sure that they are proposed. */
export const pin = defineComponent({
  id: 'pin',
  summary: 'Puts chosen items at chosen places, and proposes them.',
  provides: ['source', 'ranker'],
  options: pinOptions,
  capabilities: { coldUser: true, coldItem: true, filtersInside: true },
  stateVersion: 1,
  async create({ options, items }) {
    const { Pin } = await import('./pin.js');
    return new Pin(options, items);
  },
});

/** Lets at most a number of items of one group come first. */
export const groupLimit = defineRanker({
  id: 'group-limit',
  summary: 'At most a number of items per category, brand, …; the rest of a group comes at the end.',
  options: groupLimitOptions,
  inputs: {
    group: itemField({
      description: 'The group an item belongs to; items without one are not limited.',
      types: ['category', 'text', 'number', 'boolean'],
    }),
  },
  capabilities: { coldUser: true, coldItem: true },
  stateVersion: 1,
  async create({ options, inputs }) {
    const { GroupLimit } = await import('./group-limit.js');
    return new GroupLimit(options, inputs.group);
  },
});

export default definePlugin({ apiVersion: 1, id: 'rules', components: [seen, where, availability, boost, pin, groupLimit] });
