import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, realpathSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { codeBlocks, readMarkdown, root } from '../../scripts/docs-markdown.mjs';

/** Plugins of the guide with the test that stands below each: blocks marked `ts plugin` and `ts test`. */
function pluginsWithTests(): readonly { readonly id: string; readonly plugin: string; readonly test: string }[] {
  let plugin = '';
  return codeBlocks(readMarkdown('docs/guide/writing-a-plugin.md')).flatMap(({ info, code }) => {
    if (info.includes('plugin')) plugin = code;
    if (!info.includes('test')) return [];
    return [{ id: /definePlugin\(\{ apiVersion: 1, id: '([^']+)'/.exec(plugin)?.[1] ?? '', plugin, test: code }];
  });
}

const folder = realpathSync(mkdtempSync(join(tmpdir(), 'recloom-guide-')));
symlinkSync(join(root, 'node_modules'), join(folder, 'node_modules'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** Makes a package of the two blocks, as a reader would, compiles it and runs its tests. */
function runTests(id: string, plugin: string, test: string): string {
  const here = join(folder, id);
  mkdirSync(join(here, 'src'), { recursive: true });
  const write = (file: string, value: unknown): void =>
    writeFileSync(join(here, file), typeof value === 'string' ? value : JSON.stringify(value));
  write('package.json', {
    name: `recloom-plugin-${id}`,
    type: 'module',
    exports: { '.': { types: './dist/index.d.ts', default: './dist/index.js' } },
    recloom: { apiVersion: 1, id },
    peerDependencies: { '@recloom/plugin-api': '*' },
    dependencies: { zod: '*' },
  });
  write('tsconfig.json', {
    extends: join(root, 'tsconfig.json'),
    compilerOptions: { rootDir: 'src', outDir: 'dist', tsBuildInfoFile: 'dist/.tsbuildinfo' },
    references: [],
    include: ['src'],
    exclude: ['src/**/*.test.ts'],
  });
  write('src/index.ts', plugin);
  write('src/index.test.ts', test);
  const run = (bin: string, ...words: string[]): string =>
    execFileSync(join(root, 'node_modules/.bin', bin), words, {
      cwd: here,
      encoding: 'utf8',
      stdio: 'pipe',
      env: { ...process.env, NO_COLOR: '1', FORCE_COLOR: '' },
    });
  run('tsc', '-b');
  return run('vitest', 'run', '--root', '.');
}

describe("the guide's plugins pass the tests that the guide gives them", () => {
  const cases = pluginsWithTests();

  it('there are two', () => {
    expect(cases.map(({ id }) => id)).toEqual(['again', 'wallet']);
  });

  it.each(cases)(
    '$id',
    ({ id, plugin, test }) => {
      expect(runTests(id, plugin, test)).toMatch(/Tests +\d+ passed \(/);
    },
    120_000,
  );

  it('and one that is wrong does not', () => {
    const { plugin, test } = cases[1] ?? { plugin: '', test: '' };
    const wrong = plugin.replace("request.context['maximumPrice']", "request.context['maximum']");
    expect(wrong).not.toBe(plugin);
    let output = '';
    try {
      runTests('wrong', wrong, test);
    } catch (error) {
      output = String((error as { stdout?: unknown }).stdout);
    }
    expect(output).toMatch(/× FLT-02/);
  }, 120_000);
});
