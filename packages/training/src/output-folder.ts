import { randomUUID } from 'node:crypto';
import { mkdir, readdir, readFile, rename, rm, stat } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import { recloomError } from '@recloom/plugin-api';
import { trainingFormat } from './schema.js';

/** A folder that is filled beside its place and put there when it is complete: nobody ever sees half an export. */
export class OutputFolder {
  /** Absolute. */
  readonly path: string;
  /** Where to write until `publish`. */
  readonly workPath: string;

  private constructor(path: string, workPath: string) {
    this.path = path;
    this.workPath = workPath;
  }

  /** @throws RECLOOM_DAT_EXPORT_FOLDER when the place is taken by something that is no export, or cannot be written to. */
  static async open(out: string): Promise<OutputFolder> {
    const path = resolve(out);
    await checkPlace(path);
    const workPath = join(dirname(path), `.${basename(path)}-${randomUUID()}`);
    try {
      await mkdir(workPath, { recursive: true });
    } catch (error) {
      throw recloomError('RECLOOM_DAT_EXPORT_FOLDER', { path, why: reasonOf(error) }, { cause: error });
    }
    return new OutputFolder(path, workPath);
  }

  /** Replaces an earlier export. @throws RECLOOM_DAT_EXPORT_FOLDER when the place has been taken meanwhile. */
  async publish(): Promise<void> {
    await checkPlace(this.path);
    const old = `${this.workPath}-old`;
    try {
      const hadOne = await rename(this.path, old).then(
        () => true,
        (error: unknown) => {
          if ((error as { code?: unknown }).code !== 'ENOENT') throw error;
          return false;
        },
      );
      try {
        await rename(this.workPath, this.path);
      } catch (error) {
        if (hadOne) await rename(old, this.path).catch(() => undefined);
        throw error;
      }
      await rm(old, { recursive: true, force: true });
    } catch (error) {
      throw recloomError('RECLOOM_DAT_EXPORT_FOLDER', { path: this.path, why: reasonOf(error) }, { cause: error });
    }
  }

  /** Takes away what was not published. */
  async discard(): Promise<void> {
    await rm(this.workPath, { recursive: true, force: true });
  }
}

async function checkPlace(path: string): Promise<void> {
  const refuse = (why: string): Error => recloomError('RECLOOM_DAT_EXPORT_FOLDER', { path, why });
  const found = await stat(path).catch(() => undefined);
  if (found === undefined) return;
  if (!found.isDirectory()) throw refuse('there is a file of this name');
  const entries = await readdir(path);
  if (entries.length === 0) return;
  const schema = await readFile(join(path, 'schema.json'), 'utf8').catch(() => '');
  if (!schema.includes(`"${trainingFormat}"`)) throw refuse('the folder holds other files');
}

function reasonOf(error: unknown): string {
  const code = (error as { code?: unknown }).code;
  if (code === 'EACCES' || code === 'EPERM' || code === 'EROFS') return 'permission denied';
  if (code === 'ENOSPC') return 'the disk is full';
  if (code === 'ENOTDIR' || code === 'EEXIST') return 'a part of the path is a file';
  return typeof code === 'string' ? code : 'it could not be made';
}
