import { computeToken, defineComponent, definePlugin } from '@recloom/plugin-api';
import { transitionsOptions } from './options.js';

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

export default definePlugin({
  apiVersion: 1,
  id: 'sequence',
  components: [transitions],
  errors: [
    {
      code: 'SEQUENCE_EVENT_TYPE_UNKNOWN',
      summary: 'Warning of the build: a name under eventTypes is the type of no event, so nothing is learned from it.',
      hint: 'Correct the name; the message lists the types in the data.',
    },
  ],
});
