import { createHash } from 'node:crypto';
import { type FileHandle, open, readFile, rename, rm } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { isRecloomError, recloomError } from '@recloom/plugin-api';
import { temporaryName } from './process-identity.js';

/** Bytes written between two looks at the abort signal. */
const chunkBytes = 8 * 1024 * 1024;

/** Size and hex SHA-256 of a file. */
export interface FileDigest {
  readonly bytes: number;
  readonly sha256: string;
}

/** The code of a system error, e.g. `ENOSPC`. */
export function systemCode(error: unknown): string | undefined {
  const code = (error as { code?: unknown } | null)?.code;
  return typeof code === 'string' ? code : undefined;
}

const reasons: Readonly<Record<string, string>> = {
  ENOSPC: 'the disk is full (ENOSPC)',
  EDQUOT: 'the disk quota is used up (EDQUOT)',
  EFBIG: 'the file is larger than the system allows (EFBIG)',
  EACCES: 'permission denied (EACCES)',
  EPERM: 'permission denied (EPERM)',
  EROFS: 'the file system is read-only (EROFS)',
  EIO: 'the disk reports an error (EIO)',
  EMFILE: 'too many files are open (EMFILE)',
  ENFILE: 'too many files are open (ENFILE)',
};

/** RECLOOM_DAT_WRITE for a failed system call; other errors (an abort, a coded error) pass unchanged. */
export function writeError(path: string, error: unknown): unknown {
  const code = systemCode(error);
  if (isRecloomError(error) || code === undefined || !/^E[A-Z0-9]+$/.test(code)) return error;
  return recloomError('RECLOOM_DAT_WRITE', { path, why: reasons[code] ?? code }, { cause: error });
}

/**
 * Writes pieces to a new file and waits until they are on the disk. A file that could not be finished is removed.
 *
 * @throws RECLOOM_DAT_WRITE, or the signal's reason when aborted.
 */
export async function writeDurably(path: string, pieces: Iterable<Uint8Array>, signal?: AbortSignal): Promise<FileDigest> {
  const hash = createHash('sha256');
  let bytes = 0;
  let handle: FileHandle | undefined;
  try {
    handle = await open(path, 'wx');
    for (const piece of pieces) {
      for (let start = 0; start < piece.length; start += chunkBytes) {
        signal?.throwIfAborted();
        const chunk = piece.subarray(start, start + chunkBytes);
        hash.update(chunk);
        await writeWhole(handle, chunk);
        bytes += chunk.length;
      }
    }
    // Some file systems find out only here that there is no room.
    await handle.sync();
    await handle.close();
    handle = undefined;
  } catch (error) {
    await handle?.close().catch(() => undefined);
    if (systemCode(error) !== 'EEXIST') await rm(path, { force: true }).catch(() => undefined);
    throw writeError(path, error);
  }
  return { bytes, sha256: hash.digest('hex') };
}

async function writeWhole(handle: FileHandle, chunk: Uint8Array): Promise<void> {
  let written = 0;
  while (written < chunk.length) written += (await handle.write(chunk, written, chunk.length - written)).bytesWritten;
}

/** Waits until the entries of a directory (files added, renamed) are on the disk; does nothing where a system cannot do that. */
export async function syncDirectory(path: string): Promise<void> {
  let handle: FileHandle | undefined;
  try {
    handle = await open(path, 'r');
    await handle.sync();
  } catch (error) {
    if (!['EISDIR', 'EPERM', 'EACCES', 'EINVAL', 'ENOTSUP', 'ENOSYS'].includes(systemCode(error) ?? '')) throw writeError(path, error);
  } finally {
    await handle?.close().catch(() => undefined);
  }
}

/**
 * Replaces a file's content as a whole: readers see the old or the new one, also after a crash.
 *
 * @throws RECLOOM_DAT_WRITE; the old content is then unchanged.
 */
export async function replaceDurably(path: string, content: Uint8Array, beforeRename?: () => void): Promise<void> {
  const directory = dirname(path);
  const temporary = join(directory, temporaryName(basename(path)));
  await writeDurably(temporary, [content]);
  try {
    beforeRename?.();
    await rename(temporary, path);
  } catch (error) {
    await rm(temporary, { force: true }).catch(() => undefined);
    throw writeError(path, error);
  }
  await syncDirectory(directory);
}

/** A file's text, or undefined when there is none. */
export async function readTextIfThere(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return undefined;
    throw error;
  }
}

/** The bytes of a file in memory of their own, starting at offset 0, so that typed arrays over them are aligned. */
export async function readBytes(path: string, signal?: AbortSignal): Promise<Uint8Array> {
  const handle = await open(path, 'r');
  try {
    const { size } = await handle.stat();
    const bytes = new Uint8Array(size);
    let read = 0;
    while (read < size) {
      signal?.throwIfAborted();
      const { bytesRead } = await handle.read(bytes, read, Math.min(size - read, chunkBytes), read);
      if (bytesRead === 0) break;
      read += bytesRead;
    }
    return read === size ? bytes : bytes.subarray(0, read);
  } finally {
    await handle.close();
  }
}
