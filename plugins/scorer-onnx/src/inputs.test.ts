import { createKernels } from '@recloom/kernels';
import {
  booleanColumn,
  candidateBatch,
  categoryColumn,
  featureMatrix,
  historyViewFrom,
  numberColumn,
  simpleExpressions,
  tableFrom,
  textColumn,
} from '@recloom/testing';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { sliceBatch, stretchesOf } from './batch-slices.js';
import { categoryInput, Vocabulary } from './category-input.js';
import { columnsInput } from './columns-input.js';
import { embeddingInput, queryEmbeddingInput } from './embedding-inputs.js';
import { historyEmbeddingInput, historyIdsInput, historyMaskInput, historyNumberInput } from './history-inputs.js';
import { Arena, ArenaPool, type InputFiller } from './input-filler.js';
import { writeIntegers } from './integers.js';

const items = tableFrom(['a', 'b', 'c', 'd'], {
  price: numberColumn([1, 2.5, null, 40]),
  sold: booleanColumn([true, false, null, true]),
  kind: categoryColumn(['mug', 'cup', null, 'mug']),
  title: textColumn(['x', 'y', 'z', null]),
});

function fill(filler: InputFiller, batch: ReturnType<typeof candidateBatch>): { dims: readonly number[]; values: number[]; type: string } {
  const { dims, data, type } = filler.fill(batch, new Arena());
  return { dims, type, values: Array.from(data as ArrayLike<number | bigint>, Number) };
}

const kernels = createKernels();

describe('columnsInput', () => {
  const open = (texts: readonly string[], missing: number, rank: 1 | 2 = 2): InputFiller =>
    columnsInput({ input: 'x', texts, missing, rank, place: (index) => `column ${index}` }, simpleExpressions(items), items, kernels);

  it('columns as they lie, computed ones and truth values, side by side; by hand', () => {
    const batch = candidateBatch({
      rows: [[0, 1, 2]],
      requests: [{ context: { hour: 9 } }],
      sources: { s: [5, null, 4] },
      columns: { 'score.h': [0.5, Number.NaN, 2] },
    });
    const texts = [
      'item.price',
      'source.s.score',
      'source.s.rank',
      'score.h',
      'item.sold',
      'item.price > 2',
      'request.hour + 1',
      'feature.gone',
    ];
    const filler = open(texts, -1);
    expect(filler.reads).toEqual(['item.price', 'source.s.score', 'source.s.rank', 'score.h', 'item.sold', 'request.hour', 'feature.gone']);
    const { dims, values } = fill(filler, batch);
    expect(dims).toEqual([3, 8]);
    expect(values.slice(0, 8)).toEqual([1, 5, 1, 0.5, 1, 0, 10, -1]);
    // The stand-in for CEL calls the rank of what was not proposed null.
    expect(values.slice(8, 16)).toEqual([2.5, -1, -1, -1, 0, 1, 10, -1]);
    expect(values.slice(16)).toEqual([-1, 4, 2, 2, -1, 0, 10, -1]);
  });

  it('missing values may stay so, and one column may be a vector', () => {
    const { dims, values } = fill(open(['item.price'], Number.NaN, 1), candidateBatch({ rows: [[2, 3]] }));
    expect(dims).toEqual([2]);
    expect(values).toEqual([Number.NaN, 40]);
  });

  it('as columns: those of the pipeline where they lie, the others in the arena, gaps as they are', () => {
    const batch = candidateBatch({ rows: [[2, 0, 9]], columns: { 'score.h': [0.5, Number.NaN, 2] } });
    const { values, missing } = open(['score.h', 'item.price', 'item.price + 1', 'feature.gone'], -1).columns?.(batch, new Arena()) ?? {};
    expect(missing).toBe(-1);
    expect(values?.map((column) => [...column])).toEqual([
      [0.5, Number.NaN, 2],
      [Number.NaN, 1, Number.NaN],
      [Number.NaN, 2, Number.NaN],
      [Number.NaN, Number.NaN, Number.NaN],
    ]);
    expect(values?.[0]?.buffer).toBe(batch.column('score.h')?.buffer);
  });

  it('into memory that is given away, where there is such', () => {
    const memory = new ArrayBuffer(4096);
    const arena = new Arena(() => memory);
    const tensor = open(['item.price', 'item.price'], 0).fill(candidateBatch({ rows: [[0, 1]] }), arena);
    expect(tensor.data.buffer).toBe(memory);
    expect([...(tensor.data as Float32Array)]).toEqual([1, 1, 2.5, 2.5]);
    expect(arena.isOutgoing(tensor)).toBe(true);
    arena.reset();
    expect(arena.isOutgoing(tensor)).toBe(false);
  });

  it('rows past what an item column holds are missing', () => {
    expect(fill(open(['item.price'], 7), candidateBatch({ rows: [[9]] })).values).toEqual([7]);
    // In every place of a group of four, and after the last one.
    expect(fill(open(['item.price'], 7), candidateBatch({ rows: [[9, 0, 1, 8, 3, 2, 0, 1, 1, 9]] })).values).toEqual([
      7, 1, 2.5, 7, 40, 7, 1, 2.5, 2.5, 7,
    ]);
  });

  it('names the column that is wrong', () => {
    expect(() => open(['item.price', 'item.prize'], 0)).toThrow(/^column 1: The expression is wrong/);
  });
});

describe('categoryInput', () => {
  const open = (source: string, type: 'int64' | 'int32' = 'int64', rank: 1 | 2 = 1, table = items): InputFiller =>
    categoryInput(
      { input: 'k', source, vocabulary: new Vocabulary(['mug', 'cup', 'b', 'France', '7', 'true', 'y'], 9), type, rank, place: 'k' },
      table,
    );
  const rows = candidateBatch({
    rows: [
      [0, 1, 2],
      [3, 8],
    ],
    requests: [{ context: { country: 'France', size: 7 } }, { userFields: { country: 'cup' } }],
  });

  it('items: 1 + the place in the vocabulary, or `unknown`', () => {
    expect(fill(open('item.kind'), rows)).toEqual({ type: 'int64', dims: [5], values: [1, 2, 9, 1, 9] });
    expect(fill(open('item.id', 'int32', 2), rows)).toEqual({ type: 'int32', dims: [5, 1], values: [9, 3, 9, 9, 9] });
    expect(fill(open('item.sold'), rows).values).toEqual([6, 9, 9, 6, 9]);
    expect(fill(open('item.title'), rows).values).toEqual([9, 7, 9, 9, 9]);
  });

  it('requests and users: the same for every candidate of a request, unknown where it is not said or not granted', () => {
    expect(fill(open('request.country'), rows).values).toEqual([4, 4, 4, 9, 9]);
    expect(fill(open('request.size'), rows).values).toEqual([5, 5, 5, 9, 9]);
    expect(fill(open('request.toString'), rows).values).toEqual([9, 9, 9, 9, 9]);
    expect(fill(open('user.country'), rows).values).toEqual([9, 9, 9, 2, 2]);
    const refused = candidateBatch({ rows: [[0]], requests: [{ userFields: { country: 'cup' }, grants: ['history'] }] });
    expect(fill(open('user.country'), refused).values).toEqual([9]);
  });

  it('sees what changed in the catalogue', () => {
    let table = tableFrom(['a'], { kind: categoryColumn(['mug']) }, 1);
    const live = {
      ...items,
      get version() {
        return table.version;
      },
      get rowCount() {
        return table.rowCount;
      },
      fields: ['kind'],
      column: () => table.column('kind'),
    } as typeof items;
    const filler = open('item.kind', 'int64', 1, live);
    const batch = candidateBatch({ rows: [[0]] });
    expect(fill(filler, batch).values).toEqual([1]);
    table = tableFrom(['a', 'b'], { kind: categoryColumn(['cup', 'mug']) }, 2);
    expect(fill(filler, batch).values).toEqual([2]);
    expect(fill(filler, candidateBatch({ rows: [[1, 0]] })).values).toEqual([1, 2]);
  });
});

describe('writeIntegers', () => {
  it('keeps signs and places', () => {
    const buffer = new BigInt64Array(4).fill(77n);
    expect([...writeIntegers(Int32Array.of(3, -1, 2 ** 31 - 1), buffer.subarray(1))]).toEqual([3n, -1n, 2147483647n]);
    expect(buffer[0]).toBe(77n);
  });
});

describe('embeddings', () => {
  const text = featureMatrix('text', 2, [1, 2, 3, 4, 5, 6], [1, 0, 1]);

  it('the vector of each candidate, zeros for a missing one and for a new item', () => {
    const { dims, values } = fill(embeddingInput('v', text), candidateBatch({ rows: [[2, 1, 0, 3]] }));
    expect(dims).toEqual([4, 2]);
    expect(values).toEqual([5, 6, 0, 0, 1, 2, 0, 0]);
  });

  it('leaves nothing of the run before in its buffer', () => {
    const arena = new Arena();
    const filler = embeddingInput('v', text);
    filler.fill(candidateBatch({ rows: [[0, 2]] }), arena);
    arena.reset();
    expect([...(filler.fill(candidateBatch({ rows: [[1, 1]] }), arena).data as Float32Array)]).toEqual([0, 0, 0, 0]);
  });

  it("the request's vector, zeros without one", () => {
    const filler = queryEmbeddingInput('q', text);
    const batch = candidateBatch({ rows: [[0], [1]], requests: [{ queryVectors: { text: [7, 8] } }, {}] });
    expect(fill(filler, sliceBatch(batch, 0, 1))).toMatchObject({ dims: [1, 2], values: [7, 8] });
    expect(fill(filler, sliceBatch(batch, 1, 2))).toMatchObject({ dims: [1, 2], values: [0, 0] });
  });
});

describe('histories', () => {
  const asOfMs = Date.UTC(2026, 5, 30);
  const event = (item: number, ageDays: number, weight = 1): { item: number; type: string; timeMs: number; weight: number } => ({
    item,
    type: 'view',
    timeMs: asOfMs - ageDays * 86_400_000,
    weight,
  });
  const batch = candidateBatch({
    rows: [[0]],
    requests: [{ history: historyViewFrom([event(0, 9, 2), event(3, 4, 5), event(1, 0.5), event(1, -2, 3)]), asOfMs }],
  });
  const guest = candidateBatch({ rows: [[0]], requests: [{ asOfMs }] });
  const vocabulary = new Vocabulary(['a', 'b', 'c'], 9);

  it('newest last, cut at the front', () => {
    expect(fill(historyIdsInput('h', 3, 'int64', vocabulary, items), batch)).toEqual({ type: 'int64', dims: [1, 3], values: [9, 2, 2] });
    expect(fill(historyNumberInput('h', 3, 'ageDays'), batch).values).toEqual([4, 0.5, 0]);
    expect(fill(historyNumberInput('h', 3, 'weight'), batch).values).toEqual([5, 1, 3]);
    expect(fill(historyMaskInput('h', 3, 'float32'), batch).values).toEqual([1, 1, 1]);
  });

  it('padded with 0 at the front', () => {
    expect(fill(historyIdsInput('h', 6, 'int32', vocabulary, items), batch)).toEqual({
      type: 'int32',
      dims: [1, 6],
      values: [0, 0, 1, 9, 2, 2],
    });
    expect(fill(historyNumberInput('h', 6, 'ageDays'), batch).values).toEqual([0, 0, 9, 4, 0.5, 0]);
    expect(fill(historyMaskInput('h', 6, 'bool'), batch)).toEqual({ type: 'bool', dims: [1, 6], values: [0, 0, 1, 1, 1, 1] });
    const text = featureMatrix('text', 2, [1, 2, 3, 4, 5, 6, 7, 8], [1, 1, 1, 0]);
    expect(fill(historyEmbeddingInput('h', 5, text), batch)).toEqual({
      type: 'float32',
      dims: [1, 5, 2],
      values: [0, 0, 1, 2, 0, 0, 3, 4, 3, 4],
    });
  });

  it('all padding for a guest', () => {
    expect(fill(historyIdsInput('h', 2, 'int64', vocabulary, items), guest).values).toEqual([0, 0]);
    expect(fill(historyNumberInput('h', 2, 'ageDays'), guest).values).toEqual([0, 0]);
    expect(fill(historyMaskInput('h', 2, 'float32'), guest).values).toEqual([0, 0]);
  });
});

describe('stretchesOf', () => {
  it('covers every candidate once, within its bounds', () => {
    fc.assert(
      fc.property(
        fc.array(fc.integer({ min: 0, max: 9 }), { maxLength: 12 }),
        fc.integer({ min: 1, max: 20 }),
        fc.integer({ min: 1, max: 5 }),
        (sizes, mostRows, mostRequests) => {
          const batch = candidateBatch({ rows: sizes.map((size) => Array.from({ length: size }, (_, row) => row)) });
          const covered: number[] = [];
          for (const { first, end, from } of stretchesOf(batch, mostRows, mostRequests)) {
            const part = sliceBatch(batch, first, end);
            expect(part.count).toBeGreaterThan(0);
            expect(end - first).toBeLessThanOrEqual(mostRequests);
            if (end - first > 1) expect(part.count).toBeLessThanOrEqual(mostRows);
            expect(part.offsets.at(-1)).toBe(part.count);
            for (let place = 0; place < part.count; place++) covered.push(from + place);
          }
          expect(covered).toEqual(Array.from({ length: batch.count }, (_, place) => place));
        },
      ),
    );
  });
});

describe('ArenaPool', () => {
  it('gives each holder an arena alone, and the same memory to the next', () => {
    const pool = new ArenaPool();
    const [one, other] = [pool.take(), pool.take()];
    expect(one).not.toBe(other);
    const first = one.floats(100);
    const second = one.floats(100);
    expect(first.buffer).not.toBe(second.buffer);
    pool.give(one);
    expect(pool.take().floats(90).buffer).toBe(first.buffer);
  });
});
