import { syntheticShop } from '@recloom/testing';
import { describeConformance } from '@recloom/testing/vitest';
import plugin from './index.js';

// Enough baskets for pairs to repeat, and floors low enough for some of them to pass.
const shop = syntheticShop({ users: 80, items: 24, events: 4000 });
const floors = { minimumSupport: 2, minimumUsers: 2, minimumSignificance: 0 };

describeConformance(plugin, { fixtures: { related: { shop, options: floors } } });
