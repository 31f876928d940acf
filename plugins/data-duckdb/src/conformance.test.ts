import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describeConformance } from '@recloom/testing/vitest';
import { afterAll } from 'vitest';
import plugin from './index.js';

const directory = mkdtempSync(join(tmpdir(), 'recloom-conformance-'));
afterAll(() => rmSync(directory, { recursive: true, force: true }));
writeFileSync(
  join(directory, 'shop.csv'),
  'customer,sku,at,title,price\nann,1,2024-01-01T10:00:00,Blue mug,4.5\nben,2,2024-01-02T11:00:00,Red mug,5\nann,2,2024-01-03T12:00:00,Red mug,oops\nben,1,never,Blue mug,4.5\n',
);
const table = { path: 'shop.csv', maxBadShare: 0.5, fields: { title: 'title', price: 'number' } };

describeConformance(plugin, {
  fixtures: {
    events: { directory, options: { path: 'shop.csv', user: 'customer', item: 'sku', time: 'at', maxBadShare: 0.5 } },
    items: { directory, options: { ...table, id: 'sku' } },
    users: { directory, options: { path: 'shop.csv', id: 'customer' } },
  },
});
