import { defineComponent, definePlugin } from '@recloom/plugin-api';
import { againOptions } from './options.js';

/** What a person buys again, and when: the chance of each item of the history within the next days. */
export const again = defineComponent({
  id: 'again',
  summary: 'What a person buys again: own frequency, the item’s repeat rate of late and the usual gap give the chance within days.',
  provides: ['source', 'scorer'],
  options: againOptions,
  reads: ['history'],
  capabilities: {
    deterministic: true,
    personal: true,
    coldUser: true,
    coldItem: false,
    incremental: true,
    explains: true,
    asks: ['user'],
    filtersInside: true,
  },
  stateVersion: 1,
  async fit(context) {
    const { fitAgain } = await import('./again.js');
    return fitAgain(context);
  },
  async create(context) {
    const { openAgain } = await import('./again.js');
    return openAgain(context);
  },
});

export default definePlugin({
  apiVersion: 1,
  id: 'repeat',
  components: [again],
  errors: [
    {
      code: 'REPEAT_EVENT_TYPE_UNKNOWN',
      summary: 'Warning of the build: a name under eventTypes is the type of no event, so nothing is learned from it.',
      hint: 'Correct the name; the message lists the types in the data.',
    },
    {
      code: 'REPEAT_NOTHING_AGAIN',
      summary: 'Warning of the build: nobody bought an item twice, so there is nothing to learn and nothing is proposed.',
      hint: 'Check eventTypes and mergeHours; a shop whose customers never come back for the same thing needs no such component.',
    },
  ],
});
