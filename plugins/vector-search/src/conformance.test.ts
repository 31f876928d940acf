import { featureMatrix } from '@recloom/testing';
import { describeConformance } from '@recloom/testing/vitest';
import plugin from './index.js';

/** Eight directions for the 48 items of the kit's shop, six items each; every eleventh item has none. */
const repeating = featureMatrix(
  'vectors',
  8,
  Array.from({ length: 48 * 8 }, (_, at) => (Math.floor(at / 8) % 8 === at % 8 && Math.floor(at / 8) % 11 !== 10 ? 1 : 0)),
  Array.from({ length: 48 }, (_, row) => (row % 11 === 10 ? 0 : 1)),
);

describeConformance(plugin, { fixtures: { 'near-duplicates': { inputs: { vectors: repeating } } } });
