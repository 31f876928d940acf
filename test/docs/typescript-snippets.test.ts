import { execFileSync, spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { ComponentDefinition, PluginDefinition, Scorer } from '@recloom/plugin-api';
import {
  type ConformanceOptions,
  candidateBatch,
  conformanceLaws,
  historyFrom,
  openComponent,
  shopFrom,
  tableFrom,
} from '@recloom/testing';
import { afterAll, describe, expect, it } from 'vitest';
import { codeBlocks, markdownFiles, readMarkdown, root } from '../../scripts/docs-markdown.mjs';

/**
 * Every TypeScript block of the docs is a module of its own and compiles against the packages as they are published. Names
 * that a block takes for granted are declared here, by file.
 */
const takenForGranted: Readonly<Record<string, string>> = {
  'packages/kernels/README.md': `
declare const vectors: Float32Array, query: Float32Array, mask: Uint8Array;
declare const users: number, items: number, userRows: Int32Array, itemRows: Int32Array;
`,
};

const files = markdownFiles().filter((file) => !file.startsWith('packages/model-'));
const snippets = files.flatMap((file) =>
  codeBlocks(readMarkdown(file))
    .filter((block) => ['ts', 'typescript'].includes(block.language))
    .map((block, index, blocks) => {
      // The test of a plugin imports the last plugin before it; that of a page without one, the guide's first.
      const plugin = blocks.slice(0, index).filter(({ info }) => info.includes('plugin')).length;
      return {
        file,
        place: `${file}:${block.line}`,
        block: { ...block, code: block.code.replace("'./index.js'", `'./plugin${Math.max(0, plugin - 1)}.js'`) },
      };
    }),
);
const scripts = files.flatMap((file) =>
  codeBlocks(readMarkdown(file))
    .filter((block) => ['js', 'javascript', 'mjs', 'cjs'].includes(block.language))
    .map((block) => ({ place: `${file}:${block.line}`, block })),
);

// Inside the repository, so that its packages are found; beside the test, since files under node_modules are not checked.
const folder = mkdtempSync(join(root, 'test/docs/.snippets-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** What the guide's components are tested with, as in its own tests. */
const guideFixtures: NonNullable<ConformanceOptions['fixtures']> = { budget: { request: { context: { maximumPrice: 5 } } } };

/** The whole plugins in docs/guide/writing-a-plugin.md: blocks marked `ts plugin`. */
function guidePlugins(): readonly string[] {
  return codeBlocks(readMarkdown('docs/guide/writing-a-plugin.md')).flatMap(({ info, code }) => (info.includes('plugin') ? [code] : []));
}

/** One of them, imported. */
async function importGuidePlugin(index: number): Promise<PluginDefinition> {
  const file = join(folder, `plugin${index}.ts`);
  writeFileSync(file, guidePlugins()[index] as string);
  return ((await import(file)) as { default: PluginDefinition }).default;
}

/** Compiles modules; the messages, each at the place its snippet stands at. */
function compile(modules: readonly { readonly place: string; readonly text: string; readonly shift: number }[]): string[] {
  const here = join(folder, String(Math.random()).slice(2));
  mkdirSync(here);
  for (const [index, plugin] of guidePlugins().entries()) writeFileSync(join(here, `plugin${index}.ts`), plugin);
  const names = modules.map((module, index) => {
    const name = `snippet${index}.ts`;
    writeFileSync(join(here, name), module.text);
    return name;
  });
  const compilerOptions = {
    composite: false,
    noEmit: true,
    declaration: false,
    declarationMap: false,
    noUnusedLocals: false,
    noUnusedParameters: false,
    erasableSyntaxOnly: false,
    experimentalDecorators: true,
  };
  writeFileSync(
    join(here, 'tsconfig.json'),
    JSON.stringify({ extends: join(root, 'tsconfig.json'), compilerOptions, references: [], files: names }),
  );
  const result = spawnSync(process.execPath, [join(root, 'node_modules/typescript/bin/tsc'), '-p', here, '--pretty', 'false'], {
    cwd: here,
    encoding: 'utf8',
  });
  const problems = result.stdout.split('\n').flatMap((line) => {
    const found = /^snippet(\d+)\.ts\((\d+),\d+\): (.*)$/.exec(line);
    if (found === null) return line.includes('error TS') ? [line] : [];
    const module = modules[Number(found[1])];
    const [file, first] = (module?.place ?? '').split(':');
    return [`${file}:${Number(first) + Number(found[2]) - 1 - (module?.shift ?? 0)}: ${found[3]}`];
  });
  if (result.status !== 0 && problems.length === 0) problems.push(result.stdout + result.stderr);
  return problems;
}

describe('TypeScript in the docs', () => {
  it('there is some', () => {
    expect(snippets.length).toBeGreaterThan(10);
  });

  it('compiles', () => {
    const problems = compile(
      snippets.map(({ file, block, place }) => {
        const before = takenForGranted[file] ?? '';
        // A block without imports or exports would be a script, whose names clash with those of others.
        return { place, shift: before.split('\n').length - 1, text: `${before}${block.code}\nexport {};\n` };
      }),
    );
    expect(problems).toEqual([]);
  }, 120_000);

  it('a mistake is found, at its own line', () => {
    const text = "import { openPipeline } from '@recloom/core';\n\nawait openPipeline(5);\n";
    expect(compile([{ place: 'GUIDE.md:10', text, shift: 0 }])).toEqual([expect.stringMatching(/^GUIDE\.md:12: error TS/)]);
  }, 60_000);

  it("the guide's plugin works", async () => {
    const plugin = await importGuidePlugin(0);
    const [repurchase] = plugin.components;
    // Worked out by hand: of a's two users one came back, of b's one none; smoothing adds two users to each.
    const history = historyFrom(
      [
        { user: 0, item: 0, timeMs: 1 },
        { user: 0, item: 0, timeMs: 2 },
        { user: 0, item: 1, timeMs: 3 },
        { user: 1, item: 0, timeMs: 4 },
      ],
      { userCount: 2, itemCount: 3 },
    );
    const shop = shopFrom({ items: tableFrom(['a', 'b', 'c'], {}), history });
    const scorer = await openComponent<Scorer>(repurchase as ComponentDefinition, { options: { smoothing: 2 }, shop });
    const out = new Float32Array(3);
    await scorer.score(candidateBatch({ rows: [[0, 1, 2]] }), out, new AbortController().signal);
    expect([...out]).toEqual([0.25, 0, 0]);
  });

  it.each(guidePlugins().map((_, index) => index))("the guide's plugin %i keeps the laws", async (index) => {
    const plugin = await importGuidePlugin(index);
    // What looks at an npm package cannot hold for a block of text.
    const fixtures = Object.fromEntries(Object.entries(guideFixtures).filter(([id]) => plugin.components.some((one) => one.id === id)));
    const laws = conformanceLaws(plugin, { fixtures }).filter((law) => !['ALL-04', 'ALL-05', 'ALL-11'].includes(law.id));
    expect(laws.length).toBeGreaterThan(10);
    for (const law of laws) await expect(law.run(), `${law.component} ${law.id}`).resolves.toBeUndefined();
  });

  it.each(scripts)('JavaScript at $place parses', ({ place, block }) => {
    const file = join(folder, `${place.replace(/\W+/g, '-')}.${/\brequire\(/.test(block.code) ? 'cjs' : 'mjs'}`);
    writeFileSync(file, block.code);
    expect(() => execFileSync(process.execPath, ['--check', file], { stdio: 'pipe' })).not.toThrow();
  });
});
