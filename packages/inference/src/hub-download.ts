import { createHash, randomUUID } from 'node:crypto';
import { createWriteStream } from 'node:fs';
import { mkdir, rename, rm, stat, writeFile } from 'node:fs/promises';
import { dirname, join, posix } from 'node:path';
import { Readable, Transform } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { isRecloomError, recloomError } from '@recloom/plugin-api';

/** A model on a hub: `owner/name`, and a revision (branch, tag or commit). */
export interface HubReference {
  readonly owner: string;
  readonly name: string;
  readonly revision: string;
}

export interface HubDownloadOptions {
  /** Base URL of the hub, without a slash at the end. */
  readonly url: string;
  /** Most bytes of all files together. */
  readonly maximumBytes: number;
}

/** What is written beside downloaded files, as `recloom-model.json`: where they come from and what they are. */
export interface HubRecord {
  readonly source: string;
  readonly commit: string;
  readonly files: Readonly<Record<string, { readonly bytes: number; readonly sha256: string }>>;
}

/** Name of the record file in a downloaded folder. */
export const recordName = 'recloom-model.json';

interface HubFile {
  readonly path: string;
  /** What the hub says the content hashes to; only for large files. */
  readonly sha256: string | undefined;
}

/** Graphs in the order they are preferred; the first that the repository has is taken. */
const graphs = ['onnx/model_quantized.onnx', 'onnx/model_int8.onnx', 'onnx/model.onnx', 'model.onnx'];

/**
 * Which of a repository's files a text or image model needs: the JSON files and notices at the top, and one graph with its external data.
 */
export function neededFiles(paths: readonly string[]): readonly string[] {
  const graph = graphs.find((candidate) => paths.includes(candidate));
  return paths
    .filter((path) => {
      if (graph !== undefined && (path === graph || path.startsWith(`${graph}_data`) || path === `${graph}.data`)) return true;
      return /^[^/]+\.json$/.test(path) || /^(LICEN[CS]E|NOTICE)(\.\w+)?$/i.test(path) || path === 'vocab.txt';
    })
    .sort();
}

/**
 * Downloads a model into `directory`, which must not exist: all of it, checked and recorded, or nothing.
 * Protocol: the Hugging Face hub's `GET /api/models/<id>/revision/<revision>?blobs=true` and `GET /<id>/resolve/<commit>/<path>`.
 *
 * @throws RECLOOM_DAT_MODEL_MISSING when the hub does not have it or cannot be reached, RECLOOM_DAT_MODEL_INVALID when
 * what came is not what the hub announced, RECLOOM_DAT_WRITE, RECLOOM_RUN_ABORTED
 */
export async function downloadModel(
  reference: HubReference,
  directory: string,
  options: HubDownloadOptions,
  signal: AbortSignal | undefined,
): Promise<void> {
  const id = `${reference.owner}/${reference.name}`;
  const temporary = join(dirname(directory), `.${reference.name}.${randomUUID()}.tmp`);
  try {
    const listing = await readListing(reference, options, signal);
    const wanted = new Set(neededFiles(listing.files.map((file) => file.path)));
    const files: Record<string, { bytes: number; sha256: string }> = {};
    let left = options.maximumBytes;
    await mkdir(temporary, { recursive: true });
    for (const file of listing.files) {
      if (!wanted.has(file.path)) continue;
      const location = `${options.url}/${id}/resolve/${listing.commit}/${file.path.split('/').map(encodeURIComponent).join('/')}`;
      const written = await fetchFile(location, join(temporary, ...file.path.split('/')), left, signal);
      if (file.sha256 !== undefined && file.sha256 !== written.sha256) {
        throw recloomError('RECLOOM_DAT_MODEL_INVALID', { why: `${file.path} of ${id} does not have the sha256 the hub announced` });
      }
      left -= written.bytes;
      files[file.path] = written;
    }
    const record: HubRecord = { source: `${options.url}/${id}`, commit: listing.commit, files };
    await writeFile(join(temporary, recordName), `${JSON.stringify(record, null, 2)}\n`);
    await putInPlace(temporary, directory);
  } catch (cause) {
    await rm(temporary, { recursive: true, force: true }).catch(() => {});
    if (signal?.aborted) throw recloomError('RECLOOM_RUN_ABORTED', {}, { cause: signal.reason });
    if (isRecloomError(cause)) throw cause;
    const code = (cause as NodeJS.ErrnoException).code;
    if (code !== undefined && /^(ENOSPC|EACCES|EROFS|EPERM|EDQUOT|EFBIG|ENOTDIR)$/.test(code)) {
      throw recloomError('RECLOOM_DAT_WRITE', { path: directory, why: code }, { cause });
    }
    throw recloomError('RECLOOM_DAT_MODEL_MISSING', { reference: id, tried: `${options.url} (could not be reached)` }, { cause });
  }
}

async function readListing(
  reference: HubReference,
  options: HubDownloadOptions,
  signal: AbortSignal | undefined,
): Promise<{ readonly commit: string; readonly files: readonly HubFile[] }> {
  const id = `${reference.owner}/${reference.name}`;
  const location = `${options.url}/api/models/${id}/revision/${encodeURIComponent(reference.revision)}?blobs=true`;
  const response = await fetch(location, { signal: signal ?? null });
  if (!response.ok) {
    await response.body?.cancel();
    throw recloomError('RECLOOM_DAT_MODEL_MISSING', { reference: id, tried: `${options.url} (HTTP ${response.status})` });
  }
  const body = (await response.json()) as { sha?: unknown; siblings?: unknown };
  const commit = typeof body.sha === 'string' && /^[0-9a-zA-Z._-]+$/.test(body.sha) ? body.sha : undefined;
  if (commit === undefined || !Array.isArray(body.siblings)) {
    throw recloomError('RECLOOM_DAT_MODEL_INVALID', { why: `the hub's description of ${id} cannot be read` });
  }
  const files: HubFile[] = [];
  for (const sibling of body.siblings as readonly { rfilename?: unknown; lfs?: { sha256?: unknown } | null }[]) {
    const path = sibling?.rfilename;
    if (typeof path !== 'string') continue;
    // Names come from outside and become paths on this disk.
    if (path.includes('\\') || path.includes('\0') || path.startsWith('/') || posix.normalize(path) !== path || path.startsWith('..')) {
      throw recloomError('RECLOOM_DAT_MODEL_INVALID', { why: `${id} has a file whose name leaves its folder` });
    }
    const sha256 = sibling.lfs?.sha256;
    files.push({ path, sha256: typeof sha256 === 'string' ? sha256.toLowerCase() : undefined });
  }
  return { commit, files };
}

async function fetchFile(
  location: string,
  file: string,
  maximumBytes: number,
  signal: AbortSignal | undefined,
): Promise<{ bytes: number; sha256: string }> {
  const response = await fetch(location, { signal: signal ?? null });
  if (!response.ok || response.body === null) {
    await response.body?.cancel();
    throw recloomError('RECLOOM_DAT_MODEL_MISSING', {
      reference: posix.basename(location),
      tried: `${location} (HTTP ${response.status})`,
    });
  }
  const hash = createHash('sha256');
  let bytes = 0;
  const meter = new Transform({
    transform(chunk: Uint8Array, _encoding, done) {
      bytes += chunk.byteLength;
      hash.update(chunk);
      if (bytes > maximumBytes) done(recloomError('RECLOOM_DAT_MODEL_INVALID', { why: 'it is larger than the allowed download size' }));
      else done(null, chunk);
    },
  });
  await mkdir(dirname(file), { recursive: true });
  const target = createWriteStream(file, { flush: true });
  await pipeline(Readable.fromWeb(response.body as import('node:stream/web').ReadableStream), meter, target);
  return { bytes, sha256: hash.digest('hex') };
}

/** Renames a finished download into place; when another process was faster, its result stands. */
async function putInPlace(temporary: string, directory: string): Promise<void> {
  try {
    await rename(temporary, directory);
  } catch (cause) {
    const present = await stat(join(directory, recordName)).catch(() => undefined);
    if (present === undefined) throw cause;
    await rm(temporary, { recursive: true, force: true });
  }
}
