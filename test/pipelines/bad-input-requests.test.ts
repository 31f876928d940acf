import { type Answer, openPipeline, type Pipeline } from '@recloom/core';
import { afterAll, beforeAll, describe, expect } from 'vitest';
import { badInput, codesOf, edit, expectReadableWarning, failureOf } from './support/bad-input.js';
import { hang, misbehavingPlugin } from './support/misbehaving-plugin.js';
import { makeShop, type ShopFolder, shopYaml, userId } from './support/shop-folder.js';

let shop: ShopFolder;
let pipeline: Pipeline;
/** What somebody gets of whom nothing is known. */
let stranger: string[];
beforeAll(async () => {
  shop = await makeShop({}, { keep: true });
  pipeline = await openPipeline(shop.config, { build: 'always' });
  stranger = ids(await pipeline.recommend({ limit: 5 }));
});
afterAll(async () => {
  await pipeline.close();
  await shop.remove();
});

const consent = { purposes: ['personalisation'] };
const ids = (answer: Answer): string[] => answer.items.map((item) => item.id);

async function ask(request: object): Promise<Answer> {
  const answer = await pipeline.recommend(request);
  for (const warning of answer.warnings) expectReadableWarning(warning);
  return answer;
}

async function expectRefused(code: string, requests: readonly (readonly [unknown, RegExp])[]): Promise<void> {
  for (const [request, message] of requests) {
    const error = await failureOf(pipeline.recommend(request as object));
    expect([error.code, error.message]).toEqual([code, expect.stringMatching(message)]);
  }
  // Whatever was refused has left the pipeline as it was.
  expect(ids(await ask({ limit: 5 }))).toEqual(stranger);
}

describe('requests', () => {
  badInput('request-unknown-user', async () => {
    const answer = await ask({ user: 'nobody', ...consent, limit: 5 });
    expect(answer.warnings).toEqual([]);
    expect(ids(answer)).toEqual(stranger);
    expect(answer.personalised).toBe(false);
  });

  badInput('request-unknown-item', async (code) => {
    const answer = await ask({ item: 'i99', limit: 5 });
    expect(answer.warnings).toMatchObject([{ code, count: 1, message: '1 item id is not in the catalogue and was passed over.' }]);
    expect(ids(answer)).toEqual(stranger);
    const session = await ask({ session: [{ item: 'i99' }, { item: 'i98' }, { item: 'i01' }], limit: 5 });
    expect(session.warnings).toMatchObject([{ code, count: 2 }]);
    expect(session.items).toHaveLength(5);
  });

  badInput('request-limit-zero', (code) =>
    expectRefused(code, [[{ limit: 0 }, /^"limit" must be a whole number from 1 to 200, not 0\.$/]]),
  );
  badInput('request-limit-negative', (code) =>
    expectRefused(code, [
      [{ limit: -1 }, /not -1\.$/],
      [{ limit: Number.NEGATIVE_INFINITY }, /not -Infinity\.$/],
    ]),
  );
  badInput('request-limit-huge', (code) =>
    expectRefused(code, [
      [{ limit: 1e9 }, /not 1000000000\.$/],
      [{ limit: Number.POSITIVE_INFINITY }, /not Infinity\.$/],
      [{ limit: 201 }, /not 201\.$/],
    ]),
  );
  badInput('request-limit-not-a-number', (code) =>
    expectRefused(code, [
      [{ limit: 'ten' }, /not a string\.$/],
      [{ limit: Number.NaN }, /not NaN\.$/],
      [{ limit: 2.5 }, /not 2\.5\.$/],
      [{ limit: {} }, /not an object\.$/],
      [{ limit: 10n }, /not a bigint\.$/],
    ]),
  );

  badInput('request-odd-ids', async () => {
    for (const id of ['__proto__', 'constructor', 'toString', '', ' ', '\0', '\ud800', '../../etc/passwd', "'; DROP TABLE users; --"]) {
      expect(ids(await ask({ user: id, ...consent, limit: 5 }))).toEqual(stranger);
      expect(ids(await ask({ item: id, exclude: [id], limit: 5 }))).toEqual(stranger);
      expect(ids(await ask({ session: [{ item: id, type: id }], limit: 5 }))).toEqual(stranger);
      expect((await ask({ user: userId(1), purposes: [id], limit: 5 })).personalised).toBe(false);
      expect(ids(await ask({ context: Object.fromEntries([[id, 1]]), limit: 5 }))).toEqual(stranger);
      expect((await failureOf(pipeline.recommend({ surface: id }))).code).toBe('RECLOOM_RUN_UNKNOWN_SURFACE');
      expect((await failureOf(pipeline.recommend({ attributes: [id] }))).code).toBe('RECLOOM_RUN_REQUEST');
    }
    expect(({} as Record<string, unknown>)['title']).toBeUndefined();
    // As ids of the shop's own they are ids like any other.
    const own = await openPipeline(shop.config);
    await own.upsertItems([
      { id: '__proto__', title: 'Odd', price: 1, category: 'kitchen' },
      { id: 'constructor', title: 'Odder', price: 2, category: 'kitchen' },
    ]);
    own.record([{ user: 'constructor', item: '__proto__', type: 'purchase' }]);
    expect(own.item('__proto__')).toEqual({ category: 'kitchen', price: 1, title: 'Odd' });
    expect(own.item('toString')).toBeUndefined();
    expect((await own.recommend({ user: 'constructor', ...consent, limit: 25 })).items.map((item) => item.id)).not.toContain('__proto__');
    await own.close();
  });

  badInput('request-megabyte-query', async (code) => {
    const started = performance.now();
    const answer = await pipeline.search({ text: 'heart '.repeat(175_000), limit: 3 });
    expect(performance.now() - started).toBeLessThan(2_000);
    expect(answer.warnings).toMatchObject([{ code, message: 'The text has 1049999 characters; it was cut at 2000.' }]);
    expect(answer.items.map((item) => item.attributes['title'])).toEqual(Array(3).fill(expect.stringContaining('Heart')));
    for (const text of ['x'.repeat(1_000_000), '😀'.repeat(250_000), '"'.repeat(1_000_000)])
      expect(codesOf((await pipeline.search({ text, limit: 3 })).warnings)).toContain(code);
  });

  badInput('request-abort', async (code) => {
    const controller = new AbortController();
    controller.abort();
    expect((await failureOf(pipeline.recommend({ limit: 5, signal: controller.signal }))).code).toBe(code);
    // Half-way: a source never answers.
    await shop.write(
      'hangs.yaml',
      `${edit(shopYaml, 'name: shop', 'name: hangs').slice(0, shopYaml.indexOf('components:'))}\ncomponents: { odd: { use: odd/source }, popular: { use: popularity/popular } }\nsurfaces: { home: { sources: { odd: 5, popular: 25 } } }\n`,
    );
    const hanging = await openPipeline(shop.file('hangs.yaml'), { build: 'always', plugins: [misbehavingPlugin({ propose: hang })] });
    const halfway = new AbortController();
    const reason = new Error('the visitor left');
    const pending = hanging.recommend({ limit: 5, signal: halfway.signal, deadlineMs: 60_000 });
    const started = performance.now();
    setTimeout(() => halfway.abort(reason), 30);
    const error = await failureOf(pending);
    expect(performance.now() - started).toBeLessThan(5_000);
    expect(error).toMatchObject({ code, retryable: true, cause: reason });
    // Nothing is left running: closing does not wait for the source that hangs.
    await hanging.close();
  });

  badInput('request-unknown-surface', (code) =>
    expectRefused(code, [
      [{ surface: 'hmoe' }, /^There is no surface "hmoe"; did you mean "home"\? The config has: home, product, search\.$/],
    ]),
  );

  badInput('request-lacks-needs', (code) =>
    expectRefused(code, [
      [{ surface: 'product' }, /^Surface "product" needs a request with item\.$/],
      [{ surface: 'search' }, /^Surface "search" needs a request with text\.$/],
    ]),
  );

  badInput('request-unknown-key', (code) => expectRefused(code, [[{ usr: userId(1) }, /there is no key "usr"; did you mean "user"\?$/]]));

  badInput('request-wrong-types', (code) =>
    expectRefused(code, [
      [null, /it is not an object\.$/],
      ['home', /it is not an object\.$/],
      [{ user: 17850 }, /"user" must be a text\.$/],
      [{ items: 'i01' }, /"items" must be a list of texts\.$/],
      [{ exclude: 'i01' }, /"exclude" must be a list of texts\.$/],
      [{ purposes: 'personalisation' }, /"purposes" must be a list of texts\.$/],
      [{ session: [{}] }, /every session event needs an "item"\.$/],
      [{ deadlineMs: -1 }, /"deadlineMs" must be a number of at least 0\.$/],
      [{ asOf: new Date('never') }, /a time is neither a valid Date nor a number of milliseconds\.$/],
      [{ signal: 7 }, /"signal" must be the signal of an AbortController\.$/],
    ]),
  );

  badInput('request-wrong-expression', (code) =>
    expectRefused(code, [
      [
        { filter: 'item.prise < 3.0' },
        /"filter" is wrong: there is no column "item\.prise"; did you mean "item\.price"\? \(at column 1\)\.$/,
      ],
      [{ filter: 'item.price' }, /"filter" is wrong: the result must be true or false, but it is a number \(at column 1\)\.$/],
      [{ boost: 'item.title' }, /"boost" is wrong: the result must be a number, but it is a text \(at column 1\)\.$/],
      [{ filter: `${'('.repeat(5_000)}true` }, /"filter" is wrong/],
    ]),
  );

  badInput('request-unknown-attribute', (code) =>
    expectRefused(code, [
      [
        { attributes: ['prise'] },
        /"attributes" names a field that items do not have; did you mean "price"\? \(fields: category, price, title\)\.$/,
      ],
    ]),
  );

  badInput('request-no-time-left', async (code) => {
    const answer = await ask({ deadlineMs: 0, limit: 5 });
    expect(codesOf(answer.warnings)).toContain(code);
    expect(answer.items).toEqual([]);
  });

  badInput('request-impossible-event', async (code) => {
    const own = await openPipeline(shop.config);
    const before = ids(await own.recommend({ user: 'new', ...consent, limit: 5 }));
    const good = { user: 'new', item: 'i05', type: 'view' };
    for (const event of [
      { ...good, time: Date.now() * 1_000 },
      { ...good, time: 1_700_000_000 },
      { ...good, weight: Number.NaN },
      { ...good, type: '' },
      { user: 7, item: 'i05' },
      { user: 'new' },
    ]) {
      const recorded = Promise.resolve().then(() => own.record([good, event as never]));
      expect((await failureOf(recorded)).code).toBe(code);
    }
    // Not even the good event of a refused call was recorded.
    expect(ids(await own.recommend({ user: 'new', ...consent, limit: 5 }))).toEqual(before);
    expect(own.record([good, { ...good, item: 'i99' }])).toEqual({ recorded: 1, unknownItems: 1, unknownTypes: 0 });
    await own.close();
  });

  badInput('request-wrong-item', async (code) => {
    const own = await openPipeline(shop.config);
    for (const item of [
      {},
      { id: '' },
      { id: 'new', price: 'cheap' },
      { id: 'new', prise: 3 },
      { id: 'new', price: Number.POSITIVE_INFINITY },
    ]) {
      expect((await failureOf(own.upsertItems([{ id: 'good', price: 1 }, item as never]))).code).toBe(code);
      expect(own.item('new')).toBeUndefined();
      expect(own.item('good')).toBeUndefined();
    }
    await own.close();
  });

  badInput('request-closed', async (code) => {
    const own = await openPipeline(shop.config);
    await own.close();
    expect((await failureOf(own.recommend({ limit: 5 }))).code).toBe(code);
    expect((await failureOf(Promise.resolve().then(() => own.record([])))).code).toBe(code);
    expect((await failureOf(Promise.resolve().then(() => own.reload()))).code).toBe(code);
  });

  badInput('request-in-a-batch', async (code) => {
    const requests = [{ user: userId(1), limit: 5 }, { limit: 0 }, { usr: 'x' } as object, { limit: 5 }];
    const outcomes: string[] = [];
    for await (const result of pipeline.recommendMany(requests, { batch: 2 }))
      outcomes.push(result.answer === undefined ? result.error.code : String(result.answer.items.length));
    expect(outcomes).toEqual(['5', 'RECLOOM_RUN_LIMIT', code, '5']);
  });
});
