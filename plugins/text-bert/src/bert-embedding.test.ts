import { createHash } from 'node:crypto';
import { mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { createInference, createMemoryKeyValueStore } from '@recloom/inference';
import reference from '@recloom/model-all-minilm-l6-v2/reference.json' with { type: 'json' };
import type {
  Column,
  ExtractBatch,
  Inference,
  InferenceSession,
  InferenceTensor,
  InferenceTensorInfo,
  KeyValueStore,
  ModelFiles,
  Warning,
} from '@recloom/plugin-api';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { BertEmbedding } from './bert-embedding.js';
import { bertOptions } from './options.js';

const model = fileURLToPath(new URL('../../../packages/model-all-minilm-l6-v2', import.meta.url));
const modelFiles: ModelFiles = {
  resolve: async (name) => ({ directory: name.startsWith('/') ? name : model, origin: 'path', reference: name }),
};
const inference = createInference();
const running = new AbortController().signal;
let folder = '';

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'recloom-bert-'));
});
afterAll(async () => {
  await inference.close();
  await rm(folder, { recursive: true, force: true });
});

interface Setup {
  readonly inference?: Inference;
  readonly store?: KeyValueStore;
  readonly warnings?: Warning[];
  readonly signal?: AbortSignal;
  readonly modelFiles?: ModelFiles;
}
async function open(options: object = {}, setup: Setup = {}): Promise<BertEmbedding> {
  const services = {
    inference: setup.inference ?? inference,
    modelFiles: setup.modelFiles ?? modelFiles,
    store: setup.store ?? createMemoryKeyValueStore(),
  };
  return BertEmbedding.open(bertOptions.parse(options), services, {
    signal: setup.signal ?? running,
    warn: (warning) => setup.warnings?.push(warning),
  });
}

const textColumn = (values: readonly (string | null)[]): Column => ({ type: 'text', values });

async function embed(
  embedding: BertEmbedding,
  values: readonly (string | null)[],
  scope: ExtractBatch['scope'] = 'item',
  signal = running,
): Promise<{ readonly rows: readonly (readonly number[])[]; readonly presence: readonly number[] }> {
  return embedColumns(embedding, [textColumn(values)], values.length, scope, signal);
}
async function embedColumns(
  embedding: BertEmbedding,
  columns: readonly Column[],
  count: number,
  scope: ExtractBatch['scope'] = 'item',
  signal = running,
): Promise<{ readonly rows: readonly (readonly number[])[]; readonly presence: readonly number[] }> {
  const { width } = embedding;
  const out = { values: new Float32Array(count * width), presence: new Uint8Array(count) };
  await embedding.extract({ scope, count, columns: { text: columns }, rows: new Int32Array(0), candidates: undefined, signal }, out);
  return {
    rows: Array.from({ length: count }, (_, row) => [...out.values.subarray(row * width, (row + 1) * width)]),
    presence: [...out.presence],
  };
}
const dot = (left: readonly number[], right: readonly number[]): number =>
  left.reduce((sum, value, place) => sum + value * (right[place] ?? 0), 0);

describe('MiniLM', () => {
  let embedding: BertEmbedding;
  const texts = reference.cases.map((entry) => entry.text);
  let rows: readonly (readonly number[])[] = [];
  beforeAll(async () => {
    embedding = await open({ storeEmbeddings: false });
    ({ rows } = await embed(embedding, texts));
  });
  afterAll(() => embedding.dispose());

  it('is 384 wide and gives vectors of length 1', () => {
    expect(embedding.width).toBe(384);
    for (const row of rows) expect(dot(row, row)).toBeCloseTo(1, 6);
  });

  // reference.json: fp32 = sentence-transformers' weights run by onnxruntime in Python; int8_cosine = this file to fp32.
  it.each(reference.cases.map((entry, index) => ({ ...entry, index })))(
    'lies as near to fp32 as the int8 file does: %j',
    ({ index, fp32_first_8, int8_cosine }) => {
      // A unit vector at cosine c to another differs from it by sqrt(2 - 2c) in length; the first eight numbers by no more.
      const first = (rows[index] ?? []).slice(0, 8);
      const distance = Math.hypot(...first.map((value, place) => value - (fp32_first_8[place] ?? 0)));
      expect(distance).toBeLessThan(Math.sqrt(2 - 2 * int8_cosine) * 1.05);
      // Seen: .008 to .020 with activations quantised by row, up to .030 without.
      expect(distance).toBeLessThan(0.028);
    },
  );

  it.each(reference.fp32_cosines)('puts texts as near to each other as fp32 does: %j', ({ a, b, cosine }) => {
    const found = dot(rows[texts.indexOf(a)] ?? [], rows[texts.indexOf(b)] ?? []);
    // Seen: at most .010.
    expect(Math.abs(found - cosine)).toBeLessThan(0.02);
  });

  it('gives the same vectors alone, in any company, in any order, at either scope; and the same bytes for the same call', async () => {
    const order = texts.map((_, index) => (index * 5) % texts.length);
    const shuffled = await embed(
      embedding,
      order.map((index) => texts[index] ?? ''),
    );
    order.forEach((index, place) => expect(dot(shuffled.rows[place] ?? [], rows[index] ?? [])).toBeGreaterThan(1 - 1e-5));
    for (const [index, text] of texts.slice(0, 4).entries()) {
      expect(dot((await embed(embedding, [text])).rows[0] ?? [], rows[index] ?? [])).toBeGreaterThan(1 - 1e-5);
      expect(dot((await embed(embedding, [text], 'query')).rows[0] ?? [], rows[index] ?? [])).toBeGreaterThan(1 - 1e-5);
    }
    const [once, twice] = (await embed(embedding, [texts[0] ?? '', texts[0] ?? ''])).rows;
    expect(twice).toEqual(once);
    expect((await embed(embedding, texts)).rows).toEqual(rows);
  });

  it('leaves rows without text absent, at both scopes', async () => {
    for (const scope of ['item', 'query'] as const) {
      const { presence, rows: found } = await embed(embedding, [null, 'red mug', '', '  \n', '\u0000', 'red mug'], scope);
      expect(presence).toEqual([0, 1, 0, 0, 0, 1]);
      for (const row of [0, 2, 3, 4]) expect(found[row]?.every((value) => value === 0)).toBe(true);
    }
    expect((await embed(embedding, [])).presence).toEqual([]);
  });

  it('joins fields of any accepted type and passes over missing ones', async () => {
    const columns: Column[] = [
      textColumn(['HAND WARMER', null, 'MUG']),
      { type: 'category', codes: Int32Array.of(0, 1, -1), categories: ['Winter', 'Kitchen'] },
      { type: 'list', offsets: Int32Array.of(0, 2, 2, 2), codes: Int32Array.of(1, 0), categories: ['red', 'wool'] },
    ];
    const { rows: joined } = await embedColumns(embedding, columns, 3);
    const { rows: written } = await embed(embedding, ['HAND WARMER. Winter. wool, red', 'Kitchen', 'MUG']);
    expect(joined).toEqual(written);
  });

  it('puts prefixes before queries and items, each its own', async () => {
    const prefixed = await open({ queryPrefix: 'query: ', itemPrefix: 'passage: ', storeEmbeddings: false });
    const [asQuery, asItem] = [(await embed(prefixed, ['red mug'], 'query')).rows[0], (await embed(prefixed, ['red mug'])).rows[0]];
    const plain = await embed(embedding, ['query: red mug', 'passage: red mug']);
    expect([asQuery, asItem]).toEqual(plain.rows);
    await prefixed.dispose();
  });

  it('honours pooling, normalisation and maxTokens', async () => {
    const raw = await open({ normalize: false, storeEmbeddings: false });
    const cls = await open({ pooling: 'cls', storeEmbeddings: false });
    const short = await open({ maxTokens: 4, storeEmbeddings: false });
    const [unscaled] = (await embed(raw, ['hello world'])).rows;
    const length = Math.hypot(...(unscaled ?? []));
    expect(Math.abs(length - 1)).toBeGreaterThan(0.1);
    expect(dot(unscaled ?? [], rows[0] ?? []) / length).toBeCloseTo(1, 6);
    expect(dot((await embed(cls, ['hello world'])).rows[0] ?? [], rows[0] ?? [])).toBeLessThan(0.99);
    expect((await embed(short, ['hello world and more'])).rows[0]).toEqual(rows[0]);
    for (const opened of [raw, cls, short]) await opened.dispose();
  });
});

// Issue 5 §10, the rows of texts.
describe('texts nobody expected', () => {
  let embedding: BertEmbedding;
  const warnings: Warning[] = [];
  beforeAll(async () => {
    embedding = await open({ storeEmbeddings: false }, { warnings });
  });
  afterAll(async () => {
    expect(warnings).toEqual([]);
    await embedding.dispose();
  });
  const one = async (text: string, scope: ExtractBatch['scope'] = 'item'): Promise<readonly number[]> => {
    const { rows, presence } = await embed(embedding, [text], scope);
    expect(presence).toEqual([1]);
    const [row = []] = rows;
    expect(dot(row, row)).toBeCloseTo(1, 5);
    return row;
  };

  it('a megabyte: cut to what the model takes, half an emoji or not, and never read to its end', async () => {
    const long = await one('the '.repeat(262_144));
    expect(long).toEqual(await one('the '.repeat(400)));
    expect(await one('🎁'.repeat(262_144))).toHaveLength(384);
    // One word of a million letters is one unknown token, as any word too long is.
    expect(await one('x'.repeat(1_000_000))).toEqual(await one('y'.repeat(1_000)));
    const whole = '好'.repeat(349_526);
    expect(new globalThis.TextEncoder().encode(whole).length).toBeGreaterThan(1_000_000);
    expect(await one(whole, 'query')).toEqual(await one('好'.repeat(300)));
  });

  it('empty, blank, or of control characters only: no embedding, at both scopes', async () => {
    for (const scope of ['item', 'query'] as const) {
      const texts = ['', ' \t\r\n', '\u0000\u0007\u001b', '\u200b\u2060\ufeff'];
      const { rows, presence } = await embed(embedding, texts, scope);
      expect(presence).toEqual([0, 0, 0, 0]);
      for (const row of rows) expect(row.every((value) => value === 0)).toBe(true);
    }
  });

  it('control characters within a text change nothing', async () => {
    const plain = await one('red mug');
    for (const text of ['red\u0000 mug', '\u0007red mug\u001b', 'red\tmug', 'red\r\nmug', 're\u200bd mug'])
      expect(await one(text), JSON.stringify(text)).toEqual(plain);
  });

  it('emoji, alone, joined and broken: an embedding; the words beside them still count', async () => {
    for (const text of ['🎁', '👩‍👩‍👧‍👦', '🇬🇧🇨🇳', '\ud83c mug', '\udf81 mug']) await one(text);
    // Half a character is none.
    expect((await embed(embedding, ['\ud83c'])).presence).toEqual([0]);
    const beside = await one('red mug 🎁');
    expect(dot(beside, await one('red mug'))).toBeGreaterThan(dot(beside, await one('blue sky')));
  });

  it('Chinese: an embedding; characters the vocabulary has are told apart', async () => {
    const [tea, tea2, horse] = [await one('中国'), await one(' 中 国 '), await one('日本')];
    // BERT's tokenizer sets every Chinese character apart, so that blanks between them mean nothing.
    expect(tea2).toEqual(tea);
    expect(dot(tea, horse)).toBeLessThan(0.99);
    expect(await one('红色的杯子', 'query')).toHaveLength(384);
  });
});

describe('calls', () => {
  it('of different queries at the same time share runs where their length allows it, and get what they get alone', async () => {
    const rows: number[] = [];
    const service = createInference({
      workers: 1,
      metrics: {
        count: () => {},
        observe: (name, value) => {
          if (name === 'recloom.inference.run.rows') rows.push(value);
        },
      },
    });
    const embedding = await open({ cacheSize: 0 }, { inference: service });
    const queries = ['red mug', 'blue mug', 'green tea', 'warm hat'];
    const alone: (readonly number[] | undefined)[] = [];
    for (const query of queries) alone.push((await embed(embedding, [query], 'query')).rows[0]);
    rows.length = 0;
    const together = await Promise.all(queries.map(async (query) => (await embed(embedding, [query], 'query')).rows[0]));
    expect(together).toHaveLength(4);
    for (const [place, row] of together.entries()) expect(dot(row ?? [], alone[place] ?? [])).toBeGreaterThan(1 - 1e-6);
    expect(rows).toEqual([4]);
    await embedding.dispose();
    await service.close();
  });

  it('for a whole catalogue keep several workers busy, and give the same bytes as one', async () => {
    const titles = Array.from({ length: 240 }, (_, index) => `mug number ${index}${' with a handle'.repeat(index % 5)}`);
    const results: unknown[] = [];
    for (const workers of [1, 2]) {
      const started: number[] = [];
      const service = createInference({
        workers,
        metrics: {
          count: () => {},
          observe: (name, value) => {
            if (name === 'recloom.inference.workers') started.push(value);
          },
        },
      });
      const embedding = await open({ storeEmbeddings: false }, { inference: service });
      results.push(await embed(embedding, titles));
      expect(started).toEqual(workers === 1 ? [1] : [1, 2]);
      await embedding.dispose();
      await service.close();
    }
    expect(results[1]).toEqual(results[0]);
  });

  it('name the model and what runs it', async () => {
    const embedding = await open();
    expect(embedding.models()).toEqual([{ file: 'model_quantized.onnx', sha256: expect.stringMatching(/^29033adb/), device: 'cpu' }]);
    await embedding.dispose();
  });

  it('encode one query once for all who ask at the same time, and remember it', async () => {
    const { counted, runs } = counting();
    const embedding = await open({}, { inference: counted });
    const before = runs();
    await Promise.all(Array.from({ length: 20 }, () => embed(embedding, ['red mug'], 'query')));
    expect(runs() - before).toBe(1);
    await embed(embedding, ['red mug', 'red mug', 'blue mug'], 'query');
    expect(runs() - before).toBe(2);
    const uncached = await open({ cacheSize: 0 }, { inference: counted });
    const start = runs();
    await embed(uncached, ['red mug'], 'query');
    await embed(uncached, ['red mug'], 'query');
    expect(runs() - start).toBe(2);
    await embedding.dispose();
    await uncached.dispose();
  });

  it('abort before and while encoding; nothing is written, and the next call works', async () => {
    const embedding = await open({ storeEmbeddings: false });
    await expect(embed(embedding, ['red mug'], 'item', AbortSignal.abort())).rejects.toMatchObject({ code: 'RECLOOM_RUN_ABORTED' });
    const many = Array.from({ length: 400 }, (_, index) => `red mug number ${index}`);
    const controller = new AbortController();
    const started = performance.now();
    const call = embed(embedding, many, 'item', controller.signal);
    setTimeout(() => controller.abort(), 30);
    await expect(call).rejects.toMatchObject({ code: 'RECLOOM_RUN_ABORTED' });
    const aborted = performance.now() - started;
    await embed(embedding, many.slice(0, 100));
    expect(aborted).toBeLessThan((performance.now() - started) / 2);
    await embedding.dispose();
    await expect(open({}, { signal: AbortSignal.abort() })).rejects.toMatchObject({ code: 'RECLOOM_RUN_ABORTED' });
  });

  it('a query does not wait for a catalogue that is being encoded', async () => {
    const embedding = await open({ storeEmbeddings: false });
    let finished = false;
    const build = embed(
      embedding,
      Array.from({ length: 400 }, (_, index) => `a rather long title of an item with the number ${index} and more words`),
    ).then(() => {
      finished = true;
    });
    await new Promise((resolve) => setTimeout(resolve, 50));
    await embed(embedding, ['red mug'], 'query');
    expect(finished).toBe(false);
    await build;
    await embedding.dispose();
  });

  it('try once more when a worker died, and only then', async () => {
    for (const [code, attempts] of [
      ['RECLOOM_RUN_WORKER_DIED', 2],
      ['RECLOOM_RUN_OVERLOADED', 1],
    ] as const) {
      let calls = 0;
      const failing: Inference = {
        load: async (request) => {
          const session = await inference.load(request);
          let probed = false;
          return {
            ...facade(session),
            run: (feeds, options) => {
              if (!probed) {
                probed = true;
                return session.run(feeds, options);
              }
              calls++;
              return Promise.reject(Object.assign(new Error('down'), { code, [Symbol.for('recloom.error')]: true }));
            },
          };
        },
      };
      const embedding = await open({}, { inference: failing });
      await expect(embed(embedding, ['red mug'])).rejects.toMatchObject({ code });
      expect(calls).toBe(attempts);
      await embedding.dispose();
    }
  });
});

describe('the store between builds', () => {
  const catalogue = Array.from({ length: 60 }, (_, index) => `mug number ${index}`);

  it('saves encoding what has not changed, and gives the same bytes', async () => {
    const { counted, runs } = counting();
    const store = createMemoryKeyValueStore();
    const first = await open({}, { inference: counted, store });
    const fresh = await embed(first, catalogue);
    await first.dispose();
    const second = await open({}, { inference: counted, store });
    const before = runs();
    expect(await embed(second, catalogue)).toEqual(fresh);
    expect(runs() - before).toBe(0);
    const changed = [...catalogue.slice(0, 59), 'a new mug'];
    const mixed = await embed(second, changed);
    expect(runs() - before).toBe(1);
    expect(mixed.rows.slice(0, 59)).toEqual(fresh.rows.slice(0, 59));
    await second.dispose();
    // Other options are other embeddings.
    const other = await open({ pooling: 'cls' }, { inference: counted, store });
    const start = runs();
    await embed(other, catalogue);
    expect(runs() - start).toBeGreaterThan(0);
    await other.dispose();
  });

  it('can be switched off, and is left alone by single items', async () => {
    let touched = 0;
    const store: KeyValueStore = {
      get: async () => {
        touched++;
        return undefined;
      },
      set: async () => {
        touched++;
      },
    };
    const off = await open({ storeEmbeddings: false }, { store });
    await embed(off, catalogue);
    await off.dispose();
    const on = await open({}, { store });
    await embed(on, catalogue.slice(0, 3));
    await on.dispose();
    expect(touched).toBe(0);
  });

  it('that fails costs time, never a build', async () => {
    const warnings: Warning[] = [];
    const store: KeyValueStore = { get: () => Promise.reject(new Error('no')), set: () => Promise.reject(new Error('no')) };
    const embedding = await open({}, { store, warnings });
    expect((await embed(embedding, catalogue)).presence.every((mark) => mark === 1)).toBe(true);
    await embedding.dispose();
    expect(warnings.map((warning) => warning.code)).toEqual(['TEXT_BERT_STORE', 'TEXT_BERT_STORE']);
  });
});

describe('models that do not fit are refused when they are opened', () => {
  const int64 = (name: string): InferenceTensorInfo => ({ name, type: 'int64', dims: ['batch', 'sequence'] });
  const inputs = [int64('input_ids'), int64('attention_mask'), int64('token_type_ids')];
  const hiddenInfo: InferenceTensorInfo = { name: 'last_hidden_state', type: 'float32', dims: ['batch', 'sequence', 384] };
  const hidden = (dims: number[], fill = 1): InferenceTensor => ({
    type: 'float32',
    dims,
    data: new Float32Array(dims.reduce((product, size) => product * size, 1)).fill(fill),
  });

  function fake(session: Partial<InferenceSession>): Inference & { readonly closed: () => boolean } {
    let closed = false;
    return {
      closed: () => closed,
      load: async () => ({
        inputs,
        outputs: [hiddenInfo],
        provider: 'cpu',
        warnings: [],
        run: async () => ({ last_hidden_state: hidden([1, 3, 384]) }),
        close: async () => {
          closed = true;
        },
        ...session,
      }),
    };
  }

  const cases: readonly [string, Partial<InferenceSession>, string][] = [
    ['no token output', { outputs: [{ name: 'logits', type: 'float32', dims: ['batch', 2] }] }, 'TEXT_BERT_GRAPH'],
    ['no input_ids', { inputs: [int64('attention_mask')] }, 'TEXT_BERT_GRAPH'],
    ['an input no text has', { inputs: [...inputs, { name: 'pixel_values', type: 'float32', dims: [1, 3, 8, 8] }] }, 'TEXT_BERT_GRAPH'],
    [
      'an input of another type',
      { inputs: [inputs[0] as InferenceTensorInfo, { ...int64('attention_mask'), type: 'float32' }] },
      'TEXT_BERT_GRAPH',
    ],
    ['a pooled output', { run: async () => ({ last_hidden_state: hidden([1, 384]) }) }, 'TEXT_BERT_GRAPH'],
    ['another width', { run: async () => ({ last_hidden_state: hidden([1, 3, 96]) }) }, 'TEXT_BERT_WIDTH'],
  ];
  it.each(cases)('%s', async (_, session, code) => {
    const broken = fake(session);
    await expect(open({}, { inference: broken })).rejects.toMatchObject({ code });
    expect(broken.closed()).toBe(true);
  });

  it('more tokens than the model takes, a file elsewhere, a file that is missing, a wrong hash', async () => {
    await expect(open({ maxTokens: 513 })).rejects.toMatchObject({ code: 'TEXT_BERT_MAX_TOKENS' });
    await expect(open({ file: '../../../etc/passwd' })).rejects.toMatchObject({ code: 'RECLOOM_DAT_MODEL_INVALID' });
    await expect(open({ dtype: 'fp32' })).rejects.toMatchObject({ code: 'RECLOOM_DAT_MODEL_MISSING' });
    await expect(open({ sha256: 'ab'.repeat(32) })).rejects.toMatchObject({ code: 'RECLOOM_DAT_MODEL_INVALID' });
  });

  it('a tokenizer of another model', async () => {
    await symlink(join(model, 'onnx'), join(folder, 'onnx'));
    await symlink(join(model, 'tokenizer.json'), join(folder, 'tokenizer.json'));
    await writeFile(join(folder, 'config.json'), '{"vocab_size":1000}');
    await expect(open({ model: folder })).rejects.toMatchObject({ code: 'TEXT_BERT_TOKENIZER' });
    await writeFile(join(folder, 'config.json'), 'no JSON');
    await expect(open({ model: folder })).rejects.toMatchObject({ code: 'RECLOOM_DAT_MODEL_INVALID' });
  });

  it('finds the default model beside the plugin when the host does not', async () => {
    const nowhere: ModelFiles = {
      resolve: () =>
        Promise.reject(Object.assign(new Error('nowhere'), { code: 'RECLOOM_DAT_MODEL_MISSING', [Symbol.for('recloom.error')]: true })),
    };
    const embedding = await open({}, { modelFiles: nowhere });
    expect(embedding.width).toBe(384);
    await embedding.dispose();
    await expect(open({ model: 'other' }, { modelFiles: nowhere })).rejects.toMatchObject({ code: 'RECLOOM_DAT_MODEL_MISSING' });
  });

  it('numbers that are not finite: absent rows and one warning', async () => {
    const warnings: Warning[] = [];
    const embedding = await open(
      {},
      {
        inference: fake({ run: async (feeds) => ({ last_hidden_state: hidden([...(feeds['input_ids']?.dims ?? []), 384], Number.NaN) }) }),
        warnings,
      },
    );
    expect((await embed(embedding, ['a', 'b c d'])).presence).toEqual([0, 0]);
    expect(warnings.map((warning) => warning.code)).toEqual(['TEXT_BERT_NOT_FINITE']);
    await embedding.dispose();
    await embedding.dispose();
  });

  it('graphs that do not quantise while they run take batches of equal length; int32 inputs and positions are filled', async () => {
    const seen: Record<string, readonly number[]>[] = [];
    const batching = fake({
      inputs: ['input_ids', 'attention_mask', 'position_ids'].map((name) => ({ name, type: 'int32', dims: ['batch', 'sequence'] })),
      batchDependent: false,
      run: async (feeds) => {
        seen.push(Object.fromEntries(Object.entries(feeds).map(([name, feed]) => [name, [...(feed.data as Int32Array)]])));
        return { last_hidden_state: hidden([...(feeds['input_ids']?.dims ?? []), 384]) };
      },
    });
    const embedding = await open({ batchTokens: 8 }, { inference: batching });
    seen.length = 0;
    await embed(embedding, ['hello world', 'world', 'world hello', 'hello']);
    // From reference.json: hello 7592, world 2088.
    expect(seen.map((feeds) => feeds['input_ids'])).toEqual([
      [101, 2088, 102, 101, 7592, 102],
      [101, 7592, 2088, 102, 101, 2088, 7592, 102],
    ]);
    expect(seen[0]?.['attention_mask']).toEqual([1, 1, 1, 1, 1, 1]);
    expect(seen[0]?.['position_ids']).toEqual([0, 1, 2, 0, 1, 2]);
  });
});

/** The real service, counting runs. */
function counting(): { readonly counted: Inference; readonly runs: () => number } {
  let runs = 0;
  return {
    runs: () => runs,
    counted: {
      load: async (request, signal) => {
        const session = await inference.load(request, signal);
        return {
          ...facade(session),
          run: (feeds, options) => {
            runs++;
            return session.run(feeds, options);
          },
        };
      },
    },
  };
}

/** A session as plain properties, to be overridden. */
function facade(session: InferenceSession): InferenceSession {
  const { inputs, outputs, provider, warnings, sha256 = createHash('sha256').digest('hex'), batchDependent = false } = session;
  return {
    inputs,
    outputs,
    provider,
    warnings,
    sha256,
    batchDependent,
    run: (feeds, options) => session.run(feeds, options),
    close: () => session.close(),
  };
}
