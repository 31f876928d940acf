import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { datasetFromArrays, loadConfig, openPipeline, type Pipeline, type PipelineConfig, type RecommendRequest } from '@recloom/core';
import { createRandomStream } from '@recloom/plugin-api';
import { type PresetName, presetNames } from '@recloom/presets';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

// What every shop that tunes nothing gets: presets that can be combined, that know the difference between two kinds of customers on a
// small shop, and that never leave a place on the page empty.
const root = join(import.meta.dirname, '..', '..');
const kinds = ['kettle teapot saucer', 'spade lantern trowel'].map((words) => words.split(' '));
const itemsPerKind = 20;
const customers = 80;
const known = { purposes: ['personalisation'] };

async function preset(...names: readonly PresetName[]): Promise<PipelineConfig> {
  const source = { format: '1.0', name: 'presets', base: names.map((name) => `recloom:${name}`), data: {} };
  return (await loadConfig(source, { directory: root })).config;
}

/** Customers stay with one of two kinds, buy three things at a time, and come back; one item has no title, one is never bought. */
function shop() {
  const random = createRandomStream(29);
  const pick = (words: readonly string[]): string => words[random.integer(words.length)] as string;
  const items = kinds.flatMap((words, kind) =>
    Array.from({ length: itemsPerKind }, (_, index) => ({
      id: `k${kind}-${String(index).padStart(2, '0')}`,
      title: kind === 0 && index === 1 ? null : `${pick(['red', 'blue', 'large', 'small'])} ${pick(words)} ${pick(words)}`,
    })),
  );
  const events = Array.from({ length: customers }, (_, person) => {
    // The k0-00 of every fourth customer is bought at each visit.
    const visits = Array.from({ length: 4 }, (_, visit) => ({ timeMs: Date.UTC(2024, 0, 1 + visit * 20 + random.integer(15)), visit }));
    return visits.flatMap(({ timeMs, visit }) => {
      const chosen = Array.from({ length: 3 }, () => `k${person % 2}-${String(random.integer(itemsPerKind - 1)).padStart(2, '0')}`);
      if (person % 4 === 0) chosen.push('k0-00');
      return [...new Set(chosen)].map((item) => ({
        user: `p${person}`,
        item,
        timeMs,
        type: 'purchase',
        basket: `b${person}-${visit}`,
      }));
    });
  }).flat();
  return datasetFromArrays({ items, events, types: { items: { title: 'text' } } });
}

/** Where each preset answers, and what a request must bring. */
const surfaces: Readonly<Record<PresetName, { readonly surface: string; readonly bring: RecommendRequest }>> = {
  shop: { surface: 'home', bring: {} },
  home: { surface: 'home', bring: {} },
  related: { surface: 'product', bring: { item: 'k0-05' } },
  basket: { surface: 'basket', bring: { items: ['k0-05', 'k0-06'] } },
  next: { surface: 'next', bring: { session: [{ item: 'k0-05', type: 'view' }] } },
  guest: { surface: 'guest', bring: {} },
  search: { surface: 'search', bring: { text: 'blue kettle' } },
  again: { surface: 'again', bring: { user: 'p0', ...known } },
};

const kindOf = (id: string): string => id.split('-')[0] as string;
const shareOf = (ids: readonly string[], kind: string): number => ids.filter((id) => kindOf(id) === kind).length / ids.length;

let pipeline: Pipeline;

async function ask(surface: string, request: RecommendRequest): Promise<readonly string[]> {
  const answer = await pipeline.recommend({ surface, limit: 10, ...request });
  expect(answer.warnings.filter(({ code }) => code === 'RECLOOM_RUN_NODE_FAILED')).toEqual([]);
  return answer.items.map(({ id }) => id);
}

beforeAll(async () => {
  pipeline = await openPipeline(
    { format: '1.0', name: 'presets', base: presetNames.map((name) => `recloom:${name}`), data: { now: 'data' } },
    { dataset: shop(), directory: root },
  );
  await pipeline.upsertItems([{ id: 'new-tea', title: 'green teapot saucer' }, { id: 'new-blank' }, { id: 'ZX81', title: 'brass handle' }]);
}, 120_000);

afterAll(async () => {
  await pipeline.close();
});

describe('presets as configs', () => {
  it.each(presetNames)('recloom:%s holds what its surfaces use, and nothing else', async (name) => {
    const { components, surfaces: all } = await preset(name);
    const used = new Set<string>();
    const use = (component: string): void => {
      if (!Object.hasOwn(components, component)) return;
      used.add(component);
      for (const input of Object.values(components[component]?.in ?? {}).flat()) use(input);
    };
    for (const { sources, filters, features, scorers, rankers, privacy } of Object.values(all)) {
      for (const source of Object.keys(sources)) use(source);
      for (const stage of [filters, features, scorers, rankers, privacy]) for (const entry of stage) use(entry.name);
    }
    expect([...used].sort()).toEqual(Object.keys(components).sort());
    expect(Object.keys(all)).toContain(surfaces[name].surface);
    if (name !== 'shop') expect(Object.keys(all)).toHaveLength(1);
  });

  it('combine: the same name is the same component, and a surface is what it is alone', async () => {
    const all = await preset(...presetNames);
    for (const name of presetNames) {
      const alone = await preset(name);
      for (const [component, node] of Object.entries(alone.components)) expect(all.components[component]).toEqual(node);
      for (const [surface, node] of Object.entries(alone.surfaces)) expect(all.surfaces[surface]).toEqual(node);
    }
    // Two fits of one thing under two names would be paid twice.
    const definitions = Object.values(all.components).map((node) => JSON.stringify(node));
    expect(new Set(definitions).size).toBe(definitions.length);
  });

  it('every surface asks the gate, weighs every scorer and reads no other', async () => {
    for (const [name, { privacy, scorers, value }] of Object.entries((await preset(...presetNames)).surfaces)) {
      expect(
        privacy.map((use) => use.name),
        name,
      ).toEqual(['consent']);
      const read = new Set(Array.from((value ?? '').matchAll(/score\.(\w+)/g), (match) => match[1]));
      expect([...read].sort(), name).toEqual(scorers.map((use) => use.name).sort());
    }
  });

  it('stand in the README with what they need and hold', async () => {
    const readme = readFileSync(join(root, 'packages/presets/README.md'), 'utf8');
    for (const name of presetNames) {
      const { components, surfaces: all } = await preset(name);
      const row = readme.split('\n').find((line) => line.startsWith(`| [\`recloom:${name}\`](presets/${name}.yaml)`));
      const cells = (row ?? '').split('|').map((cell) => cell.trim());
      expect(cells[2]?.split(', '), name).toEqual(Object.keys(all).map((surface) => `\`${surface}\``));
      expect(cells[3], name).toBe([...new Set(Object.values(all).flatMap(({ needs }) => needs))].join(', ') || 'nothing');
      expect(cells[5]?.split(', ').sort(), name).toEqual(
        Object.keys(components)
          .map((component) => `\`${component}\``)
          .sort(),
      );
    }
  });
});

describe('presets on a small shop', () => {
  const visitors: readonly (readonly [string, RecommendRequest])[] = [
    ['a customer', { user: 'p1', ...known }],
    ['a customer who refuses', { user: 'p1' }],
    ['somebody unknown', { user: 'nobody', ...known }],
    ['a guest with one view', { session: [{ item: 'k1-03', type: 'view' }] }],
    ['a guest who looks at a new item', { session: [{ item: 'new-tea', type: 'view' }] }],
    ['a guest who looks at an item without title', { session: [{ item: 'k0-01', type: 'view' }] }],
    ['a guest who looks at a new item without title', { session: [{ item: 'new-blank', type: 'view' }] }],
    ['a guest whose item is not in the catalogue', { session: [{ item: 'gone', type: 'view' }] }],
  ];
  const pages: readonly (readonly [string, RecommendRequest])[] = [
    ['a new item', { item: 'new-tea' }],
    ['an item without title', { item: 'k0-01' }],
    ['a new item without title', { item: 'new-blank' }],
    ['an item nobody bought', { item: 'k0-19' }],
    ['an item that is not there', { item: 'gone' }],
  ];

  it.each(presetNames.flatMap((name) => visitors.map(([who, request]) => [name, who, request] as const)))(
    'recloom:%s has ten different items for %s',
    async (name, _, request) => {
      const { surface, bring } = surfaces[name];
      const ids = await ask(surface, { ...bring, ...request });
      expect(ids).toHaveLength(10);
      expect(new Set(ids).size).toBe(10);
    },
  );

  it.each(pages)('a product page and a basket are full for %s, and do not show it', async (_, request) => {
    for (const [surface, asked] of [
      ['product', request],
      ['basket', { items: [request.item as string] }],
    ] as const) {
      const ids = await ask(surface, asked);
      expect(ids).toHaveLength(10);
      expect(ids).not.toContain(request.item);
    }
  });

  it('a search finds by words, by code, and by meaning where no word fits', async () => {
    expect((await ask('search', { text: 'green teapot' }))[0]).toBe('new-tea');
    expect((await ask('search', { text: 'zx81' }))[0]).toBe('ZX81');
    expect(await ask('search', { text: 'something to dig in the soil' })).not.toHaveLength(0);
  });

  it('customers get their own kind and nothing they have; who refuses gets what nobody known gets', async () => {
    for (const [user, kind] of [
      ['p1', 'k1'],
      ['p2', 'k0'],
    ] as const) {
      const own = await ask('again', { user, ...known, limit: 5 });
      const ids = await ask('home', { user, ...known, limit: 5 });
      expect(shareOf(ids, kind)).toBeGreaterThanOrEqual(0.8);
      expect(ids.filter((id) => own.includes(id))).toEqual([]);
    }
    expect(await ask('home', { user: 'p1' })).toEqual(await ask('home', {}));
  });

  it.each(['product', 'basket', 'next', 'guest'])('%s goes with what is shown', async (surface) => {
    for (const kind of ['k0', 'k1']) {
      const item = `${kind}-05`;
      const shown =
        surface === 'product' ? { item } : surface === 'basket' ? { items: [item, `${kind}-06`] } : { session: [{ item, type: 'view' }] };
      const ids = await ask(surface, { ...shown, limit: 5 });
      expect(shareOf(ids, kind)).toBeGreaterThanOrEqual(0.8);
      expect(ids).not.toContain(item);
    }
  });

  it('the page decides on a product page, whatever its visitor is used to', async () => {
    const ids = await ask('product', { user: 'p1', ...known, item: 'k0-05', limit: 5 });
    expect(shareOf(ids, 'k0')).toBeGreaterThanOrEqual(0.8);
  });

  it('what is bought again comes first, then what sells', async () => {
    const ids = await ask('again', { user: 'p0', ...known });
    expect(ids[0]).toBe('k0-00');
    const stranger = await ask('again', { user: 'nobody', ...known });
    expect(stranger).toEqual(await ask('again', { user: 'another', ...known }));
  });

  it('new items are found on the start page when the page is theirs', async () => {
    expect(await ask('home', { user: 'p2', ...known, filter: 'item.title == "green teapot saucer"' })).toEqual(['new-tea']);
  });

  it('names in answers: every item has its title, or none', async () => {
    const { items } = await pipeline.recommend({ surface: 'home', user: 'p1', ...known });
    for (const { attributes } of items) expect(Object.keys(attributes)).toEqual(['title']);
  });
});
