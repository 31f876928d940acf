import { computeToken, defineComponent, definePlugin, itemField } from '@recloom/plugin-api';
import { networkOptions, transitionsOptions } from './options.js';

/** What people choose after what: directed, damped item-to-item transitions. */
export const transitions = defineComponent({
  id: 'transitions',
  summary: 'What people choose next: directed item-to-item transitions within a window, scored from the last events.',
  provides: ['source', 'scorer'],
  options: transitionsOptions,
  needs: { compute: computeToken },
  reads: ['history'],
  capabilities: {
    deterministic: true,
    personal: true,
    coldUser: true,
    coldItem: false,
    incremental: true,
    explains: true,
    asks: ['user', 'item'],
    filtersInside: true,
  },
  stateVersion: 1,
  async fit(context) {
    const { fitTransitions } = await import('./transitions.js');
    return fitTransitions(context);
  },
  async create(context) {
    const { openTransitions } = await import('./transitions.js');
    return openTransitions(context);
  },
});

/** A small network: what a history points to in a space of items, learned from what came next, with attributes if there are any. */
export const network = defineComponent({
  id: 'network',
  summary:
    'What people choose next: a small network trained with a softmax loss, history to vector to nearest items, with attributes if given.',
  provides: ['source', 'scorer'],
  options: networkOptions,
  needs: { compute: computeToken },
  inputs: {
    attributes: itemField({
      description:
        "Categories, brands, tags: items that share them start near each other, and an item without events has its attributes' vector.",
      types: ['category', 'list'],
      many: true,
      optional: true,
    }),
  },
  reads: ['history'],
  capabilities: {
    deterministic: true,
    personal: true,
    coldUser: true,
    coldItem: false,
    incremental: true,
    explains: true,
    asks: ['user', 'item'],
    filtersInside: true,
  },
  stateVersion: 1,
  async fit(context) {
    const { fitNetwork } = await import('./network.js');
    return fitNetwork(context);
  },
  async create(context) {
    const { openNetwork } = await import('./network.js');
    return openNetwork(context);
  },
});

export default definePlugin({
  apiVersion: 1,
  id: 'sequence',
  components: [network, transitions],
  errors: [
    {
      code: 'SEQUENCE_EVENT_TYPE_UNKNOWN',
      summary: 'Warning of the build: a name under eventTypes is the type of no event, so nothing is learned from it.',
      hint: 'Correct the name; the message lists the types in the data.',
    },
    {
      code: 'SEQUENCE_NOTHING_FOLLOWS',
      summary: 'Warning of the build: nobody has two different items one after the other, so the network learned nothing.',
      hint: 'Check that events carry the user and the time; without sequences use popularity or content.',
    },
  ],
});
