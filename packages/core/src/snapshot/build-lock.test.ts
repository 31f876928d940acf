import { type ChildProcess, spawn } from 'node:child_process';
import { statSync, utimesSync } from 'node:fs';
import { mkdtemp, readdir, readFile, rm, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { acquireBuildLock } from './build-lock.js';
import { livenessOf, ownIdentity } from './process-identity.js';

const locked = expect.objectContaining({ code: 'RECLOOM_DAT_LOCKED', retryable: true });
let root: string;
const children: ChildProcess[] = [];

beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'recloom-lock-'));
});
afterEach(async () => {
  for (const child of children.splice(0)) child.kill('SIGKILL');
  await rm(root, { recursive: true, force: true });
});

/** A live process that is not this one. */
async function startProcess(): Promise<{ readonly child: ChildProcess; readonly pid: number }> {
  const child = spawn(process.execPath, ['-e', 'console.log("up"); setInterval(() => {}, 1000)'], { stdio: ['ignore', 'pipe', 'ignore'] });
  children.push(child);
  await new Promise((resolve) => child.stdout.once('data', resolve));
  return { child, pid: child.pid as number };
}

/** The start time that the lock would write for a process, found as it finds it for itself. */
async function startOf(pid: number): Promise<string> {
  return (await readFile(`/proc/${pid}/stat`, 'utf8')).replace(/^.*\) /s, '').split(' ')[19] as string;
}

async function writeTicket(number: number, ticket: object): Promise<string> {
  const path = join(root, `lock-${number}`);
  await writeFile(path, JSON.stringify({ nonce: 'other', ...ticket }));
  return path;
}

describe('build lock', () => {
  test('keeps a second build out until the first lets it in', async () => {
    const first = await acquireBuildLock(root);
    await expect(acquireBuildLock(root)).rejects.toEqual(locked);
    first.assertHeld();
    await first.release();
    await first.release();
    expect(() => first.assertHeld()).toThrow(locked);
    const second = await acquireBuildLock(root);
    second.assertHeld();
    await second.release();
  });

  test('of twenty at once exactly one gets it', async () => {
    for (let round = 0; round < 5; round++) {
      const results = await Promise.allSettled(Array.from({ length: 20 }, () => acquireBuildLock(root)));
      const holders = results.filter((result) => result.status === 'fulfilled');
      expect(holders).toHaveLength(1);
      await holders[0]?.value.release();
    }
    // Old tickets are cleared away.
    expect((await readdir(root)).filter((name) => name.startsWith('lock-'))).toHaveLength(1);
  });

  test.runIf(process.platform === 'linux')('a killed holder is known at once, without waiting', async () => {
    const { child, pid } = await startProcess();
    await writeTicket(7, { ...ownIdentity(), pid, started: await startOf(pid) });
    await expect(acquireBuildLock(root)).rejects.toEqual(locked);
    const ended = new Promise((resolve) => child.once('exit', resolve));
    child.kill('SIGKILL');
    await ended;
    const lock = await acquireBuildLock(root);
    expect(await readdir(root)).toEqual(['lock-8']);
    await lock.release();
  });

  test.runIf(process.platform === 'linux')('a process that merely got the number of the dead holder does not hold the lock', async () => {
    const { pid } = await startProcess();
    await writeTicket(1, { ...ownIdentity(), pid, started: '1' });
    await (await acquireBuildLock(root)).release();
  });

  test('a stopped holder on this machine still holds it, however long it is silent', async () => {
    const path = await writeTicket(1, ownIdentity());
    await utimes(path, 0, 0);
    await expect(acquireBuildLock(root)).rejects.toEqual(process.platform === 'linux' ? locked : expect.anything());
  });

  test('a holder on another machine holds it as long as it shows that it lives', async () => {
    const path = await writeTicket(3, { machine: 'elsewhere', pid: 1, started: '1' });
    await expect(acquireBuildLock(root)).rejects.toEqual(locked);
    await utimes(path, Date.now() / 1000 - 60, Date.now() / 1000 - 60);
    const lock = await acquireBuildLock(root);
    expect(await readdir(root)).toEqual(['lock-4']);
    await lock.release();
  });

  test('an empty ticket counts as held until it is stale', async () => {
    const path = join(root, 'lock-1');
    await writeFile(path, '');
    await expect(acquireBuildLock(root)).rejects.toEqual(locked);
    await utimes(path, 1, 1);
    await (await acquireBuildLock(root)).release();
  });

  test('shows that it lives while the main thread is busy', async () => {
    const lock = await acquireBuildLock(root, undefined, { heartbeatMs: 20, staleMs: 1_000 });
    const path = join(root, 'lock-1');
    await utimes(path, 1, 1);
    // The thread may still be starting.
    await expect.poll(() => statSync(path).mtimeMs, { timeout: 20_000 }).toBeGreaterThan(2_000);
    utimesSync(path, 1, 1);
    const end = Date.now() + 10_000;
    while (statSync(path).mtimeMs < 2_000 && Date.now() < end);
    // This thread gave nothing else a turn: only the other one can have written.
    expect(Date.now() - statSync(path).mtimeMs).toBeLessThan(60_000);
    lock.assertHeld();
    await lock.release();
  });

  test('a holder that was taken over learns it', async () => {
    const lock = await acquireBuildLock(root);
    await writeTicket(2, { machine: 'elsewhere', pid: 1, started: '1' });
    expect(() => lock.assertHeld()).toThrow(locked);
    await lock.release();
    await expect(acquireBuildLock(root)).rejects.toEqual(locked);
  });

  test('an aborted signal rejects and leaves nothing', async () => {
    await expect(acquireBuildLock(root, AbortSignal.abort(new Error('stop')))).rejects.toThrow('stop');
    expect(await readdir(root)).toEqual([]);
  });

  test('a folder that cannot be made is a coded error', async () => {
    await writeFile(join(root, 'file'), '');
    await expect(acquireBuildLock(join(root, 'file', 'below'))).rejects.toMatchObject({ code: 'RECLOOM_DAT_WRITE' });
  });

  test('knows itself to be alive', () => {
    expect(livenessOf(ownIdentity())).toBe(process.platform === 'linux' ? 'alive' : 'unsure');
    expect(livenessOf({ ...ownIdentity(), pid: 2 ** 22 + 12345 })).toBe('dead');
    expect(livenessOf({ ...ownIdentity(), machine: 'elsewhere' })).toBe('unsure');
  });
});
