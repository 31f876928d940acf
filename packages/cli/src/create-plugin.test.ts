import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, realpathSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createPlugin } from './create-plugin.js';
import { repository } from './fixture-shop.fixture.js';
import { runCli } from './run-cli.js';

describe('plugins new', () => {
  let directory: string;
  beforeEach(() => {
    directory = realpathSync(mkdtempSync(join(tmpdir(), 'recloom-plugin-')));
    symlinkSync(join(repository, 'node_modules'), join(directory, 'node_modules'));
  });
  afterEach(() => rmSync(directory, { recursive: true, force: true }));

  it('writes a plugin that compiles and passes its own tests and every law', async () => {
    const created = await createPlugin('garden-tools', { workingDirectory: directory });
    expect(created).toMatchObject({ packageName: 'recloom-plugin-garden-tools', shownDirectory: 'recloom-plugin-garden-tools' });
    const manifest = JSON.parse(readFileSync(join(created.directory, 'package.json'), 'utf8'));
    expect(manifest).toMatchObject({ name: 'recloom-plugin-garden-tools', recloom: { apiVersion: 1, id: 'garden-tools' } });
    // From a checkout, Recloom's packages are those of the checkout.
    for (const name of ['plugin-api', 'testing'])
      expect(join(created.directory, manifest.devDependencies[`@recloom/${name}`].replace(/^file:/, ''))).toBe(
        join(repository, 'packages', name),
      );
    expect(manifest.peerDependencies).toEqual({ '@recloom/plugin-api': expect.stringMatching(/^>=\d/) });
    expect(created.fromCheckout).toBe(true);
    expect(readFileSync(join(created.directory, 'src/index.ts'), 'utf8')).toContain("id: 'garden-tools'");
    const bin = (name: string) => join(repository, 'node_modules/.bin', name);
    expect(manifest.scripts).toEqual({ build: 'tsc -b', test: 'tsc -b && vitest run', typecheck: 'tsc -p tsconfig.tests.json' });
    execFileSync(bin('tsc'), ['-b'], { cwd: created.directory, stdio: 'pipe' });
    execFileSync(bin('tsc'), ['-p', 'tsconfig.tests.json'], { cwd: created.directory, stdio: 'pipe' });
    const output = execFileSync(bin('vitest'), ['run', '--root', '.'], {
      cwd: created.directory,
      encoding: 'utf8',
      stdio: 'pipe',
      env: { ...process.env, NO_COLOR: '1', FORCE_COLOR: '' },
    });
    expect(output).toMatch(/Tests +\d+ passed/);
    const { default: plugin } = await import(join(created.directory, 'dist/index.js'));
    expect(plugin.id).toBe('garden-tools');
  }, 120_000);

  it('takes the name of the package for its id', async () => {
    for (const [given, id] of [
      ['recloom-plugin-season', 'season'],
      ['@recloom/plugin-weather', 'weather'],
      ['plugin-moon', 'plugin-moon'],
    ] as const)
      expect(await createPlugin(given, { workingDirectory: directory })).toMatchObject({ id, packageName: `recloom-plugin-${id}` });
  });

  it("writes a README of the plugin's own, with every heading and no word of the template", async () => {
    const created = await createPlugin('season', { workingDirectory: directory });
    const readme = readFileSync(join(created.directory, 'README.md'), 'utf8');
    expect(readme.match(/^#+ .*$/gm)).toEqual(['# recloom-plugin-season', '## Options', '## Pipeline', '## When it fails', '## Model']);
    expect(readme).toContain('use: season/newest');
    expect(readme).toContain('/docs/guide/writing-a-plugin.md');
    expect(readme).not.toMatch(/template/i);
    const options = readFileSync(join(created.directory, 'src/options.ts'), 'utf8').matchAll(/^ {2}(\w+): z/gm);
    expect([...options].map(([, name]) => name)).toEqual([...readme.matchAll(/^\| `(\w+)`/gm)].map(([, name]) => name));
  });

  it('says how to try it, from the folder of a shop and beside one', async () => {
    const run = async (...words: string[]): Promise<string> => {
      let text = '';
      const stream = { write: (piece: string) => void (text += piece), columns: 200 };
      const code = await runCli(['plugins', 'new', ...words], {
        stdout: stream,
        stderr: stream,
        env: { NO_COLOR: '1' },
        directory,
        signal: new AbortController().signal,
      });
      expect(code, text).toBe(0);
      return text;
    };
    const beside = await run('season');
    expect(beside).toContain('$ npm install ../recloom-plugin-season\n  or, in the config:  plugins: [../recloom-plugin-season]');
    expect(beside).toContain('rename src/newest.ts');
    expect(beside.replace(/\s+/g, ' ')).toContain('by file: ranges');
    writeFileSync(join(directory, 'shop.yaml'), '');
    expect(await run('weather')).toContain('plugins: [./recloom-plugin-weather]');
  });

  it('refuses ids that cannot be one, and folders with something in them', async () => {
    for (const id of ['', 'Tools', 'a b', '../up', 'template', '-x', 'x-', 'recloom-plugin-', 'recloom-plugin-template'])
      await expect(createPlugin(id, { workingDirectory: directory })).rejects.toThrow('cannot be the id');
    mkdirSync(join(directory, 'recloom-plugin-mine/src'), { recursive: true });
    await expect(createPlugin('mine', { workingDirectory: directory })).rejects.toThrow('is not empty');
  });

  it('copies the template that the packed CLI ships', async () => {
    const script = join(repository, 'packages/cli/scripts/copy-template.mjs');
    execFileSync(process.execPath, [script]);
    const created = await createPlugin('shipped', { workingDirectory: directory, template: join(repository, 'packages/cli/template') });
    expect(created.files).toEqual(
      expect.arrayContaining(['README.md', 'package.json', 'src/index.ts', 'src/newest.test.ts', 'tsconfig.json']),
    );
    expect(created.files.some((file) => file.startsWith('dist/'))).toBe(false);
  });
});
