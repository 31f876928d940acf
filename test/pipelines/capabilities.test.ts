// Every declared capability, proven by what the component does: the table in docs/reference/capabilities.md is made of them.
import { createHash } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Answer, Pipeline, RecommendRequest } from '@recloom/core';
import { type ComponentDefinition, isRecloomError } from '@recloom/plugin-api';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { algorithms, declaredAlgorithms, kinds, madeUpShop, openAlgorithm, root, viewOf, watchParts } from './support/algorithms.js';

const declared = await declaredAlgorithms();
const shop = madeUpShop({ items: 80, users: 160 });
const pictureShop = madeUpShop({ items: 12, users: 24, pictures: true });
const shopOf = (reference: string) => (reference.startsWith('image-clip/') ? pictureShop : shop);
const purposes = ['personalisation'];

/** How high the items of a kind stand: the mean share of the catalogue below them, but for items that are left out of it. */
function standing(view: ReadonlyMap<string, number>, kind: number, but: readonly string[] = []): number {
  const values = [...view.values()];
  const items = itemIds.filter((id) => id.startsWith(`k${kind}-`) && !but.includes(id));
  const below = (value: number): number => values.filter((other) => other < value).length + itemIds.length - values.length;
  return items.reduce((sum, id) => sum + (view.has(id) ? below(view.get(id) as number) : 0), 0) / (items.length * itemIds.length);
}
/** What a user has had already and is not told again. */
function leftOut(view: ReadonlyMap<string, number>, user: number): string[] {
  const { offsets, items } = shop.history;
  const row = shop.users.rowOf(`p${user}`);
  return Array.from(items.subarray(offsets[row], offsets[row + 1]), (item) => shop.items.idOf(item)).filter((id) => !view.has(id));
}
const itemIds = Array.from({ length: shop.items.rowCount }, (_, row) => shop.items.idOf(row));
const sessionOf = (items: readonly string[]): NonNullable<RecommendRequest['session']> =>
  items.map((item, place) => ({ item, type: 'purchase', time: shop.lastEventMs - (items.length - place) * 60_000 }));

/** The components that answer requests, and through which surfaces; extractors of item vectors answer through their neighbours. */
const surfacesOf = (definition: ComponentDefinition): string[] => [
  ...(definition.provides.includes('source') ? ['propose'] : []),
  ...(definition.provides.includes('scorer') ? ['score'] : []),
  ...(definition.capabilities.scopes?.includes('candidate') === true ? ['feature'] : []),
];

it('every component that proposes, scores or gives features is under test', () => {
  expect(Object.keys(algorithms).sort()).toEqual([...declared.keys()].sort());
});

describe.each([...declared])('%s', (reference, definition) => {
  const { capabilities } = definition;
  const { ask = {} } = algorithms[reference] ?? {};
  const surfaces = surfacesOf(definition);
  const personal = capabilities.personal === true;
  let pipeline: Pipeline;

  beforeAll(async () => {
    pipeline = await openAlgorithm(reference, definition, shopOf(reference));
  }, 120_000);
  afterAll(() => pipeline.close());

  if (surfaces.length > 0) {
    it(`${personal ? 'is' : 'is not'} personal`, async () => {
      for (const surface of surfaces) {
        const [first, second] = [
          await viewOf(pipeline, surface, { user: 'p0', ...ask }),
          await viewOf(pipeline, surface, { user: 'p1', ...ask }),
        ];
        expect(first.size).toBeGreaterThan(0);
        if (!personal) {
          expect(second).toEqual(first);
          continue;
        }
        expect(second).not.toEqual(first);
        // Those who chose a kind are told of it before those who chose another.
        const views = await Promise.all(Array.from({ length: 16 }, (_, user) => viewOf(pipeline, surface, { user: `p${user}`, ...ask })));
        for (const kind of kinds.keys()) {
          const mean = (own: boolean): number => {
            const some = views.flatMap((view, user) =>
              (user % kinds.length === kind) === own ? [standing(view, kind, leftOut(view, user))] : [],
            );
            return some.reduce((sum, value) => sum + value, 0) / some.length;
          };
          expect(mean(true)).toBeGreaterThan(mean(false) + 0.1);
        }
      }
    });

    it(`${capabilities.coldUser === true ? 'answers' : 'has nothing for'} somebody who was not there at the build`, async () => {
      for (const surface of surfaces) {
        const guests = [0, 1].map((kind) =>
          viewOf(pipeline, surface, { session: sessionOf([0, 1, 2, 1].map((item) => `k${kind}-${item}`)), ...ask }),
        );
        const [first, second] = (await Promise.all(guests)) as [ReadonlyMap<string, number>, ReadonlyMap<string, number>];
        if (capabilities.coldUser !== true) {
          expect(first.size).toBe(0);
        } else if (personal) {
          expect(standing(first, 0)).toBeGreaterThan(standing(second, 0) + 0.1);
          expect(standing(second, 1)).toBeGreaterThan(standing(first, 1) + 0.1);
        } else {
          expect(first).toEqual(await viewOf(pipeline, surface, { user: 'p0', ...ask }));
          expect(await viewOf(pipeline, surface, { user: 'nobody', ...ask })).toEqual(first);
        }
      }
    });

    it(`${capabilities.explains === true ? 'gives reasons, which are true' : 'gives no reasons'}`, async () => {
      const session = ['k0-0', 'k0-1', 'k0-2', 'k0-1'];
      for (const surface of surfaces) {
        const request = personal ? { session: sessionOf(session), ...ask } : { user: 'p0', ...ask };
        const answer = await pipeline.recommend({ surface, purposes, ...request, limit: 10, explain: true });
        const reasons = reasonsOf(answer);
        if (capabilities.explains !== true) {
          expect(reasons).toEqual([]);
          continue;
        }
        expect(reasons.length).toBeGreaterThan(0);
        const whole = await viewOf(pipeline, surface, request);
        for (const { id, sentence, items } of reasons) {
          expect(sentence).toMatch(/^\S.*[^{}]$/);
          // It names what the person chose, or what the page shows.
          for (const item of items)
            expect([...(personal ? session : []), ...(ask.item === undefined ? [] : [ask.item]), id]).toContain(item);
        }
        if (!personal) continue;
        // With something else in place of what the first reason names, the score is lower or gone.
        const [{ id, items }] = reasons as [(typeof reasons)[number]];
        const other = session.map((item) => (item === items[0] ? 'k3-5' : item));
        const without = await viewOf(pipeline, surface, { session: sessionOf(other), ...ask });
        expect(items.length).toBeGreaterThan(0);
        expect(without.get(id) ?? Number.NEGATIVE_INFINITY).toBeLessThan(whole.get(id) as number);
      }
    });
  }

  it(`${capabilities.deterministic === false ? 'may differ' : 'is the same to the byte'}, built again with another number of threads`, async () => {
    const [first, second] = [watchParts(), watchParts()];
    const one = await openAlgorithm(reference, definition, shopOf(reference), { parts: first, threads: 1 });
    const three = await openAlgorithm(reference, definition, shopOf(reference), { parts: second, threads: 3 });
    expect(capabilities.deterministic).not.toBe(false);
    expect(digests(second.states)).toEqual(digests(first.states));
    for (const surface of surfaces)
      for (const request of [{ user: 'p0' }, { user: 'nobody' }])
        expect(await viewOf(three, surface, { ...request, ...ask })).toEqual(await viewOf(one, surface, { ...request, ...ask }));
    await Promise.all([one.close(), three.close()]);
  }, 120_000);

  it('asks for the features and fields that it declares, and does without the optional ones', async () => {
    for (const [name, { optional }] of Object.entries(definition.inputs)) {
      const own = algorithms[reference] ?? {};
      const { [name]: _left, ...rest } = own.in ?? {};
      const opened = openAlgorithm(reference, definition, shopOf(reference), { own: { ...own, in: rest } });
      if (optional) {
        const without = await opened;
        for (const surface of surfaces) expect((await viewOf(without, surface, { user: 'p0', ...ask })).size).toBeGreaterThan(0);
        await without.close();
      } else {
        const error: unknown = await opened.catch((caught: unknown) => caught);
        expect(isRecloomError(error) && error.code).toMatch(/^RECLOOM_CFG_/);
      }
    }
  }, 120_000);

  // The last: they change what the pipeline knows.
  if (surfaces.length > 0) {
    it(`${capabilities.incremental === true ? 'sees' : 'does not see'} recorded events without a build`, async () => {
      const before = await Promise.all(surfaces.map((surface) => viewOf(pipeline, surface, { user: 'p4', ...ask })));
      const events = (user: string, kind: number) =>
        Array.from({ length: 30 }, (_, place) => ({
          user,
          item: `k${kind}-${place % 3}`,
          type: 'purchase',
          time: shop.lastEventMs - (30 - place) * 1000,
        }));
      pipeline.record([...events('p4', 2), ...events('p8', 2), ...events('newcomer', 2)]);
      for (const [at, surface] of surfaces.entries()) {
        const after = await viewOf(pipeline, surface, { user: 'p4', ...ask });
        if (capabilities.incremental === true) {
          const newcomer = await viewOf(pipeline, surface, { user: 'newcomer', ...ask });
          const recorded = ['k2-0', 'k2-1', 'k2-2'].filter((id) => !newcomer.has(id));
          const was = before[at] as ReadonlyMap<string, number>;
          expect(standing(after, 2, recorded)).toBeGreaterThan(standing(was, 2, recorded));
          expect(standing(newcomer, 2, recorded)).toBeGreaterThan(standing(was, 2, recorded));
        } else {
          expect(after).toEqual(before[at]);
        }
      }
    });
  }

  const vectors = capabilities.scopes?.includes('item') === true;
  it(`${capabilities.coldItem === true ? 'knows' : 'says nothing about'} items that were added after the build`, async () => {
    const picture = reference.startsWith('image-clip/') ? { photo: pictureOf(0) } : {};
    await pipeline.upsertItems([
      { id: 'new-own', title: titleOf('k0-1'), brand: 'brand 0', price: 9, ...picture },
      { id: 'new-other', title: `green ${kinds[2][0]} ${kinds[2][2]}`, brand: 'brand 2', price: 19 },
    ]);
    for (const surface of [...surfaces, ...(vectors ? ['vectors'] : [])]) {
      const view = await viewOf(pipeline, surface, surface === 'vectors' ? { item: 'k0-0' } : { user: 'p12', ...ask });
      const own = view.get('new-own');
      const other = view.get('new-other');
      if (capabilities.coldItem === true) {
        expect(own).toBeDefined();
        // What it is said to be worth comes from somewhere.
        if (personal || surface === 'vectors') expect(own).toBeGreaterThan(other ?? Number.NEGATIVE_INFINITY);
      } else if (surface === 'score' || surface === 'feature') {
        // Nothing tells the two apart, and neither stands above an item that the history speaks for.
        expect(own).toEqual(other);
        expect(own ?? 0).toBeLessThan(Math.max(...view.values()));
      } else {
        expect([own, other]).toEqual([undefined, undefined]);
      }
    }
  });
});

const titleOf = (id: string): string =>
  (shop.items.column('title') as { values: readonly string[] }).values[shop.items.rowOf(id)] as string;
/** How many bytes of a snapshot a component's state and features take, by the size of the shop; `docs/reference/capabilities.md` shows them. */
interface Memory {
  /** At 200 items and 400 users. */
  readonly bytes: number;
  readonly bytesPerItem: number;
  /** Of each item for each item there is: what grows with the square of the catalogue. */
  readonly bytesPerItemAndItem: number;
  readonly bytesPerUser: number;
}

const memoryFile = join(root, 'scripts', 'capability-memory.json');
const updating = process.env['RECLOOM_UPDATE_MEMORY'] === '1';

describe('memory', () => {
  const learning = [...declared].filter(([, { fit, provides }]) => fit !== undefined || provides.includes('extractor'));
  const kept = JSON.parse(readFileSync(memoryFile, 'utf8')) as Record<string, Memory>;
  const measured: Record<string, Memory> = {};

  it.each(learning)(
    '%s takes what the table says',
    async (reference, definition) => {
      measured[reference] = await memoryOf(reference, definition);
      if (updating) return;
      for (const [name, value] of Object.entries(measured[reference])) {
        const told = kept[reference]?.[name as keyof Memory] ?? Number.NaN;
        // How many links survive a floor may hang on the last digit of a number.
        expect([name, Math.abs(value - told) <= 1 + 0.05 * told ? told : value]).toEqual([name, told]);
      }
    },
    120_000,
  );

  it('is told of everything that keeps something, and of nothing else', () => {
    if (updating) writeFileSync(memoryFile, `${JSON.stringify(measured, undefined, 2)}\n`);
    else expect(Object.keys(kept).sort()).toEqual(learning.map(([reference]) => reference).sort());
  });
});

async function memoryOf(reference: string, definition: ComponentDefinition): Promise<Memory> {
  const own = algorithms[reference] ?? {};
  const pictures = reference.startsWith('image-clip/');
  // What a model makes of an item has one size whatever else there is: a few items tell as much.
  const scale = definition.needs['inference'] === undefined ? 1 : 20;
  const bytesAt = async (items: number, users: number): Promise<number> => {
    const parts = watchParts();
    const dataset = madeUpShop({ items: items / scale, users: users / scale, pictures });
    const pipeline = await openAlgorithm(reference, definition, dataset, {
      parts,
      own: { ...own, wordsWidth: 64, with: { ...own.with, ...own.measuredWith } },
    });
    await pipeline.close();
    // What it is fed by was fitted, and kept, before it.
    const state = Object.values(parts.states.at(-1) ?? {});
    return state.reduce((sum, { data }) => sum + data.byteLength, 0) * scale;
  };
  // Most of an encoder's time goes into opening it: it learns nothing, so that two sizes tell all.
  if (definition.fit === undefined && scale > 1) {
    const [one, other] = [await bytesAt(100, 400), await bytesAt(200, 400)];
    return { bytes: other, bytesPerItem: Math.round((other - one) / 100), bytesPerItemAndItem: 0, bytesPerUser: 0 };
  }
  const [few, some, many] = [await bytesAt(100, 400), await bytesAt(200, 400), await bytesAt(400, 400)];
  const bytesPerItemAndItem = ((many - some) / 200 - (some - few) / 100) / 300;
  return {
    bytes: some,
    bytesPerItem: Math.round((many - few) / 300),
    bytesPerItemAndItem: Math.round(bytesPerItemAndItem * 100) / 100,
    bytesPerUser: Math.round((((await bytesAt(200, 800)) - (await bytesAt(200, 200))) / 600) * 10) / 10,
  };
}

const pictureOf = (row: number): string => (pictureShop.items.column('photo') as { values: readonly string[] }).values[row] as string;

/** Reasons of the component under test: by item, sentence, and the ids they rest on. */
function reasonsOf(answer: Answer): { readonly id: string; readonly sentence: string; readonly items: readonly string[] }[] {
  return answer.items.flatMap(({ id, explanation }) =>
    (explanation?.reasons ?? []).filter(({ component }) => component === 'it').map(({ sentence, items }) => ({ id, sentence, items })),
  );
}

function digests(states: ReturnType<typeof watchParts>['states']): string[] {
  return states
    .map((state) => {
      const hash = createHash('sha256');
      for (const name of Object.keys(state).sort()) {
        const { data, shape } = state[name] as (typeof state)[string];
        hash.update(`${name} ${shape.join('x')} `).update(new Uint8Array(data.buffer, data.byteOffset, data.byteLength));
      }
      return hash.digest('hex');
    })
    .sort();
}
