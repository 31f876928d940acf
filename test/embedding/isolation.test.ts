import { buildPipeline, openPipeline } from '@recloom/core';
import { loggerToken, metricsToken } from '@recloom/plugin-api';
import { recordingLogger, recordingMetrics } from '@recloom/testing';
import { Container } from 'inversify';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { idsOf, inTemporaryFolder, shopConfig, smallShop } from './small-shop.js';

afterEach(() => {
  vi.restoreAllMocks();
});

describe('two pipelines in one process', () => {
  it('share nothing, even on one snapshot with one plugin', () =>
    inTemporaryFolder(async (directory) => {
      const shop = smallShop();
      const metrics = [recordingMetrics(), recordingMetrics()] as const;
      await buildPipeline(shopConfig(), { directory, plugins: [shop.plugin] });
      const [left, right] = await Promise.all(
        metrics.map((own) => openPipeline(shopConfig(), { directory, plugins: [shop.plugin], provide: [[metricsToken, own]] })),
      );
      if (left === undefined || right === undefined) throw new Error('two pipelines');
      expect(left.snapshotId).toBe(right.snapshotId);
      expect(left.component('popular')).not.toBe(right.component('popular'));

      await left.upsertItems([{ id: 'z', title: 'Item Z', price: 9 }]);
      left.record([{ user: 'guest', item: 'z' }]);
      const asked = { user: 'guest', surface: 'mine' };
      expect(idsOf(await left.recommend(asked))).toBe('z');
      expect(idsOf(await right.recommend(asked))).toBe('');
      expect([left.itemCount, right.itemCount]).toEqual([7, 6]);
      expect(right.item('z')).toBeUndefined();
      await right.recommend({ limit: 1 });
      expect(metrics.map((own) => own.records.filter(({ name }) => name === 'recloom.request.milliseconds').length)).toEqual([1, 2]);

      await left.close();
      expect(shop.disposed).toEqual(['popular:12']);
      expect(idsOf(await right.recommend({ limit: 2 }))).toBe('ab');
      await right.close();
      expect(shop.disposed).toEqual(['popular:12', 'popular:12']);
    }));

  it('may have plugins of one id that are not the same', () =>
    inTemporaryFolder(async (directory) => {
      const [one, other] = [smallShop(), smallShop()];
      other.purchases = [
        ['u1', 'f'],
        ['u2', 'f'],
        ['u1', 'e'],
      ];
      const first = await openPipeline(shopConfig('one'), { directory, plugins: [one.plugin], build: 'always' });
      const second = await openPipeline(shopConfig('other'), { directory, plugins: [other.plugin], build: 'always' });
      const [a, f] = await Promise.all([first.recommend({ limit: 2 }), second.recommend({ limit: 2 })]);
      expect([idsOf(a), idsOf(f)]).toEqual(['ab', 'fe']);
      await second.close();
      expect([one.disposed, other.disposed]).toEqual([[], ['popular:3']]);
      await first.close();
    }));
});

describe('beside a host that uses Inversify itself', () => {
  it('both containers keep to themselves', () =>
    inTemporaryFolder(async (directory) => {
      const hostLogger = recordingLogger();
      const mine = recordingLogger();
      class Basket {
        readonly owner: string;
        constructor(owner: string) {
          this.owner = owner;
        }
      }
      const host = new Container({ defaultScope: 'Singleton' });
      // The very ids that Recloom binds in its own container.
      host.bind(loggerToken.id).toConstantValue(hostLogger);
      host.bind('recloom.clock').toConstantValue('a clock of the host');
      host.bind(Basket).toResolvedValue((owner: string) => new Basket(owner), ['owner']);
      host.bind('owner').toConstantValue('host');

      const shop = smallShop();
      const pipeline = await openPipeline(shopConfig(), {
        directory,
        plugins: [shop.plugin],
        provide: [[loggerToken, mine]],
        build: 'always',
      });
      expect(idsOf(await pipeline.recommend({ limit: 2 }))).toBe('ab');
      expect(host.get(Basket).owner).toBe('host');
      expect(host.get(loggerToken.id)).toBe(hostLogger);
      expect(host.get('recloom.clock')).toBe('a clock of the host');
      for (const id of ['recloom.metrics', 'node:popular']) expect(host.isBound(id), id).toBe(false);

      await host.unbindAllAsync();
      expect(idsOf(await pipeline.recommend({ limit: 2 })), 'the end of the host container is not ours').toBe('ab');
      await pipeline.close();
      expect(shop.disposed).toEqual(['popular:12']);
    }));

  it('no request touches a container', () =>
    inTemporaryFolder(async (directory) => {
      const counts = { resolved: 0 };
      for (const method of ['get', 'getAsync', 'getAll', 'getAllAsync'] as const) {
        const original = Container.prototype[method] as (...parameters: unknown[]) => unknown;
        vi.spyOn(Container.prototype, method).mockImplementation(function (this: Container, ...parameters: unknown[]) {
          counts.resolved++;
          return original.apply(this, parameters) as never;
        });
      }
      const shop = smallShop();
      const pipeline = await openPipeline(shopConfig(), { directory, plugins: [shop.plugin], build: 'always' });
      expect(counts.resolved, 'opening resolves through this very class').toBeGreaterThan(5);
      counts.resolved = 0;
      for (let request = 0; request < 70; request++) {
        await pipeline.recommend({
          user: `u${request % 5}`,
          surface: (['home', 'mine', 'held'] as const)[request % 3] as string,
          limit: 3,
          explain: request % 2 === 0,
        });
      }
      for await (const { error } of pipeline.recommendMany(Array.from({ length: 30 }, (_, index) => `u${index}`)))
        expect(error).toBeUndefined();
      await pipeline.explain({ user: 'u1', target: 'a' });
      pipeline.record([{ user: 'u1', item: 'd' }]);
      await pipeline.upsertItems([{ id: 'y', title: 'Item Y' }]);
      expect(counts.resolved).toBe(0);
      await pipeline.reload();
      expect(counts.resolved, 'a reload assembles anew').toBeGreaterThan(0);
      await pipeline.close();
    }));
});
