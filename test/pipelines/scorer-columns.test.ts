// Columns that scorers give and read, checked at the line of the YAML file.
import { buildPipeline, openPipeline, validatePipeline } from '@recloom/core';
import { definePlugin, defineScorer, isRecloomError, type PluginDefinition, type RecloomError } from '@recloom/plugin-api';
import { expect, test } from 'vitest';
import { z } from 'zod';
import { dataYaml, makeShop } from './support/shop-folder.js';

function scorers(): PluginDefinition {
  return definePlugin({
    apiVersion: 1,
    id: 'many',
    components: [
      defineScorer({
        id: 'outputs',
        summary: 'Several columns.',
        options: z.strictObject({}),
        capabilities: {},
        stateVersion: 1,
        create: () => ({
          furtherColumns: ['cvr'],
          score(batch, out, _signal, further) {
            for (let at = 0; at < batch.count; at++) {
              out[at] = 1;
              if (further?.[0] !== undefined) further[0][at] = (batch.rows[at] as number) / 100;
            }
          },
        }),
      }),
      defineScorer({
        id: 'twice',
        summary: 'Twice another column.',
        options: z.strictObject({ column: z.string() }),
        capabilities: {},
        stateVersion: 1,
        create: ({ options }) => ({
          readsColumns: [options.column],
          score(batch, out) {
            const column = batch.column(options.column);
            for (let at = 0; at < batch.count; at++) out[at] = 2 * (column?.[at] ?? Number.NaN);
          },
        }),
      }),
    ],
  });
}

const yaml = (surface: string, column = 'score.click.cvr', where = 'item.price'): string => `format: "1.0"
name: shop
${dataYaml}
components:
  popular: { use: popularity/popular }
  click: { use: many/outputs }
  twice: { use: many/twice, with: { column: ${column} } }
  cheap: { use: rules/boost, with: { expression: '${where}' } }
surfaces:
  home:
    sources: { popular: 25 }
${surface}
`;

async function problemsOf(promise: Promise<unknown>): Promise<readonly RecloomError[]> {
  const error = await promise.then(
    () => undefined,
    (caught: unknown) => caught,
  );
  if (!isRecloomError(error)) throw error ?? new Error('it was accepted');
  return error.problems.length > 0 ? error.problems : [error];
}

/** 1-based line and column of a text in another. */
function placeOf(text: string, part: string): [number, number] {
  const before = text.slice(0, text.indexOf(part)).split('\n');
  return [before.length, (before.at(-1) as string).length + 1];
}

test('a config with further columns is valid, builds and answers by them', async () => {
  const text = yaml('    scorers: [click, twice]\n    value: "score.click.cvr * 1000 + score.twice"');
  const shop = await makeShop({ 'shop.yaml': text });
  const plugins = [scorers()];
  await expect(validatePipeline(shop.config, { plugins })).resolves.toMatchObject({ surfaces: ['home'] });
  await buildPipeline(shop.config, { plugins });
  const pipeline = await openPipeline(shop.config, { plugins });
  const { items } = await pipeline.recommend({ limit: 3 });
  const rows = items.map(({ id }) => Number(id.slice(1)) - 1);
  expect(rows[0]).toBe(24);
  expect(rows).toEqual(rows.toSorted((left, right) => right - left));
  // row / 100 · 1000 + 2 · row / 100
  for (const [place, { value }] of items.entries()) expect(value).toBeCloseTo((rows[place] as number) * 10.02, 3);
  await pipeline.close();
});

test('an order in which a column comes too late is refused where the scorer stands', async () => {
  const text = yaml('    scorers: [twice, click]');
  const shop = await makeShop({ 'shop.yaml': text });
  const plugins = [scorers()];
  await buildPipeline(shop.config, { plugins });
  const [problem] = await problemsOf(openPipeline(shop.config, { plugins }));
  const [line, column] = placeOf(text, 'twice, click]');
  expect(problem).toMatchObject({ code: 'RECLOOM_CFG_SCORER_ORDER', at: { line, column, surface: 'home' } });
  expect(problem?.message).toContain('"click" comes later; name it before');
});

test('a further column that no scorer has is refused at its character, with a suggestion', async () => {
  const text = yaml('    scorers: [click]\n    value: "1 + score.click.cvt"');
  const shop = await makeShop({ 'shop.yaml': text });
  const plugins = [scorers()];
  await buildPipeline(shop.config, { plugins });
  const [problem] = await problemsOf(openPipeline(shop.config, { plugins }));
  const [line, column] = placeOf(text, 'score.click.cvt');
  expect(problem).toMatchObject({ code: 'RECLOOM_CFG_EXPRESSION', at: { line, column } });
  expect(problem?.message).toContain('did you mean "score.click.cvr"?');
});

test('so is one in the options of a component that was made before the scorer', async () => {
  const text = yaml('    scorers: [click, cheap]', 'score.click.cvr', 'score.click.cvt > 0.0 ? 1.0 : 0.0').replace(/ {2}click: .*\n/, '');
  const last = text.replace('surfaces:', '  click: { use: many/outputs }\nsurfaces:');
  const shop = await makeShop({ 'shop.yaml': last });
  const plugins = [scorers()];
  await expect(validatePipeline(shop.config, { plugins })).resolves.toBeDefined();
  await buildPipeline(shop.config, { plugins });
  const [problem] = await problemsOf(openPipeline(shop.config, { plugins }));
  const [line, column] = placeOf(last, 'score.click.cvt');
  expect(problem).toMatchObject({ code: 'RECLOOM_CFG_EXPRESSION', at: { line, column, node: 'cheap' } });
});
