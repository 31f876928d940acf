import { spawn } from 'node:child_process';
import { cp, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { SnapshotStore } from './snapshot-store.js';

// Builds of a small shop in processes of their own, so that they can be killed and limited. They run the compiled code:
// `npm test` compiles first; alone: `npx tsc -b packages/core`.
const buildScript = `
  import { writeSync } from 'node:fs';
  const [dist, root, seed, killAt] = process.argv.slice(1);
  const { SnapshotStore } = await import(dist + '/snapshot/snapshot-store.js');
  const { datasetFromArrays } = await import(dist + '/data/dataset-from-arrays.js');
  const { tensor } = await import('@recloom/plugin-api');
  const items = Array.from({ length: 50 }, (_, item) => ({ id: 'item ' + item, title: 'Cup number ' + item * Number(seed) }));
  const events = Array.from({ length: 200 }, (_, event) => ({ user: 'user ' + (event % 20), item: 'item ' + ((event * 7) % 50), timeMs: 1.3e12 + event * 6e4 }));
  const dataset = datasetFromArrays({ items, events });
  // Large enough to meet a limit of the system, small enough to be quick.
  const state = { weights: tensor(new Float32Array(100_000).fill(Number(seed))) };
  const component = { name: 'habits', reference: 'a/b', optionsHash: '', stateVersion: 1, state, feature: undefined };
  const contents = { pipeline: 'shop', configHash: '', dataset, components: [component] };
  const onStep = (step, phase) => {
    writeSync(1, JSON.stringify({ step, phase }) + '\\n');
    if (step + ' ' + phase === killAt) process.kill(process.pid, 'SIGKILL');
  };
  try {
    const store = new SnapshotStore(root);
    const lock = await store.acquireLock();
    if (killAt === 'locked') process.kill(process.pid, 'SIGKILL');
    if (killAt !== 'no parts') await store.parts.put('habits', state);
    const { id } = await store.write(contents, { onStep });
    await store.verify(id);
    await store.publish(id, { onStep });
    if (killAt === 'published') process.kill(process.pid, 'SIGKILL');
    await lock.release();
    writeSync(1, JSON.stringify({ id }) + '\\n');
  } catch (error) {
    writeSync(1, JSON.stringify({ code: error.code, message: error.message }) + '\\n');
    process.exitCode = 1;
  }`;

interface BuildResult {
  readonly signal: string | null;
  readonly steps: readonly string[];
  readonly id: string | undefined;
  readonly code: string | undefined;
  readonly message: string | undefined;
}

const packageFolder = join(import.meta.dirname, '..', '..');

/** Runs a build; `limitKilobytes` is the largest file it may write. */
async function build(root: string, seed: number, killAt = '', limitKilobytes?: number): Promise<BuildResult> {
  const node = [process.execPath, '--input-type=module', '-e', buildScript, join(packageFolder, 'dist'), root, String(seed), killAt];
  const child =
    limitKilobytes === undefined
      ? spawn(node[0] as string, node.slice(1), { cwd: packageFolder })
      : spawn('bash', ['-c', `ulimit -f ${limitKilobytes}; exec "$@"`, 'bash', ...node], { cwd: packageFolder });
  let output = '';
  let problems = '';
  child.stdout.on('data', (text: Buffer) => {
    output += text.toString();
  });
  child.stderr.on('data', (text: Buffer) => {
    problems += text.toString();
  });
  const signal = await new Promise<string | null>((resolve) => child.once('close', (_, by) => resolve(by)));
  if (problems !== '') throw new Error(problems);
  const lines = output
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as { step?: string; phase?: string; id?: string; code?: string; message?: string });
  const last = lines.at(-1);
  return {
    signal,
    steps: lines.filter(({ step }) => step !== undefined).map(({ step, phase }) => `${step} ${phase}`),
    id: last?.id,
    code: last?.code,
    message: last?.message,
  };
}

let folder: string;
let published: string;
let allSteps: readonly string[];
let root: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'recloom-crash-'));
  const result = await build(join(folder, 'first'), 1);
  if (result.id === undefined) throw new Error(`The first build failed: ${result.message}`);
  published = result.id;
  allSteps = result.steps;
});
beforeEach(async () => {
  root = join(await mkdtemp(join(folder, 'case-')), 'shop');
  await cp(join(folder, 'first'), root, { recursive: true });
});
afterAll(async () => {
  await rm(folder, { recursive: true, force: true });
});

async function expectNothingHalfWritten(ids: readonly string[]): Promise<void> {
  const names = (await readdir(root)).filter((name) => !name.startsWith('lock-'));
  expect(names.sort()).toEqual([...ids, 'current', 'parts'].sort());
  expect(await readdir(join(root, 'parts'))).toEqual(['habits.safetensors']);
}

describe('a build that is killed', () => {
  test('at any step leaves the last published snapshot, and the next build succeeds', { timeout: 60_000 }, async () => {
    const store = new SnapshotStore(root);
    // The end of a step is the start of the next; the last before publishing has an end of its own. All in turn in one folder.
    const starts = allSteps.filter((step) => step.endsWith(' start'));
    expect(starts).toContain('write habits.safetensors start');
    expect(starts.slice(-3)).toEqual(['rename start', 'publish start', 'point start']);
    for (const killAt of ['locked', ...starts, 'rename end']) {
      const killed = await build(root, 2, killAt);
      expect([killAt, killed.signal]).toEqual([killAt, 'SIGKILL']);
      expect([killAt, killed.steps.at(-1)]).toEqual([killAt, killAt === 'locked' ? undefined : killAt]);
      expect([killAt, (await store.open()).id]).toEqual([killAt, published]);
    }
    const next = await build(root, 2);
    expect(next).toMatchObject({ signal: null, code: undefined });
    expect((await store.open()).id).toBe(next.id);
    expect(next.id).not.toBe(published);
    await expectNothingHalfWritten([published, next.id as string]);
  });

  test('after the pointer was written has published', async () => {
    const store = new SnapshotStore(root);
    for (const [seed, killAt] of [
      [2, 'point end'],
      [3, 'published'],
    ] as const) {
      expect((await build(root, seed, killAt)).signal).toBe('SIGKILL');
      const opened = await store.open();
      expect(opened.components.get('habits')?.state['weights']?.data[0]).toBe(seed);
    }
    expect((await build(root, 4)).signal).toBeNull();
  });
});

describe('two builds at once', () => {
  test('one of them is told so, and the snapshot is whole', async () => {
    const store = new SnapshotStore(root);
    const lock = await store.acquireLock();
    const refused = await build(root, 2);
    expect(refused).toMatchObject({ code: 'RECLOOM_DAT_LOCKED', steps: [] });
    expect(refused.message).toContain('Another build is running');
    await lock.release();
    const results = await Promise.all([build(root, 2), build(root, 3)]);
    for (const { id, code } of results) expect(id !== undefined || code === 'RECLOOM_DAT_LOCKED').toBe(true);
    const ids = results.flatMap(({ id }) => id ?? []);
    expect(ids.length).toBeGreaterThan(0);
    expect(ids).toContain((await store.open()).id);
  });
});

describe.runIf(process.platform !== 'win32')('a disk without room', () => {
  // `ulimit -f` counts kilobytes; the system then refuses to write on with EFBIG. 100,000 floats take 391.
  test.each([
    [0, 'no parts', undefined],
    [390, '', undefined],
    [1, 'no parts', 'write items.safetensors start'],
    [390, 'no parts', 'write habits.safetensors start'],
  ] as const)('of %i kB per file (%s) is a coded error that changes nothing', async (limit, parts, lastStep) => {
    const failed = await build(root, 2, parts, limit);
    expect(failed).toMatchObject({ code: 'RECLOOM_DAT_WRITE', signal: null });
    expect(failed.message).toMatch(/larger than the system allows/);
    expect(failed.steps.at(-1)).toBe(lastStep);
    expect((await new SnapshotStore(root).open()).id).toBe(published);
    await expectNothingHalfWritten([published]);
  });
});

describe.runIf(process.platform === 'linux')('a device without room', () => {
  test('/dev/full is a coded error', async () => {
    const { open } = await import('node:fs/promises');
    const { writeError } = await import('./files.js');
    const handle = await open('/dev/full', 'w');
    const error = await handle.write('x').catch((cause: unknown) => writeError('/shop/.recloom', cause));
    await handle.close();
    expect(error).toMatchObject({
      code: 'RECLOOM_DAT_WRITE',
      message: 'Writing /shop/.recloom failed: the disk is full (ENOSPC).',
      retryable: true,
    });
  });

  test('other errors are not mistaken for one', async () => {
    const { writeError } = await import('./files.js');
    await writeFile(join(folder, 'x'), '');
    for (const error of [new Error('x'), new RangeError('y'), Object.assign(new Error('z'), { code: 'ABORT_ERR' })]) {
      expect(writeError('/p', error)).toBe(error);
    }
  });
});
