import { basename } from 'node:path';
import { kernelsOf } from '@recloom/kernels';
import {
  type CandidateBatch,
  type Compute,
  type Expressions,
  type FeatureMatrix,
  type Inference,
  type InferenceTensor,
  type ModelBacked,
  type ModelFiles,
  type ModelInUse,
  recloomError,
  type Scorer,
  type Table,
  type Warning,
} from '@recloom/plugin-api';
import { type Stretch, sliceBatch, stretchesOf } from './batch-slices.js';
import type { Engine, RunLimits, Tensors } from './engine.js';
import { openInputs } from './graph-inputs.js';
import { type OutputReader, openOutputs } from './graph-outputs.js';
import { ArenaPool, type ColumnValues, type InputFiller } from './input-filler.js';
import { readManifest } from './manifest.js';
import { findModelFile } from './model-file.js';
import { openEngine } from './open-engine.js';
import type { ModelOptions } from './options.js';
import { scorerError } from './plugin-error.js';

/** Candidates of several requests that one run takes at the most: what is gathered at a time stays small. */
const mostRows = 8192;
/** Runs of one call that are under way at the same time. */
const mostRuns = 8;

/** What a model is opened with. */
export interface ModelContext {
  /** The component's name, for messages. */
  readonly name: string;
  readonly directory: string;
  readonly inference: Inference;
  /** Where the kernels work. */
  readonly compute: Compute;
  readonly modelFiles: ModelFiles;
  readonly expressions: Expressions;
  readonly items: Table;
  readonly features: readonly FeatureMatrix[];
  readonly signal: AbortSignal;
  warn(warning: Warning): void;
}

/** Ranks with a model of the team's own: gathers its inputs, runs it, and hands its outputs on as scores. */
export class ModelScorer implements Scorer, ModelBacked {
  /** The outputs beside the main one, in the order of the manifest. */
  readonly furtherColumns: readonly string[];
  readonly readsColumns: readonly string[];
  readonly #options: ModelOptions;
  readonly #name: string;
  readonly #file: string;
  readonly #engine: Engine;
  readonly #inputs: readonly InputFiller[];
  readonly #outputs: readonly OutputReader[];
  readonly #outputNames: readonly string[];
  readonly #mostRequests: number;
  readonly #arenas: ArenaPool;
  #closing: Promise<void> | undefined;

  private constructor(
    name: string,
    options: ModelOptions,
    file: string,
    engine: Engine,
    inputs: readonly InputFiller[],
    outputs: readonly OutputReader[],
  ) {
    this.#name = name;
    this.#options = options;
    this.#file = basename(file);
    this.#engine = engine;
    this.#arenas = new ArenaPool(engine.takeMemory);
    this.#inputs = inputs;
    this.#outputs = outputs;
    this.#outputNames = [...new Set(outputs.map((output) => output.output))];
    this.#mostRequests = options.batching && inputs.every((input) => input.perCandidate) ? Number.POSITIVE_INFINITY : 1;
    this.furtherColumns = outputs.slice(1).map((output) => output.name);
    this.readsColumns = [...new Set(inputs.flatMap((input) => input.reads))].filter((name) => /^(score|feature)\./.test(name)).sort();
  }

  /**
   * Finds model and manifest, loads the model and checks that they fit.
   *
   * @throws RECLOOM_DAT_MODEL_MISSING, RECLOOM_DAT_MODEL_INVALID, RECLOOM_RUN_DEVICE_UNAVAILABLE, RECLOOM_CFG_EXPRESSION,
   * SCORER_ONNX_MANIFEST, SCORER_ONNX_INPUT, SCORER_ONNX_OUTPUT, SCORER_ONNX_ENGINE
   */
  static async open(options: ModelOptions, context: ModelContext): Promise<ModelScorer> {
    const { directory, signal } = context;
    signal.throwIfAborted();
    const file = await findModelFile(options, directory, context.modelFiles, signal);
    const manifest = await readManifest(options, file, directory);
    const engine = await openEngine(options, file, manifest, context);
    try {
      const inputs = await openInputs(manifest, engine.inputs, { ...context, kernels: kernelsOf(context.compute) });
      const outputs = openOutputs(manifest, engine.outputs);
      // With `auto` it is no news that a machine has no GPU.
      if (options.device !== 'auto') for (const warning of engine.warnings) context.warn(warning);
      return new ModelScorer(context.name, options, file, engine, inputs, outputs);
    } catch (error) {
      await engine.close();
      throw error;
    }
  }

  /** The model: its file, its hash, and what runs it now. */
  models(): readonly ModelInUse[] {
    return [{ file: this.#file, sha256: this.#engine.sha256, device: this.#engine.device }];
  }

  score(batch: CandidateBatch, out: Float32Array, signal: AbortSignal, further: readonly Float32Array[] = []): void | Promise<void> {
    signal.throwIfAborted();
    if (batch.count === 0) return undefined;
    const columns = [out, ...further];
    const { timeoutMs } = this.#options;
    const limits: RunLimits = {
      signal,
      deadlineMs: timeoutMs === undefined ? undefined : performance.now() + timeoutMs,
      late: () => recloomError('RECLOOM_RUN_TIMEOUT', { name: this.#name, timeoutMs: timeoutMs ?? 0 }),
    };
    const stretches = stretchesOf(batch, mostRows, this.#mostRequests);
    if (stretches.length === 1) return this.#run(batch, stretches[0] as Stretch, columns, limits);
    return this.#runAll(batch, stretches, columns, limits);
  }

  /** Gives the model back. Idempotent. */
  dispose(): Promise<void> {
    if (this.#closing === undefined) {
      for (const input of this.#inputs) input.dispose?.();
      this.#closing = this.#engine.close();
    }
    return this.#closing;
  }

  async #runAll(batch: CandidateBatch, stretches: readonly Stretch[], columns: readonly Float32Array[], limits: RunLimits): Promise<void> {
    let next = 0;
    const work = async (): Promise<void> => {
      while (next < stretches.length) {
        limits.signal.throwIfAborted();
        try {
          await this.#run(batch, stretches[next++] as Stretch, columns, limits);
        } catch (error) {
          // What one run lost the others cannot save: none is begun any more.
          next = stretches.length;
          throw error;
        }
      }
    };
    await Promise.all(Array.from({ length: Math.min(mostRuns, stretches.length) }, work));
  }

  #run(batch: CandidateBatch, stretch: Stretch, columns: readonly Float32Array[], limits: RunLimits): void | Promise<void> {
    const whole = stretch.first === 0 && stretch.end === batch.requests.length;
    const part = whole ? batch : sliceBatch(batch, stretch.first, stretch.end);
    const arena = this.#arenas.take();
    let answer: Tensors | Promise<Tensors>;
    let held = true;
    const giveBack = (): void => {
      if (held) this.#arenas.give(arena);
      held = false;
    };
    try {
      const tensors: Record<string, InferenceTensor> = {};
      const columns: Record<string, ColumnValues> = {};
      const given: string[] = [];
      for (const input of this.#inputs) {
        const name = input.input;
        if (input.columns !== undefined && this.#engine.columnInputs.has(name)) {
          columns[name] = input.columns(part, arena);
          continue;
        }
        const tensor = input.fill(part, arena);
        tensors[name] = tensor;
        if (arena.isOutgoing(tensor)) given.push(name);
      }
      answer = this.#engine.run({ tensors, given, columns }, part.count, this.#outputNames, limits);
      if (this.#engine.copiesInputs || !(answer instanceof Promise)) giveBack();
    } catch (error) {
      giveBack();
      throw error;
    }
    if (!(answer instanceof Promise)) {
      this.#take(answer, stretch.from, part.count, columns);
      return undefined;
    }
    return answer.then((tensors) => this.#take(tensors, stretch.from, part.count, columns)).finally(giveBack);
  }

  #take(tensors: Tensors, from: number, count: number, columns: readonly Float32Array[]): void {
    for (const [index, output] of this.#outputs.entries()) {
      const column = columns[index]?.subarray(from, from + count);
      if (column === undefined) continue;
      output.read(tensors[output.output], column);
      if (this.#options.nan === 'fail') requireNumbers(column, output);
      else sinkInfinite(column);
    }
  }
}

/** The contract knows numbers and NaN; an infinite score is as little a score as no number. */
function sinkInfinite(column: Float32Array): void {
  for (let place = 0; place < column.length; place++) {
    const value = column[place] as number;
    if (value - value !== 0) column[place] = Number.NaN;
  }
}

function requireNumbers(column: Float32Array, output: OutputReader): void {
  let missing = 0;
  for (const value of column) if (value - value !== 0) missing++;
  if (missing === 0) return;
  const message = `The output "${output.output}" is not a number for ${missing} of ${column.length} candidates.`;
  throw scorerError('SCORER_ONNX_NOT_A_NUMBER', message);
}
