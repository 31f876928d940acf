import { readdir, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { livenessOf, ownerOfTemporary } from './process-identity.js';

const dayMs = 86_400_000;

/**
 * Removes the temporary files and directories of processes that are dead, and those a day old of which that cannot be told.
 * What a living process is writing stays.
 */
export async function removeLeftovers(directory: string): Promise<void> {
  for (const name of await readdir(directory).catch(() => [])) {
    const owner = ownerOfTemporary(name);
    if (owner === undefined) continue;
    const path = join(directory, name);
    const liveness = livenessOf(owner);
    const dead = liveness === 'dead' || (liveness === 'unsure' && (await isOld(path)));
    if (dead) await rm(path, { recursive: true, force: true });
  }
}

async function isOld(path: string): Promise<boolean> {
  try {
    return Date.now() - (await stat(path)).mtimeMs > dayMs;
  } catch {
    return false;
  }
}
