import { describeConformance } from '@recloom/testing/vitest';
import plugin from './index.js';

describeConformance(plugin, {
  fixtures: { mmr: { options: { lambda: 0.4 } }, spread: { options: { within: 6 }, inputs: { category: 'item.category' } } },
});
