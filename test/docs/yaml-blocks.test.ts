import { join } from 'node:path';
import { formatProblems, loadConfig, validatePipeline } from '@recloom/core';
import { type Column, type ColumnType, defineDataSource, definePlugin, defineScorer, isRecloomError } from '@recloom/plugin-api';
import { describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { z } from 'zod';
import { codeBlocks, markdownFiles, readMarkdown, root } from '../../scripts/docs-markdown.mjs';

/**
 * Every YAML block of the docs is a config or a part of one. A part (no `format`) is completed by the components of the
 * preset, by data with the fields below, and by a surface when it has none. Parts without data of their own are checked
 * with data: fields, their types and all expressions. `yaml other` marks a block that is no Recloom config.
 */
const fields: Readonly<Record<'items' | 'users', Readonly<Record<string, ColumnType>>>> = {
  items: {
    title: 'text',
    description: 'text',
    category: 'category',
    brand: 'category',
    colour: 'category',
    tags: 'list',
    photo: 'image',
    price: 'number',
    margin: 'number',
    stock: 'number',
    addedMs: 'number',
    available: 'boolean',
    validFrom: 'number',
    validTo: 'number',
  },
  users: { country: 'category', language: 'category' },
};

function column(type: ColumnType): Column {
  switch (type) {
    case 'number':
      return { type, values: Float64Array.of(1, 2) };
    case 'text':
    case 'image':
      return { type, values: ['one', 'two'] };
    case 'category':
      return { type, codes: Int32Array.of(0, 1), categories: ['one', 'two'] };
    case 'boolean':
      return { type, values: Uint8Array.of(0, 1) };
    case 'list':
      return { type, offsets: Int32Array.of(0, 1, 2), codes: Int32Array.of(0, 1), categories: ['one', 'two'] };
  }
}

const ids: Column = { type: 'text', values: ['a', 'b'] };
const columns = {
  items: { id: ids, ...Object.fromEntries(Object.entries(fields.items).map(([name, type]) => [name, column(type)])) },
  users: { id: ids, ...Object.fromEntries(Object.entries(fields.users).map(([name, type]) => [name, column(type)])) },
  events: {
    user: ids,
    item: ids,
    timeMs: { type: 'number', values: Float64Array.of(1e12, 1e12) },
    type: { type: 'category', codes: Int32Array.of(0, 1), categories: ['purchase', 'view'] },
  } as const,
};

const docsData = definePlugin({
  apiVersion: 1,
  id: 'docs-data',
  components: (['items', 'users', 'events'] as const).map((kind) =>
    defineDataSource({
      id: kind,
      summary: `The ${kind} that examples are completed with.`,
      options: z.strictObject({}),
      capabilities: { data: kind },
      stateVersion: 1,
      create: () => ({
        async *read() {
          yield { rowCount: 2, columns: columns[kind] as Readonly<Record<string, Column>> };
        },
        report: () => ({ rowsRead: 2, rowsKept: 2, dropped: [], warnings: [] }),
        fingerprint: async () => kind,
      }),
    }),
  ),
});

/** The plugin that docs/guide/writing-a-plugin.md writes, as far as a config sees it. */
const again = definePlugin({
  apiVersion: 1,
  id: 'again',
  components: [
    defineScorer({
      id: 'repurchase',
      summary: 'How many of those who chose an item chose it again.',
      options: z.strictObject({ smoothing: z.number().min(0).default(5) }),
      capabilities: {},
      stateVersion: 1,
      create: () => ({ score: () => undefined }),
    }),
  ],
});

type Config = Record<string, unknown>;
const { config: preset } = await loadConfig({ format: '1.0', name: 'docs', base: 'recloom:shop', data: {} });
/** What the examples of a plugin call by name without saying it, besides what the preset has. */
const spoken: Config = {
  neighbours: { use: 'collaborative-neighbours/item-knn' },
  next: { use: 'sequence/transitions' },
};

/** What a block amounts to, and whether its data can be read here. */
function complete(block: Config): { config: Config; data: boolean } {
  if ('format' in block) return { config: block, data: false };
  const ownData = 'data' in block && ['items', 'events', 'users'].some((kind) => kind in (block.data as Config));
  const data = ownData
    ? block.data
    : {
        ...Object.fromEntries(['items', 'events', 'users'].map((kind) => [kind, { use: `docs-data/${kind}` }])),
        ...(block.data as Config | undefined),
      };
  const completed = {
    format: '1.0',
    name: 'docs',
    ...block,
    data,
    ...('base' in block ? {} : { components: { ...spoken, ...preset.components, ...(block.components as Config | undefined) } }),
    ...('surfaces' in block || 'base' in block ? {} : { surfaces: { home: { sources: { recent: 10 } } } }),
  };
  return { config: completed, data: !ownData };
}

const blocks = markdownFiles()
  .filter((file) => !file.startsWith('packages/model-'))
  .flatMap((file) =>
    codeBlocks(readMarkdown(file))
      .filter((block) => ['yaml', 'yml'].includes(block.language) && !block.info.includes('other'))
      .map((block) => ({ place: `${file}:${block.line}`, block })),
  );

describe('YAML in the docs', () => {
  it('there is some', () => {
    expect(blocks.length).toBeGreaterThan(15);
  });

  it.each(blocks)('$place is a config that works', async ({ block }) => {
    const { config, data } = complete(parse(block.code) as Config);
    const directory = join(root, 'examples/online-retail');
    const problems = await validatePipeline(config, { data, directory, plugins: [docsData, again], env: { DATA_FOLDER: 'data' } }).then(
      () => '',
      (error: unknown) => (isRecloomError(error) ? formatProblems(error) : String(error)),
    );
    expect(problems).toBe('');
  });

  it('every surface of the preset asks the gate, as privacy.md says', () => {
    const { surfaces } = preset;
    expect(Object.keys(surfaces).length).toBeGreaterThan(3);
    expect(Object.keys(surfaces).filter((name) => !surfaces[name]?.privacy.some((use) => use.name === 'consent'))).toEqual([]);
  });

  it('a mistake in a block is found', async () => {
    const wrong = complete({
      components: { cheap: { use: 'rules/where', with: { expression: 'item.prise < 10' } } },
      surfaces: { home: { sources: { recent: 10 }, filters: ['cheap'] } },
    });
    await expect(validatePipeline(wrong.config, { data: true, directory: root, plugins: [docsData] })).rejects.toThrow();
  });
});
