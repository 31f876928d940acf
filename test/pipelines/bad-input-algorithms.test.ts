// Shops that leave an algorithm little to learn, or too much of one thing, for every component that learns; and the search for options.
import { spawn } from 'node:child_process';
import { dirname, join } from 'node:path';
import { type Dataset, datasetFromArrays, type Pipeline, type RecommendRequest } from '@recloom/core';
import { type ComponentDefinition, isRecloomError } from '@recloom/plugin-api';
import { describe, expect } from 'vitest';
import { type Algorithm, algorithms, declaredAlgorithms, openAlgorithm, root, viewOf, watchParts } from './support/algorithms.js';
import { badInput } from './support/bad-input.js';
import { makeShop, type ShopFolder, shopYaml } from './support/shop-folder.js';

const day = 86_400_000;
const start = Date.UTC(2024, 0, 1);
const twoMinutes = 120_000;

/** Everything that learns at build time, and what needs nothing but vectors. */
const learning = [...(await declaredAlgorithms())].filter(
  ([reference, { fit }]) => fit !== undefined || ['multimodal/factor-profile', 'vector-search/nearest'].includes(reference),
);

interface Row {
  readonly user: string;
  readonly item: string;
  readonly day: number;
  readonly weight?: number;
}

function dataOf(rows: readonly Row[], itemIds: readonly string[] = [...new Set(rows.map(({ item }) => item))].sort()): Dataset {
  const items = itemIds.map((id, row) => ({
    id,
    title: `kettle ${id} ${['red', 'blue', 'green'][row % 3]}`,
    brand: `brand ${row % 2}`,
    price: 5,
  }));
  return datasetFromArrays({
    items,
    ...(rows.length === 0 ? {} : { events: eventsOf(rows) }),
    types: { items: { title: 'text', brand: 'category' } },
  });
}

const eventsOf = (rows: readonly Row[]) =>
  rows.map(({ day: onDay, ...row }, place) => ({
    ...row,
    timeMs: start + onDay * day,
    type: 'purchase',
    basket: `${row.user}-${place >> 1}`,
  }));

type View = ReadonlyMap<string, number>;
/** What one algorithm answered: by surface, a view of the catalogue. */
interface Asked {
  readonly reference: string;
  readonly definition: ComponentDefinition;
  readonly pipeline: Pipeline;
  readonly surfaces: readonly string[];
  readonly view: (surface: string, request: RecommendRequest) => Promise<View>;
}

/** Builds a shop with each algorithm, checks that every number it learned and gives is one, and hands it on. */
async function withEach(
  data: Dataset,
  look: (asked: Asked) => Promise<void> = async () => {},
  own: (reference: string) => Algorithm = (reference) => algorithms[reference] as Algorithm,
): Promise<void> {
  for (const [reference, definition] of learning) {
    const parts = watchParts();
    // "Pin" and "text" ask for what other shops have.
    const { ask, ...rest } = own(reference);
    const ours = ask === undefined ? {} : ask.item === undefined ? { text: 'kettle red' } : { item: data.items.idOf(0) };
    const pipeline = await openAlgorithm(reference, definition, data, {
      parts,
      own: { ...rest, ...(ask === undefined ? {} : { ask }) },
    }).catch((error: unknown) => {
      throw new Error(`${reference}: ${isRecloomError(error) ? `${error.code} ${error.message}` : String(error)}`, { cause: error });
    });
    try {
      for (const state of parts.states)
        for (const [name, { data: numbers }] of Object.entries(state))
          if (numbers instanceof Float32Array || numbers instanceof Float64Array)
            expect([reference, name, numbers.findIndex((value) => Number.isNaN(value))]).toEqual([reference, name, -1]);
      const provides = (contract: string): boolean => definition.provides.includes(contract as never);
      const scopes = definition.capabilities.scopes ?? [];
      const surfaces = [
        ...(provides('source') ? ['propose'] : []),
        ...(provides('scorer') ? ['score'] : []),
        ...(scopes.includes('candidate') ? ['feature'] : []),
        ...(scopes.includes('item') && definition.capabilities.asks?.includes('text') !== true ? ['vectors'] : []),
      ];
      const view: Asked['view'] = async (surface, request) => {
        const seen = await viewOf(pipeline, surface, { ...request, ...ours });
        for (const [id, value] of seen) expect([reference, surface, id, Number.isFinite(value)]).toEqual([reference, surface, id, true]);
        return seen;
      };
      const first = data.items.idOf(0);
      for (const surface of surfaces) {
        const user = data.users.rowCount > 0 ? data.users.idOf(0) : 'nobody';
        const seen = await view(surface, { user });
        // Whatever was learned, nothing is told that the shop does not have, nor twice.
        expect(seen.size).toBeLessThanOrEqual(data.items.rowCount);
        await view(surface, { user: 'nobody' });
        await view(surface, { session: [{ item: first, type: 'purchase' }] });
        const { items } = await pipeline.recommend({ surface, user, purposes: ['personalisation'], limit: 10, explain: true, ...ours });
        expect(new Set(items.map(({ id }) => id)).size).toBe(items.length);
      }
      await look({ reference, definition, pipeline, surfaces, view });
    } finally {
      await pipeline.close();
    }
  }
}

const top = (view: View): string | undefined => [...view].sort((left, right) => right[1] - left[1])[0]?.[0];

/** 40 people of two tastes, each with six of their eight items in their own order, two days apart. */
const usual: readonly Row[] = Array.from({ length: 240 }, (_, place) => {
  const user = Math.floor(place / 6);
  const item = (Math.floor(user / 2) + (place % 6) * (1 + 2 * (Math.floor(user / 4) % 2))) % 8;
  return { user: `u${String(user).padStart(2, '0')}`, item: `${user % 2 === 0 ? 'a' : 'b'}${item}`, day: 4 * Math.floor((place % 6) / 2) };
});

/** Own taste before the other's, for both tastes, of what they do not have themselves. */
async function expectTastes({ definition, reference, surfaces, view }: Asked): Promise<void> {
  // Nobody bought anything again: the same event thrice is no repeat.
  if (reference === 'repeat/again') {
    expect((await view('propose', { session: [{ item: 'a0', type: 'purchase' }] })).size).toBe(0);
    return;
  }
  if (definition.capabilities.personal !== true || reference === 'vector-search/nearest' || reference.startsWith('multimodal/')) return;
  for (const surface of surfaces.filter((name) => name !== 'vectors')) {
    const means = { own: 0, other: 0 };
    for (const [session, own, other] of [
      [['a0', 'a1', 'a2'], 'a', 'b'],
      [['b0', 'b1', 'b2'], 'b', 'a'],
    ] as const) {
      const seen = await view(surface, { session: session.map((item) => ({ item, type: 'purchase' })) });
      const sum = (taste: string): number => [...seen].reduce((total, [id, value]) => total + (id.startsWith(taste) ? value : 0), 0);
      means.own += sum(own);
      means.other += sum(other);
    }
    expect([reference, surface, means.own > means.other]).toEqual([reference, surface, true]);
  }
}

describe('algorithms', () => {
  badInput(
    'algorithm-no-events',
    () =>
      withEach(dataOf([], ['x', 'y', 'z']), async ({ definition, surfaces, view, reference }) => {
        // Who learns from events alone has nothing to propose; who looks at the items has.
        if (surfaces.includes('propose') && Object.keys(definition.inputs).length === 0)
          expect([reference, (await view('propose', { user: 'nobody' })).size]).toEqual([reference, 0]);
      }),
    twoMinutes,
  );

  badInput(
    'algorithm-one-item',
    () =>
      withEach(dataOf(Array.from({ length: 20 }, (_, place) => ({ user: `u${place % 5}`, item: 'only', day: place }))), async (asked) => {
        if (asked.reference.startsWith('popularity/') && asked.reference !== 'popularity/trending')
          expect([...(await asked.view('propose', { user: 'nobody' })).keys()]).toEqual(['only']);
        // What people buy again is right here, too.
        if (asked.reference === 'repeat/again') expect(top(await asked.view('propose', { user: 'u1' }))).toBe('only');
      }),
    twoMinutes,
  );

  badInput(
    'algorithm-one-user',
    () => withEach(dataOf(Array.from({ length: 12 }, (_, place) => ({ user: 'only', item: `i${place % 8}`, day: place })))),
    twoMinutes,
  );

  badInput(
    'algorithm-identical-users',
    () =>
      withEach(
        dataOf(
          Array.from({ length: 40 }, (_, user) =>
            ['a', 'b', 'c', 'd'].map((item, place) => ({ user: `u${user}`, item, day: 3 * place })),
          ).flat(),
        ),
        async ({ surfaces, view, reference }) => {
          for (const surface of surfaces)
            expect([reference, surface, await view(surface, { user: 'u7' })]).toEqual([
              reference,
              surface,
              await view(surface, { user: 'u31' }),
            ]);
        },
      ),
    twoMinutes,
  );

  badInput(
    'algorithm-item-of-everybody',
    () => {
      const people = [...new Set(usual.map(({ user }) => user))];
      return withEach(dataOf([...usual, ...people.map((user) => ({ user, item: 'bag', day: 5 }))]), async (asked) => {
        if (asked.reference === 'popularity/popular') expect(top(await asked.view('propose', { user: 'nobody' }))).toBe('bag');
        await expectTastes(asked);
      });
    },
    twoMinutes,
  );

  badInput('algorithm-duplicated-events', () => withEach(dataOf([...usual, ...usual, ...usual]), expectTastes), twoMinutes);

  badInput(
    'algorithm-extreme-counts',
    async () => {
      // Weights sixty powers of ten apart; and somebody, a machine surely, with 20,000 events.
      await withEach(dataOf(usual.map((row, place) => ({ ...row, weight: place % 2 === 0 ? 1e30 : 1e-30 }))));
      const machine = Array.from({ length: 20_000 }, (_, place) => ({
        user: 'machine',
        item: `${place % 2 === 0 ? 'a' : 'b'}${(place >> 1) % 8}`,
        day: place / 2000,
      }));
      await withEach(dataOf([...usual, ...machine]));
    },
    2 * twoMinutes,
  );

  badInput(
    'algorithm-more-factors-than-items',
    () => {
      const wide: Readonly<Record<string, object>> = {
        'collaborative-factors/ials': { factors: 256 },
        'graph/embedding': { dimensions: 256 },
        'graph/candidate': { columns: ['similarityMax'], dimensions: 256 },
        'multimodal/cold-map': { width: 256 },
        'multimodal/content-graph': { width: 256 },
        'sequence/network': { width: 256, epochs: 3 },
      };
      return withEach(dataOf(usual), expectTastes, (reference) => ({
        ...algorithms[reference],
        ...(wide[reference] === undefined ? {} : { with: wide[reference] as Algorithm['with'] & object }),
      }));
    },
    twoMinutes,
  );
});

describe('the search for options', () => {
  const cli = join(root, 'packages', 'cli', 'bin', 'recloom.js');
  const yaml = (option: string): string => `${shopYaml}
tune:
  split: { kind: temporal, cut: 2024-01-25, until: 2024-02-04 }
  test: 2024-02-04
  trials: 12
  options:
    ${option}: { from: 1, to: 500, scale: log }
`;

  /** Runs `recloom`; told what it says on stderr while it runs, with a way to press Ctrl-C. */
  async function recloom(
    shop: ShopFolder,
    words: readonly string[],
    listen: (said: string, interrupt: () => void) => void = () => {},
  ): Promise<{ readonly exitCode: number; readonly out: string; readonly said: string }> {
    const child = spawn(process.execPath, [cli, ...words], { cwd: dirname(shop.config), env: { ...process.env, NO_COLOR: '1' } });
    let [out, said] = ['', ''];
    child.stdout.on('data', (text: Buffer) => {
      out += text.toString();
    });
    child.stderr.on('data', (text: Buffer) => {
      said += text.toString();
      listen(said, () => child.kill('SIGINT'));
    });
    const exitCode = await new Promise<number>((resolve) => child.once('close', (code) => resolve(code ?? -1)));
    return { exitCode, out, said };
  }

  badInput(
    'tune-unknown-option',
    async (code) => {
      const shop = await makeShop({ 'shop.yaml': yaml('habits.lamda') });
      const { exitCode, said } = await recloom(shop, ['tune', shop.config]);
      expect(exitCode).toBeGreaterThan(0);
      expect(said).toContain(code);
      expect(said).toMatch(/did you mean\s+"lambda"/);
      expect(said).toContain(
        `shop.yaml:${
          yaml('habits.lamda')
            .split('\n')
            .findIndex((line) => line.includes('habits.lamda')) + 1
        }:5`,
      );
    },
    twoMinutes,
  );

  badInput(
    'tune-interrupted',
    async () => {
      const shop = await makeShop({ 'shop.yaml': yaml('habits.lambda') });
      let pressed = false;
      const stopped = await recloom(shop, ['tune', shop.config], (said, interrupt) => {
        if (pressed || !said.includes('trial 3 of 12')) return;
        pressed = true;
        interrupt();
      });
      expect([pressed, stopped.exitCode]).toEqual([true, 130]);
      const kept = Number(/(\d+) finished trials are kept/.exec(stopped.said)?.[1]);
      expect(kept).toBeGreaterThanOrEqual(3);
      const resumed = await recloom(shop, ['tune', shop.config, '--json']);
      expect(resumed.exitCode).toBe(0);
      const report = JSON.parse(resumed.out) as {
        resumed: number;
        done: { number: number; value: number; options: unknown }[];
        best: unknown;
      };
      expect(report.resumed).toBe(kept);
      // As one that was never interrupted.
      const whole = await makeShop({ 'shop.yaml': yaml('habits.lambda') });
      const other = JSON.parse((await recloom(whole, ['tune', whole.config, '--json'])).out) as typeof report;
      expect(report.done.map(({ number, value }) => [number, value])).toEqual(other.done.map(({ number, value }) => [number, value]));
      expect(report.done).toHaveLength(12);
    },
    2 * twoMinutes,
  );
});
