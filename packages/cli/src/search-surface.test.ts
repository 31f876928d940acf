import { afterAll, beforeAll, expect, it } from 'vitest';
import { type FixtureShop, fixtureShop, shopYaml } from './fixture-shop.fixture.js';

const [head = ''] = shopYaml.split('surfaces:');
let shop: FixtureShop;
beforeAll(async () => {
  shop = fixtureShop();
  shop.write('home.yaml', `${head.replace('lamps', 'home')}surfaces:\n  home: { sources: { recent: 10 } }\n`);
  shop.write('find.yaml', `${head.replace('lamps', 'find')}surfaces:\n  find: { needs: [text], sources: { words: 10 } }\n`);
  for (const config of ['home.yaml', 'find.yaml']) expect((await shop.run(['build', config])).exitCode).toBe(0);
});
afterAll(() => shop.remove());

it.each([
  ['search', 'home.yaml', 'brass'],
  ['recommend', 'home.yaml', '--text', 'brass'],
  ['explain', 'home.yaml', '--text', 'brass', '--target', 'a0'],
  ['dev', 'home.yaml', '--once', '--text', 'brass'],
])('%s with words refuses a config that has no surface for them, and says how to come by one', async (...argv) => {
  const { exitCode, stdout } = await shop.run([...argv, '--json']);
  expect(exitCode).toBe(2);
  expect(JSON.parse(stdout.trim().split('\n').at(-1) as string).error).toMatchObject({
    code: 'RECLOOM_RUN_UNKNOWN_SURFACE',
    hint: expect.stringMatching(/`base: recloom:search`.*`base: recloom:shop`.*--surface/),
  });
});

it('takes the only surface when it needs text, and one that is named whatever it needs', async () => {
  const found = await shop.run(['search', 'find.yaml', 'brass']);
  expect(found.exitCode).toBe(0);
  expect(found.stdout).toContain('find for “brass”');
  expect(found.stdout).not.toContain('Candle');
  expect((await shop.run(['search', 'home.yaml', 'brass', '--surface', 'home'])).exitCode).toBe(0);
});
