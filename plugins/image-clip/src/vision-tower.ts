import type { InferenceSession, InferenceTensor } from '@recloom/plugin-api';
import type { TakeMemory } from './background-decoder.js';
import { clipError } from './plugin-error.js';
import { type Preprocessing, pixelTensor } from './preprocessing.js';
import { type RunFeeds, runTwice } from './run-twice.js';
import type { Turns } from './turns.js';
import { unitRow } from './unit-length.js';

/** `pooler_output` is what SigLIP calls its embedding. */
const outputNames = ['image_embeds', 'pooler_output'];
/** What a graph of both towers asks for beside the picture. */
const textInputs = new Set(['input_ids', 'attention_mask']);

/** Encodes preprocessed pictures with one session of a vision graph, or of a graph of both towers. */
export class VisionTower {
  readonly width: number;
  readonly #session: InferenceSession;
  readonly #preprocessing: Preprocessing;
  readonly #output: string;
  readonly #turns: Turns;

  private constructor(session: InferenceSession, preprocessing: Preprocessing, output: string, width: number, turns: Turns) {
    this.#session = session;
    this.#preprocessing = preprocessing;
    this.#output = output;
    this.width = width;
    this.#turns = turns;
  }

  /** Checks that the graph is a vision tower that fits its preprocessing, and runs it once. @throws IMAGE_CLIP_GRAPH */
  static async open(session: InferenceSession, preprocessing: Preprocessing, turns: Turns, signal: AbortSignal): Promise<VisionTower> {
    checkInputs(session, preprocessing);
    const output = outputNames.find((name) => session.outputs.some((info) => info.name === name));
    if (output === undefined) {
      const names = session.outputs.map((info) => info.name).join(', ');
      throw clipError('IMAGE_CLIP_GRAPH', `The vision graph gives ${names}, and no image_embeds.`);
    }
    const probe = new VisionTower(session, preprocessing, output, 0, turns);
    const grey = async (): Promise<Float32Array[]> => [new Float32Array(preprocessing.cropWidth * preprocessing.cropHeight * 3)];
    const found = await probe.#run(await grey(), grey, signal);
    const width = found?.dims[1];
    if (found?.type !== 'float32' || found.dims.length !== 2 || found.dims[0] !== 1 || width === undefined || width < 1) {
      const what = found === undefined ? 'nothing' : `${found.type} [${found.dims.join(', ')}]`;
      throw clipError('IMAGE_CLIP_GRAPH', `The output ${output} is ${what} where float32 [1, width] was expected.`);
    }
    return new VisionTower(session, preprocessing, output, width, turns);
  }

  /** Memory for the planes of a picture that is encoded here. */
  readonly takeMemory: TakeMemory = (byteLength) => this.#session.memory?.(byteLength) ?? new ArrayBuffer(byteLength);

  /**
   * The embeddings of pictures in one run, in order, each of length 1; undefined where it is not finite or has no direction.
   *
   * @param pictures three planes each, which must not be used any more
   * @param again makes them once more, when the worker died that had them
   */
  async encode(
    pictures: readonly Float32Array[],
    again: () => Promise<readonly Float32Array[]>,
    signal: AbortSignal,
  ): Promise<(Float32Array | undefined)[]> {
    const rows = pictures.length;
    const found = await this.#run(pictures, again, signal);
    return Array.from({ length: rows }, (_, row) => unitRow(found?.data as Float32Array, row, this.width));
  }

  #run(
    pictures: readonly Float32Array[],
    again: () => Promise<readonly Float32Array[]>,
    signal: AbortSignal,
  ): Promise<InferenceTensor | undefined> {
    let made: readonly Float32Array[] | undefined = pictures;
    const take = async (): Promise<RunFeeds> => {
      const feeds = await this.#feeds(made ?? (await again()));
      made = undefined;
      return feeds;
    };
    return runTwice(this.#session, take, this.#output, signal);
  }

  async #feeds(pictures: readonly Float32Array[]): Promise<RunFeeds> {
    const session = this.#session;
    const tensors: Record<string, InferenceTensor> = {};
    for (const { name, type } of session.inputs) {
      // A graph of both towers wants a text as well: one token, whose embedding nobody asks for.
      if (name === 'pixel_values') tensors[name] = await pixelTensor(pictures, this.#preprocessing, this.#turns, this.takeMemory);
      else tensors[name] = type === 'int64' ? int64One() : { type: 'int32', dims: [1, 1], data: Int32Array.of(1) };
    }
    return { tensors, give: ['pixel_values'] };
  }
}

function int64One(): InferenceTensor {
  return { type: 'int64', dims: [1, 1], data: BigInt64Array.of(1n) };
}

function checkInputs(session: InferenceSession, { cropWidth, cropHeight }: Preprocessing): void {
  const pixels = session.inputs.find((input) => input.name === 'pixel_values');
  const names = session.inputs.map((input) => input.name).join(', ');
  if (pixels === undefined) throw clipError('IMAGE_CLIP_GRAPH', `The vision graph has no input pixel_values; it takes ${names}.`);
  const fits = [-1, 3, cropHeight, cropWidth].every((size, place) => {
    const declared = pixels.dims[place];
    return size === -1 || typeof declared !== 'number' || declared === -1 || declared === size;
  });
  if (pixels.type !== 'float32' || pixels.dims.length !== 4 || !fits) {
    throw clipError(
      'IMAGE_CLIP_GRAPH',
      `The input pixel_values is ${pixels.type} [${pixels.dims.join(', ')}], not float32 [pictures, 3, ${cropHeight}, ${cropWidth}].`,
    );
  }
  const other = session.inputs.find(
    ({ name, type }) => name !== 'pixel_values' && !(textInputs.has(name) && (type === 'int64' || type === 'int32')),
  );
  if (other !== undefined) throw clipError('IMAGE_CLIP_GRAPH', `The vision graph asks for an input ${other.name}, which no picture has.`);
}
