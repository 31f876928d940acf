import { mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Evaluation } from '@recloom/evaluate';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type FixtureShop, fixtureShop, shopYaml } from '../fixture-shop.fixture.js';
import { displayWidth } from '../render/text.js';

let shop: FixtureShop;
beforeAll(() => {
  shop = fixtureShop();
  // The neighbours alone; and what everybody buys, as somebody would measure it against them.
  shop.write('next.yaml', shopYaml.replace('scorers: [neighbours, recent]', 'scorers: [neighbours]\n    value: score.neighbours'));
  shop.write('popular.yaml', shopYaml.replace('scorers: [neighbours, recent]', 'scorers: [recent]\n    value: score.recent'));
});
afterAll(() => shop.remove());

/** Without what takes time and is measured elsewhere. */
const cut = ['--cut', '2024-05-11', '--k', '3'];

async function evaluation(argv: readonly string[]): Promise<Evaluation> {
  const { stdout, exitCode, stderr } = await shop.run([...argv, '--json']);
  expect([exitCode, stderr]).toEqual([0, '']);
  return JSON.parse(stdout) as Evaluation;
}

describe('evaluate', () => {
  it('prints the document, and the pipeline beats popularity where buyers keep to their half of the shop', async () => {
    const found = await evaluation(['evaluate', ...cut, '--at', '1,2', '--segment', 'price']);
    expect(found).toMatchObject({
      format: 'recloom-evaluation/1',
      shop: 'lamps',
      k: 3,
      split: { kind: 'temporal', cut: '2024-05-11T00:00:00.000Z' },
    });
    expect(found.split.reports[0]?.trainUsers).toBe(20);
    const [pipeline, popularity] = found.pipelines;
    expect([pipeline?.name, pipeline?.file, popularity?.name]).toEqual(['lamps', 'shop.yaml', 'popularity']);
    expect(pipeline?.figures.ndcg.mean).toBeGreaterThan(popularity?.figures.ndcg.mean as number);
    expect(pipeline?.curves.at).toEqual([1, 2, 3]);
    expect(pipeline?.segments.map(({ by }) => by)).toEqual(expect.arrayContaining(['history', 'price']));
  });

  it('says it to a person within 80 columns', async () => {
    const { stdout, stderr, exitCode } = await shop.run(['evaluate', ...cut, '--segment', 'item.price']);
    expect(exitCode).toBe(0);
    expect(stderr).toMatch(/✓ fit lamps[\s\S]*✓ ask lamps/);
    expect(stdout).toMatch(/NDCG@3 .* NDCG ratio/);
    for (const title of [
      'By length of the list',
      'What the lists are like',
      'Who is served how well',
      'Where right answers are lost: lamps',
      'Differences',
    ])
      expect(stdout).toContain(title);
    expect(stdout).toMatch(/lamps (?:is better than|and) popularity.*NDCG@3/);
    expect(Math.max(...stdout.split('\n').map(displayWidth))).toBeLessThanOrEqual(80);
  });

  it.each([
    ['leave-last-out', []],
    ['leave-n-out', ['--n', '2']],
    ['random', ['--fraction', '0.3', '--seeds', '1,2']],
    ['k-fold', ['--folds', '3', '--seed', '5']],
    ['user-holdout', ['--fraction', '0.3', '--fold-in', '0.5', '--minimum-user-items', '3']],
    ['cold-items', ['--fraction', '0.4', '--minimum-user-items', '1']],
  ])('splits %s', async (kind, options) => {
    const found = await evaluation(['evaluate', '--split', kind, ...options, '--k', '3']);
    expect(found.split.kind).toBe(kind);
    expect(found.pipelines[0]?.cases).toBeGreaterThan(0);
    expect(found.split.reports.length).toBe(kind === 'random' ? 2 : kind === 'k-fold' ? 3 : 1);
    expect(found.pipelines[0]?.figures.ndcg.spread === undefined).toBe(found.split.reports.length === 1);
  });

  it('reads what was kept back from a file like the events, or from a config', async () => {
    shop.write(
      'data/kept-back.csv',
      'order,customer,sku,at,country\n9001,u1,b1,2024-06-01T10:00:00,Spain\n9002,u2,b2,2024-06-01T10:00:00,Norway\n',
    );
    const fromFile = await evaluation(['evaluate', '--split', 'predefined', '--test', 'data/kept-back.csv', '--k', '3']);
    expect(fromFile.split).toMatchObject({ kind: 'predefined', reports: [{ testUsers: 2, testPairs: 2 }] });
    shop.write('kept-back.yaml', shopYaml.replace('data/orders.csv', 'data/kept-back.csv'));
    const fromConfig = await evaluation(['evaluate', '--test', 'kept-back.yaml', '--k', '3']);
    expect(fromConfig.split.reports).toEqual(fromFile.split.reports);
  });

  it('asks for the types of events that are wanted, and refuses those that nobody has', async () => {
    const lines = ['user,item,at,kind'];
    for (let user = 0; user < 12; user++) {
      for (let place = 0; place < 4; place++) {
        const item = `${user < 6 ? 'a' : 'b'}${(user + place) % 6}`;
        lines.push(`u${user},${item},2024-05-0${1 + place}T00:00:00,view`, `u${user},${item},2024-05-0${1 + place}T01:00:00,purchase`);
      }
      lines.push(`u${user},${user < 6 ? 'a' : 'b'}${(user + 4) % 6},2024-05-08T00:00:00,view`);
      if (user % 3 === 0) lines.push(`u${user},${user < 6 ? 'a' : 'b'}${(user + 5) % 6},2024-05-08T00:00:00,purchase`);
    }
    shop.write('data/typed.csv', `${lines.join('\n')}\n`);
    shop.write(
      'typed.yaml',
      shopYaml
        .replace('data/orders.csv', 'data/typed.csv')
        .replace(/ +drop: .*\n/, '')
        .replace('user: customer\n      item: sku', 'user: user\n      item: item')
        .replace('{ value: purchase }\n      basket: order', 'kind')
        .replace('bought-together', 'bought-after'),
    );
    const asked = ['evaluate', 'typed.yaml', '--cut', '2024-05-07', '--k', '3'];
    const purchases = await evaluation([...asked, '--relevant', 'purchase']);
    expect(purchases.split.summary).toContain('events of type purchase alone');
    // Four people bought something new; the eight others looked at something alone.
    expect(purchases.split.reports[0]).toMatchObject({
      testUsers: 4,
      testPairs: 4,
      dropped: [{ what: 'pairs', reason: 'of other event types', count: 12 }],
    });
    expect((await evaluation(asked)).split.reports[0]).toMatchObject({ testUsers: 12, testPairs: 16 });
    expect((await evaluation([...asked, '--relevant', 'purchase,view'])).split.reports[0]).toMatchObject({ testPairs: 16 });
    const { exitCode, stderr } = await shop.run([...asked, '--relevant', 'rating']);
    expect(exitCode).toBeGreaterThan(0);
    expect(stderr).toMatch(/RECLOOM_DAT_UNKNOWN_EVENT_TYPE[\s\S]*"rating"[\s\S]*purchase/);
    const clicks = await shop.run([...asked.slice(0, 4), '--clicks', 'view:purchase', '--column', 'item.price', '--relevant', 'purchase']);
    expect([clicks.exitCode, clicks.stderr]).toEqual([2, expect.stringContaining('--clicks splits by time alone')]);
  });

  it('measures predictions of clicks, and refuses data that do not say what was shown', async () => {
    const lines = [
      'user,item,at,kind',
      'u0,i0,2024-05-01T00:00:00,view',
      'u0,i0,2024-05-01T00:01:00,purchase',
      'u0,i1,2024-05-01T00:02:00,view',
      'u1,i2,2024-05-01T00:03:00,view',
      'u1,i3,2024-05-01T00:04:00,view',
    ];
    for (let user = 0; user < 8; user++)
      for (let item = 0; item < 4; item++) {
        lines.push(`u${user},i${item},2024-05-10T0${item}:00:00,view`);
        if (item === 0 || (item === 1 && user < 4)) lines.push(`u${user},i${item},2024-05-10T0${item}:30:00,purchase`);
      }
    shop.write('data/visits.csv', `${lines.join('\n')}\n`);
    shop.write(
      'visits.yaml',
      'format: "1.0"\nname: visits\ndata:\n  events: { use: data-duckdb/events, with: { path: data/visits.csv, user: user, item: item, time: at, type: kind } }\n  items: { use: data-duckdb/items, with: { path: data/chances.csv, id: item, fields: { chance: chance } } }\n  now: data\ncomponents:\n  popular: { use: popularity/popular }\nsurfaces:\n  home: { sources: { popular: 10 } }\n',
    );
    shop.write('data/chances.csv', 'item,chance\ni0,0.9\ni1,0.5\ni2,0.1\ni3,0.1\n');
    const asked = ['evaluate', 'visits.yaml', '--clicks', 'view:purchase', '--column', 'item.chance'];
    const { stdout, exitCode } = await shop.run([...asked, '--cut', '2024-05-05', '--json']);
    expect(exitCode).toBe(0);
    // 8 of i0 and 4 of i1 were bought. Of 12 × 20 pairs only 4 of i1 against 4 of i1 tie: (240 − 16 / 2) / 240.
    const found = JSON.parse(stdout) as { auc: number };
    expect(found).toMatchObject({ examples: 32, positives: 12, notScored: 0, users: 8 });
    expect(found.auc).toBeCloseTo(232 / 240, 12);
    const text = await shop.run([...asked, '--cut', '2024-05-05']);
    expect(text.stdout).toMatch(/AUC +\.9667[\s\S]*log loss/);
    expect(text.stdout).not.toContain('no probability');
    // A score that lies within 0 to 1 and is no chance: its log loss is worse than the base rate's.
    const score = await shop.run([...asked.map((word) => (word === 'item.chance' ? '1.0 - item.chance' : word)), '--cut', '2024-05-05']);
    expect(score.stdout.replace(/\s+/g, ' ')).toMatch(/no better than always saying the base rate.*The AUC reads order alone/);
    expect(await shop.run(['evaluate', '--clicks', 'view:purchase', '--column', 'score.recent', '--cut', '2024-05-11'])).toMatchObject({
      exitCode: 4,
      stderr: expect.stringContaining('RECLOOM_DAT_NO_LABELS'),
    });
    for (const wrong of [
      ['--clicks', 'view:purchase'],
      ['--clicks', 'view'],
      [...asked.slice(2), '--split', 'random'],
      [...asked.slice(2), '--report', 'clicks.html'],
    ])
      expect((await shop.run(['evaluate', ...wrong])).exitCode).toBe(2);
  });

  it('writes all of it as one page, which says how to repeat it and no user', async () => {
    const argv = ['evaluate', ...cut, '--segment', 'item.price', '--report', "pages/it's here.html"];
    const { stdout, exitCode } = await shop.run(argv);
    expect(exitCode).toBe(0);
    expect(stdout).toContain("report  pages/it's here.html");
    const page = readFileSync(join(shop.directory, "pages/it's here.html"), 'utf8');
    expect(page).toMatch(/^<!doctype html>[\s\S]*Your pipeline shows a right product[\s\S]*<\/html>\n$/);
    // The apostrophe as a shell takes it, then as HTML does.
    expect(page).toContain(
      `recloom evaluate --cut 2024-05-11 --k 3 --segment item.price --report ${`'pages/it'\\''s here.html'`.replaceAll("'", '&#39;')}`,
    );
    expect(page).toContain('Customer 1');
    expect(page).not.toMatch(/<bdi>u\d+<\/bdi>/);
    // A machine's document stays one document; ids are shown only when asked for; examples can be left out.
    await evaluation(['evaluate', ...cut, '--report', 'named.html', '--show-users']);
    expect(readFileSync(join(shop.directory, 'named.html'), 'utf8')).toMatch(/<bdi>u\d+<\/bdi>/);
    expect((await evaluation(['evaluate', ...cut, '--examples', '0', '--report', 'none.html'])).examples).toEqual([]);
    expect(readFileSync(join(shop.directory, 'none.html'), 'utf8')).not.toContain('Customer 1');
  });

  it('refuses a page that could not be written before it measures anything', async () => {
    mkdirSync(join(shop.directory, 'folder.html'));
    shop.write('file', '');
    for (const [argv, code, text] of [
      [['--report', 'shop.yaml'], 2, /must end in \.html/],
      [['--report', 'folder.html'], 4, /RECLOOM_DAT_WRITE[\s\S]*EISDIR/],
      [['--report', 'file/report.html'], 4, /RECLOOM_DAT_WRITE[\s\S]*(?:ENOTDIR|EEXIST)/],
      [['--show-users'], 2, /belongs to --report/],
      [['--examples', '-1'], 2, /whole number from 0/],
    ] as const) {
      const { exitCode, stderr } = await shop.run(['evaluate', ...cut, ...argv]);
      expect([exitCode, stderr]).toEqual([code, expect.stringMatching(text)]);
      expect(stderr).not.toContain('✓');
    }
  });

  it('refuses wrong options with what is right', async () => {
    const usage = async (argv: readonly string[], text: RegExp, exitCode = 2): Promise<void> => {
      const { stderr, exitCode: code } = await shop.run(['evaluate', ...argv]);
      expect([code, stderr]).toEqual([exitCode, expect.stringMatching(text)]);
    };
    await usage(['--cut', 'soon'], /must be a date/);
    await usage(['--k', '0'], /whole number from 1/);
    await usage(
      ['--split', 'random', '--cut', '2024-05-11'],
      /--split random takes no --cut\.\s+hint: It takes --fraction, --minimum-user-items,/,
    );
    // Before anything is read: there are no such data.
    shop.write('nowhere.yaml', shopYaml.replaceAll('data/', 'nowhere/'));
    await usage(['nowhere.yaml', '--split', 'cold-items', '--until', '2024-05-11'], /--split cold-items takes no --until/);
    await usage(['--seed', '1', '--seeds', '2'], /exclude each other/);
    await usage(['--split', 'predefined'], /needs --test/);
    await usage(['--split', 'k-fold', '--test', 'x.csv'], /belongs to --split predefined/);
    await usage([...cut, '--segment', 'prise'], /did you mean\s+"price"/, 3);
    // Without a cut it is the last 15 % of the time span, in which nobody of this shop buys anything new.
    await usage([], /RECLOOM_DAT_SPLIT_NO_TEST[\s\S]*lower the users an item/, 4);
    await usage(['--cut', '2024-08-11'], /RECLOOM_DAT_SPLIT_NO_TEST[\s\S]*Move the cut earlier/, 4);
  });
});

describe('compare', () => {
  it('asks all the same, and says in words which is better', async () => {
    const found = await evaluation(['compare', 'next.yaml', 'popular.yaml', ...cut]);
    expect(found.pipelines.map(({ name }) => name)).toEqual(['next.yaml', 'popular.yaml', 'popularity']);
    expect(found.comparisons.map(({ challenger, baseline }) => `${challenger} ${baseline}`)).toContain('popular.yaml next.yaml');
    const { stdout, stderr, exitCode } = await shop.run(['compare', 'next.yaml', 'popular.yaml', ...cut]);
    expect(exitCode).toBe(0);
    // One reading of the data serves both.
    expect(stderr.match(/read data/g)).toHaveLength(1);
    expect(stdout.trimEnd().split('\n').slice(-12).join(' ').replace(/\s+/g, ' ')).toMatch(
      /popular\.yaml (?:is worse than|is better than|and) next\.yaml.*NDCG@3 \([+−]\.\d{4} … [+−]\.\d{4}\), p [=<]/,
    );
    expect(Math.max(...stdout.split('\n').map(displayWidth))).toBeLessThanOrEqual(80);
  });

  it('reads other fields of the same events, and refuses other events', async () => {
    shop.write('fields.yaml', shopYaml.replace(', price: price }', ' }').replace('attributes: [title, price]', 'attributes: [title]'));
    const { stderr, exitCode } = await shop.run(['compare', 'shop.yaml', 'fields.yaml', ...cut]);
    expect(exitCode).toBe(0);
    expect(stderr.match(/read data/g)).toHaveLength(2);
    shop.write('other.yaml', shopYaml.replace(`"\\"order\\" LIKE 'C%'"`, `"\\"order\\" LIKE 'X%'"`));
    const other = await shop.run(['compare', 'shop.yaml', 'other.yaml', ...cut]);
    expect(other.exitCode).toBe(4);
    expect(other.stderr).toMatch(/RECLOOM_DAT_NOT_COMPARABLE[\s\S]*"other.yaml" cannot be compared with "shop.yaml"/);
  });

  it('wants two different configs', async () => {
    expect(await shop.run(['compare', 'shop.yaml'])).toMatchObject({ exitCode: 2, stderr: expect.stringContaining('two configs') });
    expect(await shop.run(['compare', 'shop.yaml', './shop.yaml'])).toMatchObject({
      exitCode: 2,
      stderr: expect.stringContaining('named twice'),
    });
    expect((await shop.run(['compare', 'shop.yaml', 'missing.yaml', ...cut])).exitCode).toBe(3);
  });
});
