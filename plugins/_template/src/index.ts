import { defineCandidateSource, definePlugin, itemField } from '@recloom/plugin-api';
import { newestOptions } from './options.js';

/** Proposes the items that were added last. */
export const newest = defineCandidateSource({
  id: 'newest',
  summary: 'The items that were added last, newest first.',
  options: newestOptions,
  inputs: {
    added: itemField({ description: 'When the item was added, in milliseconds since the epoch.', types: ['number'] }),
  },
  capabilities: { coldUser: true, coldItem: true, filtersInside: true, explains: true },
  stateVersion: 1,
  async create({ options, inputs, items }) {
    const { Newest } = await import('./newest.js');
    return new Newest(options, inputs.added, items);
  },
});

export default definePlugin({ apiVersion: 1, id: 'template', components: [newest] });
