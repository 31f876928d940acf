import { randomUUID } from 'node:crypto';
import { readdirSync, readFileSync, renameSync, rmSync, statSync, truncateSync, writeFileSync } from 'node:fs';
import { mkdir, open, readdir, readFile, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Worker } from 'node:worker_threads';
import { recloomError } from '@recloom/plugin-api';
import { systemCode, writeError } from './files.js';
import { livenessOf, ownIdentity, type ProcessIdentity, temporaryName } from './process-identity.js';

/** Keeps two builds of one snapshot folder apart. */
export interface BuildLock {
  /** @throws RECLOOM_DAT_LOCKED when another build took over, which takes a holder that stood still for a long time. */
  assertHeld(): void;
  /** Lets the next build in. Calling it again does nothing. */
  release(): Promise<void>;
}

/** Times of the lock, in milliseconds. */
export interface BuildLockTimes {
  /** How often the holder shows that it lives, to those who cannot look at its process. */
  readonly heartbeatMs: number;
  /** Silence after which such a holder counts as dead. */
  readonly staleMs: number;
}
const defaultTimes: BuildLockTimes = { heartbeatMs: 2_000, staleMs: 15_000 };

interface Ticket extends ProcessIdentity {
  readonly nonce: string;
  readonly released?: boolean;
}

const ticketPattern = /^lock-(\d+)$/;

/**
 * Takes the lock of a folder, or fails at once.
 *
 * The lock is the ticket file `lock-<n>` with the highest n: whoever creates the next number while the highest one is released
 * or its holder dead, holds the lock. Creating a file is atomic, and the highest ticket is never deleted, so that two processes
 * that find the same dead holder cannot both follow it (deleting a stale lock and making a new one is a well-known race).
 * A holder on this machine is dead when its process is (killed, crashed or ended: known at once, also when a long computation
 * keeps it from answering); one elsewhere when it has not touched its ticket for `staleMs`, which a thread of its own does.
 *
 * @throws RECLOOM_DAT_LOCKED, RECLOOM_DAT_WRITE, or the signal's reason when aborted.
 */
export async function acquireBuildLock(root: string, signal?: AbortSignal, times: BuildLockTimes = defaultTimes): Promise<BuildLock> {
  try {
    await mkdir(root, { recursive: true });
    for (;;) {
      signal?.throwIfAborted();
      const highest = highestTicket(await readdir(root));
      if (highest > 0 && (await isHeld(root, highest, times, signal))) throw recloomError('RECLOOM_DAT_LOCKED', { path: root });
      const number = highest + 1;
      const ticket: Ticket = { ...ownIdentity(), nonce: randomUUID() };
      if (!(await createTicket(join(root, `lock-${number}`), ticket))) continue;
      const names = await readdir(root);
      if (highestTicket(names) !== number) {
        // Others came and went since we looked: our number was free again only because it is old.
        await rm(join(root, `lock-${number}`), { force: true });
        continue;
      }
      for (const name of names) {
        const match = ticketPattern.exec(name);
        if (match !== null && Number(match[1]) < number) await rm(join(root, name), { force: true });
      }
      return new HeldLock(root, number, ticket, times);
    }
  } catch (error) {
    throw writeError(root, error);
  }
}

class HeldLock implements BuildLock {
  readonly #root: string;
  readonly #path: string;
  readonly #number: number;
  readonly #ticket: Ticket;
  readonly #heartbeat: Worker;
  readonly #onExit = (): void => this.#markReleased();
  #released = false;

  constructor(root: string, number: number, ticket: Ticket, times: BuildLockTimes) {
    this.#root = root;
    this.#path = join(root, `lock-${number}`);
    this.#number = number;
    this.#ticket = ticket;
    this.#heartbeat = startHeartbeat(this.#path, times.heartbeatMs);
    process.once('exit', this.#onExit);
  }

  assertHeld(): void {
    if (this.#released || highestTicket(readdirSync(this.#root)) !== this.#number || readTicket(this.#path)?.nonce !== this.#ticket.nonce) {
      throw recloomError('RECLOOM_DAT_LOCKED', { path: this.#root });
    }
  }

  async release(): Promise<void> {
    if (this.#released) return;
    this.#released = true;
    process.removeListener('exit', this.#onExit);
    // Ended first: a beat after the release would only touch a file, but tests and hosts should see no thread left behind.
    await this.#heartbeat.terminate();
    this.#markReleased();
  }

  #markReleased(): void {
    const temporary = join(this.#root, temporaryName('lock'));
    try {
      if (readTicket(this.#path)?.nonce !== this.#ticket.nonce) return;
      writeFileSync(temporary, JSON.stringify({ ...this.#ticket, released: true }));
      renameSync(temporary, this.#path);
    } catch {
      rmSync(temporary, { force: true });
      try {
        // A full disk. Emptying takes no room; an empty ticket frees the lock once it is stale.
        truncateSync(this.#path);
      } catch {
        // The folder is gone, and the lock with it.
      }
    }
  }
}

/**
 * Writes one byte of the ticket over with itself: the time of the change then comes from the file system, whose clock is the one
 * other machines can compare. On a thread of its own, because a fit may keep the main one busy for minutes.
 */
function startHeartbeat(path: string, heartbeatMs: number): Worker {
  const code = `
    const { closeSync, openSync, writeSync } = require('node:fs');
    const { workerData } = require('node:worker_threads');
    setInterval(() => {
      try {
        const file = openSync(workerData.path, 'r+');
        try { writeSync(file, '{', 0); } finally { closeSync(file); }
      } catch {}
    }, workerData.heartbeatMs);`;
  const worker = new Worker(code, { eval: true, execArgv: [], workerData: { path, heartbeatMs } });
  // A lock must not keep a process alive, nor take it down when the thread cannot run.
  worker.unref();
  worker.on('error', () => undefined);
  return worker;
}

function highestTicket(names: readonly string[]): number {
  let highest = 0;
  for (const name of names) highest = Math.max(highest, Number(ticketPattern.exec(name)?.[1] ?? 0));
  return highest;
}

async function createTicket(path: string, ticket: Ticket): Promise<boolean> {
  try {
    const handle = await open(path, 'wx');
    try {
      await handle.writeFile(JSON.stringify(ticket));
    } catch (error) {
      // Full disk: an empty ticket would count as held until it is stale.
      await rm(path, { force: true }).catch(() => undefined);
      throw error;
    } finally {
      await handle.close();
    }
    return true;
  } catch (error) {
    if (systemCode(error) === 'EEXIST') return false;
    throw error;
  }
}

async function isHeld(root: string, number: number, times: BuildLockTimes, signal: AbortSignal | undefined): Promise<boolean> {
  const path = join(root, `lock-${number}`);
  let ticket = await readTicketAsync(path);
  for (let attempt = 0; ticket === 'unfinished' && attempt < 10; attempt++) {
    await sleep(20, undefined, { signal });
    ticket = await readTicketAsync(path);
  }
  if (ticket === undefined) return false;
  if (ticket !== 'unfinished') {
    if (ticket.released === true) return false;
    const liveness = livenessOf(ticket);
    if (liveness !== 'unsure') return liveness === 'alive';
  }
  return (await silenceMs(root, path)) < times.staleMs;
}

/** How long ago a file was changed, by the clock of the file system it is on. */
async function silenceMs(root: string, path: string): Promise<number> {
  const probe = join(root, temporaryName('clock'));
  try {
    await (await open(probe, 'wx')).close();
    return (await stat(probe)).mtimeMs - (await stat(path)).mtimeMs;
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return Number.POSITIVE_INFINITY;
    throw error;
  } finally {
    await rm(probe, { force: true });
  }
}

async function readTicketAsync(path: string): Promise<Ticket | 'unfinished' | undefined> {
  try {
    return parseTicket(await readFile(path, 'utf8')) ?? 'unfinished';
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return undefined;
    throw error;
  }
}

function readTicket(path: string): Ticket | undefined {
  try {
    return statSync(path).isFile() ? parseTicket(readFileSync(path, 'utf8')) : undefined;
  } catch {
    return undefined;
  }
}

function parseTicket(text: string): Ticket | undefined {
  try {
    const value = JSON.parse(text) as Partial<Ticket> | null;
    if (typeof value?.machine !== 'string' || typeof value.pid !== 'number' || typeof value.started !== 'string') return undefined;
    return value as Ticket;
  } catch {
    return undefined;
  }
}
