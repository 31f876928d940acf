import { buildPipeline, openPipeline, validatePipeline } from '@recloom/core';
import {
  createToken,
  defineFeatureExtractor,
  definePlugin,
  defineRanker,
  feature,
  loggerToken,
  type RecloomError,
} from '@recloom/plugin-api';
import { describe, expect } from 'vitest';
import { z } from 'zod';
import { badInput, edit, failureOf, placeIn, problemOf } from './support/bad-input.js';
import { makeShop, shopYaml } from './support/shop-folder.js';

/** Validates a shop.yaml without its data. */
async function validate(yaml: string | Uint8Array, files: Record<string, string> = {}): Promise<RecloomError> {
  const shop = await makeShop({ 'shop.yaml': yaml, ...files });
  return failureOf(validatePipeline(shop.config, { data: false }));
}

/** Expects one problem of a code at the place where `needle` stands in the text. */
function expectAt(error: RecloomError, code: string, yaml: string, needle: string, message: RegExp, nth = 0): void {
  const problem = problemOf(error, code);
  expect(problem.message).toMatch(message);
  expect(problem.at.file).toMatch(/shop\.yaml$/);
  expect({ line: problem.at.line, column: problem.at.column }).toEqual(placeIn(yaml, needle, nth));
}

/** A plugin file that needs nothing but itself. */
function pluginFile(id: string, components: string, apiVersion = 1): string {
  return `const schema = { '~standard': { version: 1, vendor: 'own', validate: (value) => ({ value }), jsonSchema: { input: () => ({}) } } };
const component = (id, create) => ({ id, summary: 'A test.', provides: ['ranker'], options: schema, needs: {}, inputs: {}, reads: [], capabilities: {}, stateVersion: 1, create });
export default { apiVersion: ${apiVersion}, id: '${id}', components: [${components}], errors: [] };`;
}

describe('config', () => {
  badInput('config-unknown-key', async (code) => {
    const yaml = edit(shopYaml, 'rules/seen, with', 'rules/seen, wiht');
    expectAt(await validate(yaml), code, yaml, 'wiht', /^Unknown key "wiht"; did you mean "with"\?$/);
  });

  badInput('config-unknown-option', async (code) => {
    const yaml = edit(shopYaml, 'lambda: 20', 'lamda: 20');
    expectAt(await validate(yaml), code, yaml, 'lamda', /^Unknown key "lamda"; did you mean "lambda"\? Allowed here: lambda, /);
  });

  badInput('config-unknown-name', async (code) => {
    const yaml = edit(shopYaml, 'filters: [seen]', 'filters: [sene]');
    expectAt(
      await validate(yaml),
      code,
      yaml,
      'sene',
      /^"sene" is not a component of this config; did you mean "seen"\? Defined: habits, /,
    );
  });

  badInput('config-unknown-component', async (code) => {
    const yaml = edit(shopYaml, 'rules/seen', 'rules/sen');
    expectAt(
      await validate(yaml),
      code,
      yaml,
      'rules/sen',
      /^There is no component "rules\/sen"; did you mean "rules\/seen"\? The plugin has: rules\/seen, /,
    );
  });

  badInput('config-unknown-plugin', async (code) => {
    const yaml = edit(shopYaml, 'rules/seen', 'rulez/seen');
    expectAt(await validate(yaml), code, yaml, 'rulez/seen', /^No plugin "rulez" was found; did you mean "rules"\?/);
  });

  badInput('config-plugin-not-found', async (code) => {
    const yaml = `plugins: [./nowhere.mjs]\n${shopYaml}`;
    expectAt(await validate(yaml), code, yaml, './nowhere.mjs', /^No plugin "\.\/nowhere\.mjs" was found/);
  });

  badInput('config-wrong-type', async (code) => {
    const yaml = edit(shopYaml, 'needs: [item]', 'needs: item');
    expectAt(
      await validate(yaml),
      code,
      yaml,
      'item\n    sources: { together',
      /expected a list, found the text "item" \(write \[item\]\)/,
    );
  });

  badInput('config-wrong-option-type', async (code) => {
    const yaml = edit(shopYaml, 'lambda: 20', 'lambda: many');
    expectAt(await validate(yaml), code, yaml, 'many', /^"lambda" has a wrong value: expected a number, found a text\.$/);
  });

  badInput('config-missing-key', async (code) => {
    const yaml = edit(shopYaml, 'name: shop\n', '');
    expect(problemOf(await validate(yaml), code).message).toBe('The required key "name" is missing.');
  });

  badInput('config-duplicate-key', async (code) => {
    const yaml = edit(shopYaml, '  now: data\n', '  now: data\n  now: clock\n');
    expectAt(await validate(yaml), code, yaml, 'now', /^The key "now" stands twice in the same mapping\.$/, 1);
  });

  badInput('config-two-components-of-one-name', async (code) => {
    const yaml = edit(shopYaml, '  together: {', '  habits: { use: rules/pin }\n  together: {');
    expectAt(await validate(yaml), code, yaml, 'habits', /^Two components are called "habits"\.$/, 1);
  });

  badInput('config-alias-bomb', async (code) => {
    const letters = 'abcdefghij'.split('');
    const yaml = letters
      .map(
        (letter, index) =>
          `${letter}: &${letter} [${Array(9)
            .fill(index === 0 ? 'x' : `*${letters[index - 1]}`)
            .join(', ')}]`,
      )
      .join('\n');
    const started = performance.now();
    problemOf(await validate(`${yaml}\n`), code);
    expect(performance.now() - started).toBeLessThan(5_000);
  });

  badInput('config-base-loop', async (code) => {
    const other = 'name: other\nbase: shop.yaml\n';
    const problem = problemOf(await validate(`base: other.yaml\n${shopYaml}`, { 'other.yaml': other }), code);
    expect(problem.message).toMatch(/form a loop: \S*shop\.yaml → \S*other\.yaml → \S*shop\.yaml\.$/);
    expect(problem.at).toMatchObject({ file: expect.stringMatching(/other\.yaml$/), ...placeIn(other, 'shop.yaml') });
  });

  badInput('config-base-missing', async (code) => {
    const yaml = `base: recloom:shpo\n${shopYaml}`;
    expectAt(await validate(yaml), code, yaml, 'recloom:shpo', /^The base "recloom:shpo" was not found; did you mean "recloom:shop"\?$/);
  });

  badInput('config-missing-variable', async (code) => {
    const yaml = edit(shopYaml, 'name: shop', `name: "\${env:RECLOOM_TEST_NOT_SET}"`);
    expectAt(await validate(yaml), code, yaml, '"${env', /^The environment variable RECLOOM_TEST_NOT_SET is not set\.$/);
  });

  badInput('config-code', async (code) => {
    const yaml = edit(shopYaml, 'lambda: 20', 'lambda: !!js/function "() => 20"');
    expectAt(await validate(yaml), code, yaml, '!!js', /the tag tag:yaml\.org,2002:js\/function is not supported/);
  });

  badInput('config-syntax', async (code) => {
    const yaml = edit(shopYaml, 'filters: [seen]', 'filters: [seen');
    const error = await validate(yaml);
    expect(new Set(error.problems.map((problem) => problem.code))).toEqual(new Set([code]));
    // The mistake is in line 27 or shows in the next; nothing is said of lines that only follow from it more than once.
    expect(error.problems.length).toBeLessThan(4);
    const { line } = placeIn(yaml, 'filters: [seen');
    expect(error.problems.some((problem) => problem.at.line === line || problem.at.line === line + 1)).toBe(true);
  });

  badInput('config-format', async (code) => {
    const yaml = edit(shopYaml, 'format: "1.0"', 'format: "9.0"');
    expectAt(await validate(yaml), code, yaml, '"9.0"', /^The config says format "9\.0", this version reads "1\.0"\.$/);
  });

  badInput('config-file-missing', async (code) => {
    const shop = await makeShop();
    expect(problemOf(await failureOf(validatePipeline(shop.file('shpo.yaml'))), code).message).toMatch(
      /shpo\.yaml could not be read: there is no such file\.$/,
    );
  });

  badInput('config-not-utf8', async (code) => {
    expect(problemOf(await validate(Buffer.from('name: caf\u00e9\n', 'latin1')), code).message).toMatch(/it is not valid UTF-8\.$/);
  });

  badInput('config-plugin-api-version', async (code) => {
    const yaml = `plugins: [./old.mjs]\n${shopYaml}`;
    const error = await validate(yaml, { 'old.mjs': pluginFile('old', '', 2) });
    expectAt(error, code, yaml, './old.mjs', /^Plugin "old" was made for plugin API 2, this version speaks 1\.$/);
  });

  badInput('config-plugin-throws', async (code) => {
    const yaml = `plugins: [./broken.mjs]\n${shopYaml}`;
    const error = await validate(yaml, { 'broken.mjs': 'throw new Error("half installed");' });
    expectAt(error, code, yaml, './broken.mjs', /failed while loading: half installed\.$/);
  });

  badInput('config-not-a-plugin', async (code) => {
    const yaml = `plugins: [./other.mjs]\n${shopYaml}`;
    const error = await validate(yaml, { 'other.mjs': 'export default 7;' });
    expectAt(error, code, yaml, './other.mjs', /is not a plugin: it has no default export made by definePlugin\(\)\.$/);
  });

  badInput('config-plugin-names-twice', async (code) => {
    const yaml = `plugins: [./twice.mjs]\n${shopYaml}`;
    const error = await validate(yaml, {
      'twice.mjs': pluginFile('twice', `component('same', () => ({})), component('same', () => ({}))`),
    });
    expectAt(error, code, yaml, './twice.mjs', /two components are called "same"\.$/);
  });

  badInput('config-missing-library', async (code) => {
    const heavy = definePlugin({
      apiVersion: 1,
      id: 'heavy',
      components: [
        defineRanker({
          id: 'model',
          summary: 'Needs a library that is not there.',
          options: z.strictObject({}),
          capabilities: {},
          stateVersion: 1,
          async create() {
            const { importLibrary } = await import('@recloom/plugin-api');
            const name: string = 'onnxruntime-not-there';
            return (await importLibrary(name, '^1.2.0', () => import(/* @vite-ignore */ name))) as never;
          },
        }),
      ],
    });
    const yaml = edit(
      edit(shopYaml, '  seen: {', '  heavy: { use: heavy/model }\n  seen: {'),
      'attributes: [title, price]',
      'attributes: [title, price]\n    rankers: [heavy]',
    );
    const shop = await makeShop({ 'shop.yaml': yaml });
    const error = await failureOf(openPipeline(shop.config, { plugins: [heavy], build: 'always' }));
    expect(error.code).toBe(code);
    expect(error.message).toBe('The library onnxruntime-not-there (^1.2.0) is not installed.');
    expect(error.at).toMatchObject({ node: 'heavy', component: 'heavy/model', ...placeIn(yaml, 'heavy: {') });
  });

  badInput('config-surface-needs', async (code) => {
    const yaml = edit(shopYaml, 'sources: { habits: 20', 'sources: { words: 20, habits: 20');
    expectAt(
      await validate(yaml),
      code,
      yaml,
      'words: 20',
      /^Surface "home" uses "words", which needs a request with text, but the surface does not ask for it\.$/,
    );
  });

  badInput('config-wrong-contract', async (code) => {
    const yaml = edit(shopYaml, 'filters: [seen]', 'filters: [habits]');
    expectAt(
      await validate(yaml),
      code,
      yaml,
      'habits]',
      /^"habits" cannot stand under surfaces\.home\.filters: it provides source, scorer\.$/,
    );
  });

  badInput('config-no-sources', async (code) => {
    const yaml = edit(shopYaml, 'sources: { words: 20 }', 'sources: {}');
    expect(problemOf(await validate(yaml), code).at).toMatchObject({ surface: 'search' });
  });

  badInput('config-privacy-skip', async (code) => {
    const yaml = edit(shopYaml, 'privacy: [consent]', 'privacy: [{ use: consent, onError: skip }]');
    expectAt(await validate(yaml), code, yaml, 'skip }', /may not be skipped on error\.$/);
  });

  badInput('config-cycle', async (code) => {
    const loop = definePlugin({
      apiVersion: 1,
      id: 'loop',
      components: [
        defineFeatureExtractor({
          id: 'mix',
          summary: 'A feature of features.',
          options: z.strictObject({}),
          inputs: { vectors: feature({ description: 'another feature' }) },
          capabilities: { scopes: ['item'] },
          stateVersion: 1,
          create: () => ({ width: 1, extract: () => {} }),
        }),
      ],
    });
    const yaml = edit(
      shopYaml,
      'components:\n',
      'components:\n  one: { use: loop/mix, in: { vectors: two } }\n  two: { use: loop/mix, in: { vectors: one } }\n',
    );
    const shop = await makeShop({ 'shop.yaml': yaml });
    const error = await failureOf(validatePipeline(shop.config, { data: false, plugins: [loop] }));
    expect(problemOf(error, code).message).toBe('The components depend on each other in a circle: one → two → one.');
  });

  badInput('config-missing-service', async (code) => {
    const clerk = createToken<object>('clerk.service', 'a service of the host');
    const needy = definePlugin({
      apiVersion: 1,
      id: 'needy',
      components: [
        defineRanker({
          id: 'ranker',
          summary: 'Needs a service.',
          options: z.strictObject({}),
          needs: { clerk },
          capabilities: {},
          stateVersion: 1,
          create: () => ({ rank: (list) => Int32Array.from({ length: list.count }, (_, index) => index) }),
        }),
      ],
    });
    const yaml = edit(shopYaml, '  seen: {', '  needy: { use: needy/ranker }\n  seen: {');
    const shop = await makeShop({ 'shop.yaml': yaml });
    const error = await failureOf(validatePipeline(shop.config, { data: false, plugins: [needy] }));
    expectAt(error, code, yaml, 'needy/ranker', /^"needy" needs the service "clerk\.service", which nobody provides\.$/);
    await validatePipeline(shop.config, { data: false, plugins: [needy], provide: [[clerk, {}]] });
  });

  badInput('config-service-twice', async (code) => {
    const silent = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} };
    const shop = await makeShop();
    const provide = [[loggerToken, silent] as const, [loggerToken, silent] as const];
    expect((await failureOf(validatePipeline(shop.config, { data: false, provide }))).code).toBe(code);
  });

  badInput('config-expression', async (code) => {
    const yaml = edit(shopYaml, 'rank(score.popular)', 'rnk(score.popular)');
    expectAt(await validate(yaml), code, yaml, 'rnk(', /there is no function rnk\(\); did you mean rank\(\)\?/);
    // A build does not publish what could not be opened.
    const shop = await makeShop({ 'shop.yaml': edit(shopYaml, 'rank(score.popular)', 'item.prise') });
    problemOf(await failureOf(buildPipeline(shop.config)), code);
    expect((await failureOf(openPipeline((await makeShop()).config))).code).toBe('RECLOOM_DAT_SNAPSHOT_MISSING');
  });

  badInput('config-option-expression', async (code) => {
    const yaml = edit(shopYaml, 'rules/seen, with: { types: [purchase] }', 'rules/where, with: { expression: "item.prise > 3.0" }');
    const shop = await makeShop({ 'shop.yaml': yaml });
    for (const error of [await failureOf(validatePipeline(shop.config)), await failureOf(buildPipeline(shop.config))])
      expectAt(error, code, yaml, 'item.prise', /there is no column "item\.prise"; did you mean "item\.price"\?/);
  });

  badInput('config-unknown-field', async (code) => {
    const yaml = edit(shopYaml, 'text: item.title', 'text: item.titel');
    const shop = await makeShop({ 'shop.yaml': yaml });
    expectAt(
      await failureOf(validatePipeline(shop.config)),
      code,
      yaml,
      'item.titel',
      /^There is no field "item\.titel"; did you mean "item\.title"\?/,
    );
  });

  badInput('config-field-type', async (code) => {
    const yaml = edit(shopYaml, 'text: item.title', 'text: item.price');
    const shop = await makeShop({ 'shop.yaml': yaml });
    expectAt(
      await failureOf(validatePipeline(shop.config)),
      code,
      yaml,
      'item.price',
      /^Input "text" of "words": "item\.price" is of type number, it takes text or /,
    );
  });

  badInput('config-all-at-once', async (code) => {
    const yaml = [
      ['lambda: 20', 'lamda: 20'],
      ['rules/seen', 'rules/sen'],
      ['graph/related', 'graf/related'],
      ['filters: [seen]', 'filters: [seen, nobody]'],
      ['rank(score.popular)', 'rnk(score.popular)'],
      ['needs: [item]', 'need: [item]'],
    ].reduce((text, [from, to]) => edit(text, from as string, to as string), `plugins: [./nowhere.mjs]\n${shopYaml}`);
    const error = await validate(yaml);
    expect(error.code).toBe(code);
    const found = error.problems.map((problem) => [problem.code, problem.at.line, problem.at.column]);
    const at = (needle: string): [number, number] => {
      const { line, column } = placeIn(yaml, needle);
      return [line, column];
    };
    expect(found).toEqual([
      ['RECLOOM_CFG_UNKNOWN_PLUGIN', ...at('./nowhere')],
      ['RECLOOM_CFG_UNKNOWN_KEY', ...at('lamda')],
      ['RECLOOM_CFG_UNKNOWN_PLUGIN', ...at('graf/')],
      ['RECLOOM_CFG_UNKNOWN_COMPONENT', ...at('rules/sen')],
      ['RECLOOM_CFG_UNKNOWN_NAME', ...at('nobody')],
      ['RECLOOM_CFG_EXPRESSION', ...at('rnk(')],
      ['RECLOOM_CFG_UNKNOWN_KEY', ...at('need:')],
    ]);
  });
});
