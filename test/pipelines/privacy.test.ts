import {
  type Answer,
  buildPipeline,
  openPipeline,
  type Pipeline,
  type RecommendRequest,
  silentObserver,
  validatePipeline,
} from '@recloom/core';
import { consentToken, isRecloomError, loggerToken, metricsToken, tracerToken } from '@recloom/plugin-api';
import { recordingLogger, recordingMetrics } from '@recloom/testing';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { codesOf, edit } from './support/bad-input.js';
import { hang, misbehavingPlugin, quoteData } from './support/misbehaving-plugin.js';
import { canary, dataYaml, eventsCsv, itemsCsv, makeShop, type ShopFolder, shopYaml, userId, usersCsv } from './support/shop-folder.js';

/** The preset as a shop would use it, with a source that reads a field of the user as well. */
const presetYaml = `format: "1.0"
name: preset
base: recloom:shop
${dataYaml}
components:
  popular: { use: popularity/popular, in: { segment: user.country } }
surfaces:
  home:
    sources:
      popular: 100
`;

/** One request to each surface of the preset by a person the shop knows well. */
const bySurface: Readonly<Record<string, RecommendRequest>> = {
  home: { user: userId(1), limit: 5 },
  product: { user: userId(1), item: 'i03', limit: 5 },
  similar: { user: userId(1), item: 'i03', limit: 5 },
  together: { user: userId(1), item: 'i03', limit: 5 },
  basket: { user: userId(1), items: ['i03', 'i05'], limit: 5 },
  search: { user: userId(1), text: 'tin heart', limit: 5 },
};

let shop: ShopFolder;
let pipeline: Pipeline;
const read: string[] = [];
beforeAll(async () => {
  shop = await makeShop({ 'shop.yaml': presetYaml }, { keep: true });
  pipeline = await openPipeline(shop.config, { build: 'always', onRead: (label, column) => read.push(`${label} ${column}`) });
}, 120_000);
afterAll(async () => {
  await pipeline.close();
  await shop.remove();
});

const ids = (answer: Answer): string[] => answer.items.map((item) => item.id);

/** Asks, and says which personal columns were read: as the pipeline tells it, and as spies on the stores themselves see it. */
async function ask(request: RecommendRequest): Promise<{ readonly answer: Answer; readonly touched: readonly string[] }> {
  read.length = 0;
  const { users, history } = pipeline.engine;
  const columns = vi.spyOn(users, 'column');
  const views = vi.spyOn(history, 'view');
  try {
    const answer = await pipeline.recommend({ ...request, deadlineMs: 60_000 });
    const stored = views.mock.calls.filter(([row]) => row >= 0).map(() => 'history view');
    const fields = columns.mock.calls.map(([field]) => `column ${field}`);
    // What was sent along with the request is the request's own.
    return { answer, touched: [...read.filter((entry) => !entry.startsWith('session ')), ...stored, ...fields] };
  } finally {
    columns.mockRestore();
    views.mockRestore();
  }
}

/** Shows what stands around it, not everything that was said. */
function expectWithout(needle: string, text: string): void {
  const at = text.indexOf(needle);
  expect(at < 0 ? '' : text.slice(Math.max(0, at - 300), at + 60)).toBe('');
}

describe('without consent no column of a person is read', () => {
  it('is proved for every surface there is', () => {
    expect([...pipeline.surfaces].sort()).toEqual(Object.keys(bySurface).sort());
  });

  it.each(Object.keys(bySurface))(
    'on the surface "%s", and the variant for a stranger answers',
    async (surface) => {
      const request = { ...bySurface[surface], surface };
      for (const purposes of [undefined, [], ['statistics'], ['__proto__']]) {
        const { answer, touched } = await ask(purposes === undefined ? request : { ...request, purposes });
        expect(touched).toEqual([]);
        expect(answer.personalised).toBe(false);
        expect(answer.items.length).toBeGreaterThan(0);
        const { user: _user, ...stranger } = request;
        expect(ids(answer)).toEqual(ids((await ask(stranger)).answer));
      }
    },
    60_000,
  );

  it('the columns are read with consent, so that the proof can fail', async () => {
    const { answer, touched } = await ask({ user: userId(1), purposes: ['personalisation'], limit: 20 });
    expect(touched).toEqual(expect.arrayContaining(['history history', 'history view', 'location user.country', 'column country']));
    expect(answer.personalised).toBe(true);
    expect(codesOf(answer.warnings)).not.toContain('RECLOOM_PRV_NOT_GRANTED');
    const { answer: without } = await ask({ user: userId(1), limit: 20 });
    expect(ids(answer)).not.toEqual(ids(without));
    expect(codesOf(without.warnings)).toContain('RECLOOM_PRV_NOT_GRANTED');
  });

  it('for many people at once, each by what they agreed to', async () => {
    read.length = 0;
    const requests = [1, 2, 3, 4].map((user) => ({
      user: userId(user),
      limit: 5,
      ...(user === 2 ? { purposes: ['personalisation'] } : {}),
    }));
    const personalised: boolean[] = [];
    for await (const result of pipeline.recommendMany(requests, { batch: 4 })) personalised.push(result.answer?.personalised ?? true);
    expect(personalised).toEqual([false, true, false, false]);
  });

  it('what a guest sends along is used, and only that', async () => {
    const { answer, touched } = await ask({ user: userId(1), session: [{ item: 'i03', type: 'view' }], limit: 5 });
    expect(touched).toEqual([]);
    expect(answer.personalised).toBe(false);
    const guest = await ask({ session: [{ item: 'i03', type: 'view' }], limit: 5 });
    expect(ids(answer)).toEqual(ids(guest.answer));
  });
});

describe('a canary in user ids and fields is never repeated', () => {
  it('by requests, whatever fails', async () => {
    const odd = misbehavingPlugin({ propose: quoteData, score: quoteData, rank: quoteData, filterResult: quoteData, effect: quoteData });
    const yaml = edit(
      edit(
        shopYaml,
        'components:\n',
        'components:\n  broken: { use: odd/source }\n  scorer: { use: odd/scorer }\n  ranker: { use: odd/ranker }\n  result: { use: odd/privacy }\n  effect: { use: odd/effect }\n',
      ),
      'surfaces:\n',
      `surfaces:
  broken:
    sources: { broken: 5, habits: 20, popular: 25 }
    filters: [seen]
    scorers: [scorer, habits]
    rankers: [ranker]
    privacy: [consent, result]
    effects: [effect]
  required:
    sources: { broken: { limit: 5, required: true } }
`,
    );
    const own = await makeShop({ 'shop.yaml': yaml });
    const logger = recordingLogger();
    const metrics = recordingMetrics();
    const spans: unknown[] = [];
    const span = {
      setAttribute: (...parts: unknown[]) => void spans.push(parts),
      recordError: (error: unknown) => void spans.push(String(error)),
      end: () => {},
    };
    const tracer = {
      startSpan: (...parts: unknown[]) => {
        spans.push(parts);
        return span;
      },
    };
    // A consent service whose errors quote whom it was asked about.
    const services: ((user: string | undefined) => unknown)[] = [
      (user) => {
        throw new Error(`no consent row for ${user}`);
      },
      (user) => Promise.reject(new TypeError(`time-out for ${user}`)),
      (user) => user,
      () => hang(),
    ];
    const said: unknown[] = [];
    for (const purposes of services) {
      const opened = await openPipeline(own.config, {
        build: 'if-missing',
        plugins: [odd],
        provide: [
          [loggerToken, logger],
          [metricsToken, metrics],
          [tracerToken, tracer],
          [consentToken, { purposes }],
        ],
      });
      const requests: object[] = [
        { user: userId(1), limit: 5 },
        { user: userId(1), surface: 'broken', limit: 5, deadlineMs: 100 },
        { user: userId(1), surface: 'broken', purposes: ['personalisation'], limit: 5, explain: true },
        { user: userId(1), surface: 'required', limit: 5 },
        { user: userId(1), surface: 'product', limit: 5 },
        { user: `${canary}-nobody`, purposes: ['personalisation'], limit: 5 },
        { user: userId(1), item: `${canary}-item`, limit: 5 },
        { user: userId(1), session: [{ item: `${canary}-item`, type: `${canary}-type` }], limit: 5 },
        { user: userId(1), exclude: [`${canary}-item`], limit: 0 },
        { user: { id: userId(1) }, limit: 5 },
        { user: userId(1), [`${canary}key`]: 1 },
        { user: userId(1), attributes: [`${canary}-field`] },
        { user: userId(1), context: { name: `${canary} Name` }, limit: 500 },
        { user: userId(1), text: `${canary} `.repeat(1_000), surface: 'search', limit: 5 },
      ];
      for (const request of requests) {
        try {
          const answer = await opened.recommend({ deadlineMs: 150, ...request });
          said.push(answer);
        } catch (error) {
          expect(isRecloomError(error)).toBe(true);
          said.push(error, String(error));
        }
      }
      for (const event of [
        { user: userId(1), item: `${canary}-item` },
        { user: userId(1), item: 'i01', time: 1 },
        { user: userId(1), item: 'i01', type: '' },
      ]) {
        try {
          said.push(opened.record([event]));
        } catch (error) {
          said.push(error, String(error));
        }
      }
      for (const item of [
        { id: `${canary}-item`, price: canary },
        { id: `${canary}-item`, prise: canary },
      ])
        said.push(await opened.upsertItems([item as never]).catch((error: unknown) => error));
      await opened.close();
    }
    expect(logger.records.length).toBeGreaterThan(10);
    expect(metrics.records.length).toBeGreaterThan(10);
    expect(spans.length).toBeGreaterThan(10);
    // The ids of the shop's items are no secret; the answer to an anonymous request would hold them too.
    expectWithout(canary, JSON.stringify([said, logger.records, metrics.records, spans]));
  }, 120_000);

  it('by builds, whatever is wrong with the data', async () => {
    const events = eventsCsv();
    const cut = (csv: string, line: number, to: string): string => csv.split('\n').with(line, to).join('\n');
    const wrong: Record<string, string | Uint8Array>[] = [
      {},
      { 'events.csv': cut(events, 9, `${userId(1)},i01,${canary},view,b1`) },
      {
        'events.csv': cut(
          cut(cut(events, 9, `${userId(1)},i01,${canary},view,b1`), 10, `${userId(1)},i01,${canary},view,b1`),
          11,
          `${userId(1)},i01,${canary},view,b1`,
        ),
      },
      { 'events.csv': cut(events, 9, `"${userId(1)},i01`) },
      { 'events.csv': cut(events, 9, `${userId(1)},i01,2024-01-02,view,b1,${canary}`) },
      { 'events.csv': `${events}${userId(1)},${canary}-item,2024-01-03,view,b1\n${userId(1)},i01,1971-01-03,view,b1\n` },
      { 'events.csv': events.replaceAll(',view,', `,${canary}-view,`) },
      { 'events.csv': `${canary}\n${userId(1)}\n` },
      { 'users.csv': Buffer.from(usersCsv().replace(' Name 1', ' Nam\u00e9'), 'latin1') },
      { 'items.csv': itemsCsv().replace('1.50', canary), 'shop.yaml': edit(shopYaml, 'id: sku,', 'id: sku, maxBadShare: 0.5,') },
      { 'shop.yaml': edit(shopYaml, 'name: text', 'name: number') },
      { 'shop.yaml': edit(shopYaml, 'path: users.csv,', 'path: users.csv, where: "CAST(name AS DOUBLE) > 0",') },
      {
        'shop.yaml': edit(
          shopYaml,
          'path: users.csv,',
          `path: users.csv, query: "SELECT id, country, CAST(name AS INTEGER) AS name FROM input",`,
        ),
      },
      { 'shop.yaml': edit(shopYaml, 'name: text', 'name: { column: name, type: time }') },
    ];
    const said: unknown[] = [];
    let failed = 0;
    for (const files of wrong) {
      const own = await makeShop(files);
      const logger = recordingLogger();
      const observer = {
        ...silentObserver,
        step: (...parts: unknown[]) => void said.push(parts),
        progress: (...parts: unknown[]) => void said.push(parts),
        warn: (...parts: unknown[]) => void said.push(parts),
      };
      for (const work of [buildPipeline, validatePipeline]) {
        try {
          const done = await work(own.config, { provide: [[loggerToken, logger]], observer } as object);
          // A validation hands out the data itself; what it says of them is in the reports.
          said.push('dataset' in done ? done.dataset?.reports : done);
        } catch (error) {
          failed++;
          expect(isRecloomError(error)).toBe(true);
          for (let cause: unknown = error; cause instanceof Error; cause = cause.cause) said.push(cause, cause.message, cause.stack);
        }
      }
      said.push(logger.records);
    }
    expect(failed).toBeGreaterThanOrEqual(12);
    // A header that is a person's name would be shown as the name of a column: that is what a header is for.
    const withoutHeader = JSON.stringify(said).replaceAll(`The file has: ${canary}.`, '');
    expectWithout(canary, withoutHeader);
  }, 120_000);
});
