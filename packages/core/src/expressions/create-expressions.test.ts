import { Environment } from '@marcbachmann/cel-js';
import {
  type CandidateBatch,
  type Column,
  type ContextValue,
  columnValue,
  isRecloomError,
  type RecloomError,
  type RequestView,
  type Table,
} from '@recloom/plugin-api';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { createExpressions, type ExpressionSchema } from './create-expressions.js';

/** A table that a test can change like the overlay does. */
class TestTable implements Table {
  readonly columns: Record<string, Column>;
  rowCount: number;
  version = 1;
  constructor(rowCount: number, columns: Record<string, Column>) {
    this.rowCount = rowCount;
    this.columns = columns;
  }
  get fields(): readonly string[] {
    return Object.keys(this.columns);
  }
  idOf(row: number): string {
    return `item-${row}`;
  }
  rowOf(id: string): number {
    return Number(id.slice(5));
  }
  column(field: string): Column | undefined {
    return Object.hasOwn(this.columns, field) ? this.columns[field] : undefined;
  }
}

function shop(): TestTable {
  return new TestTable(4, {
    price: { type: 'number', values: Float64Array.of(1, Number.NaN, 3, 4) },
    stock: { type: 'number', values: Float64Array.of(0, 5, 10, 2.5) },
    category: { type: 'category', codes: Int32Array.of(0, 1, -1, 0), categories: ['mugs', 'lamps'] },
    title: { type: 'text', values: ['Red Mug', null, 'blue mug', '𝄞é'] },
    fresh: { type: 'boolean', values: Uint8Array.of(0, 1, 255, 1) },
    tags: { type: 'list', offsets: Int32Array.of(0, 2, 2, 3, 3), codes: Int32Array.of(0, 1, 1), categories: ['sale', 'new'] },
    photo: { type: 'image', values: ['a.png', null, 'b.png', 'c.jpg'] },
    'unit price': { type: 'number', values: Float64Array.of(1, 2, 3, 4) },
  });
}

const schemaOf = (items: Table): ExpressionSchema => ({
  items,
  sources: ['alike', 'recent'],
  scores: ['click', 'habits'],
  features: ['degree'],
});

function request(context: Record<string, ContextValue> = {}, fields: Partial<RequestView> = {}): RequestView {
  return { index: 0, context, asOfMs: Date.UTC(2011, 11, 4, 17, 30), limit: 10, text: undefined, ...fields } as RequestView;
}

interface BatchSpec {
  readonly rows: readonly (readonly number[])[];
  readonly requests?: readonly RequestView[];
  readonly columns?: Readonly<Record<string, readonly number[]>>;
  readonly sources?: Readonly<Record<string, { readonly scores: readonly number[]; readonly ranks: readonly number[] }>>;
}

function batchOf({ rows, requests, columns = {}, sources = {} }: BatchSpec): CandidateBatch {
  const offsets = new Int32Array(rows.length + 1);
  for (const [index, list] of rows.entries()) offsets[index + 1] = (offsets[index] as number) + list.length;
  return {
    requests: requests ?? rows.map(() => request()),
    count: offsets[rows.length] as number,
    offsets,
    rows: Int32Array.from(rows.flat()),
    sources: Object.entries(sources).map(([name, { scores, ranks }]) => ({
      name,
      scores: Float32Array.from(scores),
      ranks: Int32Array.from(ranks),
    })),
    column: (name) => (columns[name] === undefined ? undefined : Float32Array.from(columns[name])),
  };
}

function evaluate(text: string, spec: BatchSpec, result: 'number' | 'boolean' = 'number', items: Table = shop()): number[] {
  const batch = batchOf(spec);
  const out = new Float32Array(batch.count);
  createExpressions(schemaOf(items)).compile(text, result).evaluate(batch, out);
  return [...out];
}

const items = (text: string, result: 'number' | 'boolean' = 'boolean') => {
  const out = new Float32Array(4);
  createExpressions(schemaOf(shop())).compile(text, result).evaluateItems(out);
  return [...out];
};

const none = Number.NaN;

describe('columns and null rules, worked out by hand over four items', () => {
  // price 1 null 3 4 · stock 0 5 10 2.5 · category mugs lamps null mugs · title "Red Mug" null "blue mug" "𝄞é"
  // fresh false true null true · tags [sale,new] [] [new] []
  it.each<[string, number[]]>([
    ['item.price > 2', [0, 0, 1, 1]],
    ['item.price <= 3', [1, 0, 1, 0]],
    ['item.price == null', [0, 1, 0, 0]],
    ['null != item.price', [1, 0, 1, 1]],
    ['has(item.price)', [1, 0, 1, 1]],
    ['item.price != 1', [0, 1, 1, 1]],
    ['item.price == item.price', [1, 0, 1, 1]],
    ['item.price in [1, 4.0]', [1, 0, 0, 1]],
    ['item.price in [item.stock, 3]', [0, 0, 1, 0]],
    ['item.category == "mugs"', [1, 0, 0, 1]],
    ['item.category != "mugs"', [0, 1, 1, 0]],
    ['"mugs" == item.category', [1, 0, 0, 1]],
    ['item.category in ["lamps", "chairs"]', [0, 1, 0, 0]],
    ['item.category == null', [0, 0, 1, 0]],
    ['item.category < "mugs"', [0, 1, 0, 0]],
    ['item.category == "chairs"', [0, 0, 0, 0]],
    ['item.category.startsWith("mu")', [1, 0, 0, 1]],
    ['item.category.upperAscii() == "MUGS"', [1, 0, 0, 1]],
    ['item.title.contains("u")', [1, 0, 1, 0]],
    ['item.title.lowerAscii().endsWith("mug")', [1, 0, 1, 0]],
    ['item.title.contains("")', [1, 0, 1, 1]],
    ['item.title == item.category', [0, 0, 0, 0]],
    ['item.title != item.title', [0, 1, 0, 0]],
    ['size(item.title) == 2', [0, 0, 0, 1]],
    ['item.title.size() > 7', [0, 0, 1, 0]],
    ['item.photo.endsWith(".png")', [1, 0, 1, 0]],
    ['item.id == "item-2"', [0, 0, 1, 0]],
    ['item.fresh', [0, 1, none, 1]],
    ['!item.fresh', [1, 0, 1, 0]],
    ['item.fresh == false', [1, 0, 0, 0]],
    ['item.fresh != true', [1, 0, 1, 0]],
    ['item.fresh == null', [0, 0, 1, 0]],
    ['item.fresh && item.stock > 3', [0, 1, 0, 0]],
    ['item.fresh || item.stock > 3', [0, 1, 1, 1]],
    ['coalesce(item.fresh, true)', [0, 1, 1, 1]],
    ['"new" in item.tags', [1, 0, 1, 0]],
    ['"none" in item.tags', [0, 0, 0, 0]],
    ['item.category in item.tags', [0, 0, 0, 0]],
    ['!("sale" in item.tags)', [0, 1, 1, 1]],
    ['item.tags == null', [0, 1, 0, 1]],
    ['has(item.tags)', [1, 0, 1, 0]],
    ['size(item.tags) == 2', [1, 0, 0, 0]],
    ['item["unit price"] >= 3', [0, 0, 1, 1]],
    ['item.fresh ? item.price > 3 : item.stock > 5', [0, 0, 1, 1]],
    ['(item.fresh ? "a" : "b") == "b"', [1, 0, 1, 0]],
    ['coalesce(item.title, "none") == "none"', [0, 1, 0, 0]],
    ['1 / 2 == 0.5', [1, 1, 1, 1]],
    ['item.price in []', [0, 0, 0, 0]],
    ['null == null', [1, 1, 1, 1]],
  ])('%s', (text, expected) => {
    expect(items(text)).toEqual(expected);
  });

  it.each<[string, number[]]>([
    ['item.price * 2 + 1', [3, none, 7, 9]],
    ['2 * item.price - item.stock / 4', [2, none, 3.5, 7.375]],
    ['-item.stock % 3', [-0, -2, -1, -2.5]],
    ['coalesce(item.price, item.stock, 1)', [1, 5, 3, 4]],
    ['clamp(item.stock, 1, 5)', [1, 5, 5, 2.5]],
    ['min(item.price, item.stock, 2)', [0, none, 2, 2]],
    ['max(item.price, item.stock)', [1, none, 10, 4]],
    ['pow(item.stock, 2)', [0, 25, 100, 6.25]],
    ['abs(0 - item.stock)', [0, 5, 10, 2.5]],
    ['floor(item.stock) + ceil(item.stock) + round(item.stock)', [0, 15, 30, 8]],
    ['log(exp(1)) + sqrt(item.stock * 10)', [1, Math.fround(1 + Math.sqrt(50)), 11, 6]],
    ['size(item.tags)', [2, 0, 1, 0]],
    ['item.fresh ? 1 : size(item.tags)', [2, 1, 1, 1]],
    ['double(3)', [3, 3, 3, 3]],
    ['item.stock / 0', [none, Infinity, Infinity, Infinity]],
  ])('%s', (text, expected) => {
    expect(items(text, 'number')).toEqual(expected);
  });
});

describe('columns of a batch', () => {
  const spec: BatchSpec = {
    rows: [
      [0, 2],
      [3, 1, 0],
    ],
    requests: [
      request({ country: 'DE', boost: 2, vip: true, tags: 'new' }),
      request({ country: 'mugs', boost: '2' }, { limit: 5, text: 'mug', asOfMs: Date.UTC(2011, 11, 5, 0, 0) }),
    ],
    columns: { 'score.click': [0.5, none, -1, 0, 2], 'feature.degree': [1, 2, 3, 4, 5] },
    sources: { alike: { scores: [0.25, none, 1, none, 3], ranks: [2, 0, 1, 0, 7] } },
  };
  it.each<[string, 'number' | 'boolean', number[]]>([
    ['score.click + feature.degree', 'number', [1.5, none, 2, 4, 7]],
    ['source.alike.score', 'number', [0.25, none, 1, none, 3]],
    ['source.alike.rank', 'number', [2, none, 1, none, 7]],
    ['has(source.alike.rank)', 'boolean', [1, 0, 1, 0, 1]],
    ['source.recent.score', 'number', [none, none, none, none, none]],
    ['coalesce(1.0 / (60 + source.alike.rank), 0)', 'number', [1 / 62, 0, 1 / 61, 0, 1 / 67].map(Math.fround)],
    ['score.habits', 'number', [none, none, none, none, none]],
    ['request.country == "DE"', 'boolean', [1, 1, 0, 0, 0]],
    ['request.country in ["FR", "mugs"]', 'boolean', [0, 0, 1, 1, 1]],
    ['item.category == request.country', 'boolean', [0, 0, 1, 0, 1]],
    ['request.tags in item.tags', 'boolean', [1, 1, 0, 0, 0]],
    ['item.title.contains(request.text)', 'boolean', [0, 0, 0, 0, 0]],
    ['item.title.lowerAscii().contains(request.text)', 'boolean', [0, 0, 0, 0, 1]],
    ['1.0 + 0.5 * request.boost', 'number', [2, 2, none, none, none]],
    ['1.0 + 0.5 * coalesce(request.boost, 0)', 'number', [2, 2, 1, 1, 1]],
    ['request.vip ? 1 : 2', 'number', [1, 1, 2, 2, 2]],
    ['has(request.vip)', 'boolean', [1, 1, 0, 0, 0]],
    ['request.country in [request.none, request.country]', 'boolean', [1, 1, 1, 1, 1]],
    ['request.none in [request.none]', 'boolean', [0, 0, 0, 0, 0]],
    ['request.country >= request.country', 'boolean', [1, 1, 1, 1, 1]],
    ['request.boost < request.country', 'boolean', [0, 0, 1, 1, 1]],
    ['request.none == null', 'boolean', [1, 1, 1, 1, 1]],
    ['request.boost == request.boost', 'boolean', [1, 1, 1, 1, 1]],
    ['request.none == request.none', 'boolean', [0, 0, 0, 0, 0]],
    ['request.toString == null', 'boolean', [1, 1, 1, 1, 1]],
    ['request.limit + request.hour / 100 + request.weekday / 10', 'number', [10.87, 10.87, 5.1, 5.1, 5.1].map(Math.fround)],
    ['request.asOfMs - 1323000000000 > 19800000', 'boolean', [0, 0, 1, 1, 1]],
    ['(request.vip ? request.country : request.none) == "DE"', 'boolean', [1, 1, 0, 0, 0]],
    ['coalesce(request.none, request.country) == "DE"', 'boolean', [1, 1, 0, 0, 0]],
  ])('%s', (text, result, expected) => {
    expect(evaluate(text, spec, result)).toEqual(expected);
  });

  it('lists what it reads, sorted, and knows what needs no request', () => {
    const expressions = createExpressions(schemaOf(shop()));
    const of = (text: string, result: 'number' | 'boolean') => {
      const { reads, itemsOnly, source, resultType } = expressions.compile(text, result);
      return { reads, itemsOnly, source, resultType };
    };
    const text = 'item.price > 1 && score.click + source.alike.rank > request.boost && item.price < 5';
    expect(of(text, 'boolean')).toEqual({
      reads: ['item.price', 'request.boost', 'score.click', 'source.alike.rank'],
      itemsOnly: false,
      source: text,
      resultType: 'boolean',
    });
    expect(of('item.price * 2', 'number').itemsOnly).toBe(true);
    expect(of('true', 'boolean')).toMatchObject({ reads: [], itemsOnly: true });
    // The rank of a price depends on who else is there.
    expect(of('rank(item.price)', 'number')).toMatchObject({ reads: ['item.price'], itemsOnly: false });
    expect(() => expressions.compile('score.click', 'number').evaluateItems(new Float32Array(4))).toThrow(/depends on the request/);
  });

  it('keeps what it has compiled, apart for each result type, and forgets the oldest', () => {
    const expressions = createExpressions(schemaOf(shop()));
    const first = expressions.compile('request.x', 'number');
    expect(expressions.compile('request.x', 'number')).toBe(first);
    expect(expressions.compile('request.x', 'boolean').resultType).toBe('boolean');
    for (let index = 0; index < 300; index++) expressions.compile(`${index}`, 'number');
    expect(expressions.compile('request.x', 'number')).not.toBe(first);
  });

  it('types of context keys can be declared', () => {
    const expressions = createExpressions({ ...schemaOf(shop()), requestFields: { boost: 'number' } });
    expect(() => expressions.compile('request.boost == "a"', 'boolean')).toThrow(/a number cannot be compared with a text/);
  });
});

describe('normalisers', () => {
  const column = (values: readonly (readonly number[])[]): BatchSpec => ({
    rows: values.map((list) => list.map((_, index) => index % 4)),
    columns: { 'score.click': values.flat() },
  });
  // Worked out by hand. rank: values not greater / n. zscore of 1 2 3: mean 2, deviation √(2/3).
  const unit = Math.fround(1 / Math.sqrt(2 / 3));
  it.each<[string, number[][], number[]]>([
    ['rank(score.click)', [[10, 30, 20, 40]], [0.25, 0.75, 0.5, 1]],
    ['rank(score.click)', [[5, 5, 1, 9]], [0.75, 0.75, 0.25, 1]],
    ['rank(score.click)', [[none, 2, none, 1]], [0, 1, 0, 0.5]],
    ['rank(score.click)', [[none, none]], [0, 0]],
    ['rank(score.click)', [[Infinity, 0, -Infinity, -0]], [1, 0.75, 0.25, 0.75]],
    ['rank(score.click)', [[3, 1], [], [1, 2, 3]], [1, 0.5, 1 / 3, 2 / 3, 1].map(Math.fround)],
    ['minmax(score.click)', [[10, 30, 20, none]], [0, 1, 0.5, 0]],
    ['minmax(score.click)', [[7, 7, none]], [1, 1, 0]],
    ['minmax(score.click)', [[1, 3, Infinity, -Infinity]], [0, 1, 1, 0]],
    ['minmax(score.click)', [[none, none]], [0, 0]],
    ['zscore(score.click)', [[1, 2, 3]], [-unit, 0, unit]],
    ['zscore(score.click)', [[1, none, 2, 3]], [-unit, -unit, 0, unit]],
    ['zscore(score.click)', [[4, 4, none]], [0, 0, 0]],
    ['zscore(score.click)', [[none]], [0]],
    ['0.5 * rank(score.click) + 0.5 * rank(0 - score.click)', [[1, 2]], [0.75, 0.75]],
    [
      'rank(minmax(score.click) * 2)',
      [
        [1, 2],
        [9, 8],
      ],
      [0.5, 1, 1, 0.5],
    ],
  ])('%s of %j', (text, values, expected) => {
    expect(evaluate(text, column(values))).toEqual(expected);
  });

  const values = fc.array(
    fc.array(fc.oneof({ weight: 5, arbitrary: fc.integer({ min: -5, max: 5 }) }, fc.constant(none), fc.float({ noNaN: true })), {
      maxLength: 12,
    }),
    {
      minLength: 1,
      maxLength: 4,
    },
  );

  it('rank is the definition, counted naively within each request', () => {
    fc.assert(
      fc.property(values, (lists) => {
        const expected = lists.flatMap((list) => {
          const floats = list.map(Math.fround);
          const known = floats.filter((value) => !Number.isNaN(value));
          return floats.map((value) =>
            Number.isNaN(value) ? 0 : Math.fround(known.filter((other) => other <= value).length / known.length),
          );
        });
        expect(evaluate('rank(score.click)', column(lists))).toEqual(expected);
      }),
    );
  });

  it('zscore has mean 0 and deviation 1 over what is there; minmax spans [0, 1]; both keep the order and put the missing last', () => {
    const finite = fc.array(fc.oneof({ weight: 4, arbitrary: fc.float({ noNaN: true, noDefaultInfinity: true }) }, fc.constant(none)), {
      minLength: 1,
      maxLength: 20,
    });
    fc.assert(
      fc.property(finite, (list) => {
        for (const name of ['zscore', 'minmax', 'rank']) {
          const out = evaluate(`${name}(score.click)`, column([list]));
          const present = out.filter((_, index) => !Number.isNaN(list[index]));
          expect(out.every(Number.isFinite)).toBe(true);
          for (const [index, value] of list.entries()) {
            for (const [other, compared] of list.entries()) {
              if (value > compared) expect(out[index]).toBeGreaterThanOrEqual(out[other] as number);
              if (Number.isNaN(value)) expect(out[index]).toBeLessThanOrEqual(out[other] as number);
            }
          }
          if (name === 'zscore' && new Set(present).size > 1) {
            const mean = present.reduce((sum, value) => sum + value / present.length, 0);
            const variance = present.reduce((sum, value) => sum + (value - mean) ** 2 / present.length, 0);
            expect(Math.abs(mean)).toBeLessThan(1e-5);
            expect(Math.abs(variance - 1)).toBeLessThan(1e-4);
          }
          if (name === 'minmax' && present.length > 0) expect(Math.max(...present)).toBe(1);
        }
      }),
    );
  });
});

describe('the live table', () => {
  it('sees rows, categories and dictionaries that the overlay adds', () => {
    const table = shop();
    const categories = ['mugs', 'lamps'];
    const set = (codes: number[], dictionary: readonly string[]) => {
      table.columns.category = { type: 'category', codes: Int32Array.from(codes), categories: dictionary };
      table.rowCount = codes.length;
      table.version++;
    };
    set([0, 1], categories);
    const expression = createExpressions(schemaOf(table)).compile('item.category == "chairs"', 'boolean');
    const read = () => {
      const out = new Float32Array(table.rowCount);
      expression.evaluateItems(out);
      return [...out];
    };
    expect(read()).toEqual([0, 0]);
    categories.push('chairs');
    set([0, 1, 2], categories);
    expect(read()).toEqual([0, 0, 1]);
    set([0, 1], ['chairs', 'mugs']);
    expect(read()).toEqual([1, 0]);
    table.columns.category = { type: 'text', values: ['chairs'] };
    table.version++;
    expect(read()).toEqual([0, 0]);
    delete table.columns.category;
    expect(read()).toEqual([0, 0]);
  });

  it('reads rows beyond a column as null', () => {
    const table = shop();
    table.rowCount = 6;
    for (const text of ['item.price', 'item.stock']) expect(evaluate(text, { rows: [[5, 0]] }, 'number', table)[0]).toBeNaN();
    expect(
      evaluate(
        'item.title == null && item.category == null && item.fresh == null && item.tags == null',
        { rows: [[4, 5]] },
        'boolean',
        table,
      ),
    ).toEqual([1, 1]);
    expect(evaluate('"new" in item.tags || item.category == "mugs"', { rows: [[4, 5]] }, 'boolean', table)).toEqual([0, 0]);
  });

  it('evaluates a catalogue of any size like a batch of all its rows', () => {
    for (const count of [0, 1, 4095, 4096, 4097, 10_000]) {
      const values = Float64Array.from({ length: count }, (_, row) => (row % 7 === 0 ? none : row));
      const table = new TestTable(count, { price: { type: 'number', values } });
      const expression = createExpressions(schemaOf(table)).compile('coalesce(item.price, -1) * 2', 'number');
      const out = new Float32Array(count);
      expression.evaluateItems(out);
      const batch = batchOf({ rows: [Array.from({ length: count }, (_, row) => row)] });
      const expected = new Float32Array(count);
      expression.evaluate(batch, expected);
      expect(out).toEqual(expected);
      if (count > 10) expect([out[0], out[1], out.at(-1)]).toEqual([-2, 2, ((count - 1) % 7 === 0 ? -1 : count - 1) * 2]);
    }
  });

  it('leaves the batch alone', () => {
    const click = Float32Array.of(1, 2);
    const batch = { ...batchOf({ rows: [[0, 1]] }), column: () => click };
    createExpressions(schemaOf(shop())).compile('rank(-score.click * 2)', 'number').evaluate(batch, new Float32Array(2));
    expect([...click]).toEqual([1, 2]);
    expect([...batch.rows]).toEqual([0, 1]);
  });
});

describe('what is refused, with the place and advice', () => {
  function refusal(text: string, result: 'number' | 'boolean' = 'boolean'): RecloomError {
    try {
      createExpressions(schemaOf(shop())).compile(text, result);
    } catch (error) {
      if (isRecloomError(error)) return error;
      throw error;
    }
    throw new Error(`expected ${text.slice(0, 80)} to be refused`);
  }
  // `¶` marks the place the message must name.
  it.each<[string, string]>([
    ['¶item.pric > 2', 'there is no column "item.pric"; did you mean "item.price"?'],
    ['item.price > 2 && ¶score.clik > 1', 'there is no column "score.clik"; did you mean "score.click"?'],
    ['¶score.recent > 1', 'there is no column "score.recent"; did you mean "source.recent.score"?'],
    ['¶feature.nothing > 1', 'there is no column "feature.nothing"; known: degree'],
    ['¶scores.click > 1', 'there is no "scores"; did you mean "score.click"?'],
    ['¶price > 2', 'there is no "price"; did you mean "item.price"?'],
    ['¶item == 2', '"item" needs a name after it, such as item.price'],
    ['¶source.alike > 1', 'write source.alike.score or source.alike.rank'],
    ['¶source.alike.scor > 1', 'write source.alike.score or source.alike.rank, not "scor"'],
    ['¶item.price.x > 1', '"item.price" has no parts'],
    ['¶item.price', 'the result must be true or false, but it is a number'],
    ['¶item.price == "a"', 'a number cannot be compared with a text'],
    ['¶item.price > null', 'null has no order; use "== null" or "!= null"'],
    ['¶item.tags == "sale"', 'lists cannot be compared with "=="; write "x" in item.<list>'],
    ['¶item.title + "a" == "b"', 'texts cannot be joined with "+"'],
    ['¶score.click && item.fresh', 'the left of "&&" must be true or false, but it is a number'],
    ['item.fresh > true', 'true and false have no order'],
    ['(item.fresh ? 1 : ¶"a") == 1', 'both sides of ":" must be of one type: this must be a number, but it is a text'],
    ['item.price in [1, ¶"a"]', 'an element of the list must be a number, but it is a text'],
    ['item.price in ¶item.stock', 'the right of "in" must be a list, but it is a number'],
    ['¶rnk(score.click) > 1', 'there is no function rnk(); did you mean rank()?'],
    ['¶contains(item.title, "a")', 'there is no function contains(); write it after the text: item.title.contains(…)'],
    ['¶rank(score.click, 2) > 1', 'rank() takes 1 argument, not 2'],
    ['rank(¶item.title) > 1', 'the argument of rank() must be a number, but it is a text'],
    ['min(1, ¶item.title) > 1', 'argument 2 of min() must be a number, but it is a text'],
    ['has(¶item)', 'has() takes one column, such as has(item.price)'],
    ['¶item.price.contains("a")', 'what stands before .contains() must be a text, but it is a number'],
    ['¶item.title.matches("a")', 'matches() is not supported'],
    ['¶item.tags.exists(t, t == "sale")', 'exists() is not supported; ask for one value with "x" in item.<list>'],
    ['¶item.title.contain("a")', 'there is no method contain(); did you mean contains()?'],
    ['item.price[¶0] > 1', 'only a name in quotes may stand in [ ]'],
    ['¶{"a": 1} == 1', 'mappings and this kind of access are not supported'],
    ['¶5u > 1', 'bytes and unsigned numbers are not supported'],
    ['item.price ¶= 2', 'a single "=" is no operator'],
    ['item.price > 2 ¶& item.fresh', 'write "&&" for "and"'],
    ['item.fresh ¶| item.fresh', 'write "||" for "or"'],
    ['item.price > ¶', 'it ends too early'],
    ['(item.price > 2¶', 'expected ")", got the end'],
    ['item.title == ¶"abc', 'unterminated string'],
    ['¶', 'it is empty'],
    ['item.fresh &&\n  ¶item.stok > 2', 'there is no column "item.stok"'],
  ])('%s', (marked, message) => {
    const offset = marked.indexOf('¶');
    const error = refusal(marked.replace('¶', ''));
    expect(error.code).toBe('RECLOOM_CFG_EXPRESSION');
    expect(error.message).toContain(message);
    if (offset < 0) return;
    expect((error.cause as { offset?: number }).offset).toBe(offset);
    const column = offset - marked.lastIndexOf('\n', offset);
    expect(error.message).toContain(marked.includes('\n') ? `(at line 2, column ${column})` : `(at column ${column})`);
  });

  it.each([
    ['1 MB', 'a'.repeat(1_000_000)],
    ['a long sum', `${'1+'.repeat(1500)}1 > 0`],
    ['deep brackets', `${'('.repeat(2000)}1${')'.repeat(2000)} > 0`],
    ['a row of !', `${'!'.repeat(4000)}true`],
    ['a row of -', `1 > ${'-'.repeat(4000)}1`],
    ['deep lists', `${'['.repeat(2000)}`],
    ['a long list', `item.price in [${Array(1500).fill('1').join(',')}]`],
    ['many arguments', `min(${Array(40).fill('1').join(',')}) > 0`],
    ['nested choices', `${'true ? '.repeat(600)}1`],
  ])('refuses %s with the coded error, quickly', (_, text) => {
    const started = performance.now();
    expect(refusal(text).code).toBe('RECLOOM_CFG_EXPRESSION');
    expect(performance.now() - started).toBeLessThan(5000);
  });

  it('throws nothing but the coded error for any text', () => {
    const expressions = createExpressions(schemaOf(shop()));
    const token = fc.constantFrom(
      'item',
      '.',
      'price',
      'title',
      'tags',
      'score',
      'click',
      '(',
      ')',
      '[',
      ']',
      '{',
      '}',
      '"a"',
      "'",
      '1',
      '2.5',
      '+',
      '-',
      '*',
      '/',
      '%',
      '<',
      '==',
      '!=',
      '!',
      '&&',
      '||',
      '?',
      ':',
      ',',
      'in',
      'has',
      'rank',
      'size',
      'null',
      'true',
      'request',
      'x',
      '__proto__',
      'constructor',
    );
    fc.assert(
      fc.property(fc.array(token, { maxLength: 12 }), (tokens) => {
        try {
          expressions.compile(tokens.join(' ').replaceAll(' . ', '.'), 'boolean');
        } catch (error) {
          expect(isRecloomError(error) && error.code).toBe('RECLOOM_CFG_EXPRESSION');
        }
      }),
      { numRuns: 2000 },
    );
  });
});

/** cel-js itself, with the functions and mixed operators that the documentation adds, evaluating row by row. */
function referenceEnvironment(): Environment {
  const environment = new Environment({ unlistedVariablesAreDyn: false });
  const arithmetic: Record<string, (left: number, right: number) => number> = {
    '+': (left, right) => left + right,
    '-': (left, right) => left - right,
    '*': (left, right) => left * right,
    '/': (left, right) => left / right,
    '%': (left, right) => left % right,
  };
  for (const [operator, apply] of Object.entries(arithmetic)) {
    environment.registerOperator(`int ${operator} double: double`, (left: bigint, right: number) => apply(Number(left), right));
    environment.registerOperator(`double ${operator} int: double`, (left: number, right: bigint) => apply(left, Number(right)));
  }
  environment.registerOperator('double % double: double', (left: number, right: number) => left % right);
  for (const name of ['abs', 'ceil', 'exp', 'floor', 'log', 'sqrt'] as const)
    environment.registerFunction(`${name}(double): double`, Math[name]);
  for (const name of ['max', 'min', 'pow'] as const) environment.registerFunction(`${name}(double, double): double`, Math[name]);
  const fields = { price: 'double', stock: 'double', category: 'string', title: 'string', fresh: 'bool', tags: 'list<string>' };
  environment.registerVariable('item', { schema: fields });
  environment.registerVariable('score', { schema: { click: 'double', habits: 'double' } });
  environment.registerVariable('request', { schema: { boost: 'double', country: 'string', vip: 'bool' } });
  return environment;
}

describe('against cel-js, row by row', () => {
  const words = ['mugs', 'lamps', 'mu', 's', 'Mugs', ''];
  // Rows without null, where CEL defines everything; a null number is NaN for both.
  const number = fc.oneof(fc.integer({ min: -4, max: 4 }), fc.double({ min: -100, max: 100, noNaN: true }), fc.constant(none));
  const row = fc.record({
    price: number,
    stock: number,
    category: fc.constantFrom(...words),
    title: fc.constantFrom(...words),
    fresh: fc.boolean(),
    tags: fc.uniqueArray(fc.constantFrom(...words), { maxLength: 3 }),
  });
  const context = fc.record({ boost: fc.double({ min: -3, max: 3, noNaN: true }), country: fc.constantFrom(...words), vip: fc.boolean() });

  const literal = fc.oneof(
    fc.integer({ min: -3, max: 9 }).map((value) => `${value.toFixed(1)}`),
    fc.constantFrom('0.5', '2.25', '1e2'),
  );
  const whole = fc.integer({ min: 1, max: 9 }).map(String);
  const numberColumn = fc.constantFrom('item.price', 'item.stock', 'score.click', 'score.habits', 'request.boost');
  const textColumn = fc.constantFrom('item.category', 'item.title', 'request.country');
  const word = fc.constantFrom(...words).map((text) => JSON.stringify(text));
  const generated = fc.letrec<{ number: string; text: string; boolean: string }>((tie) => ({
    number: fc.oneof(
      { maxDepth: 4, depthIdentifier: 'expression' },
      numberColumn,
      literal,
      fc
        .tuple(whole, fc.constantFrom('+', '-', '*', '/', '%'), numberColumn)
        .map(([left, operator, right]) => `(${left} ${operator} ${right})`),
      fc
        .tuple(numberColumn, fc.constantFrom('+', '-', '*', '/', '%'), whole)
        .map(([left, operator, right]) => `(${left} ${operator} ${right})`),
      fc
        .tuple(tie('number'), fc.constantFrom('+', '-', '*', '/', '%'), tie('number'))
        .map(([left, operator, right]) => `(${left} ${operator} ${right})`),
      fc
        .tuple(fc.constantFrom('abs', 'ceil', 'exp', 'floor', 'log', 'sqrt'), tie('number'))
        .map(([name, argument]) => `${name}(${argument})`),
      fc
        .tuple(fc.constantFrom('max', 'min', 'pow'), tie('number'), tie('number'))
        .map(([name, left, right]) => `${name}(${left}, ${right})`),
      fc.tuple(tie('boolean'), tie('number'), tie('number')).map(([condition, left, right]) => `(${condition} ? ${left} : ${right})`),
      tie('number').map((operand) => `-(${operand})`),
    ),
    text: fc.oneof(
      { maxDepth: 3, depthIdentifier: 'expression' },
      textColumn,
      word,
      fc.tuple(tie('text'), fc.constantFrom('lowerAscii', 'upperAscii', 'trim')).map(([text, name]) => `${text}.${name}()`),
      fc.tuple(tie('boolean'), tie('text'), tie('text')).map(([condition, left, right]) => `(${condition} ? ${left} : ${right})`),
    ),
    boolean: fc.oneof(
      { maxDepth: 4, depthIdentifier: 'expression' },
      fc.constantFrom('item.fresh', 'request.vip', 'true', 'false'),
      fc
        .tuple(tie('number'), fc.constantFrom('==', '!=', '<', '<=', '>', '>='), tie('number'))
        .map(([left, operator, right]) => `${left} ${operator} ${right}`),
      fc
        .tuple(tie('text'), fc.constantFrom('==', '!=', '<', '<=', '>', '>='), tie('text'))
        .map(([left, operator, right]) => `${left} ${operator} ${right}`),
      fc
        .tuple(tie('text'), fc.constantFrom('contains', 'startsWith', 'endsWith'), tie('text'))
        .map(([left, name, right]) => `${left}.${name}(${right})`),
      fc.tuple(tie('text'), fc.array(word, { minLength: 1, maxLength: 3 })).map(([left, list]) => `${left} in [${list.join(', ')}]`),
      fc.tuple(tie('text'), fc.array(tie('text'), { minLength: 1, maxLength: 2 })).map(([left, list]) => `${left} in [${list.join(', ')}]`),
      fc.tuple(tie('number'), fc.array(literal, { minLength: 1, maxLength: 3 })).map(([left, list]) => `${left} in [${list.join(', ')}]`),
      tie('text').map((text) => `${text} in item.tags`),
      fc
        .tuple(fc.constantFrom('item.tags', 'item.title', 'item.category'), fc.integer({ min: 0, max: 4 }))
        .map(([column, size]) => `size(${column}) >= ${size}`),
      fc
        .tuple(tie('boolean'), fc.constantFrom('&&', '||', '==', '!='), tie('boolean'))
        .map(([left, operator, right]) => `(${left}) ${operator} (${right})`),
      fc
        .tuple(tie('boolean'), tie('boolean'), tie('boolean'))
        .map(([condition, left, right]) => `((${condition}) ? (${left}) : (${right}))`),
      tie('boolean').map((operand) => `!(${operand})`),
    ),
  }));

  type Row = typeof row extends fc.Arbitrary<infer Value> ? Value : never;
  function tableOf(rows: readonly Row[]): TestTable {
    const categories = [...new Set(rows.map(({ category }) => category))];
    const tags = [...new Set(rows.flatMap((entry) => entry.tags))];
    const offsets = new Int32Array(rows.length + 1);
    for (const [index, entry] of rows.entries()) offsets[index + 1] = (offsets[index] as number) + entry.tags.length;
    return new TestTable(rows.length, {
      price: { type: 'number', values: Float64Array.from(rows, ({ price }) => price) },
      stock: { type: 'number', values: Float64Array.from(rows, ({ stock }) => stock) },
      category: { type: 'category', codes: Int32Array.from(rows, ({ category }) => categories.indexOf(category)), categories },
      title: { type: 'text', values: rows.map(({ title }) => title) },
      fresh: { type: 'boolean', values: Uint8Array.from(rows, ({ fresh }) => Number(fresh)) },
      tags: {
        type: 'list',
        offsets,
        codes: Int32Array.from(rows.flatMap((entry) => entry.tags.map((tag) => tags.indexOf(tag)))),
        categories: tags,
      },
    });
  }

  const environment = referenceEnvironment();
  const batches = fc.record({
    rows: fc.array(row, { minLength: 1, maxLength: 6 }),
    contexts: fc.array(context, { minLength: 1, maxLength: 3 }),
    click: fc.array(fc.float({ noNaN: true, noDefaultInfinity: true }), { minLength: 18, maxLength: 18 }),
  });

  function agrees(
    text: string,
    result: 'number' | 'boolean',
    { rows, contexts, click }: { rows: readonly Row[]; contexts: readonly Record<string, ContextValue>[]; click: readonly number[] },
  ): void {
    const table = tableOf(rows);
    // Each request proposes all items, in an order of its own.
    const order = contexts.map((_, shift) => rows.map((__, index) => (index + shift) % rows.length));
    const spec: BatchSpec = {
      rows: order,
      requests: contexts.map((values) => request(values)),
      columns: { 'score.click': click, 'score.habits': click.map((value) => -value / 3) },
    };
    const actual = evaluate(text, spec, result, table);
    const reference = environment.parse(text);
    const expected = order.flatMap((list, index) =>
      list.map((place, position) => {
        const candidate = index * rows.length + position;
        const item = Object.fromEntries(
          table.fields.map((field) => [
            field,
            field === 'price' || field === 'stock' ? rows[place]?.[field] : columnValue(table.columns[field] as Column, place),
          ]),
        );
        const score = { click: Math.fround(click[candidate] as number), habits: Math.fround(-(click[candidate] as number) / 3) };
        return Math.fround(Number(reference({ item, score, request: contexts[index] })));
      }),
    );
    expect(actual, text).toEqual(expected);
  }

  it('numbers agree on random expressions and rows', () => {
    fc.assert(
      fc.property(generated.number, batches, (text, batch) => agrees(text, 'number', batch)),
      { numRuns: 400 },
    );
  });
  it('booleans agree on random expressions and rows', () => {
    fc.assert(
      fc.property(generated.boolean, batches, (text, batch) => agrees(text, 'boolean', batch)),
      { numRuns: 800 },
    );
  });

  it('one batch of several requests gives what each request gives alone, again and again', () => {
    const lists = fc.array(fc.array(fc.nat({ max: 3 }), { maxLength: 6 }), { minLength: 1, maxLength: 4 });
    const expressions = createExpressions(schemaOf(shop()));
    const expression = expressions.compile(
      'rank(item.stock) + zscore(coalesce(item.price, 2)) * minmax(item["unit price"]) + request.boost',
      'number',
    );
    fc.assert(
      fc.property(lists, (rows) => {
        const requests = rows.map((_, index) => request({ boost: index }));
        const whole = new Float32Array(rows.flat().length);
        expression.evaluate(batchOf({ rows, requests }), whole);
        const alone = rows.flatMap((list, index) => {
          const out = new Float32Array(list.length);
          expression.evaluate(batchOf({ rows: [list], requests: [requests[index] as RequestView] }), out);
          return [...out];
        });
        expect([...whole]).toEqual(alone);
      }),
    );
  });
});
