import { describe, expect, it } from 'vitest';
import { datasetFromArrays } from '../data/dataset-from-arrays.js';
import { openPipeline } from '../open-pipeline.js';
import { type FeatureBehaviour, featurePlugin, rowsOf } from './feature-plugin.test-support.js';
import { Pipeline } from './pipeline.js';

const dataset = () =>
  datasetFromArrays({
    items: [
      { id: 'a', title: 'a', photo: 'aaaa' },
      { id: 'b', title: 'bbb', photo: null },
      { id: 'c', title: null, photo: 'cc' },
      { id: 'd', title: null, photo: null },
    ],
    events: [{ user: 'u', item: 'a', timeMs: Date.UTC(2024, 0, 1) }],
    types: { items: { title: 'text', photo: 'image' } },
  });

const components = {
  text: { use: 'features/words', in: { text: 'item.title' } },
  image: { use: 'features/picture', in: { image: 'item.photo' } },
  both: { use: 'features/fused', in: { vectors: ['text', 'image'] } },
  frozen: { use: 'features/known', in: { vectors: ['text'] } },
  near: { use: 'features/compare', in: { vectors: 'both' } },
  old: { use: 'features/compare', in: { vectors: 'frozen' } },
};

async function open(behaviour: FeatureBehaviour, surface: Record<string, unknown> = { sources: ['near'] }): Promise<Pipeline> {
  return openPipeline(
    { format: '1.0', name: 'unit', data: {}, components, surfaces: { search: surface } },
    { plugins: [featurePlugin(behaviour)], dataset: dataset() },
  );
}

const matrix = (pipeline: Pipeline, name: string) => {
  const found = pipeline.engine.features.get(name);
  if (found === undefined) throw new Error(name);
  return rowsOf(found);
};
const queryCalls = (behaviour: FeatureBehaviour) =>
  behaviour.calls.filter(({ batch }) => batch.scope === 'query').map(({ name, batch }) => ({ name, batch }));

describe('features of features', () => {
  it('gives an extractor the item vectors of its inputs, in the order of the config', async () => {
    const behaviour: FeatureBehaviour = { calls: [] };
    const pipeline = await open(behaviour);
    const call = behaviour.calls.find(({ name, batch }) => name === 'both' && batch.scope === 'item');
    expect(call?.batch.columns).toEqual({});
    expect(call?.batch.features?.['vectors']?.map(({ name, width }) => [name, width])).toEqual([
      ['text', 2],
      ['image', 2],
    ]);
    expect(call?.batch.features?.['vectors']?.map(rowsOf)).toEqual([
      [[1, 1], [3, 1], null, null],
      [[0, 4], null, [0, 2], null],
    ]);
    expect(matrix(pipeline, 'both')).toEqual([[1, 5], [3, 1], [0, 2], null]);
    await pipeline.close();
  });

  it('hands pictures in an image column, never in a text column', async () => {
    const behaviour: FeatureBehaviour = { calls: [] };
    const pipeline = await open(behaviour);
    await pipeline.upsertItems([{ id: 'e', photo: 'eeeee' }]);
    const calls = behaviour.calls.filter(({ name }) => name === 'image').map(({ batch }) => batch.columns['image']?.[0]);
    expect(calls).toEqual([
      { type: 'image', values: ['aaaa', null, 'cc', null] },
      { type: 'image', values: ['eeeee'] },
    ]);
    await pipeline.close();
  });

  it('keeps a picture that a host hands in as a data URI', async () => {
    const behaviour: FeatureBehaviour = { calls: [] };
    const pipeline = await open(behaviour);
    await pipeline.upsertItems([{ id: 'e', photo: Uint8Array.of(102, 111, 111) }]);
    expect(behaviour.calls.at(-2)?.batch.columns['image']).toEqual([
      { type: 'image', values: ['data:application/octet-stream;base64,Zm9v'] },
    ]);
    expect(pipeline.item('e')?.['photo']).toBe('data:application/octet-stream;base64,Zm9v');
    await expect(pipeline.upsertItems([{ id: 'e', title: Uint8Array.of(1) }])).rejects.toMatchObject({
      code: 'RECLOOM_RUN_REQUEST',
      message: expect.stringContaining('"title" must be a text or null, not bytes'),
    });
    await pipeline.close();
  });

  it('works out what a new item needs, inputs first, and leaves what cannot do new items', async () => {
    const behaviour: FeatureBehaviour = { calls: [] };
    const pipeline = await open(behaviour, { sources: ['near', 'old'] });
    behaviour.calls.length = 0;
    await pipeline.upsertItems([{ id: 'new', title: 'long title', photo: 'eeeee' }]);
    expect(behaviour.calls.map(({ name }) => name)).toEqual(['text', 'image', 'both']);
    expect(matrix(pipeline, 'both')[4]).toEqual([10, 6]);
    expect(matrix(pipeline, 'frozen')).toHaveLength(4);
    const answer = await pipeline.search({ text: 'ab', limit: 2 });
    expect(answer.items.map((item) => item.id)).toEqual(['new', 'a']);
    await pipeline.close();
  });

  it('works out only what a change touches', async () => {
    const behaviour: FeatureBehaviour = { calls: [] };
    const pipeline = await open(behaviour);
    behaviour.calls.length = 0;
    await pipeline.upsertItems([{ id: 'b', photo: 'bbbbbb' }]);
    expect(behaviour.calls.map(({ name, batch }) => [name, ...batch.rows])).toEqual([
      ['image', 1],
      ['both', 1],
    ]);
    expect(matrix(pipeline, 'both')[1]).toEqual([3, 7]);
    await pipeline.close();
  });

  it('keeps the features of the later of two changes that overlap', async () => {
    const behaviour: FeatureBehaviour = { calls: [] };
    const pipeline = await open(behaviour);
    let first = true;
    behaviour.words = async (batch, out) => {
      // The first call takes longer than the second would.
      await new Promise((resolve) => setTimeout(resolve, first ? 30 : 0));
      first = false;
      const column = batch.columns['text']?.[0];
      const text = column?.type === 'text' ? (column.values[0] ?? '') : '';
      out.presence[0] = 1;
      out.values.set([text.length, 1]);
    };
    await Promise.all([pipeline.upsertItems([{ id: 'b', title: 'old' }]), pipeline.upsertItems([{ id: 'b', title: 'newer' }])]);
    expect(matrix(pipeline, 'text')[1]).toEqual([5, 1]);
    expect(matrix(pipeline, 'both')[1]).toEqual([5, 1]);
    await pipeline.close();
  });

  it('gives a change that a reload overtakes to the new engine as well', async () => {
    const behaviour: FeatureBehaviour = { calls: [] };
    const [old, fresh] = [await open(behaviour), await open(behaviour)];
    const seen: number[] = [];
    const pipeline = new Pipeline({
      engine: old.engine,
      store: undefined,
      close: () => old.close(),
      reopen: async (log) => {
        seen.push(log.items.length);
        await new Promise((resolve) => setTimeout(resolve, 60));
        return fresh.engine;
      },
    });
    behaviour.words = async (batch, out) => {
      await new Promise((resolve) => setTimeout(resolve, 20));
      const column = batch.columns['text']?.[0];
      out.presence[0] = 1;
      out.values.set([column?.type === 'text' ? (column.values[0] ?? '').length : 0, 1]);
    };
    const changed = pipeline.upsertItems([{ id: 'new', title: 'brandnew' }]);
    const reloaded = pipeline.reload();
    await Promise.all([changed, reloaded]);
    expect(seen, 'the reload began before the change was done').toEqual([0]);
    expect(pipeline.engine).toBe(fresh.engine);
    expect(pipeline.item('new')).toMatchObject({ title: 'brandnew' });
    expect(matrix(pipeline, 'text')[4]).toEqual([8, 1]);
    await pipeline.close();
  });

  it('keeps no number of a row that is absent or not finite', async () => {
    const behaviour: FeatureBehaviour = { calls: [] };
    behaviour.words = (batch, out) => {
      for (let row = 0; row < batch.count; row++) {
        out.presence[row] = row === 1 ? 0 : 1;
        out.values.set([row === 2 ? Number.NaN : 7, 7], row * 2);
      }
    };
    const pipeline = await open(behaviour);
    expect(matrix(pipeline, 'text')).toEqual([[7, 7], null, null, [7, 7]]);
    expect(Array.from(pipeline.engine.features.get('text')?.values ?? [])).toEqual([7, 7, 0, 0, 0, 0, 7, 7]);
    expect(pipeline.warnings).toMatchObject([{ code: 'RECLOOM_LAW_NON_FINITE', count: 1, at: { node: 'text' } }]);
    await pipeline.close();
  });

  it('stamps what an extractor throws on a changed item', async () => {
    const behaviour: FeatureBehaviour = { calls: [] };
    const pipeline = await open(behaviour);
    behaviour.words = () => {
      throw new TypeError('private');
    };
    await expect(pipeline.upsertItems([{ id: 'b', title: 'x' }])).rejects.toMatchObject({
      code: 'RECLOOM_PLG_COMPONENT_FAILED',
      at: { node: 'text', component: 'features/words' },
    });
    // The next change is not held up by the failed one.
    delete behaviour.words;
    await pipeline.upsertItems([{ id: 'b', title: 'xy' }]);
    expect(matrix(pipeline, 'text')[1]).toEqual([2, 1]);
    await pipeline.close();
  });
});

describe('query vectors', () => {
  it('asks what a fused feature is made of, and it with their vectors', async () => {
    const behaviour: FeatureBehaviour = { calls: [] };
    const pipeline = await open(behaviour);
    const bytes = Uint8Array.of(1, 2, 3);
    const answer = await pipeline.search({ text: 'four', image: bytes, limit: 1 });
    const calls = queryCalls(behaviour);
    expect(calls.map(({ name }) => name)).toEqual(['text', 'image', 'both']);
    expect(calls[0]?.batch.columns['text']).toEqual([{ type: 'text', values: ['four'] }]);
    // Bytes stand in the request alone.
    expect(calls[1]?.batch.columns['image']).toEqual([{ type: 'image', values: [null] }]);
    expect(calls[1]?.batch.requests?.[0]?.image).toBe(bytes);
    expect(calls[2]?.batch.features?.['vectors']?.map(rowsOf)).toEqual([[[4, 1]], [[0, 3]]]);
    // (4, 4) · (1, 5) = 24.
    expect(answer.items.map((item) => item.id)).toEqual(['a']);
    expect((await pipeline.search({ text: 'four', image: bytes, explain: true, limit: 1 })).items[0]?.explanation?.sources[0]?.score).toBe(
      24,
    );
    await pipeline.close();
  });

  it('hands the weights of words and picture to the extractors', async () => {
    const behaviour: FeatureBehaviour = { calls: [] };
    const pipeline = await open(behaviour);
    await pipeline.search({ text: 'x', image: 'y', queryWeights: { text: 0.75, image: 0.25 } });
    await pipeline.search({ text: 'x' });
    expect(queryCalls(behaviour).map(({ name, batch }) => [name, batch.requests?.[0]?.queryWeights])).toEqual([
      ['text', { text: 0.75, image: 0.25 }],
      ['image', { text: 0.75, image: 0.25 }],
      ['both', { text: 0.75, image: 0.25 }],
      ['text', undefined],
      ['both', undefined],
    ]);
    await expect(pipeline.search({ text: 'x', queryWeights: { text: 0, image: 0 } })).rejects.toMatchObject({
      code: 'RECLOOM_RUN_REQUEST',
    });
    await pipeline.close();
  });

  it('asks only what the request brings something for', async () => {
    const behaviour: FeatureBehaviour = { calls: [] };
    const pipeline = await open(behaviour);
    await pipeline.search({ image: 'ref', limit: 1 });
    const calls = queryCalls(behaviour);
    expect(calls.map(({ name }) => name)).toEqual(['image', 'both']);
    expect(calls[0]?.batch.columns['image']).toEqual([{ type: 'image', values: ['ref'] }]);
    expect(calls[1]?.batch.features?.['vectors']?.map(rowsOf)).toEqual([[null], [[0, 3]]]);
    behaviour.calls.length = 0;
    await pipeline.search({ user: 'u', limit: 1 });
    expect(queryCalls(behaviour)).toEqual([]);
    await pipeline.close();
  });

  it('asks each once for a batch, with the requests that bring something', async () => {
    const behaviour: FeatureBehaviour = { calls: [] };
    const pipeline = await open(behaviour);
    const ids: string[][] = [];
    for await (const { answer } of pipeline.recommendMany([{ text: 'x' }, { image: 'yy' }, { text: 'zz' }])) {
      ids.push(answer?.items.map((item) => item.id) ?? []);
    }
    // Requests that bring other things are of another group: both words together, the picture by itself.
    expect(queryCalls(behaviour).map(({ name, batch }) => [name, batch.count])).toEqual([
      ['text', 2],
      ['both', 2],
      ['image', 1],
      ['both', 1],
    ]);
    expect(ids).toEqual([
      ['a', 'b', 'c'],
      ['a', 'c', 'b'],
      // (2, 1) · (1, 5) = (2, 1) · (3, 1) = 7: ties by row.
      ['a', 'b', 'c'],
    ]);
    await pipeline.close();
  });

  it('goes on without the vector of an extractor that fails or is late, and says so', async () => {
    const behaviour: FeatureBehaviour = { calls: [] };
    const pipeline = await open(behaviour, { sources: ['near'], limits: { timeoutMs: 60 } });
    behaviour.words = () => Promise.reject(new Error('private'));
    const failed = await pipeline.search({ text: 'x', image: 'yy', limit: 1 });
    expect(failed.warnings.map(({ code, at }) => [code, at?.node])).toContainEqual(['RECLOOM_RUN_NODE_FAILED', 'text']);
    expect(failed.items.map((item) => item.id)).toEqual(['a']);
    let aborted: AbortSignal | undefined;
    behaviour.words = (batch) => {
      aborted = batch.signal;
      return new Promise(() => undefined);
    };
    const late = await pipeline.search({ text: 'x', limit: 1 });
    expect(late.warnings.map(({ code, at }) => [code, at?.node])).toContainEqual(['RECLOOM_RUN_TIMEOUT', 'text']);
    expect(aborted?.aborted).toBe(true);
    await pipeline.close();
  });

  it('marks a query vector that is not finite as missing', async () => {
    const behaviour: FeatureBehaviour = { calls: [] };
    const pipeline = await open(behaviour);
    behaviour.words = (_batch, out) => {
      out.presence[0] = 1;
      out.values[0] = Number.POSITIVE_INFINITY;
    };
    const answer = await pipeline.search({ text: 'x', limit: 1 });
    expect(answer.items).toEqual([]);
    expect(answer.warnings).toContainEqual(expect.objectContaining({ code: 'RECLOOM_LAW_NON_FINITE', at: { node: 'text' } }));
    await pipeline.close();
  });
});

describe('warnings of an extractor about one search', () => {
  it('stand in the answer of that search alone', async () => {
    const behaviour: FeatureBehaviour = { calls: [] };
    behaviour.words = (batch) => {
      batch.requests?.forEach(({ text }, index) => {
        if (text === 'odd') batch.warn?.(index, { code: 'SAMPLE_ODD', message: 'The words are odd.', count: 2 });
      });
    };
    const pipeline = await open(behaviour);
    const texts = [undefined, 'plain', 'odd', 'plain'];
    const found: (readonly unknown[])[] = [];
    const requests = texts.map((text) => ({ surface: 'search', ...(text === undefined ? { image: Uint8Array.of(1) } : { text }) }));
    for await (const result of pipeline.recommendMany(requests, { batch: 4 })) {
      if (result.error !== undefined) throw result.error;
      found.push(result.answer.warnings.filter(({ code }) => code === 'SAMPLE_ODD'));
    }
    expect(found).toEqual([[], [], [{ code: 'SAMPLE_ODD', message: 'The words are odd.', count: 2, at: { node: 'text' } }], []]);
    await pipeline.close();
  });
});
