import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { cp, open, readdir, readFile, rename, rm, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type BuildReport, buildPipeline, openPipeline, silentObserver } from '@recloom/core';
import type { PluginDefinition } from '@recloom/plugin-api';
import { afterAll, beforeAll, describe, expect } from 'vitest';
import { badInput, codesOf, edit, expectReadableWarning, failureOf, placeIn } from './support/bad-input.js';
import { misbehavingPlugin } from './support/misbehaving-plugin.js';
import { dataYaml, eventsCsv, makeShop, type ShopFolder, smallShop, userId } from './support/shop-folder.js';

/** Two fitted components and a gate over the 200 rows: every step of a real build, in about a second. */
const config = `format: "1.0"
name: shop
${dataYaml.replace(/ {2}users:\n.*\n.*\n/, '')}
components:
  habits: { use: collaborative-linear/ease, with: { lambda: 20 } }
  popular: { use: popularity/popular }
  consent: { use: privacy-consent/purpose }
surfaces:
  home:
    sources: { habits: 20, popular: { limit: 25, fallback: true } }
    privacy: [consent]
    attributes: [title]
`;
const laterEvents = `${eventsCsv()}${userId(1)},i05,2024-03-01T00:00:00Z,purchase,b900\n`;

let template: ShopFolder;
let first: BuildReport;
beforeAll(async () => {
  template = await makeShop({ 'shop.yaml': config }, { keep: true });
  first = await buildPipeline(template.config);
});
afterAll(() => template.remove());

/** A copy of the shop with its first snapshot published; with `two`, a second one was published after it. */
async function builtShop(two = false): Promise<ShopFolder & { readonly root: string; readonly second: string }> {
  const shop = await makeShop();
  await cp(template.directory, shop.directory, { recursive: true });
  let second = '';
  if (two) {
    await shop.write('events.csv', laterEvents);
    second = (await buildPipeline(shop.config)).snapshotId;
    expect(second).not.toBe(first.snapshotId);
  }
  return { ...shop, root: join(shop.directory, '.recloom', 'shop'), second };
}

/** Opens what is published and asks it. */
async function expectServes(shop: ShopFolder, snapshotId: string): Promise<void> {
  const pipeline = await openPipeline(shop.config);
  try {
    expect(pipeline.snapshotId).toBe(snapshotId);
    const answer = await pipeline.recommend({ user: userId(3), purposes: ['personalisation'], limit: 5 });
    expect(answer.personalised).toBe(true);
    expect(answer.items).toHaveLength(5);
  } finally {
    await pipeline.close();
  }
}

interface Line {
  readonly step?: string;
  readonly phase?: string;
  readonly reused?: boolean | readonly string[];
  readonly id?: string;
  readonly code?: string;
  readonly message?: string;
  readonly retryable?: boolean;
  readonly place?: number;
}

/** Runs the driver; `limitKilobytes` is the largest file it may write. */
async function drive(
  shop: ShopFolder,
  mode = '',
  limitKilobytes?: number,
): Promise<{ readonly signal: string | null; readonly lines: readonly Line[] }> {
  const node = [process.execPath, join(import.meta.dirname, 'support', 'build-driver.mjs'), shop.config, mode];
  const child =
    limitKilobytes === undefined
      ? spawn(node[0] as string, node.slice(1))
      : spawn('bash', ['-c', `ulimit -f ${limitKilobytes}; exec "$@"`, 'bash', ...node]);
  let output = '';
  let problems = '';
  child.stdout.on('data', (text: Buffer) => {
    output += text.toString();
  });
  child.stderr.on('data', (text: Buffer) => {
    problems += text.toString();
  });
  const signal = await new Promise<string | null>((resolve) => child.once('close', (_code, by) => resolve(by)));
  expect(problems).toBe('');
  return {
    signal,
    lines: output
      .split('\n')
      .filter((line) => line !== '')
      .map((line) => JSON.parse(line) as Line),
  };
}

const stepsOf = (lines: readonly Line[]): string[] => lines.flatMap(({ step, phase }) => (step === undefined ? [] : [`${step} ${phase}`]));

/** What a build leaves behind is snapshots, the pointer, the parts and its ticket: nothing half-written. */
async function expectTidy(root: string): Promise<void> {
  const names = (await readdir(root)).filter((name) => !/^(?:[0-9a-f]{16}|current|parts|cache|lock-\d+)$/.test(name));
  expect(names).toEqual([]);
  expect((await readdir(join(root, 'parts'))).filter((name) => !/^[0-9a-f]{64}\.safetensors$/.test(name))).toEqual([]);
}

async function flipBit(path: string, at: number): Promise<void> {
  const file = await open(path, 'r+');
  const byte = new Uint8Array(1);
  await file.read(byte, 0, 1, at);
  byte[0] = (byte[0] as number) ^ 4;
  await file.write(byte, 0, 1, at);
  await file.close();
}

/** Changes the manifest of the published snapshot and gives it the id that its new content asks for. */
async function forge(root: string, change: (manifest: Record<string, unknown>) => void): Promise<void> {
  const id = (await readFile(join(root, 'current'), 'utf8')).split('\n')[0] as string;
  const manifest = JSON.parse(await readFile(join(root, id, 'manifest.json'), 'utf8')) as Record<string, unknown>;
  change(manifest);
  const bytes = Buffer.from(JSON.stringify(manifest));
  const forged = createHash('sha256').update(bytes).digest('hex').slice(0, id.length);
  await writeFile(join(root, id, 'manifest.json'), bytes);
  await rename(join(root, id), join(root, forged));
  await writeFile(join(root, 'current'), `${forged}\n`);
}

describe('snapshots and disk', () => {
  badInput('snapshot-missing', async (code) => {
    const shop = await makeShop({ 'shop.yaml': config });
    const error = await failureOf(openPipeline(shop.config));
    expect(error.code).toBe(code);
    expect(error.hint).toContain('recloom build');
  });

  badInput('snapshot-truncated', async (code) => {
    const shop = await builtShop();
    const directory = join(shop.root, first.snapshotId);
    for (const name of await readdir(directory)) {
      const path = join(directory, name);
      const bytes = await readFile(path);
      for (const length of [0, 7, bytes.length >> 1, bytes.length - 1]) {
        await truncate(path, length);
        const error = await failureOf(openPipeline(shop.config));
        expect([name, length, error.code]).toEqual([name, length, code]);
        expect(error.message).toContain(name);
        await writeFile(path, bytes);
      }
      await rm(path);
      expect([name, (await failureOf(openPipeline(shop.config))).code]).toEqual([name, code]);
      await writeFile(path, bytes);
    }
    await expectServes(shop, first.snapshotId);
  });

  badInput('snapshot-bit-flipped', async (code) => {
    const shop = await builtShop();
    const directory = join(shop.root, first.snapshotId);
    for (const name of await readdir(directory)) {
      const path = join(directory, name);
      const { length } = await readFile(path);
      for (const at of [0, 9, length >> 2, length >> 1, length - 1]) {
        await flipBit(path, at);
        const error = await failureOf(openPipeline(shop.config));
        expect([name, at, error.code]).toEqual([name, at, code]);
        await flipBit(path, at);
      }
    }
    await expectServes(shop, first.snapshotId);
  });

  badInput('snapshot-damaged-with-older', async (code) => {
    const shop = await builtShop(true);
    const running = await openPipeline(shop.config);
    const damaged = join(shop.root, shop.second, 'habits.safetensors');
    await flipBit(damaged, 100);
    const pipeline = await openPipeline(shop.config);
    expect(pipeline.snapshotId).toBe(first.snapshotId);
    expect(codesOf(pipeline.warnings)).toEqual([code]);
    for (const warning of pipeline.warnings) expectReadableWarning(warning);
    await pipeline.close();
    // What serves already does not notice; the next build mends it.
    expect((await running.recommend({ limit: 5 })).snapshotId).toBe(shop.second);
    expect((await buildPipeline(shop.config)).snapshotId).toBe(shop.second);
    expect(await running.reload()).toEqual({ snapshotId: shop.second, changed: false });
    expect(running.warnings).toEqual([]);
    await running.close();
    await expectServes(shop, shop.second);
  });

  badInput('snapshot-other-format', async (code) => {
    const shop = await builtShop();
    await forge(shop.root, (manifest) => {
      manifest['formatVersion'] = 99;
    });
    const error = await failureOf(openPipeline(shop.config));
    expect([error.code, error.message]).toEqual([code, expect.stringMatching(/^The snapshot has format 99, this version reads \d+\.$/)]);
    expect((await buildPipeline(shop.config)).snapshotId).toBe(first.snapshotId);
    await expectServes(shop, first.snapshotId);
  });

  badInput('snapshot-other-state-version', async (code) => {
    const yaml = edit(
      edit(config, 'components:\n', 'components:\n  own: { use: odd/fitted }\n'),
      'sources: { habits: 20',
      'sources: { own: 5, habits: 20',
    );
    const shop = await makeShop({ 'shop.yaml': yaml });
    const propose = (): object => ({ offsets: Int32Array.of(0, 1), rows: Int32Array.of(3), scores: Float32Array.of(1) });
    const plugin = (stateVersion: number): PluginDefinition => {
      const made = misbehavingPlugin({ propose });
      return { ...made, components: made.components.map((component) => ({ ...component, stateVersion })) };
    };
    await buildPipeline(shop.config, { plugins: [plugin(1)] });
    const error = await failureOf(openPipeline(shop.config, { plugins: [plugin(2)] }));
    expect([error.code, error.message]).toEqual([code, 'The state of "own" has version 1, the plugin reads 2.']);
    expect(error.at).toMatchObject({ node: 'own', component: 'odd/fitted', ...placeIn(yaml, 'own: {') });
    // What the old version fitted is not taken over.
    const report = await buildPipeline(shop.config, { plugins: [plugin(2)] });
    expect(report.components.filter((component) => !component.reused).map((component) => component.name)).toEqual(['own']);
    await (await openPipeline(shop.config, { plugins: [plugin(2)] })).close();
  });

  badInput('snapshot-of-another-config', async (code) => {
    const shop = await builtShop();
    const yaml = edit(config, 'lambda: 20', 'lambda: 21');
    await shop.write('shop.yaml', yaml);
    const error = await failureOf(openPipeline(shop.config));
    expect(error.code).toBe(code);
    expect(error.at).toMatchObject({ node: 'habits', ...placeIn(yaml, 'habits:') });
  });

  badInput('snapshot-pointer-damaged', async (code) => {
    const shop = await builtShop(true);
    for (const pointer of ['', '../../etc', 'ffffffffffffffff\n', `ffffffffffffffff\n${first.snapshotId}\n`]) {
      await writeFile(join(shop.root, 'current'), pointer);
      const opened = await openPipeline(shop.config).catch((error: unknown) => error as Error & { code: string });
      if (opened instanceof Error) {
        // A pointer to something that never was here, and nothing older beside it: said, not guessed.
        expect([pointer, opened.code]).toEqual(['ffffffffffffffff\n', 'RECLOOM_DAT_SNAPSHOT_MISSING']);
        continue;
      }
      expect([pointer, codesOf(opened.warnings)]).toEqual([pointer, [code]]);
      expect([first.snapshotId, shop.second]).toContain(opened.snapshotId);
      await opened.close();
    }
  });

  badInput(
    'snapshot-two-builds',
    async (code) => {
      const shop = await builtShop();
      await shop.write('events.csv', laterEvents);
      let other: Promise<{ readonly code: string; readonly message: string; readonly retryable: boolean }> | undefined;
      const report = await buildPipeline(shop.config, {
        observer: {
          ...silentObserver,
          // While the first reads, and still holds the lock when the second asks for it.
          step: (step, phase) => {
            if (step === 'read data' && phase === 'start') other = failureOf(buildPipeline(shop.config));
          },
        },
      });
      expect(await other).toMatchObject({ code, message: expect.stringContaining('Another build is running'), retryable: true });
      await expectServes(shop, report.snapshotId);
      // Two processes that start together: nobody waits for ever, and what is published is whole.
      const both = await Promise.all([drive(shop), drive(shop)]);
      const last = both.map(({ lines }) => lines.at(-1) as Line);
      expect(last.some(({ id }) => id === report.snapshotId)).toBe(true);
      for (const line of last) expect(line.id === report.snapshotId || line.code === code).toBe(true);
      await expectServes(shop, report.snapshotId);
      await expectTidy(shop.root);
    },
    60_000,
  );

  badInput(
    'snapshot-killed',
    async () => {
      const shop = await builtShop();
      await shop.write('events.csv', laterEvents);
      const rehearsal = await makeShop({ 'shop.yaml': config, 'events.csv': laterEvents });
      const { lines } = await drive(rehearsal);
      const second = lines.at(-1)?.id as string;
      const steps = stepsOf(lines);
      const starts = steps.filter((step) => step.endsWith(' start'));
      expect(starts.filter((step) => !step.startsWith('fit ')).map((step) => step.slice(0, -' start'.length))).toEqual([
        'config',
        'read data',
        'clean',
        ...['items', 'users', 'history', 'habits', 'popular'].map((file) => `write ${file}.safetensors`),
        'write manifest.json',
        'sync',
        'rename',
        'verify',
        'publish',
        'point',
        'prune',
      ]);
      // The end of one step is the start of the next; these two have nothing of their own between.
      const killAt = [...starts, 'verify end', 'point end', 'prune end'];
      let published = first.snapshotId;
      const finished = new Set<string>();
      for (const step of killAt) {
        const killed = await drive(shop, step);
        expect([step, killed.signal, stepsOf(killed.lines).at(-1)]).toEqual([step, 'SIGKILL', step]);
        if (['point end', 'prune start', 'prune end'].includes(step)) published = second;
        await expectServes(shop, published);
        // A component that an earlier, killed build had finished is taken from there.
        for (const line of killed.lines) {
          if (line.phase !== 'end' || line.step?.startsWith('fit ') !== true) continue;
          if (finished.has(line.step)) expect([step, line.step, line.reused]).toEqual([step, line.step, true]);
          finished.add(line.step);
        }
      }
      expect([...finished].sort()).toEqual(['fit habits', 'fit popular']);
      const next = await drive(shop);
      expect(next.lines.at(-1)).toEqual({ id: second, reused: ['habits', 'popular'] });
      await expectServes(shop, second);
      await expectTidy(shop.root);
    },
    240_000,
  );

  badInput(
    'disk-full',
    async (code) => {
      const shop = await builtShop();
      await shop.write('events.csv', laterEvents);
      const { lines } = await drive(shop, '--full');
      const failures = lines.filter((line) => line.code !== undefined);
      // The ticket of the lock, two parts, five tables and states, the manifest, the pointer.
      expect(failures).toHaveLength(lines.filter((line) => line.place !== undefined).length - 1);
      expect(failures.length).toBeGreaterThanOrEqual(8);
      for (const failure of failures)
        expect(failure).toMatchObject({ code, message: expect.stringContaining('the disk is full (ENOSPC)'), retryable: true });
      await expectServes(shop, lines.at(-1)?.id as string);
      await expectTidy(shop.root);
    },
    60_000,
  );

  badInput(
    'disk-file-size-limit',
    async (code) => {
      const shop = await builtShop();
      await shop.write('events.csv', laterEvents);
      for (const kilobytes of [0, 1, 4]) {
        const { lines } = await drive(shop, '', kilobytes);
        expect([kilobytes, lines.at(-1)]).toMatchObject([
          kilobytes,
          { code, message: expect.stringContaining('larger than the system allows (EFBIG)') },
        ]);
        await expectServes(shop, first.snapshotId);
        await expectTidy(shop.root);
      }
      const { lines } = await drive(shop);
      await expectServes(shop, lines.at(-1)?.id as string);
    },
    60_000,
  );

  badInput(
    'disk-full-output',
    async (code) => {
      const shop = await builtShop();
      const cli = join(import.meta.dirname, '..', '..', 'packages', 'cli', 'bin', 'recloom.js');
      for (const command of ['recommend', 'build']) {
        const child = spawn('bash', ['-c', 'exec "$@" > /dev/full', 'bash', process.execPath, cli, command, shop.config, '--json']);
        let said = '';
        child.stderr.on('data', (text: Buffer) => {
          said += text.toString();
        });
        const exitCode = await new Promise((resolve) => child.once('close', resolve));
        expect([command, exitCode, said]).toEqual([command, 1, `error ${code} Writing the output failed: the disk is full (ENOSPC).\n`]);
        await expectServes(shop, first.snapshotId);
      }
    },
    120_000,
  );

  badInput('build-aborted', async () => {
    const shop = await builtShop();
    await shop.write('events.csv', laterEvents);
    for (const at of ['read data', 'fit habits', 'write items.safetensors']) {
      const controller = new AbortController();
      const reason = new Error(`stopped at ${at}`);
      const building = buildPipeline(shop.config, {
        signal: controller.signal,
        fresh: true,
        observer: { ...silentObserver, step: (step) => void (step === at && controller.abort(reason)) },
      });
      await expect(building).rejects.toBe(reason);
      await expectServes(shop, first.snapshotId);
      await expectTidy(shop.root);
    }
    expect((await buildPipeline(shop.config)).counts.events).toBe(smallShop.events + 1);
  });
});
