import { createHash } from 'node:crypto';
import type { Dirent } from 'node:fs';
import { mkdir, readdir, rename, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { type ComponentState, isRecloomError, recloomError, type Warning } from '@recloom/plugin-api';
import { acquireBuildLock, type BuildLock } from './build-lock.js';
import { componentFiles, decodeComponent, encodeComponent } from './encode-component.js';
import { decodeHistory, decodeTable, encodeHistory, encodeTable } from './encode-tables.js';
import { readBytes, readTextIfThere, replaceDurably, syncDirectory, systemCode, writeDurably, writeError } from './files.js';
import { removeLeftovers } from './leftovers.js';
import { contentId, decodeManifest, encodeManifest, manifestFile, snapshotFormatVersion, snapshotIdPattern } from './manifest.js';
import { PartStore } from './part-store.js';
import { temporaryName } from './process-identity.js';
import { bytesOf, decodeSafetensors, elementTypeOf, encodeSafetensors } from './safetensors.js';
import type { Manifest, OpenedSnapshot, SnapshotComponent, SnapshotContents, TensorEntry } from './types.js';

/** Told when a step of writing or publishing starts and ends: `clean`, `write <file>`, `sync`, `rename`, `publish`, `point`. */
export type SnapshotStepListener = (step: string, phase: 'start' | 'end') => void;

/** How to write or publish. */
export interface WriteOptions {
  readonly signal?: AbortSignal | undefined;
  readonly onStep?: SnapshotStepListener | undefined;
}

/** How to open. */
export interface OpenOptions {
  readonly signal?: AbortSignal | undefined;
  /** When the snapshot cannot be read, opens the newest older intact one instead, and warns. Default false. */
  readonly fallback?: boolean | undefined;
  readonly warn?: ((warning: Warning) => void) | undefined;
}

/** One snapshot in the folder. */
export interface SnapshotListEntry {
  readonly id: string;
  readonly current: boolean;
  /** Place in the order of publishing, 0 = the newest; undefined when it was never published. */
  readonly published: number | undefined;
  /** Size of all its files; 0 when its manifest cannot be read. */
  readonly bytes: number;
}

const pointerFile = 'current';
const itemsFile = 'items.safetensors';
const usersFile = 'users.safetensors';
const historyFile = 'history.safetensors';
/** Most publications remembered in the pointer file. */
const rememberedPublications = 100;

/**
 * The snapshots of one pipeline: immutable directories named by their content, and the pointer file `current`, which holds the
 * published id and, in the lines below, those published before it, newest first. Every change is made beside and renamed into
 * place, so that a reader, or a crash at any moment, sees the old state or the new one.
 */
export class SnapshotStore {
  /** Absolute folder, `<config folder>/.recloom/<name>`; made by the first write. */
  readonly root: string;
  /** Finished components of an interrupted build. */
  readonly parts: PartStore;

  constructor(root: string) {
    this.root = root;
    this.parts = new PartStore(root);
  }

  /**
   * Keeps other builds out until it is released or this process ends, however it ends. Hold it from before `write` until after `publish`.
   *
   * @throws RECLOOM_DAT_LOCKED at once when another build holds it, RECLOOM_DAT_WRITE when the folder cannot be made.
   */
  async acquireLock(signal?: AbortSignal): Promise<BuildLock> {
    return acquireBuildLock(this.root, signal);
  }

  /**
   * Writes a snapshot and waits until it is on the disk; it is not published yet. The same contents give the same id and bytes;
   * when they are there already, nothing is replaced. What dead builds left half-written is removed first.
   *
   * @throws RECLOOM_DAT_WRITE (the published snapshot is unchanged, nothing half-written stays), RECLOOM_LAW_SHAPE when a tensor's
   * shape does not fit its data, or the signal's reason when aborted.
   */
  async write(contents: SnapshotContents, options: WriteOptions = {}): Promise<{ readonly id: string; readonly directory: string }> {
    const { signal } = options;
    const step = stepper(options.onStep);
    const temporary = join(this.root, temporaryName('snapshot'));
    try {
      await step('clean', async () => {
        signal?.throwIfAborted();
        await mkdir(this.root, { recursive: true });
        await removeLeftovers(this.root);
        await mkdir(temporary);
      });
      const files: Record<string, Manifest['files'][string]> = {};
      for (const [file, tensors] of tensorFiles(contents)) {
        await step(`write ${file}`, async () => {
          signal?.throwIfAborted();
          const written = await writeDurably(join(temporary, file), encodeSafetensors(tensors), signal);
          files[file] = { ...written, tensors: tensorEntries(tensors) };
        });
      }
      const manifest = encodeManifest(createManifest(contents, files));
      const id = contentId(manifest);
      await step(`write ${manifestFile}`, () => writeDurably(join(temporary, manifestFile), [manifest], signal));
      await step('sync', () => syncDirectory(temporary));
      await step('rename', () => this.#moveIntoPlace(temporary, id));
      return { id, directory: this.#directory(id) };
    } catch (error) {
      await rm(temporary, { recursive: true, force: true }).catch(() => undefined);
      throw writeError(this.root, error);
    }
  }

  async #moveIntoPlace(temporary: string, id: string): Promise<void> {
    const directory = this.#directory(id);
    if (await isThere(directory)) {
      if (await this.#isIntact(id)) {
        await rm(temporary, { recursive: true, force: true });
        return;
      }
      const damaged = join(this.root, temporaryName('damaged'));
      await rename(directory, damaged);
      await rename(temporary, directory);
      await rm(damaged, { recursive: true, force: true });
    } else {
      await rename(temporary, directory);
    }
    await syncDirectory(this.root);
  }

  async #isIntact(id: string): Promise<boolean> {
    try {
      await this.verify(id);
      return true;
    } catch (error) {
      if (isRecloomError(error)) return false;
      throw error;
    }
  }

  /**
   * Reads a snapshot back and checks everything: sizes, every SHA-256, formats, ranges.
   *
   * @throws RECLOOM_DAT_SNAPSHOT_MISSING, RECLOOM_DAT_SNAPSHOT_CORRUPT, RECLOOM_DAT_SNAPSHOT_FORMAT, or the signal's reason when aborted.
   */
  async verify(id: string, signal?: AbortSignal): Promise<void> {
    await this.#read(id, signal);
  }

  /**
   * Makes a snapshot the current one; from then on `open()` opens it, also after a crash.
   *
   * @throws RECLOOM_DAT_SNAPSHOT_MISSING when there is none of this id, RECLOOM_DAT_WRITE when the pointer cannot be written (it is unchanged then).
   */
  async publish(id: string, options: WriteOptions = {}): Promise<void> {
    const step = stepper(options.onStep);
    await step('publish', async () => {
      options.signal?.throwIfAborted();
      if (!(await isThere(join(this.#directory(id), manifestFile)))) throw this.#missing(id);
      const published = [id, ...(await this.#published()).filter((other) => other !== id)].slice(0, rememberedPublications);
      const pointer = join(this.root, pointerFile);
      await replaceDurably(pointer, Buffer.from(`${published.join('\n')}\n`), () => options.onStep?.('point', 'start'));
      options.onStep?.('point', 'end');
    });
  }

  /**
   * Opens a snapshot, the current one by default, and checks everything as `verify` does. With `fallback`, one that is damaged,
   * missing or of another format is passed over for the newest older one that is intact, with the warning RECLOOM_DAT_SNAPSHOT_FALLBACK.
   *
   * @throws RECLOOM_DAT_SNAPSHOT_MISSING, RECLOOM_DAT_SNAPSHOT_CORRUPT, RECLOOM_DAT_SNAPSHOT_FORMAT, or the signal's reason when aborted.
   */
  async open(id?: string, options: OpenOptions = {}): Promise<OpenedSnapshot> {
    let wanted = id;
    try {
      wanted ??= await this.#requireCurrent();
      return await this.#read(wanted, options.signal);
    } catch (error) {
      const nothingPublished = wanted === undefined && isRecloomError(error) && error.code === 'RECLOOM_DAT_SNAPSHOT_MISSING';
      if (options.fallback !== true || !isRecloomError(error) || nothingPublished) throw error;
      const older = await this.#openOlder(wanted, options.signal);
      if (older === undefined) throw error;
      options.warn?.({
        code: 'RECLOOM_DAT_SNAPSHOT_FALLBACK',
        message: recloomError('RECLOOM_DAT_SNAPSHOT_FALLBACK', { wanted: wanted ?? pointerFile, opened: older.id }).message,
        detail: { wanted: wanted ?? null, opened: older.id, cause: error.code },
      });
      return older;
    }
  }

  async #openOlder(wanted: string | undefined, signal: AbortSignal | undefined): Promise<OpenedSnapshot | undefined> {
    const entries = await this.list();
    const place = entries.findIndex((entry) => entry.id === wanted);
    // Never one that was published later or not at all: it may be what someone rolled back from.
    const published = entries.slice(place + 1).filter((entry) => entry.published !== undefined);
    // A pointer that cannot be read says nothing about publishing; then the newest directory has to do.
    for (const entry of wanted === undefined ? entries : published) {
      try {
        return await this.#read(entry.id, signal);
      } catch (error) {
        if (!isRecloomError(error)) throw error;
      }
    }
    return undefined;
  }

  /** The published id, or undefined when nothing was published or the pointer cannot be read. */
  async current(): Promise<string | undefined> {
    return (await this.#published())[0];
  }

  /** All snapshots in the folder: the published ones, newest first, then others, last written first. */
  async list(): Promise<readonly SnapshotListEntry[]> {
    const published = await this.#published();
    const directories = await this.#directories();
    const ids = [...published.filter((id) => directories.has(id)), ...[...directories.keys()].filter((id) => !published.includes(id))];
    return Promise.all(
      ids.map(async (id) => {
        const place = published.indexOf(id);
        return { id, current: place === 0, published: place < 0 ? undefined : place, bytes: await this.#bytes(id) };
      }),
    );
  }

  /**
   * Removes all snapshots but the `keep` that were published last, and never the current one; also those written but not
   * published. Hold the lock. `keep` below 1 counts as 1.
   *
   * @throws RECLOOM_DAT_WRITE when a directory cannot be removed.
   */
  async prune(keep: number): Promise<void> {
    const published = (await this.#published()).slice(0, Math.max(1, keep));
    // Without a pointer there is nothing to tell the good ones by.
    if (published.length === 0) return;
    try {
      for (const id of (await this.#directories()).keys()) {
        if (published.includes(id)) continue;
        // Renamed first: what is half removed must not look like a snapshot.
        const removed = join(this.root, temporaryName('removed'));
        await rename(this.#directory(id), removed);
        await rm(removed, { recursive: true, force: true });
      }
    } catch (error) {
      throw writeError(this.root, error);
    }
  }

  /**
   * Looks at the pointer again and again and calls back with each newly published id. Polls, because file system events do not
   * arrive from network folders; keeps no process alive. Returns how to stop.
   */
  watchCurrent(callback: (id: string) => void, options: { readonly intervalMs?: number } = {}): () => void {
    let known: string | undefined;
    let stopped = false;
    let timer: NodeJS.Timeout | undefined;
    const look = async (first: boolean): Promise<void> => {
      // A folder that cannot be read for a moment is no news.
      const id = await this.current().catch(() => known);
      if (stopped) return;
      if (id !== undefined && id !== known) {
        known = id;
        if (!first) callback(id);
      }
      timer = setTimeout(() => void look(false), options.intervalMs ?? 1_000).unref();
    };
    void look(true);
    return () => {
      stopped = true;
      clearTimeout(timer);
    };
  }

  #directory(id: string): string {
    return join(this.root, id);
  }

  #missing(id?: string): Error {
    return recloomError('RECLOOM_DAT_SNAPSHOT_MISSING', { path: id === undefined ? this.root : this.#directory(id) });
  }

  async #requireCurrent(): Promise<string> {
    const text = await readTextIfThere(join(this.root, pointerFile));
    if (text === undefined) throw this.#missing();
    const id = parsePointer(text)[0];
    if (id === undefined) {
      throw recloomError('RECLOOM_DAT_SNAPSHOT_CORRUPT', {
        file: join(this.root, pointerFile),
        why: 'it does not hold the id of a snapshot',
      });
    }
    return id;
  }

  async #published(): Promise<string[]> {
    return parsePointer((await readTextIfThere(join(this.root, pointerFile))) ?? '');
  }

  /** Snapshot directories by id, last written first. */
  async #directories(): Promise<ReadonlyMap<string, number>> {
    const entries = await readdir(this.root, { withFileTypes: true }).catch((): Dirent[] => []);
    const found: [string, number][] = [];
    for (const entry of entries) {
      if (!entry.isDirectory() || !snapshotIdPattern.test(entry.name)) continue;
      found.push([entry.name, (await stat(join(this.root, entry.name, manifestFile)).catch(() => undefined))?.mtimeMs ?? 0]);
    }
    return new Map(found.sort(([leftId, left], [rightId, right]) => right - left || (leftId < rightId ? -1 : 1)));
  }

  async #bytes(id: string): Promise<number> {
    try {
      const bytes = await readBytes(join(this.#directory(id), manifestFile));
      const { files } = decodeManifest(bytes, id, manifestFile);
      return Object.values(files).reduce((total, file) => total + file.bytes, bytes.length);
    } catch {
      return 0;
    }
  }

  async #read(id: string, signal: AbortSignal | undefined): Promise<OpenedSnapshot> {
    if (!snapshotIdPattern.test(id) || !(await isThere(this.#directory(id)))) throw this.#missing(id);
    const directory = this.#directory(id);
    const manifest = decodeManifest(await readOrCorrupt(directory, manifestFile, signal), id, join(directory, manifestFile));
    const tensors = new Map<string, ComponentState>();
    for (const [file, expected] of Object.entries(manifest.files)) {
      const path = join(directory, file);
      const corrupt = (why: string): Error => recloomError('RECLOOM_DAT_SNAPSHOT_CORRUPT', { file: path, why });
      const bytes = await readOrCorrupt(directory, file, signal);
      if (bytes.length !== expected.bytes) throw corrupt(`it has ${bytes.length} bytes instead of ${expected.bytes}`);
      if (createHash('sha256').update(bytes).digest('hex') !== expected.sha256) throw corrupt('its SHA-256 is wrong');
      tensors.set(file, decodeSafetensors(bytes, path).tensors);
    }
    const tensorsOf = (file: string): ComponentState => {
      const found = tensors.get(file);
      if (found === undefined) throw recloomError('RECLOOM_DAT_SNAPSHOT_CORRUPT', { file: join(directory, file), why: 'it is missing' });
      return found;
    };
    const items = decodeTable(tensorsOf(itemsFile), join(directory, itemsFile));
    const users = decodeTable(tensorsOf(usersFile), join(directory, usersFile));
    const history = decodeHistory(tensorsOf(historyFile), users.rowCount, items.rowCount, join(directory, historyFile));
    const components = new Map(
      manifest.components.map((component): [string, SnapshotComponent] => [
        component.name,
        decodeComponent(tensorsOf(component.file), component, items.rowCount),
      ]),
    );
    return { id, directory, manifest, items, users, history, components };
  }
}

function stepper(onStep: SnapshotStepListener | undefined): <Result>(step: string, run: () => Promise<Result>) => Promise<Result> {
  return async (step, run) => {
    onStep?.(step, 'start');
    const result = await run();
    onStep?.(step, 'end');
    return result;
  };
}

function* tensorFiles(contents: SnapshotContents): Generator<readonly [string, ComponentState]> {
  yield [itemsFile, encodeTable(contents.dataset.items)];
  yield [usersFile, encodeTable(contents.dataset.users)];
  yield [historyFile, encodeHistory(contents.dataset.history)];
  const files = componentFiles(contents.components.map(({ name }) => name));
  for (const { name, state, feature } of contents.components) yield [files.get(name) as string, encodeComponent(state, feature)];
}

function tensorEntries(tensors: ComponentState): Record<string, TensorEntry> {
  return Object.fromEntries(
    Object.entries(tensors).map(([name, { data, shape }]) => [
      name,
      { dtype: elementTypeOf(data), shape, sha256: createHash('sha256').update(bytesOf(data)).digest('hex') },
    ]),
  );
}

function createManifest(contents: SnapshotContents, files: Manifest['files']): Manifest {
  const { dataset } = contents;
  const names = componentFiles(contents.components.map(({ name }) => name));
  return {
    formatVersion: snapshotFormatVersion,
    pipeline: contents.pipeline,
    configHash: contents.configHash,
    dataHash: dataset.hash,
    lastEventMs: dataset.lastEventMs,
    counts: { items: dataset.items.rowCount, users: dataset.users.rowCount, events: dataset.history.eventCount },
    files,
    components: contents.components.map((component) => {
      const file = names.get(component.name) as string;
      return {
        name: component.name,
        reference: component.reference,
        optionsHash: component.optionsHash,
        stateVersion: component.stateVersion,
        file,
        tensors: files[file]?.tensors ?? {},
        featureWidth: component.feature?.width,
      };
    }),
  };
}

/** Ids in the order of publishing, newest first; lines that hold none are passed over, but the first must. */
function parsePointer(text: string): string[] {
  const lines = text.split('\n').map((line) => line.trim());
  return snapshotIdPattern.test(lines[0] ?? '') ? [...new Set(lines.filter((line) => snapshotIdPattern.test(line)))] : [];
}

async function isThere(path: string): Promise<boolean> {
  try {
    await stat(path);
    return true;
  } catch (error) {
    if (systemCode(error) === 'ENOENT' || systemCode(error) === 'ENOTDIR') return false;
    throw error;
  }
}

async function readOrCorrupt(directory: string, file: string, signal: AbortSignal | undefined): Promise<Uint8Array> {
  try {
    return await readBytes(join(directory, file), signal);
  } catch (error) {
    const code = systemCode(error);
    if (code === undefined || !/^E[A-Z]+$/.test(code)) throw error;
    const why = code === 'ENOENT' ? 'it is missing' : `it cannot be read (${code})`;
    throw recloomError('RECLOOM_DAT_SNAPSHOT_CORRUPT', { file: join(directory, file), why }, { cause: error });
  }
}
