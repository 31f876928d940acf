import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { Worker } from 'node:worker_threads';
import { describe, expect, it } from 'vitest';

const here = dirname(fileURLToPath(import.meta.url));
const root = join(here, '../..');
const execute = promisify(execFile);

/**
 * Runs a program of this folder in a process of its own and reads the JSON it prints. The process has to end by itself:
 * a thread or timer left behind runs into the time limit.
 */
async function runProgram(name: string, parameters: readonly string[] = [], flags: readonly string[] = []): Promise<unknown> {
  const { stdout, stderr } = await execute(process.execPath, [...flags, join(here, 'programs', name), ...parameters], {
    cwd: here,
    timeout: 60_000,
    env: { ...process.env, NODE_OPTIONS: '' },
  });
  // Node 20 and 22 say that require() of a module is new; nothing else may be said.
  expect(stderr.replace(/^.*ExperimentalWarning.*\n.*trace-warnings.*\n/m, '')).toBe('');
  return JSON.parse(stdout);
}

/** Names of our packages that hold code a host can import. */
function importable(): readonly string[] {
  return ['packages', 'plugins'].flatMap((folder) =>
    readdirSync(join(root, folder))
      .map((name) => join(root, folder, name, 'package.json'))
      .filter(existsSync)
      .map((path) => JSON.parse(readFileSync(path, 'utf8')) as { name: string; exports?: Record<string, unknown> })
      .filter((manifest) => manifest.exports?.['.'] !== undefined)
      .map((manifest) => manifest.name),
  );
}

describe('a host', () => {
  it('in plain JavaScript', async () => {
    // By hand: i1 has three events, i2 two, i3 one.
    expect(await runProgram('plain.mjs')).toEqual([
      ['i1', 'Item 1'],
      ['i2', 'Item 2'],
      ['i3', 'Item 3'],
    ]);
  });

  it('in CommonJS requires every package, in one copy', async () => {
    const names = importable();
    expect(names.length).toBeGreaterThan(20);
    expect(await runProgram('common.cjs', [JSON.stringify(names)])).toEqual({
      ids: ['i1', 'i2', 'i3'],
      refused: 'RECLOOM_RUN_LIMIT',
      oneCopy: true,
      empty: [],
    });
  });

  it('whose Reflect is untouched until a pipeline opens', async () => {
    expect(await runProgram('reflect.mjs', ['after'])).toEqual({
      afterImport: [],
      afterOpen: true,
      id: 'i1',
      kept: 'kept',
      container: true,
    });
  });

  it('that loaded reflect-metadata first keeps its metadata', async () => {
    expect(await runProgram('reflect.mjs', ['before'])).toEqual({
      afterImport: [],
      afterOpen: true,
      id: 'i1',
      kept: 'kept',
      later: 'seen',
      container: true,
    });
  });

  it('that runs the pipeline in a worker thread', async () => {
    const worker = new Worker(join(here, 'programs/worker.mjs'));
    const messages = async (): Promise<unknown> => ((await once(worker, 'message')) as unknown[])[0];
    expect(await messages()).toBe('ready');
    worker.postMessage({ limit: 2, explain: true });
    expect(await messages()).toMatchObject({ answer: { items: [{ id: 'i1' }, { id: 'i2' }], surface: 'home' } });
    worker.postMessage({ limit: -3 });
    expect(await messages()).toEqual({ code: 'RECLOOM_RUN_LIMIT' });
    const exited = once(worker, 'exit');
    worker.postMessage('close');
    expect(await exited, 'the thread ends by itself once the pipeline is closed').toEqual([0]);
  });
});

describe('memory', () => {
  // 20,000 items take 80 kB for one float column alone; a pipeline that leaks holds several of them.
  const bound = 40_000;

  it('fifty times open and close leave nothing behind', async () => {
    const { bytesPerCycle, handles } = (await runProgram('memory.mjs', [], ['--expose-gc'])) as Record<string, number>;
    expect(bytesPerCycle).toBeLessThan(bound);
    expect(handles).toBeLessThanOrEqual(0);
  });

  it('and a host that forgets to close would be seen by this measure', async () => {
    const { bytesPerCycle } = (await runProgram('memory.mjs', ['leak'], ['--expose-gc'])) as Record<string, number>;
    expect(bytesPerCycle).toBeGreaterThan(bound);
  });
});
