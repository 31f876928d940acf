import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Dataset, datasetFromArrays, openPipeline, silentObserver } from '@recloom/core';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { exportTraining } from './export-training.js';
import type { ExportTrainingOptions } from './options.js';
import {
  at,
  datasetOf,
  effectRuns,
  filesOf,
  readParquet,
  shopConfig,
  type TestEvent,
  type TestItem,
  temporaryFolder,
  testPlugin,
} from './shop.test-support.js';

const folder = temporaryFolder();
let exports = 0;
const run = async (dataset: Dataset, options: Partial<ExportTrainingOptions> = {}, config = shopConfig()) => {
  const out = options.out ?? join(folder, `export-${++exports}`);
  const report = await exportTraining(config, {
    plugins: [testPlugin],
    dataset,
    cuts: [at(10)],
    windowDays: 5,
    validationCuts: 0,
    ...options,
    out,
  });
  return { report, out, rows: await readParquet(join(out, 'rows.parquet')), groups: await readParquet(join(out, 'groups.parquet')) };
};
const problemOf = (promise: Promise<unknown>): Promise<string> =>
  promise.then(
    () => '',
    (error: { code?: string; message: string }) => `${error.code} ${error.message}`,
  );

/** Worked out by hand: the cut is on day 10, labels are of days 10 to 14. */
const items: readonly TestItem[] = [
  { id: 'a', price: 1.5, kind: 'x', live: true },
  { id: 'b', price: 2.5, kind: 'y', live: false },
  { id: 'c', kind: 'x' },
  { id: 'd', price: 4 },
  { id: 'new', price: 9 },
];
const events: readonly TestEvent[] = [
  ['u1', 'a', 1],
  ['u1', 'b', 2],
  ['u2', 'a', 3],
  ['u2', 'c', 9.5],
  ['u3', 'a', 4],
  ['u3', 'd', 5],
  ['u4', 'b', 6],
  // From the cut on. u1 takes c (new to it), a again, and an item nobody had.
  ['u1', 'c', 10],
  ['u1', 'a', 11],
  ['u1', 'new', 12],
  // u2 takes d twice; u3 something it had; u4 only after the window; u5 was not there before.
  ['u2', 'd', 13],
  ['u2', 'd', 14.9],
  ['u3', 'd', 12],
  ['u4', 'a', 15],
  ['u5', 'a', 11],
];
const little = (): Dataset => datasetOf(events, items);

describe('exportTraining', () => {
  it('gives every candidate of every request a row, with its columns and whether it was taken', async () => {
    const { rows, groups, report } = await run(little(), { withIds: true });
    // Before the cut: a 3 times, b twice, c and d once; "new" is not known yet. u1 had a and b, u2 a and c, u3 a and d.
    expect(rows.map(({ group, item, label, proposed }) => [group, item, label, proposed])).toEqual([
      ['0', 'c', 1, true],
      ['0', 'd', 0, true],
      ['1', 'b', 0, true],
      ['1', 'd', 1, true],
    ]);
    expect(rows.map((row) => [row['source.often.score'], row['source.often.rank'], row['score.often']])).toEqual([
      [1, 3, 1],
      [1, 4, 1],
      [2, 2, 2],
      [1, 4, 1],
    ]);
    expect(rows.map((row) => [row['item.price'], row['item.kind'], row['item.live']])).toEqual([
      ['NaN', 'x', 'NaN'],
      [4, null, 'NaN'],
      [2.5, 'y', 0],
      [4, null, 'NaN'],
    ]);
    expect(rows[0]).toMatchObject({ cut: 0, split: 'train', time: '2024-01-11 00:00:00', user: '0' });
    expect(groups).toEqual([
      {
        group: '0',
        cut: 0,
        split: 'train',
        time: '2024-01-11 00:00:00',
        user: '0',
        user_id: 'u1',
        candidates: 2,
        negatives: 1,
        negatives_kept: 1,
        history: ['a', 'b'],
        history_age_days: [9, 8],
        history_weight: [1, 1],
      },
      expect.objectContaining({ user_id: 'u2', history: ['a', 'c'], history_age_days: [7, 0.5] }),
    ]);
    expect(report.schema.counts).toEqual({
      rows: 4,
      groups: 2,
      positives: 2,
      byCut: [
        {
          cut: 0,
          items: 4,
          users: 4,
          events: 7,
          requests: 3,
          groups: 2,
          rows: 4,
          positives: 2,
          negatives: 2,
          negativesLeftOut: 0,
          // u3 took nothing but what it had.
          requestsWithoutPositive: 1,
          positivesNotProposed: 0,
          positivesAdded: 0,
          // a by u1 and d by u3.
          positivesRepeated: 2,
          positivesOfUnknownItems: 1,
          // u5.
          usersLeftOut: 1,
        },
      ],
    });
  });

  it('writes a schema that tells each column, its type and its expression, and the items that occur', async () => {
    const { report, out } = await run(little(), { expressions: ['zscore(score.often)', 'score.often'] });
    const schema = JSON.parse(readFileSync(join(out, 'schema.json'), 'utf8')) as typeof report.schema;
    expect(schema).toEqual(JSON.parse(JSON.stringify(report.schema)));
    expect(schema).toMatchObject({
      format: 'recloom-training/1',
      pipeline: 'little-shop',
      surface: 'home',
      cuts: [{ index: 0, at: '2024-01-11T00:00:00.000Z', until: '2024-01-16T00:00:00.000Z', split: 'train', complete: true }],
      negatives: { sampled: false, perGroup: 'all', seed: 42 },
    });
    expect(schema.columns.map(({ name, type, role, expression }) => [name, type, role, expression ?? null])).toEqual([
      ['group', 'number', 'group', null],
      ['cut', 'number', 'time', null],
      ['split', 'category', 'time', null],
      ['time', 'number', 'time', null],
      ['user', 'number', 'id', null],
      ['item', 'category', 'id', 'item.id'],
      ['label', 'number', 'label', null],
      ['proposed', 'boolean', 'label', null],
      ...['source.often.score', 'source.often.rank', 'score.often', 'score.peek', 'zscore(score.often)'].map((name) => [
        name,
        'number',
        'feature',
        name,
      ]),
      ['item.kind', 'category', 'feature', 'item.kind'],
      ['item.live', 'number', 'feature', 'item.live'],
      ['item.price', 'number', 'feature', 'item.price'],
    ]);
    expect(report.files.map(({ name }) => name).sort()).toEqual(readdirSync(out).sort());
    expect(await readParquet(join(out, 'items.parquet'))).toEqual([
      { item: 'a', price: 1.5, kind: 'x', live: true, title: null },
      { item: 'b', price: 2.5, kind: 'y', live: false, title: null },
      { item: 'c', price: null, kind: 'x', live: null, title: null },
      { item: 'd', price: 4, kind: null, live: null, title: null },
    ]);
  });

  it('works expressions out over all candidates of a request, before negatives are sampled', async () => {
    const many: TestEvent[] = [['u1', 'z', 1]];
    // Item k was taken k + 1 times, each by somebody else.
    for (let item = 0; item < 9; item++) for (let user = 0; user <= item; user++) many.push([`v${item}-${user}`, `i${item}`, 2]);
    many.push(['u1', 'i3', 11]);
    const { rows } = await run(datasetOf(many), { expressions: ['zscore(score.often)', 'rank(score.often)'], negatives: 2 });
    expect(rows).toHaveLength(3);
    // Nine candidates with the values 1 to 9: mean 5, population variance 60 / 9.
    for (const row of rows) {
      const value = row['score.often'] as number;
      expect(row['zscore(score.often)']).toBeCloseTo((value - 5) / Math.sqrt(60 / 9), 5);
      expect(row['rank(score.often)']).toBeCloseTo(value / 9, 6);
    }
  });

  it('asks the pipeline that serves: the columns are those that a request gets', async () => {
    const dataset = little();
    const { rows } = await run(dataset);
    const { pointInTime } = await import('./point-in-time.js');
    const cut = { index: 0, atMs: at(10), untilMs: at(15), split: 'train', complete: true } as const;
    const world = pointInTime(dataset, cut, {
      eventTypes: undefined,
      graded: false,
      newUsers: false,
      coldItems: false,
      minimumItemUsers: 1,
      minimumUserItems: 1,
    });
    const pipeline = await openPipeline(shopConfig(), { plugins: [testPlugin], dataset: world.dataset });
    const served: unknown[] = [];
    for await (const { candidates } of pipeline.scoreCandidates(
      ['u1', 'u2'].map((user) => ({ user, purposes: ['personalisation'], asOf: at(10) })),
      { columns: ['score.often', 'score.peek', 'source.often.rank'] },
    )) {
      for (const [place, item] of (candidates?.ids ?? []).entries())
        served.push([item, ...Object.values(candidates?.columns ?? {}).map((values) => values[place])]);
    }
    await pipeline.close();
    expect(rows.map((row) => [row['item'], row['score.often'], row['score.peek'], row['source.often.rank']])).toEqual(served);
  });

  it('runs neither rankers nor side effects', async () => {
    const before = effectRuns.count;
    await run(little());
    await new Promise((resolve) => setTimeout(resolve, 20));
    expect(effectRuns.count).toBe(before);
  });

  it('adds on demand what was taken and not proposed, marked so', async () => {
    const config = shopConfig();
    (config['surfaces'] as { home: { sources: object } }).home.sources = { often: 2 };
    const { rows, report } = await run(little(), { allPositives: true }, config);
    // Only a and b are proposed: u1 has none left, u2 keeps b.
    expect(rows.map(({ item, label, proposed }) => [item, label, proposed])).toEqual([
      ['c', 1, false],
      ['b', 0, true],
      ['d', 1, false],
    ]);
    expect(rows.map((row) => [row['source.often.rank'], row['source.often.score'], row['score.often'], row['item.price']])).toEqual([
      [0, 'NaN', 'NaN', 'NaN'],
      [2, 2, 2, 2.5],
      [0, 'NaN', 'NaN', 4],
    ]);
    expect(report.schema.counts.byCut[0]).toMatchObject({ positivesNotProposed: 2, positivesAdded: 2, positives: 2, negatives: 1 });
    const without = await problemOf(run(little(), {}, config));
    expect(without).toContain('RECLOOM_DAT_EMPTY');
  });

  it('grades by weight, and counts only the types that are asked for', async () => {
    const typed: readonly TestEvent[] = [
      ['u1', 'a', 1, 'buy', 5],
      ['u2', 'b', 1, 'buy', 5],
      ['u2', 'c', 1, 'buy', 5],
      ['u1', 'b', 11, 'view', 1],
      ['u1', 'b', 12, 'cart', 3],
      ['u1', 'c', 12, 'view', 1],
    ];
    const labels = async (options: Partial<ExportTrainingOptions>) =>
      (await run(datasetOf(typed), options)).rows.map(({ item, label }) => [item, label]);
    expect(await labels({ graded: true })).toEqual([
      ['b', 3],
      ['c', 1],
    ]);
    expect(await labels({ eventTypes: ['cart'] })).toEqual([
      ['b', 1],
      ['c', 0],
    ]);
    expect(await problemOf(labels({ eventTypes: ['carts'] }))).toMatch(/^RECLOOM_RUN_EXPORT .*did you mean "cart"/);
  });

  it('asks for new users and keeps cold items on demand', async () => {
    const { rows, groups, report } = await run(little(), { newUsers: true, coldItems: true, withIds: true });
    expect(groups.map(({ user_id, history }) => [user_id, history])).toEqual([
      ['u1', ['a', 'b']],
      ['u2', ['a', 'c']],
      ['u5', []],
    ]);
    expect(rows.filter(({ group, label }) => group === '0' && label === 1).map(({ item }) => item)).toEqual(['c', 'new']);
    expect(report.schema.counts.byCut[0]).toMatchObject({ items: 5, usersLeftOut: 0, positivesOfUnknownItems: 0 });
  });

  it('keeps to the least numbers of users and items, as evaluation does', async () => {
    // a and b had two users or more. Items c and d go, and with two items left only u1 stays, who took nothing new of them.
    expect(await problemOf(run(little(), { minimumItemUsers: 2, minimumUserItems: 2 }))).toContain('RECLOOM_DAT_EMPTY');
    const { rows } = await run(datasetOf([...events, ['u9', 'c', 2]]), { minimumItemUsers: 2 });
    expect(new Set(rows.map(({ item }) => item))).toEqual(new Set(['c']));
  });

  it('puts what a request carries into a column', async () => {
    const { rows, report } = await run(little(), { context: { device: 'phone', hurry: true, hours: 3 } });
    expect(rows[0]).toMatchObject({ 'request.device': 'phone', 'request.hurry': 1, 'request.hours': 3 });
    expect(report.schema.columns.at(-3)).toEqual({
      name: 'request.device',
      type: 'category',
      role: 'feature',
      expression: 'request.device',
    });
  });

  it('writes candidate features by component, and item features as safetensors', async () => {
    const config = shopConfig();
    Object.assign(config['components'] as object, {
      pair: { use: 'test/pair' },
      shape: { use: 'test/shape' },
      taken: { use: 'test/taken' },
    });
    Object.assign((config['surfaces'] as { home: object }).home, { features: ['pair'] });
    const { rows, out, report } = await run(little(), { features: ['shape', 'taken'], cuts: [at(5.5), at(10)], windowDays: 4.4 }, config);
    const first = rows.filter(({ cut }) => cut === 1)[0];
    // Item c is row 2 of the cut's table.
    expect(first).toMatchObject({ item: 'c', 'feature.pair': 2, 'feature.pair.1': -2 });
    const column = report.schema.columns.find(({ name }) => name === 'feature.pair.1');
    expect(column).toMatchObject({ expression: 'feature.pair.1', component: 'missing' });
    expect(report.schema.features).toEqual([
      { component: 'taken', file: 'features.taken.0.safetensors', cut: 0, width: 1 },
      { component: 'shape', file: 'features.shape.safetensors', cut: 1, width: 2 },
      { component: 'taken', file: 'features.taken.1.safetensors', cut: 1, width: 1 },
    ]);
    const shape = readSafetensors(join(out, 'features.shape.safetensors'));
    expect(shape.items).toEqual(['a', 'b', 'c', 'd']);
    expect([...shape.values]).toEqual([0, 0, 0, 0, 2, 20, 3, 30]);
    expect([...shape.presence]).toEqual([1, 0, 1, 1]);
    // What was fitted on less knows less: 5 events of 3 items before day 5.5, 7 of 4 before day 10.
    expect([...readSafetensors(join(out, 'features.taken.0.safetensors')).values]).toEqual([5, 5, 5]);
    expect([...readSafetensors(join(out, 'features.taken.1.safetensors')).values]).toEqual([7, 7, 7, 7]);
    expect(await problemOf(run(little(), { features: ['often'] }, config))).toMatch(/^RECLOOM_RUN_EXPORT .*"often" gives no item feature/);
  });

  it('gives the same bytes for the same data, however requests are batched', async () => {
    const options = { negatives: 1, withIds: true, expressions: ['zscore(score.often)'] };
    const [first, second] = [await run(little(), options), await run(little(), { ...options, batch: 1 })];
    expect(filesOf(first.out)).toEqual(filesOf(second.out));
  });
});

describe('what is kept from a row', () => {
  it('is everything after the cut: the future changes no column but the label', async () => {
    const arbitraryEvent = (from: number, until: number) =>
      fc
        .tuple(
          fc.constantFrom('u1', 'u2', 'u3', 'u4', 'x1', 'x2'),
          fc.constantFrom('a', 'b', 'c', 'd', 'e', 'f'),
          fc.integer({ min: from * 10, max: until * 10 - 1 }),
        )
        .map(([user, item, time]): TestEvent => [user, item, time / 10]);
    const future = fc.array(arbitraryEvent(10, 30), { maxLength: 40 });
    await fc.assert(
      fc.asyncProperty(fc.array(arbitraryEvent(0, 10), { minLength: 8, maxLength: 30 }), future, future, async (past, one, other) => {
        // Each of the two worlds lets every user take every item in the window, so that all candidates of all users are there.
        const everything = ['u1', 'u2', 'u3', 'u4', 'x1', 'x2'].flatMap((user) =>
          ['a', 'b', 'c', 'd', 'e', 'f'].map((item): TestEvent => [user, item, 12]),
        );
        const [left, right] = [
          await run(datasetOf([...past, ...everything]), { withIds: true, expressions }),
          await run(datasetOf([...past, ...everything, ...one, ...other, ['spy', 'planted', 10], ['u1', 'planted', 29]]), {
            withIds: true,
            expressions,
          }),
        ];
        expect(featureRows(right)).toEqual(featureRows(left));
      }),
      { numRuns: 12 },
    );
  });

  it('is a planted leak: data cut off at the cut give every feature byte for byte', async () => {
    // After the cut "d" sells as nothing before, a user appears, a new type of event, and an item that nobody knew.
    const leak: readonly TestEvent[] = [
      ...Array.from({ length: 50 }, (_, index): TestEvent => [`fan${index}`, 'd', 10 + index / 100, 'craze', 9]),
      ['u1', 'planted', 10.5],
      ['u1', 'd', 14.99],
    ];
    // What makes groups: the least there can be of it, one label each. It is no feature.
    const labels: readonly TestEvent[] = [
      ['u1', 'c', 10],
      ['u2', 'd', 13],
    ];
    const past = events.filter(([, , days]) => days < 10);
    const truncated = await run(datasetOf([...past, ...labels], items), { withIds: true, expressions });
    const full = await run(datasetOf([...past, ...labels, ...leak], [...items, { id: 'planted', price: 99 }]), {
      withIds: true,
      expressions,
    });
    expect(featureRows(full)).toEqual(featureRows(truncated));
    expect(featureRows(full)).toHaveLength(4);

    // The comparison sees a leak where there is one: the same request to a pipeline fitted on everything.
    const leaking = await openPipeline(shopConfig(), {
      plugins: [testPlugin],
      dataset: datasetOf([...past, ...labels, ...leak], [...items, { id: 'planted', price: 99 }]),
    });
    const columns = ['source.often.score', 'source.often.rank', 'score.often', 'score.peek'];
    for await (const { candidates } of leaking.scoreCandidates([{ user: 'u2', purposes: ['personalisation'], asOf: at(10) - 1 }], {
      columns,
    })) {
      const place = candidates?.ids.indexOf('b') ?? -1;
      const clean = full.rows.find((row) => row['group'] === '1' && row['item'] === 'b');
      for (const name of ['source.often.rank', 'score.peek']) expect(candidates?.columns[name]?.[place]).not.toBe(clean?.[name]);
      expect(candidates?.ids).toContain('planted');
    }
    await leaking.close();
  });

  it('is everything from "until" on, labels too', async () => {
    const past = await run(
      datasetOf(
        events.filter(([, , days]) => days < 13),
        items,
      ),
      { withIds: true, until: at(13) },
    );
    const all = await run(little(), { withIds: true, until: at(13) });
    expect(all.rows).toEqual(past.rows);
    expect(all.groups).toEqual(past.groups);
    expect(all.report.warnings.map(({ code }) => code)).toEqual(['RECLOOM_RUN_EXPORT_WINDOW']);
  });

  it('is the history of a user who did not agree, and everything made of it', async () => {
    const { groups, rows } = await run(little(), { purposes: [], withIds: true });
    expect(groups.map(({ history }) => history)).toEqual(groups.map(() => []));
    // Neither the filter of seen items nor the scorer that reads the history ran.
    expect(rows.filter(({ group }) => group === '0').map(({ item }) => item)).toEqual(['a', 'b', 'c', 'd']);
    expect(rows.every((row) => row['score.peek'] === 0)).toBe(true);
  });

  it('is the id of a user, unless it is asked for', async () => {
    const renamed = (withIds: boolean) =>
      run(datasetOf(events.map(([user, ...rest]): TestEvent => [`canary-${user}`, ...rest])), { withIds });
    const text = (out: string) =>
      Object.values(filesOf(out))
        .map((bytes) => bytes.toString('latin1'))
        .join();
    expect(text((await renamed(false)).out)).not.toContain('canary');
    const { groups } = await renamed(true);
    expect(groups[0]).toMatchObject({ user_id: 'canary-u1' });
  });
});

describe('the sample of negatives', () => {
  const many: readonly TestEvent[] = [
    ...Array.from({ length: 40 }, (_, item): TestEvent => ['v', `i${String(item).padStart(2, '0')}`, 1]),
    ['u1', 'z', 2],
    ['u2', 'z', 2],
    ['u1', 'i05', 11],
    ['u2', 'i06', 11],
  ];
  const itemsOf = (rows: readonly Readonly<Record<string, unknown>>[], group: string) =>
    rows.filter((row) => row['group'] === group).map(({ item }) => item);

  it('keeps all positives and so many negatives, in the order of the candidates', async () => {
    const { rows, groups, report } = await run(datasetOf(many), { negatives: 5 });
    for (const group of ['0', '1']) {
      const own = rows.filter((row) => row['group'] === group);
      expect(own.filter(({ label }) => label === 1)).toHaveLength(1);
      expect(own.filter(({ label }) => label === 0)).toHaveLength(5);
      const ranks = own.map((row) => row['source.often.rank'] as number);
      expect(ranks).toEqual([...ranks].sort((left, right) => left - right));
    }
    expect(groups[0]).toMatchObject({ candidates: 40, negatives: 39, negatives_kept: 5 });
    expect(report.schema.counts.byCut[0]).toMatchObject({ negatives: 10, negativesLeftOut: 68 });
    expect(report.schema.negatives).toEqual({ sampled: true, perGroup: 5, seed: 42 });
    expect(itemsOf(rows, '0').filter((item) => item !== 'i05')).not.toEqual(itemsOf(rows, '1').filter((item) => item !== 'i06'));
  });

  it('is of training cuts only', async () => {
    const { groups } = await run(datasetOf([...many, ['u1', 'i08', 16]]), { negatives: 3, cuts: [at(10), at(15)], validationCuts: 1 });
    expect(groups.map((group) => [group['split'], group['negatives'], group['negatives_kept']])).toEqual([
      ['train', 39, 3],
      ['train', 39, 3],
      ['validation', 38, 38],
    ]);
  });

  it('changes with the seed, and not with other users or cuts', async () => {
    const first = await run(datasetOf(many), { negatives: 5, withIds: true });
    const other = await run(datasetOf(many), { negatives: 5, seed: 7 });
    expect(itemsOf(other.rows, '0')).not.toEqual(itemsOf(first.rows, '0'));
    // A user before the others, in another cut too.
    const more = await run(datasetOf([...many, ['a', 'z', 2], ['a', 'i01', 6], ['a', 'i02', 12]]), {
      negatives: 5,
      cuts: [at(5), at(10)],
      withIds: true,
    });
    const group = more.groups.find((row) => row['user_id'] === 'u1')?.['group'] as string;
    expect(itemsOf(more.rows, group)).toEqual(itemsOf(first.rows, '0'));
  });
});

describe('components left out', () => {
  const withModel = () => {
    const config = shopConfig();
    Object.assign(config['components'] as object, { click: { use: 'test/broken' } });
    Object.assign((config['surfaces'] as { home: object }).home, { scorers: ['often', 'peek', 'click'], value: 'score.click' });
    return config;
  };

  it('are the model that is to be trained, and the value that reads it', async () => {
    const { rows, report } = await run(little(), { without: ['click'] }, withModel());
    expect(rows).toHaveLength(4);
    expect(report.schema.leftOut).toEqual({ without: ['click'], implied: [] });
    expect(report.schema.columns.some(({ name }) => name.includes('click'))).toBe(false);
  });

  it('a component that fails ends the export and leaves nothing: a column of zeros would teach nonsense', async () => {
    const out = join(folder, 'failed');
    expect(await problemOf(run(little(), { out }, withModel()))).toMatch(/^RECLOOM_RUN_REQUIRED_FAILED .*click/);
    expect(existsSync(out)).toBe(false);
    expect(readdirSync(folder).filter((name) => name.startsWith('.'))).toEqual([]);
  });

  it('an unknown name is refused with a suggestion', async () => {
    expect(await problemOf(run(little(), { without: ['clik'] }, withModel()))).toMatch(/^RECLOOM_CFG_UNKNOWN_NAME .*did you mean "click"/);
    expect(await problemOf(run(little(), { surface: 'hoem' }))).toMatch(/^RECLOOM_RUN_UNKNOWN_SURFACE .*"home"/);
    expect(await problemOf(run(little(), { without: ['often'] }))).toMatch(/^RECLOOM_CFG_(NO_SOURCES|INVALID)/);
    expect(await problemOf(run(little(), { expressions: ['score.oftn'] }))).toMatch(/^RECLOOM_RUN_REQUEST .*did you mean "score.often"/);
  });
});

describe('the folder', () => {
  it('replaces an earlier export and nothing else', async () => {
    const out = join(folder, 'again');
    await run(little(), { out });
    const { rows } = await run(little(), { out, negatives: 1 });
    expect(rows).toHaveLength(4);
    expect(readdirSync(out).sort()).toEqual(['groups.parquet', 'items.parquet', 'rows.parquet', 'schema.json']);
    const taken = join(folder, 'taken');
    mkdirSync(taken);
    writeFileSync(join(taken, 'thesis.txt'), 'years of work');
    expect(await problemOf(run(little(), { out: taken }))).toMatch(/^RECLOOM_DAT_EXPORT_FOLDER .*holds other files/);
    expect(readFileSync(join(taken, 'thesis.txt'), 'utf8')).toBe('years of work');
    expect(await problemOf(run(little(), { out: join(taken, 'thesis.txt') }))).toMatch(/^RECLOOM_DAT_EXPORT_FOLDER .*a file of this name/);
    expect(await problemOf(run(little(), { out: join(taken, 'thesis.txt', 'deeper') }))).toContain('RECLOOM_DAT_EXPORT_FOLDER');
  });

  it('is left as it was by an export that is interrupted', async () => {
    const out = join(folder, 'interrupted');
    await run(little(), { out });
    const before = filesOf(out);
    const controller = new AbortController();
    const observer = { ...silentObserver, step: (step: string) => step.startsWith('cut') && controller.abort(new Error('enough')) };
    await expect(run(little(), { out, negatives: 1, signal: controller.signal, observer })).rejects.toThrow('enough');
    expect(filesOf(out)).toEqual(before);
    await expect(run(little(), { out, signal: AbortSignal.abort(new Error('before')) })).rejects.toThrow('before');
    expect(readdirSync(folder).filter((name) => name.startsWith('.'))).toEqual([]);
  });
});

describe('options', () => {
  it.each([
    ['no folder', { out: ' ' }, 'must name a folder'],
    ['no negatives', { negatives: 0 }, '"negatives" must be a whole number from 1'],
    ['half a negative', { negatives: 2.5 }, '"negatives"'],
    ['a negative history', { history: -1 }, '"history" must be a whole number from 0'],
    ['an empty batch', { batch: 0 }, '"batch"'],
    ['a window that is no number', { windowDays: Number.NaN }, '"windowDays"'],
    ['an until that is no time', { until: new Date('never') }, '"until"'],
    ['a cut in no time', { cuts: [at(400)] }, 'no event after'],
  ] as const)('%s is refused', async (_, options, words) => {
    expect(await problemOf(run(little(), options))).toMatch(new RegExp(`^RECLOOM_RUN_EXPORT .*${words}`));
  });

  it('history keeps the newest events', async () => {
    expect((await run(little(), { history: 1 })).groups.map(({ history }) => history)).toEqual([['b'], ['c']]);
    expect((await run(little(), { history: 0 })).groups.map(({ history }) => history)).toEqual([[], []]);
  });

  it('data without events are refused', async () => {
    expect(await problemOf(run(datasetFromArrays({ items })))).toMatch(/^RECLOOM_DAT_EMPTY There are no events/);
  });

  it('progress goes from step to step', async () => {
    const steps: string[] = [];
    await run(little(), { observer: { ...silentObserver, step: (step, phase) => void steps.push(`${step} ${phase}`) } });
    expect(steps).toEqual(['cut 2024-01-11 start', 'cut 2024-01-11 end', 'write files start', 'write files end']);
  });
});

const expressions = ['zscore(score.often)', 'rank(score.peek)', 'log(1.0 + score.often)'];

/** What a model learns from, by user and item; labels and what only counts them aside. */
function featureRows({ rows, groups }: Awaited<ReturnType<typeof run>>): readonly unknown[] {
  const byGroup = new Map(groups.map((group) => [group['group'], group]));
  return rows.map(({ group, user: _user, label: _label, ...columns }) => {
    const own = byGroup.get(group) ?? {};
    return { user: own['user_id'], history: own['history'], ages: own['history_age_days'], weights: own['history_weight'], ...columns };
  });
}

/** The format as its specification has it: header size, JSON header, data (https://github.com/huggingface/safetensors). */
function readSafetensors(path: string): { values: Float32Array; presence: Uint8Array; items: unknown } {
  const bytes = readFileSync(path);
  const size = Number(bytes.readBigUInt64LE(0));
  const header = JSON.parse(bytes.subarray(8, 8 + size).toString()) as Record<string, { dtype: string; data_offsets: [number, number] }>;
  const data = (name: string): Uint8Array => {
    const [from, to] = header[name]?.data_offsets ?? [0, 0];
    return Uint8Array.from(bytes.subarray(8 + size + from, 8 + size + to));
  };
  expect(size % 8).toBe(0);
  return {
    values: new Float32Array(data('values').buffer),
    presence: data('presence'),
    items: JSON.parse(new TextDecoder().decode(data('items'))) as unknown,
  };
}
