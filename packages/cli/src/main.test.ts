import { spawn } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type FixtureShop, fixtureShop, repository, shopYaml } from './fixture-shop.fixture.js';

const bin = join(repository, 'packages/cli/bin/recloom.js');

/** A plugin whose fit ends only when it is told to stop. */
const waitingPlugin = `
import { defineCandidateSource, definePlugin } from '@recloom/plugin-api';
import { z } from 'zod';
export default definePlugin({ apiVersion: 1, id: 'waiting', components: [defineCandidateSource({
  id: 'forever', summary: 'Never ends.', options: z.strictObject({}), capabilities: {}, stateVersion: 1,
  fit: ({ signal }) => new Promise((_, reject) => {
    if (signal.aborted) return reject(signal.reason);
    const alive = setInterval(() => {}, 1000);
    signal.addEventListener('abort', () => { clearInterval(alive); reject(signal.reason); });
  }),
  create: () => ({ propose: () => { throw new Error('never'); } }),
})] });
`;

function start(argv: readonly string[], directory: string) {
  const child = spawn(process.execPath, [bin, ...argv], { cwd: directory, stdio: ['ignore', 'pipe', 'pipe'] });
  let stdout = '';
  let stderr = '';
  const listeners: (() => void)[] = [];
  child.stdout.on('data', (chunk) => {
    stdout += chunk;
    for (const listener of listeners) listener();
  });
  child.stderr.on('data', (chunk) => (stderr += chunk));
  const ended = new Promise<{ code: number | null; stdout: string; stderr: string }>((resolve) =>
    child.on('close', (code) => resolve({ code, stdout, stderr })),
  );
  const says = (text: string) =>
    new Promise<void>((resolve, reject) => {
      listeners.push(() => stdout.includes(text) && resolve());
      void ended.then(() => reject(new Error(`it ended before it said ${text}: ${stdout} ${stderr}`)));
    });
  return { child, ended, says };
}

/** What a build leaves in its folder, without what is kept on purpose: finished parts, the cache, and the number of the lock. */
function snapshotsIn(root: string): readonly string[] {
  return readdirSync(root)
    .filter((name) => !/^(parts|cache|lock-\d+)$/.test(name))
    .sort();
}

describe('the process', () => {
  let shop: FixtureShop;
  beforeAll(async () => {
    shop = fixtureShop();
    shop.write('waiting.mjs', waitingPlugin);
    expect((await start(['build'], shop.directory).ended).code).toBe(0);
  });
  afterAll(() => shop.remove());

  it('is interrupted by Ctrl-C in the middle of a build: 130, nothing half-written, the old snapshot serves', async () => {
    const root = join(shop.directory, '.recloom/lamps');
    const before = snapshotsIn(root);
    expect(before).toEqual([expect.stringMatching(/^[0-9a-f]{16}$/), 'current']);
    shop.write(
      'slow.yaml',
      `plugins: [./waiting.mjs]\n${shopYaml.replace('components:\n', 'components:\n  slow: { use: waiting/forever }\n').replace('decayDays: 5', 'decayDays: 8').replace('sources: { neighbours: 10,', 'sources: { slow: 5, neighbours: 10,')}`,
    );
    const { child, ended, says } = start(['build', 'slow.yaml', '--json'], shop.directory);
    await says('"step":"fit slow"');
    child.kill('SIGINT');
    const { code, stdout } = await ended;
    expect(code).toBe(130);
    expect(JSON.parse(stdout.trim().split('\n').at(-1) as string)).toMatchObject({ exitCode: 130 });
    expect(snapshotsIn(root)).toEqual(before);
    const answer = await start(['recommend', '--json'], shop.directory).ended;
    expect(answer.code).toBe(0);
    expect(JSON.parse(answer.stdout).items.length).toBeGreaterThan(0);
    // The lock is free again.
    expect((await start(['build'], shop.directory).ended).code).toBe(0);
  }, 120_000);

  it('prints help without loading the core', async () => {
    const { ended } = start(['--help'], shop.directory);
    expect((await ended).stdout).toContain('Usage: recloom');
    const probe = spawn(
      process.execPath,
      [
        '--input-type=module',
        '-e',
        `process.argv = ['node', 'recloom', '--help']; process.on('exit', () => console.error(process.memoryUsage().rss)); await import(${JSON.stringify(bin)});`,
      ],
      { env: { ...process.env, NODE_DEBUG: 'esm' }, stdio: ['ignore', 'pipe', 'pipe'] },
    );
    let loaded = '';
    probe.stderr.on('data', (chunk) => (loaded += chunk));
    await new Promise((resolve) => probe.on('close', resolve));
    expect(loaded).toContain('packages/cli/dist/main.js');
    expect(loaded).not.toMatch(/packages\/core\/dist|cli-progress|data-duckdb|zod/);
  });
});
