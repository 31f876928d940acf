// The encoders of words and pictures against Python's onnxruntime on one thread, and int8 against float32 arithmetic (G7).
import { mkdir, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { createInference, createModelFiles } from '@recloom/inference';
import {
  type Column,
  type ComponentDefinition,
  type FeatureExtractor,
  type ImageReader,
  imageReaderToken,
  inferenceToken,
  modelFilesToken,
} from '@recloom/plugin-api';
import { embedding as clip } from '@recloom/plugin-image-clip';
import { embedding as bert } from '@recloom/plugin-text-bert';
import { createTestHost, imageColumn, shopFrom, tableFrom, textColumn, watchInference } from '@recloom/testing';
import { dequantise } from './dequantise.js';
import type { GoalResult, Outcome } from './goal.js';
import { interleave, timed } from './measure.js';
import { root } from './online-retail.js';
import { emojiPictures } from './pictures.js';
import { type Feeds, findPythonOnnx, PythonOnnx } from './python-onnx.js';
import type { SuiteOptions } from './suites.js';
import { retailTitles } from './titles.js';

const packageOf = (name: string): string => dirname(createRequire(join(root, 'package.json')).resolve(`${name}/package.json`));
/** Calls that are under way at once, so that the worker never waits for the next one. */
const underWay = 2;
const absent =
  'no Python with onnxruntime: set RECLOOM_BENCH_PYTHON to one (python3 -m venv /tmp/onnx && /tmp/onnx/bin/pip install onnxruntime numpy)';

/** An extractor on a worker of its own, what it fed its model when it was asked once, and a way to feed the same again. */
interface Encoder {
  readonly extractor: FeatureExtractor;
  /** One vector per text or picture. */
  readonly vectors: Float32Array;
  readonly graph: string;
  readonly output: string;
  readonly feeds: readonly Feeds[];
  /** Everything: texts or picture files → vectors. */
  readonly extract: () => Promise<Float32Array>;
  /** The runs of the model alone, of the file as it is. */
  readonly run: () => Promise<void>;
  /** The output of the first of them. */
  readonly first: () => Promise<Float32Array>;
  close(): Promise<void>;
}

interface EncoderParts {
  readonly definition: ComponentDefinition;
  readonly input: string;
  readonly column: Column;
  readonly options: object;
  /** Runs that are kept, to be run again. */
  readonly keep: number;
}

const reader: ImageReader = { read: async (reference) => new Uint8Array(await readFile(reference)) };

async function openEncoder({ definition, input, column, options, keep }: EncoderParts): Promise<Encoder> {
  const inference = createInference({ workers: 1 });
  const watched = watchInference(inference);
  const count = (column as { readonly values: ArrayLike<unknown> }).values.length;
  const ids = Array.from({ length: count }, (_, row) => `i${row}`);
  const host = createTestHost({
    shop: shopFrom({ items: tableFrom(ids, { field: column }) }),
    provide: [
      [inferenceToken, watched],
      [modelFilesToken, createModelFiles({ directory: root })],
      [imageReaderToken, reader],
    ],
  });
  const setup = { inputs: { [input]: 'item.field' }, options: { storeEmbeddings: false, ...options }, directory: root };
  const extractor = await host.open<FeatureExtractor>(definition, setup);
  const rows = Int32Array.from({ length: count }, (_, row) => row);
  const { signal } = new AbortController();
  const extract = async (): Promise<Float32Array> => {
    const out = { values: new Float32Array(count * extractor.width), presence: new Uint8Array(count) };
    await extractor.extract({ scope: 'item', count, columns: { [input]: [column] }, rows, candidates: undefined, signal }, out);
    if (out.presence.includes(0)) throw new Error('A text or a picture has no vector.');
    return out.values;
  };
  const feeds: Feeds[] = [];
  let graph = '';
  let output = '';
  watched.intercept = (run) => {
    if (feeds.length < keep) feeds.push(structuredClone(run.feeds));
    graph = run.request.file;
    output = run.options.outputs?.[0] ?? '';
    return run.proceed();
  };
  const vectors = await extract();
  watched.intercept = undefined;
  const session = await inference.load({ file: graph, device: 'cpu' });
  const outputs = [output];
  return {
    extractor,
    vectors,
    graph,
    output,
    feeds,
    extract,
    run: async () => {
      let next = 0;
      const lane = async (): Promise<void> => {
        for (let feed = feeds[next++]; feed !== undefined; feed = feeds[next++]) await session.run(feed, { outputs });
      };
      await Promise.all(Array.from({ length: underWay }, lane));
    },
    first: async () => (await session.run(feeds[0] as Feeds, { outputs }))[output]?.data as Float32Array,
    close: async () => {
      await extractor.dispose?.();
      await inference.close();
    },
  };
}

/** G7. */
export async function benchEncoders({ quick }: SuiteOptions): Promise<Outcome[]> {
  const directory = await mkdtemp(join(tmpdir(), 'recloom-bench-'));
  const python = findPythonOnnx();
  try {
    const titles = await retailTitles(quick ? 200 : 4_000);
    const texts = { definition: bert, input: 'text', column: textColumn(titles), options: {}, keep: Number.POSITIVE_INFINITY };
    const words = await openEncoder(texts);
    const results: Outcome[] = [];
    try {
      results.push(
        ...(await besidePython(
          words,
          `${titles.length.toLocaleString('en-GB')} titles`,
          titles.length,
          'titles',
          quick,
          python,
          directory,
        )),
      );
      const twin = await openEncoder({ ...texts, options: { model: await writeTwin(words.graph, directory), dtype: 'fp32' }, keep: 0 });
      try {
        results.push(...(await besideFloats(words, twin, titles.length, quick)));
      } finally {
        await twin.close();
      }
    } finally {
      await words.close();
    }
    const pictures = emojiPictures().slice(0, quick ? 24 : 1_500);
    const looks = await openEncoder({
      definition: clip,
      input: 'image',
      column: imageColumn(pictures.map(({ file }) => file)),
      options: { textModel: false },
      // More would not tell more: the work does not depend on what a picture shows.
      keep: 120,
    });
    try {
      results.push(
        ...(await besidePython(
          looks,
          `${pictures.length.toLocaleString('en-GB')} pictures`,
          pictures.length,
          'pictures',
          quick,
          python,
          directory,
        )),
      );
      results.push({
        goal: 'G7',
        name: 'int8 against float32 arithmetic, pictures',
        skipped: 'the picture model keeps its weights small but computes in float32: there is nothing to compare',
      });
    } finally {
      await looks.close();
    }
    return results;
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}

async function besidePython(
  encoder: Encoder,
  what: string,
  count: number,
  unit: string,
  quick: boolean,
  python: string | undefined,
  directory: string,
): Promise<Outcome[]> {
  const name = `encoder runs of ${what}, throughput in that of Python's onnxruntime`;
  const rounds = { rounds: quick ? 1 : 3, warmUpRounds: 1 };
  // The vectors of all were just made once: the first pass has warmed this one up.
  const wholes = [await timed(encoder.extract)];
  if (!quick) wholes.push(await timed(encoder.extract), await timed(encoder.extract));
  const whole = wholes.sort((one, other) => one.cpuMs - other.cpuMs)[wholes.length >> 1] as (typeof wholes)[0];
  const rate = (milliseconds: number): string => ((1000 * count) / milliseconds).toFixed(0);
  const information: GoalResult = {
    goal: 'G7',
    name: `${what} to vectors, everything included, on one worker`,
    figure: (1000 * count) / whole.cpuMs,
    unit: `${unit}/s and core`,
    note: `${unit === 'titles' ? 'tokens, runs of equal length, means' : 'file, decoding, resizing, tensor, run'}: ${(whole.cpuMs / count).toFixed(2)} ms CPU each; ${rate(whole.wallMs)} a second on the clock`,
  };
  if (python === undefined) return [{ goal: 'G7', name, skipped: absent }, information];
  const folder = await mkdtemp(join(directory, 'python-'));
  const peer = await PythonOnnx.start(python, encoder.graph, folder, encoder.output, encoder.feeds);
  try {
    const [own, truth] = [await encoder.first(), new Float32Array((await readFile(peer.first)).buffer.slice(0))];
    const likeness = cosine(own, truth);
    if (!(likeness > 0.999)) throw new Error(`The model gives other numbers in Python: cosine ${likeness}.`);
    const times = await interleave({ own: encoder.run, python: peer.runAll }, rounds);
    const runs = `${encoder.feeds.length.toLocaleString('en-GB')} runs`;
    const share = encoder.feeds.reduce((sum, feeds) => sum + (Object.values(feeds)[0]?.dims[0] ?? 0), 0);
    return [
      {
        goal: 'G7',
        name,
        figure: times.python.cpuMs.median / times.own.cpuMs.median,
        unit: '×',
        bound: { atLeast: 0.97 },
        limit: {
          name: `onnxruntime ${peer.version} in Python, one thread`,
          value: times.python.cpuMs.median / share,
          unit: `ms CPU per ${unit.slice(0, -1)}`,
        },
        note: `the same file and the same batches (${runs} of ${share.toLocaleString('en-GB')} ${unit}), our worker with the copies there and back: ${(times.own.cpuMs.median / share).toFixed(2)} ms CPU each; on the clock ${(times.python.wallMs.median / times.own.wallMs.median).toFixed(2)}×; cosine of the first outputs ${likeness.toFixed(5)}`,
      },
      {
        ...information,
        limit: { name: "Python's runs alone", value: (1000 * share) / times.python.cpuMs.median, unit: `${unit}/s and core` },
      },
    ];
  } finally {
    await peer.stop();
  }
}

/** The model's folder with its float32 twin in place of the int8 graph. */
async function writeTwin(graph: string, directory: string): Promise<string> {
  const folder = join(directory, 'float');
  await mkdir(join(folder, 'onnx'), { recursive: true });
  await writeFile(join(folder, 'onnx', 'model.onnx'), dequantise(await readFile(graph)));
  const source = packageOf('@recloom/model-all-minilm-l6-v2');
  for (const name of ['config.json', 'tokenizer.json', 'tokenizer_config.json', 'special_tokens_map.json'])
    await symlink(join(source, name), join(folder, name));
  return folder;
}

async function besideFloats(int8: Encoder, floats: Encoder, count: number, quick: boolean): Promise<GoalResult[]> {
  const times = await interleave({ int8: int8.extract, floats: floats.extract }, { rounds: quick ? 1 : 3, warmUpRounds: quick ? 0 : 1 });
  const { width } = int8.extractor;
  const likenesses = Array.from({ length: count }, (_, row) =>
    cosine(int8.vectors.subarray(row * width, (row + 1) * width), floats.vectors.subarray(row * width, (row + 1) * width)),
  );
  const mean = likenesses.reduce((sum, likeness) => sum + likeness, 0) / count;
  const twin = 'its float32 twin: the same weights, multiplied as floats';
  return [
    {
      goal: 'G7',
      name: 'titles to vectors in int8, throughput in that of float32',
      figure: times.floats.cpuMs.median / times.int8.cpuMs.median,
      unit: '×',
      bound: { atLeast: 2 },
      limit: { name: twin, value: times.floats.cpuMs.median / count, unit: 'ms CPU per title' },
      note: `${(times.int8.cpuMs.median / count).toFixed(2)} ms CPU each, ranges per row (\`independentRows\`), everything included`,
    },
    {
      goal: 'G7',
      name: 'cosine of int8 vectors with float32 ones, mean over the titles',
      figure: mean,
      unit: 'cosine',
      bound: { atLeast: 0.99 },
      limit: { name: 'lowest of all', value: Math.min(...likenesses), unit: 'cosine' },
      note: `against ${twin}; what rounding the weights costs is not in it (packages/model-all-minilm-l6-v2 has the whole distance)`,
    },
  ];
}

function cosine(one: Float32Array, other: Float32Array): number {
  let [dot, oneSquared, otherSquared] = [0, 0, 0];
  for (const [place, value] of one.entries()) {
    const beside = other[place] ?? Number.NaN;
    dot += value * beside;
    oneSquared += value * value;
    otherSquared += beside * beside;
  }
  return dot / Math.sqrt(oneSquared * otherSquared);
}
