import { buildPipeline, openPipeline } from '@recloom/core';
import { describe, expect, it } from 'vitest';
import { idsOf, inTemporaryFolder, latch, type SmallShop, settle, shopConfig, smallShop } from './small-shop.js';

async function withPublished(
  use: (shop: SmallShop, options: { readonly directory: string; readonly plugins: SmallShop['plugin'][] }) => Promise<void>,
): Promise<void> {
  await inTemporaryFolder(async (directory) => {
    const shop = smallShop();
    const options = { directory, plugins: [shop.plugin] };
    await buildPipeline(shopConfig(), options);
    await use(shop, options);
  });
}

/** Five more people bought f, so that it comes first. */
function letSellMore(shop: SmallShop): void {
  shop.purchases.push(...(['v1', 'v2', 'v3', 'v4', 'v5'] as const).map((user) => [user, 'f'] as const));
}

describe('reload', () => {
  it('swaps to the newly published snapshot while running requests finish on the old one', () =>
    withPublished(async (shop, options) => {
      const pipeline = await openPipeline(shopConfig(), options);
      const oldId = pipeline.snapshotId;
      const { opened, open } = latch();
      shop.gate = () => opened;
      const running = Promise.all(['u1', 'u2', 'u3'].map((user) => pipeline.recommend({ user, surface: 'held', limit: 2 })));
      await settle();
      expect(shop.asked).toBe(3);

      letSellMore(shop);
      await buildPipeline(shopConfig(), options);
      expect(pipeline.snapshotId, 'publishing alone changes nothing in a running pipeline').toBe(oldId);
      shop.gate = () => undefined;
      const reloaded = await pipeline.reload();
      expect(reloaded).toEqual({ snapshotId: pipeline.snapshotId, changed: true });
      expect(reloaded.snapshotId).not.toBe(oldId);

      const fresh = await pipeline.recommend({ limit: 1 });
      expect([idsOf(fresh), fresh.snapshotId]).toEqual(['f', reloaded.snapshotId]);
      expect(shop.disposed, 'the old components serve until their last request is done').toEqual([]);
      open();
      for (const answer of await running) {
        expect(answer.snapshotId).toBe(oldId);
        expect(answer.items).toHaveLength(2);
        expect(answer.warnings).toEqual([]);
      }
      await settle();
      expect(shop.disposed).toEqual(['popular:12']);
      await pipeline.close();
      expect(shop.disposed).toEqual(['popular:12', 'popular:17']);
    }));

  it('applies the overlay again: recorded events and changed items survive', () =>
    withPublished(async (shop, options) => {
      const pipeline = await openPipeline(shopConfig(), options);
      await pipeline.upsertItems([
        { id: 'z', title: 'Item Z', price: 9 },
        { id: 'a', price: 77 },
      ]);
      // Later than the build that follows: an event that the new snapshot holds already must not count twice.
      const time = new Date('2024-02-01T00:00:00Z');
      pipeline.record([
        { user: 'guest', item: 'c', time },
        { user: 'guest', item: 'z', time },
      ]);
      letSellMore(shop);
      await buildPipeline(shopConfig(), options);
      expect((await pipeline.reload()).changed).toBe(true);
      expect(idsOf(await pipeline.recommend({ user: 'guest', surface: 'mine' }))).toBe('zc');
      expect(pipeline.item('z')).toEqual({ title: 'Item Z', price: 9 });
      expect(pipeline.item('a')).toEqual({ title: 'Item A', price: 77 });
      await pipeline.close();
    }));

  it('two at once are one, and without a new snapshot nothing changes', () =>
    withPublished(async (_shop, options) => {
      const pipeline = await openPipeline(shopConfig(), options);
      const id = pipeline.snapshotId;
      const [first, second] = [pipeline.reload(), pipeline.reload()];
      expect(first).toBe(second);
      expect(await first).toEqual({ snapshotId: id, changed: false });
      await pipeline.close();
    }));

  it('keeps serving the old snapshot when the new one cannot be opened', () =>
    withPublished(async (_shop, options) => {
      // A config whose components changed since the build: the published snapshot does not fit it.
      const config = shopConfig();
      const pipeline = await openPipeline(config, options);
      const before = pipeline.snapshotId;
      config['components'] = { ...(config['components'] as object), extra: { use: 'shop/popular' } };
      config['surfaces'] = { home: { sources: { popular: 10, extra: 10 } } };
      await expect(pipeline.reload()).rejects.toMatchObject({ code: 'RECLOOM_DAT_SNAPSHOT_STALE' });
      expect(pipeline.snapshotId).toBe(before);
      expect(idsOf(await pipeline.recommend({ limit: 2 }))).toBe('ab');
      await pipeline.close();
    }));
});

describe('close', () => {
  it('waits for requests in flight, disposes once, and refuses what comes later', () =>
    withPublished(async (shop, options) => {
      const pipeline = await openPipeline(shopConfig(), options);
      const { opened, open } = latch();
      shop.gate = () => opened;
      const running = Array.from({ length: 8 }, () => pipeline.recommend({ surface: 'held', limit: 1 }));
      await settle();
      let closed = false;
      const closing = pipeline.close().then(() => {
        closed = true;
      });
      await expect(pipeline.recommend({ limit: 1 })).rejects.toMatchObject({ code: 'RECLOOM_RUN_CLOSED' });
      expect(() => pipeline.record([{ user: 'u1', item: 'a' }])).toThrow(expect.objectContaining({ code: 'RECLOOM_RUN_CLOSED' }));
      await settle();
      expect(closed).toBe(false);
      expect(shop.disposed).toEqual([]);
      open();
      expect((await Promise.all(running)).map(idsOf)).toEqual(Array.from({ length: 8 }, () => 'a'));
      await closing;
      await pipeline.close();
      expect(shop.disposed).toEqual(['popular:12']);
    }));

  it('is what `await using` calls', () =>
    withPublished(async (shop, options) => {
      const pipeline = await openPipeline(shopConfig(), options);
      await pipeline[Symbol.asyncDispose]();
      expect(shop.disposed).toEqual(['popular:12']);
    }));
});

describe('recommendMany', () => {
  it('runs nothing ahead of a slow consumer', () =>
    withPublished(async (shop, options) => {
      const pipeline = await openPipeline(shopConfig(), options);
      let taken = 0;
      function* requests(): Generator<{ surface: string; limit: number }> {
        for (; taken < 1_000; ) {
          taken++;
          yield { surface: 'held', limit: 1 };
        }
      }
      const stream = pipeline.recommendMany(requests(), { batch: 4 });
      await settle();
      expect([taken, shop.asked], 'nothing runs before the first answer is asked for').toEqual([0, 0]);
      for (let answered = 1; answered <= 10; answered++) {
        expect((await stream.next()).value).toMatchObject({ index: answered - 1, answer: { items: [{ id: 'a' }] } });
        await settle();
        const batches = Math.ceil(answered / 4);
        expect([taken, shop.asked]).toEqual([batches * 4, batches * 4]);
      }
      await stream.return();
      await settle();
      expect([taken, shop.asked], 'whoever stops listening stops the work').toEqual([12, 12]);
      await pipeline.close();
      expect(shop.disposed).toEqual(['popular:12']);
    }));

  it('ends early with its signal, and a bad request spoils no other', () =>
    withPublished(async (_shop, options) => {
      const pipeline = await openPipeline(shopConfig(), options);
      const controller = new AbortController();
      const outcomes: string[] = [];
      const stream = pipeline.recommendMany(['u1', { limit: -1 }, 'u2', 'u3', 'u4', 'u1'], { batch: 3, signal: controller.signal });
      await expect(async () => {
        for await (const result of stream) {
          outcomes.push(result.error?.code ?? idsOf(result.answer as never).slice(0, 1));
          if (result.index === 2) controller.abort();
        }
      }).rejects.toMatchObject({ code: 'RECLOOM_RUN_ABORTED' });
      expect(outcomes).toEqual(['a', 'RECLOOM_RUN_LIMIT', 'a']);
      await pipeline.close();
    }));
});
