import { createHash, type Hash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { open, realpath, stat } from 'node:fs/promises';
import { isAbsolute, relative, resolve } from 'node:path';
import type { Readable } from 'node:stream';
import { createGunzip } from 'node:zlib';
import { isRecloomError, recloomError } from '@recloom/plugin-api';
import type { Engine } from './duckdb-engine.js';
import { quoteText } from './sql-text.js';

/** File formats that can be read. */
export type FileFormat = 'csv' | 'tsv' | 'parquet' | 'json' | 'ndjson';
/** How a file may be compressed. */
export type Compression = 'none' | 'gzip' | 'zstd';

/** A file to read, checked for being where the config may look. */
export interface InputFile {
  /** Absolute path with symbolic links resolved: what DuckDB is allowed to open. */
  readonly path: string;
  /** As messages show it: relative to the config's folder. */
  readonly display: string;
  readonly format: FileFormat;
  readonly compression: Compression;
  readonly sizeBytes: number;
}

const formatByExtension: Readonly<Record<string, FileFormat>> = {
  csv: 'csv',
  txt: 'csv',
  tsv: 'tsv',
  tab: 'tsv',
  parquet: 'parquet',
  pq: 'parquet',
  json: 'json',
  ndjson: 'ndjson',
  jsonl: 'ndjson',
};

/** Format and compression by the name's endings; undefined format when the name does not tell. */
export function formatOf(path: string): { readonly format: FileFormat | undefined; readonly compression: Compression } {
  const parts = path.toLowerCase().split('.');
  let compression: Compression = 'none';
  const last = parts[parts.length - 1];
  if (last === 'gz' || last === 'zst') {
    compression = last === 'gz' ? 'gzip' : 'zstd';
    parts.pop();
  }
  return { format: formatByExtension[parts[parts.length - 1] ?? ''], compression };
}

/**
 * Expands paths and globs (`*`, `?`, `[…]`, `**`) relative to `directory`, each glob in ascending order of path; a name that exists is taken as it stands.
 *
 * @throws RECLOOM_DAT_FILE_MISSING when one matches nothing.
 * @throws RECLOOM_DAT_UNREADABLE for a URL, a folder, or a name whose format cannot be told.
 */
export async function resolveFiles(
  engine: Engine,
  paths: string | readonly string[],
  directory: string,
  fileFormat: FileFormat | 'auto',
): Promise<InputFile[]> {
  const files: InputFile[] = [];
  for (const pattern of typeof paths === 'string' ? [paths] : paths) {
    if (/^[a-z][a-z0-9+]+:\/\//i.test(pattern)) {
      throw recloomError('RECLOOM_DAT_UNREADABLE', { path: pattern.replace(/\/\/[^/]*@/, '//'), why: 'only local files are read' });
    }
    const absolute = isAbsolute(pattern) ? pattern : resolve(directory, pattern);
    const found = await expand(engine, absolute);
    if (found.length === 0) throw recloomError('RECLOOM_DAT_FILE_MISSING', { path: pattern });
    for (const path of found) {
      const display = isAbsolute(pattern) ? path : relative(directory, path) || pattern;
      try {
        const real = await realpath(path);
        const status = await stat(real);
        if (!status.isFile()) throw recloomError('RECLOOM_DAT_UNREADABLE', { path: display, why: 'it is not a file' });
        const { format, compression } = formatOf(path);
        const chosen = fileFormat === 'auto' ? format : fileFormat;
        if (chosen === undefined) {
          throw recloomError('RECLOOM_DAT_UNREADABLE', {
            path: display,
            why: 'its name does not tell the format; end it in .csv, .tsv, .parquet, .json or .ndjson, or set `fileFormat`',
          });
        }
        const handle = await open(real, 'r');
        await handle.close();
        files.push({ path: real, display, format: chosen, compression, sizeBytes: status.size });
      } catch (error) {
        throw fileError(error, display);
      }
    }
  }
  return files;
}

async function expand(engine: Engine, path: string): Promise<string[]> {
  const exists = await stat(path).then(
    () => true,
    () => false,
  );
  if (exists) return [path];
  if (!/[*?[]/.test(path)) return [];
  const rows = await engine.rows(`SELECT file FROM glob(${quoteText(path)})`);
  return rows.map((row) => String(row['file'])).sort();
}

function fileError(error: unknown, display: string): Error {
  if (isRecloomError(error)) return error;
  const code = (error as NodeJS.ErrnoException).code;
  if (code === 'ENOENT') return recloomError('RECLOOM_DAT_FILE_MISSING', { path: display });
  const why = code === 'EACCES' || code === 'EPERM' ? 'permission denied' : `the system says ${code ?? 'nothing more'}`;
  return recloomError('RECLOOM_DAT_UNREADABLE', { path: display, why });
}

/** A path as DuckDB must be told it, so that none of its characters acts as a glob. */
export function literalPath(path: string): string {
  return path.replaceAll(/[*?[]/g, '[$&]');
}

/** The file's text, decompressed. Undefined where this Node cannot decompress it (zstd before 22.15). */
export async function openText(file: InputFile, encoding: 'utf-8' | 'latin-1' | 'utf-16'): Promise<Readable | undefined> {
  const raw = createReadStream(file.path, { highWaterMark: 1 << 18 });
  let stream: Readable = raw;
  if (file.compression !== 'none') {
    const unpack = file.compression === 'gzip' ? createGunzip({ chunkSize: 1 << 20 }) : await createUnzstd();
    if (unpack === undefined) {
      raw.destroy();
      return undefined;
    }
    raw.on('error', (error) => unpack.destroy(error));
    unpack.on('close', () => raw.destroy());
    stream = raw.pipe(unpack);
  }
  if (encoding !== 'utf-16') stream.setEncoding(encoding === 'utf-8' ? 'utf8' : 'latin1');
  else stream.setEncoding('utf16le');
  return stream;
}

async function createUnzstd(): Promise<(Readable & NodeJS.WritableStream) | undefined> {
  const zlib = (await import('node:zlib')) as unknown as { readonly createZstdDecompress?: () => Readable & NodeJS.WritableStream };
  return zlib.createZstdDecompress?.();
}

/** The first `length` characters of a text file, or all of a shorter one. */
export async function readHead(file: InputFile, encoding: 'utf-8' | 'latin-1' | 'utf-16', length: number): Promise<string | undefined> {
  const stream = await openText(file, encoding);
  if (stream === undefined) return undefined;
  let head = '';
  try {
    for await (const chunk of stream as AsyncIterable<string>) {
      head += chunk;
      if (head.length >= length) break;
    }
  } catch (error) {
    throw compressionError(error, file);
  } finally {
    stream.destroy();
  }
  return head;
}

function compressionError(error: unknown, file: InputFile): Error {
  const code = String((error as NodeJS.ErrnoException).code ?? '');
  if (!code.startsWith('Z_') && !code.startsWith('ZSTD')) return fileError(error, file.display);
  const why =
    code === 'Z_BUF_ERROR'
      ? 'the compressed data end too early; the file was cut off'
      : (error as Error).message === 'incorrect header check'
        ? 'it is not compressed as its name says'
        : 'the compressed data are damaged';
  return recloomError('RECLOOM_DAT_UNREADABLE', { path: file.display, why });
}

/**
 * Makes sure a compressed file is complete: DuckDB takes one that was cut off for a shorter one. gzip is unpacked and its
 * checksum compared; of zstd the frames are walked (RFC 8878), without unpacking.
 *
 * @returns the number of lines of a gzip file, which comes at no cost here; undefined for others.
 * @throws RECLOOM_DAT_UNREADABLE
 */
export async function verifyCompression(file: InputFile, signal: AbortSignal): Promise<number | undefined> {
  if (file.compression === 'none' || file.sizeBytes === 0) return undefined;
  if (file.compression === 'zstd') {
    await verifyZstd(file, signal);
    return undefined;
  }
  let lines = 0;
  let lastByte = 10;
  const raw = createReadStream(file.path, { highWaterMark: 1 << 18 });
  const unpack = createGunzip({ chunkSize: 1 << 20 });
  raw.on('error', (error) => unpack.destroy(error));
  raw.pipe(unpack);
  try {
    for await (const chunk of unpack as AsyncIterable<Buffer>) {
      if (signal.aborted) return undefined;
      for (let at = chunk.indexOf(10); at >= 0; at = chunk.indexOf(10, at + 1)) lines++;
      lastByte = chunk[chunk.length - 1] ?? lastByte;
    }
    return lastByte === 10 ? lines : lines + 1;
  } catch (error) {
    throw compressionError(error, file);
  } finally {
    unpack.destroy();
    raw.destroy();
  }
}

async function verifyZstd(file: InputFile, signal: AbortSignal): Promise<void> {
  const cutOff = (): Error =>
    recloomError('RECLOOM_DAT_UNREADABLE', { path: file.display, why: 'the compressed data end too early; the file was cut off' });
  const handle = await open(file.path, 'r');
  try {
    const bytes = Buffer.alloc(32);
    let position = 0;
    const read = async (length: number): Promise<Buffer> => {
      const { bytesRead } = await handle.read(bytes, 0, length, position);
      if (bytesRead < length) throw cutOff();
      return bytes;
    };
    while (position < file.sizeBytes) {
      if (signal.aborted) return;
      const magic = (await read(4)).readUInt32LE(0);
      if (magic >= 0x184d2a50 && magic <= 0x184d2a5f) {
        position += 4;
        position += 4 + (await read(4)).readUInt32LE(0);
        continue;
      }
      if (magic !== 0xfd2fb528)
        throw recloomError('RECLOOM_DAT_UNREADABLE', { path: file.display, why: 'it is not compressed as its name says' });
      position += 4;
      const descriptor = (await read(1)).readUInt8(0);
      const singleSegment = (descriptor & 0x20) !== 0;
      const contentSizeBytes = [singleSegment ? 1 : 0, 2, 4, 8][descriptor >> 6] ?? 0;
      const dictionaryIdBytes = [0, 1, 2, 4][descriptor & 3] ?? 0;
      position += 1 + (singleSegment ? 0 : 1) + dictionaryIdBytes + contentSizeBytes;
      for (let last = false; !last; ) {
        const block = (await read(3)).readUIntLE(0, 3);
        last = (block & 1) === 1;
        position += 3 + (((block >> 1) & 3) === 1 ? 1 : block >> 3);
      }
      if ((descriptor & 4) !== 0) position += 4;
    }
    if (position > file.sizeBytes) throw cutOff();
  } finally {
    await handle.close();
  }
}

/** Adds a file's bytes, as they are on disk, to a hash. */
export async function hashFile(hash: Hash, file: InputFile, signal: AbortSignal): Promise<void> {
  const stream = createReadStream(file.path, { highWaterMark: 1 << 20, signal });
  const own = createHash('sha256');
  for await (const chunk of stream as AsyncIterable<Buffer>) own.update(chunk);
  hash.update(own.digest());
}
