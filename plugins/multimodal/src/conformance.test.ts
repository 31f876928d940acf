import { madeUpFeature, syntheticShop } from '@recloom/testing';
import { describeConformance } from '@recloom/testing/vitest';
import plugin from './index.js';

const shop = syntheticShop({ users: 60, items: 48, events: 1200 });
// Two features of one space, of which different items lack different ones.
const text = madeUpFeature('text', shop);
const whole = madeUpFeature('picture', shop);
const picture = {
  ...whole,
  values: whole.values.map((value, at) => (Math.floor(at / whole.width) % 4 === 0 ? 0 : -value)),
  presence: whole.presence.map((present, row) => (row % 4 === 0 ? 0 : present)),
};
const inputs = { vectors: [text, picture] };

describeConformance(plugin, {
  fixtures: {
    concat: { shop, inputs, options: { width: 4 } },
    weighted: { shop, inputs, options: { weights: { text: 2 } } },
    attention: { shop, inputs, options: { minimumPeople: 20, steps: 100 } },
    'content-graph': { shop, inputs, options: { width: 8, layers: 2 } },
    'cold-map': { shop, inputs, options: { width: 8, evidence: 3 } },
    'factor-profile': { shop, inputs: { vectors: text } },
  },
});
