import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { buildPipeline, openPipeline } from '@recloom/core';
import { expect, it } from 'vitest';

const config = (text: readonly string[]) => ({
  format: '1.0',
  name: 'inputs',
  data: { items: { use: 'data-duckdb/items', with: { path: 'items.csv', id: 'sku', fields: { title: 'text', maker: 'text' } } } },
  components: { words: { use: 'keyword-search/bm25', in: { text } } },
  surfaces: { search: { needs: ['text'], sources: { words: 10 } } },
});

it('a snapshot fitted to other inputs is refused, since it would answer from the old ones', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'recloom-inputs-'));
  try {
    await writeFile(join(directory, 'items.csv'), 'sku,title,maker\na,red lamp,north\nb,blue lamp,south\n');
    await buildPipeline(config(['item.title']), { directory });
    await expect(openPipeline(config(['item.maker']), { directory })).rejects.toMatchObject({ code: 'RECLOOM_DAT_SNAPSHOT_STALE' });
    await expect(openPipeline(config(['item.title', 'item.maker']), { directory })).rejects.toMatchObject({
      code: 'RECLOOM_DAT_SNAPSHOT_STALE',
    });
    const same = await openPipeline(config(['item.title']), { directory });
    expect((await same.search({ text: 'blue' })).items.map(({ id }) => id)).toEqual(['b']);
    await same.close();
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
});
