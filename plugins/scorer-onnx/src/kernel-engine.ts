import { createHash } from 'node:crypto';
import { open, readFile } from 'node:fs/promises';
import { basename } from 'node:path';
import { KernelError, type Kernels } from '@recloom/kernels';
import { type InferenceTensor, type InferenceTensorInfo, recloomError, type Warning } from '@recloom/plugin-api';
import type { Engine, EngineFeeds, RunLimits, Tensors } from './engine.js';
import { type OnnxGraph, readOnnxGraph } from './onnx-graph.js';
import { compileProgram, type RowProgram } from './row-program.js';
import { NotUnderstood } from './row-steps.js';

/** A larger file is left to onnxruntime: it is hardly a linear model or a tree, and reading it here would hold up the host. */
const mostBytes = 64 * 1024 * 1024;
/** The event loop gets its turn after so long. */
const turnAfterMs = 1;

/** What the kernels are asked to compute. */
export interface KernelRequest {
  readonly file: string;
  readonly sha256: string | undefined;
  /** Outputs that are wanted; all when undefined. */
  readonly outputs: readonly string[] | undefined;
  /** The float inputs with a row per candidate, by name, and their widths as the manifest feeds them. */
  readonly widths: ReadonlyMap<string, number>;
}

/**
 * A model of trees or of one linear layer, computed by the kernels on the calling thread, block by block.
 *
 * @throws NotUnderstood when the kernels do not know the graph; RECLOOM_DAT_MODEL_INVALID when it is no ONNX file or has
 * another hash.
 */
export async function openKernels(request: KernelRequest, kernels: Kernels): Promise<Engine> {
  const bytes = await readModel(request.file);
  const sha256 = createHash('sha256').update(bytes).digest('hex');
  if (request.sha256 !== undefined && request.sha256.toLowerCase() !== sha256) {
    const why = `${basename(request.file)} has the sha256 ${sha256}, not the pinned ${request.sha256}`;
    throw recloomError('RECLOOM_DAT_MODEL_INVALID', { why });
  }
  const graph = await readOnnxGraph(bytes);
  const wanted = request.outputs ?? graph.outputs.map((output) => output.name);
  for (const name of wanted) {
    if (!graph.outputs.some((output) => output.name === name)) throw new NotUnderstood(`the output "${name}"`);
  }
  try {
    return new KernelEngine(graph, compileProgram(graph, wanted, request.widths, kernels), sha256);
  } catch (error) {
    // Whether trees that are not well formed can be run at all is for onnxruntime to say, and so is how deep a graph may be.
    if (error instanceof KernelError || error instanceof RangeError) throw new NotUnderstood(error.message);
    throw error;
  }
}

async function readModel(file: string): Promise<Uint8Array> {
  const handle = await open(file);
  try {
    const { size } = await handle.stat();
    if (size > mostBytes) throw new NotUnderstood(`a file of ${size} bytes`);
    return await readFile(handle);
  } finally {
    await handle.close();
  }
}

class KernelEngine implements Engine {
  readonly device = 'kernels';
  readonly copiesInputs = false;
  readonly columnInputs: ReadonlySet<string>;
  readonly sha256: string;
  readonly inputs: readonly InferenceTensorInfo[];
  readonly outputs: readonly InferenceTensorInfo[];
  readonly warnings: readonly Warning[] = [];
  readonly #program: RowProgram;

  constructor(graph: OnnxGraph, program: RowProgram, sha256: string) {
    this.#program = program;
    this.sha256 = sha256;
    this.columnInputs = program.columnInputs;
    this.inputs = graph.inputs.map((info) => {
      const value = program.inputs.get(info.name);
      return value === undefined ? info : { ...info, dims: [info.dims[0] ?? -1, ...(value.rank === 1 ? [] : [value.width])] };
    });
    // What ZipMap makes a list of maps is here the table of probabilities that went into it.
    this.outputs = graph.outputs.map((info) => {
      const value = program.outputs.get(info.name);
      return value === undefined ? info : { name: info.name, type: 'float32', dims: value.rank === 1 ? [-1] : [-1, value.width] };
    });
  }

  run(feeds: EngineFeeds, rows: number, outputs: readonly string[], limits: RunLimits): Tensors | Promise<Tensors> {
    const results: Record<string, InferenceTensor> = {};
    for (const name of outputs) {
      const value = this.#program.outputs.get(name);
      if (value === undefined) continue;
      results[name] = {
        type: 'float32',
        dims: value.rank === 1 ? [rows] : [rows, value.width],
        data: new Float32Array(rows * value.width),
      };
    }
    const done = this.#stretch(feeds, results, 0, rows);
    return done === rows ? results : this.#rest(feeds, results, done, rows, limits);
  }

  async close(): Promise<void> {
    this.#program.dispose();
  }

  async #rest(
    feeds: EngineFeeds,
    results: Record<string, InferenceTensor>,
    first: number,
    rows: number,
    limits: RunLimits,
  ): Promise<Tensors> {
    for (let done = first; done < rows; ) {
      await new Promise<void>((resolve) => setImmediate(resolve));
      limits.signal.throwIfAborted();
      if (limits.deadlineMs !== undefined && performance.now() > limits.deadlineMs) throw limits.late();
      done = this.#stretch(feeds, results, done, rows);
    }
    return results;
  }

  /** Computes blocks from row `first` on for as long as a turn lasts; the row it came to. Blocks are the same whatever the clock says. */
  #stretch(feeds: EngineFeeds, results: Record<string, InferenceTensor>, first: number, rows: number): number {
    const { inputs, outputs, steps, blockRows } = this.#program;
    const started = performance.now();
    let done = first;
    while (done < rows) {
      const count = Math.min(blockRows, rows - done);
      for (const [name, value] of inputs) {
        const columns = feeds.columns[name];
        value.columns = columns && { ...columns, values: columns.values.map((column) => stretchOf(column, done, count)) };
        if (columns !== undefined) continue;
        const { data } = feeds.tensors[name] as InferenceTensor;
        value.values = (data as Float32Array).subarray(done * value.width, (done + count) * value.width);
      }
      for (const step of steps) step(count);
      for (const [name, { values, width }] of outputs) {
        const result = results[name]?.data as Float32Array | undefined;
        result?.set(values.subarray(0, count * width), done * width);
      }
      done += count;
      if (performance.now() - started >= turnAfterMs) break;
    }
    return done;
  }
}

function stretchOf(column: Float32Array, first: number, count: number): Float32Array {
  return column.length === count ? column : column.subarray(first, first + count);
}
