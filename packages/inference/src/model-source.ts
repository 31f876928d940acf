import { createHash } from 'node:crypto';
import { readFile, realpath, stat } from 'node:fs/promises';
import { basename, dirname, isAbsolute, resolve, sep } from 'node:path';
import { recloomError } from '@recloom/plugin-api';
import { findMisfit } from './expectations.js';
import { type OnnxFacts, readOnnxFacts } from './onnx-facts.js';
import { describe, type OpenModel } from './protocol.js';
import { quantiseByRow } from './row-quantisation.js';

/** Newest versions onnxruntime 1.30.0 reads; a test asks the runtime itself. */
export const newestIrVersion = 13;
/** Newest operator set by domain, as above. A domain that is not here is no part of the runtime. */
export const newestOperatorSets: ReadonlyMap<string, number> = new Map([
  ['', 26],
  ['ai.onnx.ml', 5],
  ['ai.onnx.training', 1],
  ['ai.onnx.preview.training', 1],
  ['com.microsoft', 1],
  ['com.microsoft.nchwc', 1],
  ['com.ms.internal.nhwc', 26],
]);

/** A model that was read, verified and may be handed to the runtime. */
export interface ModelSource {
  /** Its bytes, rewritten where that was asked; a path when tensors lie beside the file, which the runtime finds only then. */
  readonly source: Uint8Array | string;
  readonly sha256: string;
  /** Equal for equal models. */
  readonly content: string;
  /** Bytes on disk, tensor files included. */
  readonly bytes: number;
  readonly batchDependent: boolean;
}

/**
 * Reads a model and refuses, before a runtime sees it, what must not or cannot run: a wrong hash, a file that is cut off,
 * operators or versions the runtime does not have, tensor data outside its folder, too many bytes, a graph that does not
 * fit what will be fed.
 *
 * @throws RECLOOM_DAT_MODEL_MISSING, RECLOOM_DAT_MODEL_INVALID, RECLOOM_DAT_MODEL_MISFIT, RECLOOM_DAT_MODEL_TOO_LARGE
 */
export async function readModelSource(model: OpenModel): Promise<ModelSource> {
  const { file, maximumBytes } = model;
  const bytes = await readModel(file, maximumBytes);
  const sha256 = createHash('sha256').update(bytes).digest('hex');
  if (model.sha256 !== undefined && model.sha256.toLowerCase() !== sha256) {
    throw invalid(`${basename(file)} has the sha256 ${sha256}, not the pinned ${model.sha256}`);
  }
  const facts = readFacts(bytes, file);
  checkVersions(facts);
  const beside = await findTensorFiles(facts.externalData, file);
  const total = bytes.length + beside.reduce((sum, entry) => sum + entry.bytes, 0);
  checkModelSize(file, total, maximumBytes);
  const misfit = model.expects && findMisfit(facts, model.expects);
  if (misfit !== undefined) throw recloomError('RECLOOM_DAT_MODEL_MISFIT', { file: basename(file), why: misfit });
  const external = beside.length > 0;
  const rewritten = model.independentRows && facts.batchDependent && !external ? quantiseByRow(bytes) : undefined;
  const batchDependent = rewritten === undefined ? facts.batchDependent : readOnnxFacts(rewritten).batchDependent;
  if (external || rewritten !== undefined) discard(bytes);
  return {
    source: external ? file : (rewritten ?? bytes),
    sha256,
    // Equal graphs with other weights beside them are other models.
    content: [sha256, model.devices.join(' '), String(model.independentRows), ...beside.map((entry) => entry.identity)].join('|'),
    bytes: total,
    batchDependent,
  };
}

/** @throws RECLOOM_DAT_MODEL_TOO_LARGE */
export function checkModelSize(file: string, bytes: number, maximumBytes: number): void {
  if (bytes > maximumBytes) throw recloomError('RECLOOM_DAT_MODEL_TOO_LARGE', { file: basename(file), bytes, maximumBytes });
}

/** `RECLOOM_DAT_MODEL_INVALID` with a reason. */
export function invalid(why: string, cause?: unknown): Error {
  return recloomError('RECLOOM_DAT_MODEL_INVALID', { why }, { cause });
}

/** Frees the memory of bytes that nobody needs any more, without waiting for the collector: a worker makes little garbage. */
export function discard(bytes: Uint8Array): void {
  if (bytes.byteLength !== bytes.buffer.byteLength) return;
  const { port1, port2 } = new MessageChannel();
  port1.postMessage(null, [bytes.buffer as ArrayBuffer]);
  port1.close();
  port2.close();
}

async function readModel(file: string, maximumBytes: number): Promise<Uint8Array> {
  try {
    checkModelSize(file, (await stat(file)).size, maximumBytes);
    return await readFile(file);
  } catch (cause) {
    const code = (cause as NodeJS.ErrnoException).code;
    if (code === 'ENOENT' || code === 'ENOTDIR') {
      throw recloomError('RECLOOM_DAT_MODEL_MISSING', { reference: basename(file), tried: file }, { cause });
    }
    if (code === 'RECLOOM_DAT_MODEL_TOO_LARGE') throw cause;
    throw invalid(`${basename(file)} cannot be read (${code ?? describe(cause)})`, cause);
  }
}

function readFacts(bytes: Uint8Array, file: string): OnnxFacts {
  try {
    return readOnnxFacts(bytes);
  } catch (cause) {
    throw invalid(`${basename(file)} is not a complete ONNX file: ${describe(cause)}`, cause);
  }
}

function checkVersions(facts: OnnxFacts): void {
  const foreign = facts.domains.find((domain) => !newestOperatorSets.has(domain));
  if (foreign !== undefined)
    throw invalid(`it uses operators of the domain "${foreign}", and libraries of custom operators are not loaded`);
  if (facts.precompiled) throw invalid('a part of it is compiled for one device (EPContext); export it as a plain ONNX graph');
  if (facts.irVersion > newestIrVersion) {
    throw invalid(`its format (IR version ${facts.irVersion}) is newer than the runtime reads (up to ${newestIrVersion})`);
  }
  for (const [domain, version] of facts.operatorSets) {
    const newest = newestOperatorSets.get(domain);
    if (newest !== undefined && version > newest) {
      const name = domain === '' ? 'ai.onnx' : domain;
      throw invalid(
        `it was made for operator set ${version} of ${name}, and the runtime knows those up to ${newest}; export it with an older one`,
      );
    }
  }
}

interface TensorFile {
  readonly bytes: number;
  readonly identity: string;
}

/** External tensors must lie in the model's own folder, whatever links lead there: a model must not be able to read other files. */
async function findTensorFiles(locations: readonly string[], file: string): Promise<TensorFile[]> {
  if (locations.length === 0) return [];
  const folder = dirname(file);
  const realFolder = await realpath(folder);
  const found: TensorFile[] = [];
  for (const location of locations) {
    const path = resolve(folder, location);
    if (isAbsolute(location) || location.includes('\0') || !lies(path, folder)) throw outside();
    let real: string;
    try {
      real = await realpath(path);
    } catch (cause) {
      throw invalid('a file of tensor data it refers to is missing', cause);
    }
    if (!lies(real, realFolder)) throw outside();
    const { size, mtimeMs, ino } = await stat(real);
    found.push({ bytes: size, identity: `${real} ${ino} ${size} ${mtimeMs}` });
  }
  return found;
}

function lies(path: string, folder: string): boolean {
  return path.startsWith(folder.endsWith(sep) ? folder : folder + sep);
}

function outside(): Error {
  return invalid('it refers to tensor data outside its own folder');
}
