import { createHash } from 'node:crypto';
import { mkdir, readdir, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { type ComponentState, isRecloomError, recloomError } from '@recloom/plugin-api';
import { readBytes, systemCode, writeDurably, writeError } from './files.js';
import { removeLeftovers } from './leftovers.js';
import { temporaryName } from './process-identity.js';
import { bytesOf, decodeSafetensors, elementTypeOf, encodeSafetensors } from './safetensors.js';

const suffix = '.safetensors';

/**
 * Finished components of a build, by a key that stands for all they depend on, so that an interrupted or repeated build does
 * not do them again. Files under `<root>/parts/`; safe to delete at any time.
 */
export class PartStore {
  readonly directory: string;

  /** `root`: the folder of the snapshots, `<config folder>/.recloom/<name>`. */
  constructor(root: string) {
    this.directory = join(root, 'parts');
  }

  /**
   * The tensors put under `key`, or undefined. A part that is damaged in any way counts as missing.
   *
   * @throws RECLOOM_LAW_SHAPE when the key cannot be a file name.
   */
  async get(key: string): Promise<ComponentState | undefined> {
    const path = this.#path(key);
    try {
      const { tensors, metadata } = decodeSafetensors(await readBytes(path), `${key}${suffix}`);
      return metadata['sha256'] === digestOf(tensors) ? tensors : undefined;
    } catch (error) {
      if (isRecloomError(error) || systemCode(error) !== undefined) return undefined;
      throw error;
    }
  }

  /**
   * Stores tensors under `key`, as a whole or not at all.
   *
   * @throws RECLOOM_DAT_WRITE, or RECLOOM_LAW_SHAPE when the key cannot be a file name.
   */
  async put(key: string, tensors: ComponentState): Promise<void> {
    const path = this.#path(key);
    const temporary = join(this.directory, temporaryName('part'));
    try {
      await mkdir(this.directory, { recursive: true });
      await writeDurably(temporary, encodeSafetensors(tensors, { sha256: digestOf(tensors) }));
      await rename(temporary, path);
    } catch (error) {
      await rm(temporary, { force: true }).catch(() => undefined);
      throw writeError(path, error);
    }
  }

  /** Removes all parts but those under `keepKeys`, and what killed builds left half-written. */
  async prune(keepKeys: Iterable<string>): Promise<void> {
    const keep = new Set([...keepKeys].map((key) => `${key}${suffix}`));
    for (const name of await readdir(this.directory).catch(() => [])) {
      if (name.endsWith(suffix) && !name.startsWith('.') && !keep.has(name)) await rm(join(this.directory, name), { force: true });
    }
    await removeLeftovers(this.directory);
  }

  #path(key: string): string {
    if (!/^[A-Za-z0-9_-]{1,200}$/.test(key)) {
      throw recloomError('RECLOOM_LAW_SHAPE', { name: 'PartStore', expected: 'a key of letters, digits, _ and -', found: 'another' });
    }
    return join(this.directory, `${key}${suffix}`);
  }
}

/** Over names, types, shapes and data: what lies between the header's braces is not covered by any other check. */
function digestOf(tensors: ComponentState): string {
  const hash = createHash('sha256');
  for (const name of Object.keys(tensors).sort()) {
    const { data, shape } = tensors[name] as ComponentState[string];
    hash.update(`${JSON.stringify([name, elementTypeOf(data), shape])}\n`);
    hash.update(bytesOf(data));
  }
  return hash.digest('hex');
}
