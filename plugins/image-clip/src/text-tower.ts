import type { InferenceElementType, InferenceSession, InferenceTensor, InferenceTensorInfo } from '@recloom/plugin-api';
import type { BackgroundTokenizer } from './background-tokenizer.js';
import { clipError } from './plugin-error.js';
import { runTwice } from './run-twice.js';
import { unitRow } from './unit-length.js';

/** Projected embeddings first; a sentence encoder's token vectors are averaged. A `pooler_output` is no embedding there. */
const pooledOutputs = ['text_embeds', 'sentence_embedding'];
const tokenOutputs = ['last_hidden_state', 'token_embeddings'];
const tokenInputs = new Set(['input_ids', 'attention_mask', 'token_type_ids', 'position_ids']);

/** Characters read per token that may be kept: more than any word piece has, so that only what would be cut anyway is not read. */
const charactersPerToken = 64;

/** Encodes queries, one text a run: concurrent ones share runs through the service's batching. */
export class TextTower {
  readonly width: number;
  readonly #session: InferenceSession;
  readonly #tokenizer: BackgroundTokenizer;
  readonly #maxTokens: number;
  readonly #output: string;

  private constructor(session: InferenceSession, tokenizer: BackgroundTokenizer, maxTokens: number, output: string, width: number) {
    this.#session = session;
    this.#tokenizer = tokenizer;
    this.#maxTokens = maxTokens;
    this.#output = output;
    this.width = width;
  }

  /** Checks that the graph is a text tower, and runs it once. @throws IMAGE_CLIP_GRAPH, IMAGE_CLIP_MAX_TOKENS */
  static async open(session: InferenceSession, tokenizer: BackgroundTokenizer, maxTokens: number, signal: AbortSignal): Promise<TextTower> {
    checkInputs(session.inputs);
    if (maxTokens <= tokenizer.specialTokens) throw clipError('IMAGE_CLIP_MAX_TOKENS', '`maxTokens` leaves no room for a text.');
    const output = [...pooledOutputs, ...tokenOutputs].find((name) => session.outputs.some((info) => info.name === name));
    if (output === undefined) {
      const names = session.outputs.map((info) => info.name).join(', ');
      throw clipError('IMAGE_CLIP_GRAPH', `The text graph gives ${names}, and neither text_embeds nor last_hidden_state.`);
    }
    const ids = await tokenizer.encode('a', maxTokens);
    const probe = new TextTower(session, tokenizer, maxTokens, output, 0);
    const found = await probe.#run(ids, signal);
    const expected = pooledOutputs.includes(output) ? [1] : [1, ids.length];
    const width = found?.dims.at(-1);
    const fits = found?.dims.length === expected.length + 1 && expected.every((size, place) => found.dims[place] === size);
    if (found?.type !== 'float32' || !fits || width === undefined || width < 1) {
      const what = found === undefined ? 'nothing' : `${found.type} [${found.dims.join(', ')}]`;
      throw clipError('IMAGE_CLIP_GRAPH', `The output ${output} is ${what} where float32 [${expected.join(', ')}, width] was expected.`);
    }
    return new TextTower(session, tokenizer, maxTokens, output, width);
  }

  /** The embedding of a text, of length 1: no numbers when it has no tokens, undefined when it is not finite. The caller owns it. */
  async encode(text: string, signal: AbortSignal): Promise<Float32Array | undefined> {
    const ids = await this.#tokenizer.encode(cut(text, this.#maxTokens * charactersPerToken), this.#maxTokens);
    signal.throwIfAborted();
    if (ids.length === 0) return new Float32Array(0);
    const found = await this.#run(ids, signal);
    const values = found?.data as Float32Array;
    if (pooledOutputs.includes(this.#output)) return unitRow(values, 0, this.width);
    // The mean over all tokens (Reimers and Gurevych 2019, Sentence-BERT); its length is of no matter.
    const sums = new Float64Array(this.width);
    for (let at = 0; at < values.length; at++) sums[at % this.width] = (sums[at % this.width] as number) + (values[at] as number);
    return unitRow(sums, 0, this.width);
  }

  /** Gives the tokenizer back. Idempotent. */
  close(): Promise<void> {
    return this.#tokenizer.close();
  }

  #run(ids: Int32Array, signal: AbortSignal): Promise<InferenceTensor | undefined> {
    const feeds: Record<string, InferenceTensor> = {};
    for (const { name, type, dims } of this.#session.inputs) {
      feeds[name] = name === 'pixel_values' ? blankPicture(dims) : tokenTensor(name, type, ids);
    }
    return runTwice(this.#session, () => ({ tensors: feeds, give: [] }), this.#output, signal);
  }
}

function tokenTensor(name: string, type: string, ids: Int32Array): InferenceTensor {
  const values = name === 'input_ids' ? ids : name === 'attention_mask' ? new Int32Array(ids.length).fill(1) : new Int32Array(ids.length);
  if (name === 'position_ids') values.forEach((_, place) => (values[place] = place));
  const data = type === 'int64' ? BigInt64Array.from(values, BigInt) : values;
  return { type: type as InferenceElementType, dims: [1, ids.length], data };
}

/** What a graph of both towers wants beside the text; its embedding is not asked for. */
function blankPicture(declared: InferenceTensorInfo['dims']): InferenceTensor {
  const side = (place: number): number => {
    const size = declared[place];
    return typeof size === 'number' && size > 0 ? size : 224;
  };
  const dims = [1, 3, side(2), side(3)];
  return { type: 'float32', dims, data: new Float32Array(3 * side(2) * side(3)) };
}

function checkInputs(inputs: readonly InferenceTensorInfo[]): void {
  const names = inputs.map((input) => input.name).join(', ');
  if (!inputs.some((input) => input.name === 'input_ids')) {
    throw clipError('IMAGE_CLIP_GRAPH', `The text graph has no input input_ids; it takes ${names}.`);
  }
  for (const { name, type, dims } of inputs) {
    if (name === 'pixel_values') continue;
    if (!tokenInputs.has(name)) throw clipError('IMAGE_CLIP_GRAPH', `The text graph asks for an input ${name}, which no text has.`);
    if ((type !== 'int64' && type !== 'int32') || dims.length !== 2) {
      throw clipError('IMAGE_CLIP_GRAPH', `The input ${name} is ${type} [${dims.join(', ')}], not int64 or int32 [texts, tokens].`);
    }
  }
}

/** The first `maximum` characters of a text, never half a surrogate pair. */
function cut(text: string, maximum: number): string {
  if (text.length <= maximum) return text;
  const last = text.charCodeAt(maximum - 1);
  return text.slice(0, last >= 0xd800 && last <= 0xdbff ? maximum - 1 : maximum);
}
