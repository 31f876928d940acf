import { join } from 'node:path';
import { type Dataset, loadConfig, readPipelineData } from '@recloom/core';
import {
  evaluatePipeline,
  evaluateRecommender,
  popularityRecommender,
  type QualityReport,
  type TemporalSplit,
  temporalSplit,
} from '@recloom/evaluate';
import { beforeAll, describe, expect, it } from 'vitest';

// The outside truth: examples/online-retail/data/README.md (counts of the raw file, protocol Q1 to the line) and the reference numbers
// of the design's quality.md (popularity .0341 and EASE .1004 on Q1, measured with RecTools and LensKit).
const directory = join(import.meta.dirname, '..', '..', 'examples', 'online-retail');

let dataset: Dataset;
let split: TemporalSplit;
let popularity: QualityReport;
/** The example's own config, what the home surface uses of it. */
let home: { readonly data: unknown; readonly components: Record<string, object>; readonly surface: Record<string, unknown> };

beforeAll(async () => {
  const { config } = await loadConfig(join(directory, 'shop.yaml'));
  const { home: surface } = config.surfaces;
  if (surface === undefined) throw new Error('the example has no surface "home"');
  const used = new Set([
    ...Object.keys(surface.sources),
    ...[...surface.filters, ...surface.features, ...surface.scorers, ...surface.rankers, ...surface.privacy, ...surface.effects].map(
      (stage) => stage.name,
    ),
  ]);
  for (const name of used) for (const input of Object.values(config.components[name]?.in ?? {}).flat()) used.add(input);
  const components = Object.fromEntries(Object.entries(config.components).filter(([name]) => used.has(name)));
  const stages = (list: typeof surface.filters): object[] =>
    list.map(({ name, onError }) => ({ use: name, ...(surface.privacy === list ? {} : { onError }) }));
  home = {
    data: config.data,
    components,
    surface: {
      sources: surface.sources,
      filters: stages(surface.filters),
      scorers: stages(surface.scorers),
      rankers: stages(surface.rankers),
      privacy: stages(surface.privacy),
      value: surface.value,
    },
  };
  dataset = await readPipelineData(
    { format: '1.0', name: 'online-retail', data: strip(config.data), components, surfaces: { home: home.surface } },
    { directory },
  );
  split = temporalSplit(dataset, { cutMs: Date.UTC(2011, 10, 9), minimumItemUsers: 5, minimumUserItems: 5 });
  popularity = await evaluateRecommender(popularityRecommender(split), split);
}, 150_000);

/** A config as read says what is not there with undefined; a config as written leaves it out. */
function strip(value: unknown): unknown {
  return JSON.parse(JSON.stringify(value)) as unknown;
}

describe('Online Retail, all of it', () => {
  it('is read to the line', () => {
    const { events, items, users } = dataset.reports;
    for (const report of [events, items, users]) {
      expect(report?.rowsRead).toBe(541_909);
      expect(report?.dropped.reduce((sum, entry) => sum + entry.count, 0)).toBe(541_909 - (report?.rowsKept ?? 0));
    }
    const dropped = Object.fromEntries((events?.dropped ?? []).map((entry) => [entry.reason, entry.count]));
    // The README's 9,288 cancellation and 3 bad-debt lines come first in the list of rules and are counted whole.
    expect(dropped['cancelled order']).toBe(9_288);
    expect(dropped['bad-debt adjustment']).toBe(3);
    // The others were counted over the raw file with Python's csv module: the same rules in the same order, then exact duplicates.
    expect(dropped).toEqual({
      'cancelled order': 9_288,
      'bad-debt adjustment': 3,
      'quantity of zero or less': 1_336,
      'price of zero or less': 1_179,
      'postage, fees, samples and vouchers': 2_378,
      'guest without a customer number': 131_388,
      'exact duplicate': 5_187,
    });
    expect(events?.rowsKept).toBe(391_150);
    expect(dataset.history.eventCount).toBe(391_150);
    expect(dataset.history.timesMs.reduce((latest, time) => Math.max(latest, time), 0)).toBe(Date.UTC(2011, 11, 9, 12, 50));
  });

  it('splits as protocol Q1 says', () => {
    expect(split.report).toMatchObject({ trainUsers: 3_818, trainItems: 3_066, trainPairs: 228_926, testUsers: 1_262, testPairs: 25_995 });
  });

  it('gives popularity and plain EASE the figures of the reference', async () => {
    expect(Math.abs(popularity.ndcg.mean - 0.0341)).toBeLessThan(0.001);
    const ease = await evaluatePipeline(
      {
        format: '1.0',
        name: 'ease',
        components: { habits: { use: 'collaborative-linear/ease', with: { lambda: 200 } } },
        data: strip(home.data),
        surfaces: { home: { sources: { habits: 300 }, scorers: ['habits'], value: 'score.habits' } },
      },
      split,
      { directory },
    );
    expect(Math.abs(ease.ndcg.mean - 0.1004)).toBeLessThan(0.001);
  }, 120_000);

  it('reaches 3.5 times popularity with the home page of the example', async () => {
    const quality = await evaluatePipeline(
      { format: '1.0', name: 'home', data: strip(home.data), components: strip(home.components), surfaces: { home: strip(home.surface) } },
      split,
      { directory, surface: 'home' },
    );
    expect(quality.cases).toBe(1_262);
    expect(quality.ndcg.mean / popularity.ndcg.mean).toBeGreaterThanOrEqual(3.5);
    expect(quality.coverage).toBeGreaterThan(0.1);
  }, 180_000);
});
