import { describeConformance } from '@recloom/testing/vitest';
import plugin from './index.js';

describeConformance(plugin, {
  fixtures: {
    where: { options: { expression: 'item.stock > 20.0 && item.category != "garden"' } },
    availability: { inputs: { stock: 'item.stock', available: 'item.available' } },
    boost: { options: { expression: 'item.price', rules: [{ when: 'item.category == "kitchen"', factor: 2 }] } },
    // 7 is not in the lists of the kit; the other two are, elsewhere.
    pin: {
      options: {
        items: [
          { item: 'item-00007', slot: 2 },
          { item: 'item-00027', slot: 1 },
          { item: 'item-00015', slot: 5 },
        ],
      },
    },
    'group-limit': { options: { most: 1 }, inputs: { group: 'item.category' } },
  },
});

// The other shape of two filters: decisions that depend on the request, so that there is no item filter.
describeConformance(
  { ...plugin, id: 'rules, per request', components: plugin.components.filter(({ id }) => id === 'where' || id === 'availability') },
  {
    fixtures: {
      where: { options: { expression: 'source.first.rank <= 5 || item.price > 4.0' } },
      availability: { options: { unknown: 'remove' }, inputs: { stock: 'item.stock', validFrom: 'item.price' } },
    },
  },
);
