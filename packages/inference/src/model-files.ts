import { existsSync } from 'node:fs';
import { readFile, stat } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { homedir } from 'node:os';
import { dirname, isAbsolute, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { isRecloomError, type ModelFiles, type ModelFolder, recloomError } from '@recloom/plugin-api';
import { downloadModel, type HubRecord, type HubReference, recordName } from './hub-download.js';

export interface ModelFilesOptions {
  /** Absolute path of the folder that holds the config file: relative paths and packages are looked up from it. */
  readonly directory: string;
  /** Where downloads are kept, as `<owner>/<name>`; default `~/.cache/recloom/models`. Folders may also be put there by hand. */
  readonly cacheDirectory?: string | undefined;
  /** Whether a hub may be asked over the network; default false. */
  readonly allowDownload?: boolean;
  /** Further folders (or `file:` URLs of modules) from which packages are looked up, e.g. those of the plugins in use. */
  readonly packageRoots?: readonly string[];
  /** Base URL of the hub; default `https://huggingface.co`. */
  readonly hubUrl?: string;
  /** Largest download in bytes, all files of a model together; default 2 GiB. */
  readonly maximumDownloadBytes?: number;
}

const packagePattern = /^(?:@[a-z0-9~-][a-z0-9._~-]*\/)?[a-z0-9~-][a-z0-9._~-]*$/;
const hubPattern = /^([A-Za-z0-9][A-Za-z0-9._-]*)\/([A-Za-z0-9][A-Za-z0-9._-]*)(?:@([A-Za-z0-9][A-Za-z0-9._-]*))?$/;

/**
 * Finds model folders: a path, then an npm package that says `"recloom": { "model": true }`, then a hub id
 * (`owner/name`, `hub:owner/name`, either with `@revision`) in the cache or, when allowed, on the hub.
 * Asks the network only for a hub id that is not in the cache and only with `allowDownload`. Concurrent calls for one
 * model share one download; it goes on until all of them have aborted.
 */
export function createModelFiles(options: ModelFilesOptions): ModelFiles {
  const cacheDirectory = resolve(options.directory, options.cacheDirectory ?? join(homedir(), '.cache', 'recloom', 'models'));
  const downloads = new Map<string, SharedDownload>();

  const resolveReference = async (reference: string, signal?: AbortSignal): Promise<ModelFolder> => {
    throwIfAborted(signal);
    const tried: string[] = [];
    if (reference.trim() === '') throw missing('""', ['nothing: the reference is empty']);
    if (!reference.startsWith('hub:')) {
      const path = pathOf(reference, options.directory);
      tried.push(path);
      if (await isFolder(path)) return { directory: path, origin: 'path', reference };
      if (isExplicitPath(reference)) throw missing(reference, tried);
      if (packagePattern.test(reference)) {
        const found = await findPackage(reference, options, tried);
        if (found !== undefined) return { directory: found, origin: 'package', reference };
      }
    }
    const hub = parseHub(reference);
    if (hub === undefined) throw missing(reference, tried);
    const folder = join(cacheDirectory, hub.owner, hub.revision === 'main' ? hub.name : `${hub.name}@${hub.revision}`);
    tried.push(folder);
    if (!(await isFolder(folder))) {
      const url = (options.hubUrl ?? 'https://huggingface.co').replace(/\/+$/, '');
      if (options.allowDownload !== true) throw missing(reference, [...tried, `${url} (downloads are not allowed)`]);
      const shared = downloads.get(folder) ?? startDownload(folder, hub, url, options, downloads);
      await shared.join(signal);
    }
    await checkRecord(folder);
    return { directory: folder, origin: 'hub', reference };
  };
  return { resolve: resolveReference };
}

/** One download that several callers wait for. */
interface SharedDownload {
  join(signal: AbortSignal | undefined): Promise<void>;
}

function startDownload(
  folder: string,
  hub: HubReference,
  url: string,
  options: ModelFilesOptions,
  downloads: Map<string, SharedDownload>,
): SharedDownload {
  const controller = new AbortController();
  const limits = { url, maximumBytes: options.maximumDownloadBytes ?? 2 * 1024 ** 3 };
  const done = downloadModel(hub, folder, limits, controller.signal).finally(() => downloads.delete(folder));
  done.catch(() => {});
  let waiting = 0;
  const shared: SharedDownload = {
    join: (signal) => {
      waiting++;
      return new Promise((resolvePromise, reject) => {
        const onAbort = (): void => {
          if (--waiting === 0) {
            downloads.delete(folder);
            controller.abort(signal?.reason);
          }
          reject(recloomError('RECLOOM_RUN_ABORTED', {}, { cause: signal?.reason }));
        };
        signal?.addEventListener('abort', onAbort, { once: true });
        const detach = (): void => signal?.removeEventListener('abort', onAbort);
        done.then(
          () => {
            detach();
            resolvePromise();
          },
          (error: unknown) => {
            detach();
            reject(error);
          },
        );
      });
    },
  };
  downloads.set(folder, shared);
  return shared;
}

/** The folder of an installed weights package, or undefined. @throws RECLOOM_DAT_MODEL_INVALID when the package holds no model. */
async function findPackage(name: string, options: ModelFilesOptions, tried: string[]): Promise<string | undefined> {
  tried.push(`package ${name}`);
  const roots = [join(options.directory, 'recloom.js'), import.meta.url, ...(options.packageRoots ?? [])];
  for (const root of roots) {
    const from = root.startsWith('file:') || /\.[cm]?[jt]s$/.test(root) ? root : join(resolve(options.directory, root), 'recloom.js');
    const folder = locatePackage(name, from);
    if (folder === undefined) continue;
    const manifest = JSON.parse(await readFile(join(folder, 'package.json'), 'utf8')) as { recloom?: { model?: unknown } };
    if (manifest.recloom?.model !== true) {
      throw recloomError('RECLOOM_DAT_MODEL_INVALID', { why: `the package ${name} does not say "recloom": { "model": true }` });
    }
    return folder;
  }
  return undefined;
}

function locatePackage(name: string, from: string): string | undefined {
  const require = createRequire(from);
  try {
    return dirname(require.resolve(`${name}/package.json`));
  } catch {
    // A package with `exports` may hide its manifest; the folder is then found as Node would.
    for (const path of require.resolve.paths(name) ?? []) {
      if (existsSync(join(path, name, 'package.json'))) return join(path, name);
    }
    return undefined;
  }
}

function parseHub(reference: string): HubReference | undefined {
  const match = hubPattern.exec(reference.startsWith('hub:') ? reference.slice(4) : reference);
  const [, owner, name, revision] = match ?? [];
  return owner === undefined || name === undefined ? undefined : { owner, name, revision: revision ?? 'main' };
}

/** References that can be nothing but a path. */
function isExplicitPath(reference: string): boolean {
  return /^(?:\.{1,2}(?:[/\\]|$)|~?[/\\]|file:)/.test(reference) || isAbsolute(reference);
}

function pathOf(reference: string, directory: string): string {
  if (reference.startsWith('file:')) return fileURLToPath(reference);
  if (/^~[/\\]/.test(reference)) return join(homedir(), reference.slice(2));
  return resolve(directory, reference);
}

async function isFolder(path: string): Promise<boolean> {
  const info = await stat(path).catch(() => undefined);
  return info?.isDirectory() === true;
}

/** A download must still be whole: files and sizes as recorded. A folder put there by hand has no record. */
async function checkRecord(folder: string): Promise<void> {
  const text = await readFile(join(folder, recordName), 'utf8').catch(() => undefined);
  if (text === undefined) return;
  try {
    const record = JSON.parse(text) as HubRecord;
    for (const [path, { bytes }] of Object.entries(record.files)) {
      if ((await stat(join(folder, path))).size !== bytes) throw new RangeError(`${path} is not ${bytes} bytes long`);
    }
  } catch (cause) {
    if (isRecloomError(cause)) throw cause;
    const why = `${folder} is not what was downloaded; remove the folder`;
    throw recloomError('RECLOOM_DAT_MODEL_INVALID', { why }, { cause });
  }
}

function missing(reference: string, tried: readonly string[]): Error {
  return recloomError('RECLOOM_DAT_MODEL_MISSING', { reference, tried: tried.join(', ') });
}

function throwIfAborted(signal: AbortSignal | undefined): void {
  if (signal?.aborted) throw recloomError('RECLOOM_RUN_ABORTED', {}, { cause: signal.reason });
}
