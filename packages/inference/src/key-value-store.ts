import { createHash, randomUUID } from 'node:crypto';
import { mkdir, open, readdir, readFile, rename, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { type KeyValueStore, recloomError } from '@recloom/plugin-api';

/** A store that lives as long as the process. Values are copied in and out. */
export function createMemoryKeyValueStore(): KeyValueStore {
  const values = new Map<string, Uint8Array>();
  return {
    get: async (key) => values.get(key)?.slice(),
    set: async (key, value) => {
      values.set(key, value.slice());
    },
  };
}

/** Temporary files older than this were left by a process that was killed. */
const abandonedAfterMs = 3_600_000;
const temporarySuffix = '.tmp';

/**
 * A store of one file per key in a folder that is made when it is first needed. File names are the SHA-256 of the keys.
 * A value is written beside its file, flushed to disk and renamed, so that readers, other processes and a power cut see
 * the old value or the new one and nothing between. The last of several writers wins.
 *
 * @throws RECLOOM_DAT_WRITE from `set` when the disk refuses; RECLOOM_DAT_UNREADABLE from `get` when a file is there but cannot be read.
 */
export function createDirectoryKeyValueStore(directory: string): KeyValueStore {
  let prepared: Promise<void> | undefined;
  const fileOf = (key: string): string => join(directory, createHash('sha256').update(key).digest('hex'));
  return {
    get: async (key) => {
      const file = fileOf(key);
      try {
        const bytes = await readFile(file);
        return new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength);
      } catch (cause) {
        const code = (cause as NodeJS.ErrnoException).code;
        if (code === 'ENOENT' || code === 'ENOTDIR') return undefined;
        throw recloomError('RECLOOM_DAT_UNREADABLE', { path: file, why: code ?? 'unknown' }, { cause });
      }
    },
    set: async (key, value) => {
      const file = fileOf(key);
      const temporary = `${file}.${randomUUID()}${temporarySuffix}`;
      try {
        prepared ??= prepare(directory);
        await prepared;
        const handle = await open(temporary, 'wx');
        try {
          await handle.writeFile(value);
          await handle.sync();
        } finally {
          await handle.close();
        }
        await rename(temporary, file);
      } catch (cause) {
        // The folder may have been removed meanwhile, or may become writable: the next write looks again.
        prepared = undefined;
        await rm(temporary, { force: true }).catch(() => {});
        throw recloomError('RECLOOM_DAT_WRITE', { path: file, why: (cause as NodeJS.ErrnoException).code ?? 'unknown' }, { cause });
      }
    },
  };
}

async function prepare(directory: string): Promise<void> {
  await mkdir(directory, { recursive: true });
  for (const name of await readdir(directory)) {
    if (!name.endsWith(temporarySuffix)) continue;
    const file = join(directory, name);
    const info = await stat(file).catch(() => undefined);
    if (info !== undefined && Date.now() - info.mtimeMs > abandonedAfterMs) await rm(file, { force: true });
  }
}
