import { endianness } from 'node:os';
import {
  type InferenceElementType,
  type InferenceSession,
  type InferenceTensor,
  type InferenceTensorInfo,
  isRecloomError,
} from '@recloom/plugin-api';
import type { BackgroundTokenizer } from './background-tokenizer.js';
import { planRuns } from './length-batches.js';
import { bertError } from './plugin-error.js';
import { pool } from './pooling.js';

/** How texts become tokens, and tokens one vector. */
export interface TextEncoderSettings {
  readonly pooling: 'mean' | 'cls';
  readonly normalize: boolean;
  readonly maxTokens: number;
  readonly batchTokens: number;
  /** Every run holds one text. */
  readonly oneByOne: boolean;
}

/**
 * Runs under way at once, for each that can be computed at once: enough to keep every worker fed, few enough that a query
 * that comes between them does not wait for long. Runs of one text are short, so more of them are needed to bridge the way
 * between the threads.
 */
function runsUnderWay(session: InferenceSession, oneByOne: boolean): number {
  const parallel = session.parallelRuns ?? 1;
  return oneByOne ? 4 * parallel + 4 : 2 * parallel + 1;
}

/** Characters read per token that may be kept: more than any word piece has, so that only what would be cut anyway is not read. */
const charactersPerToken = 64;

/** Numbers pooled between two turns of the event loop: a tenth of a millisecond of work, three times that on a busy machine. */
const numbersPerTurn = 1 << 16;

/** Place of the low word of a 64-bit integer among its two. */
const low = endianness() === 'LE' ? 0 : 1;

const tokenOutputs = ['last_hidden_state', 'token_embeddings'];
const knownInputs = new Set(['input_ids', 'attention_mask', 'token_type_ids', 'position_ids']);

/** Encodes texts with one session of a BERT-like graph. */
export class TextEncoder {
  readonly width: number;
  readonly #session: InferenceSession;
  readonly #tokenizer: BackgroundTokenizer;
  readonly #settings: TextEncoderSettings;
  readonly #output: string;

  private constructor(
    session: InferenceSession,
    tokenizer: BackgroundTokenizer,
    settings: TextEncoderSettings,
    output: string,
    width: number,
  ) {
    this.#session = session;
    this.#tokenizer = tokenizer;
    this.#settings = settings;
    this.#output = output;
    this.width = width;
  }

  /**
   * Checks that the graph is an encoder, and runs it once.
   *
   * @param declaredWidth what config.json says, when it does
   * @throws TEXT_BERT_GRAPH, TEXT_BERT_WIDTH
   */
  static async open(
    session: InferenceSession,
    tokenizer: BackgroundTokenizer,
    settings: TextEncoderSettings,
    declaredWidth: number | undefined,
    signal: AbortSignal,
  ): Promise<TextEncoder> {
    checkInputs(session.inputs);
    const output = tokenOutputs.find((name) => session.outputs.some((info) => info.name === name));
    if (output === undefined) {
      const names = session.outputs.map((info) => info.name).join(', ');
      throw bertError('TEXT_BERT_GRAPH', `The graph gives ${names}, and neither last_hidden_state nor token_embeddings.`);
    }
    const [ids = new Int32Array(0)] = await tokenizer.encode(['a'], settings.maxTokens, signal);
    const probe = new TextEncoder(session, tokenizer, settings, output, 0);
    const hidden = (await probe.#run([ids], signal))[output];
    const [rows, tokens, width] = hidden?.dims ?? [];
    if (hidden?.type !== 'float32' || hidden.dims.length !== 3 || rows !== 1 || tokens !== ids.length || width === undefined || width < 1) {
      const found = hidden === undefined ? 'nothing' : `${hidden.type} [${hidden.dims.join(', ')}]`;
      throw bertError('TEXT_BERT_GRAPH', `The output ${output} is ${found} where float32 [1, ${ids.length}, width] was expected.`);
    }
    if (declaredWidth !== undefined && declaredWidth !== width) {
      throw bertError('TEXT_BERT_WIDTH', `The graph gives vectors of width ${width}, config.json says ${declaredWidth}.`);
    }
    return new TextEncoder(session, tokenizer, settings, output, width);
  }

  /**
   * The embeddings of texts, in order; undefined where a text has no tokens or its embedding is not finite. The caller owns them.
   *
   * @param notFinite called for each text whose embedding is not finite or has no direction
   * @throws RECLOOM_RUN_ABORTED and what the session throws
   */
  async encode(texts: readonly string[], signal: AbortSignal, notFinite: () => void): Promise<(Float32Array | undefined)[]> {
    const tokens = await this.#tokenize(texts, signal);
    const runs = planRuns(
      tokens.map((ids) => ids.length),
      this.#settings.batchTokens,
      this.#settings.oneByOne,
    );
    const results: (Float32Array | undefined)[] = new Array<undefined>(texts.length).fill(undefined);
    const { pooling, normalize } = this.#settings;
    const { width } = this;
    let next = 0;
    let failed = false;
    const lane = async (): Promise<void> => {
      for (let run = runs[next++]; run !== undefined && !failed; run = runs[next++]) {
        const ids = Array.from(run, (index) => tokens[index] as Int32Array);
        const length = ids[0]?.length ?? 0;
        try {
          const hidden = (await this.#run(ids, signal))[this.#output]?.data as Float32Array;
          let pooled = 0;
          for (const [row, index] of run.entries()) {
            pooled += length * width;
            if (pooled > numbersPerTurn) {
              await new Promise<void>((resolve) => setImmediate(resolve));
              pooled = length * width;
            }
            const embedding = new Float32Array(width);
            if (pool(hidden, row * length * width, length, width, pooling, normalize, embedding)) results[index] = embedding;
            else notFinite();
          }
        } catch (error) {
          failed = true;
          throw error;
        }
      }
    };
    const lanes = await Promise.allSettled(
      Array.from({ length: Math.min(runsUnderWay(this.#session, this.#settings.oneByOne), runs.length) }, lane),
    );
    for (const outcome of lanes) if (outcome.status === 'rejected') throw outcome.reason;
    return results;
  }

  #tokenize(texts: readonly string[], signal: AbortSignal): Promise<Int32Array[]> {
    const { maxTokens } = this.#settings;
    const read = texts.map((text) => cut(text, maxTokens * charactersPerToken));
    return this.#tokenizer.encode(read, maxTokens, signal);
  }

  async #run(rows: readonly Int32Array[], signal: AbortSignal): Promise<Record<string, InferenceTensor>> {
    const length = rows[0]?.length ?? 0;
    const count = rows.length * length;
    const feeds: Record<string, InferenceTensor> = {};
    for (const input of this.#session.inputs) {
      const values = new Int32Array(count);
      for (const [row, ids] of rows.entries()) {
        const target = values.subarray(row * length, (row + 1) * length);
        if (input.name === 'input_ids') target.set(ids);
        else if (input.name === 'attention_mask') target.fill(1);
        else if (input.name === 'position_ids') target.forEach((_, place) => (target[place] = place));
      }
      feeds[input.name] = { type: input.type as InferenceElementType, dims: [rows.length, length], data: convert(values, input.type) };
    }
    const outputs = [this.#output];
    try {
      return await this.#session.run(feeds, { outputs, signal });
    } catch (error) {
      // A worker that died was replaced: one more try saves a build of minutes.
      if (!isRecloomError(error) || error.code !== 'RECLOOM_RUN_WORKER_DIED' || signal.aborted) throw error;
      return this.#session.run(feeds, { outputs, signal });
    }
  }
}

function checkInputs(inputs: readonly InferenceTensorInfo[]): void {
  const names = inputs.map((input) => input.name);
  for (const required of ['input_ids', 'attention_mask']) {
    if (!names.includes(required)) throw bertError('TEXT_BERT_GRAPH', `The graph has no input ${required}; it takes ${names.join(', ')}.`);
  }
  for (const input of inputs) {
    if (!knownInputs.has(input.name)) throw bertError('TEXT_BERT_GRAPH', `The graph asks for an input ${input.name}, which no text has.`);
    if ((input.type !== 'int64' && input.type !== 'int32') || input.dims.length !== 2) {
      throw bertError(
        'TEXT_BERT_GRAPH',
        `The input ${input.name} is ${input.type} [${input.dims.join(', ')}], not int64 or int32 [texts, tokens].`,
      );
    }
  }
}

function convert(values: Int32Array, type: string): BigInt64Array | Int32Array {
  if (type !== 'int64') return values;
  // Numbers of tokens are small and positive: their lower halves, without an object for each.
  const long = new BigInt64Array(values.length);
  const words = new Int32Array(long.buffer);
  for (let place = 0; place < values.length; place++) words[2 * place + low] = values[place] as number;
  return long;
}

/** The first `maximum` characters of a text, never half a surrogate pair. */
export function cut(text: string, maximum: number): string {
  if (text.length <= maximum) return text;
  const last = text.charCodeAt(maximum - 1);
  return text.slice(0, last >= 0xd800 && last <= 0xdbff ? maximum - 1 : maximum);
}
