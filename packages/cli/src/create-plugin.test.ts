import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, realpathSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createPlugin } from './create-plugin.js';
import { repository } from './fixture-shop.fixture.js';

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
    expect(manifest.devDependencies).toHaveProperty('@recloom/testing');
    expect(readFileSync(join(created.directory, 'src/index.ts'), 'utf8')).toContain("id: 'garden-tools'");
    const bin = (name: string) => join(repository, 'node_modules/.bin', name);
    execFileSync(bin('tsc'), ['-b'], { cwd: created.directory, stdio: 'pipe' });
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

  it('refuses ids that cannot be one, and folders with something in them', async () => {
    for (const id of ['', 'Tools', 'a b', '../up', 'template', '-x', 'x-'])
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
