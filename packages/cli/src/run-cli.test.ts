import { existsSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { type FixtureShop, fixtureShop, shopYaml } from './fixture-shop.fixture.js';
import { displayWidth } from './render/text.js';

// biome-ignore lint/suspicious/noControlCharactersInRegex: it is what is looked for
const escapeCode = /\u001b/;
const commands = [
  ['init'],
  ['validate'],
  ['build'],
  ['recommend'],
  ['search'],
  ['explain'],
  ['inspect'],
  ['evaluate'],
  ['tune'],
  ['blend'],
  ['export'],
  ['dev'],
  ['diagram'],
  ['schema'],
  ['plugins'],
  ['plugins', 'show'],
  ['plugins', 'new'],
];

let shop: FixtureShop;
beforeAll(async () => {
  shop = fixtureShop();
  const { exitCode, stderr } = await shop.run(['build']);
  expect(stderr).not.toContain('error');
  expect(exitCode).toBe(0);
});
afterAll(() => shop.remove());

const personal = ['--user', 'u1', '--purpose', 'personalisation'];

describe('help', () => {
  it.each(commands.map((words) => words.join(' ')))('%s has an example, --json and the exit codes, within 80 columns', async (name) => {
    const { exitCode, stdout } = await shop.run([...name.split(' '), '--help']);
    expect(exitCode).toBe(0);
    expect(stdout).toMatch(/Examples:\n {2}\$ recloom /);
    expect(stdout).toContain('--json');
    expect(stdout).toContain('130  interrupted');
    expect(
      Math.max(
        ...stdout
          .split('\n')
          .filter((line) => !line.startsWith('  $'))
          .map(displayWidth),
      ),
    ).toBeLessThanOrEqual(80);
  });

  it('names every command at the top', async () => {
    const { stdout } = await shop.run(['--help']);
    for (const [name] of commands) expect(stdout).toMatch(new RegExp(`^ {2}${name} `, 'm'));
  });

  it('refuses what it does not know, with a suggestion and exit code 2', async () => {
    expect(await shop.run(['biuld'])).toMatchObject({ exitCode: 2, stderr: expect.stringContaining('Did you mean build?') });
    expect(await shop.run(['build', '--frehs'])).toMatchObject({ exitCode: 2, stderr: expect.stringContaining('--fresh') });
    const json = await shop.run(['recommend', '--limit', 'many', '--json']);
    expect(json.exitCode).toBe(2);
    expect(JSON.parse(json.stdout)).toMatchObject({
      exitCode: 2,
      error: { code: 'USAGE', message: expect.stringContaining('must be a number') },
    });
  });
});

describe('build', () => {
  it('says what was read, what was dropped and why, and the snapshot', async () => {
    const { stdout, stderr, exitCode } = await shop.run(['build', 'shop.yaml', '--fresh']);
    expect(exitCode).toBe(0);
    // Of 200 rows, those whose number is a multiple of 3 are cancelled: 0, 3, …, 198, which are 67.
    expect(stdout).toContain('200 lines read → 133 events');
    expect(stdout).toMatch(/67 +cancelled order/);
    expect(stdout).toMatch(/neighbours +collaborative-neighbours\/item-knn/);
    expect(stdout).toMatch(/[0-9a-f]{16} {2}published already/);
    expect(stderr).toMatch(/✓ read data .* 133 events, 12 items, 20 users/);
    expect(stderr.match(/write snapshot/g)).toHaveLength(1);
    expect(stdout + stderr).not.toMatch(escapeCode);
  });

  it('with --json prints lines, the last of which is the report', async () => {
    const { stdout, stderr } = await shop.run(['build', '--json']);
    const lines = stdout
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line));
    expect(lines[0]).toEqual({ event: 'step-start', step: 'config' });
    const started = lines.filter((line) => line.event === 'step-start').map((line) => line.step);
    const ended = lines.filter((line) => line.event === 'step-end').map((line) => line.step);
    expect([...ended].sort()).toEqual([...started].sort());
    expect(lines.at(-1)).toMatchObject({ event: 'report', report: { changed: false, counts: { items: 12, users: 20, events: 133 } } });
    expect(stderr).toBe('');
  });

  it('shows bars and colours on a terminal, and no colours with NO_COLOR', async () => {
    const coloured = await shop.run(['build', '--fresh'], { terminal: true });
    expect(coloured.stderr).toMatch(escapeCode);
    expect(coloured.stderr).toContain('✓');
    // biome-ignore lint/suspicious/noControlCharactersInRegex: colours
    const colour = /\u001b\[\d+m/;
    expect(coloured.stdout).toMatch(colour);
    expect((await shop.run(['build'], { terminal: true, env: { NO_COLOR: '1' } })).stdout).not.toMatch(colour);
  });

  it('is interrupted before it begins', async () => {
    const { exitCode, stderr } = await shop.run(['build'], { signal: AbortSignal.abort() });
    expect(exitCode).toBe(130);
    expect(stderr).toContain('Interrupted.');
  });
});

describe('recommend, search, explain', () => {
  it('recommends to a user who agreed, with reasons', async () => {
    const { stdout, exitCode } = await shop.run(['recommend', ...personal, '--explain', '--limit', '3']);
    expect(exitCode).toBe(0);
    expect(stdout).toContain('home for user u1  personalised');
    expect(stdout).toMatch(/ 1 {2}a\d {4}Brass lamp number \d +1\d\.5\n/);
    expect(stdout).toMatch(/from (neighbours|recent) #\d/);
    expect(stdout).not.toMatch(escapeCode);
    expect(Math.max(...stdout.split('\n').map(displayWidth))).toBeLessThanOrEqual(80);
  });

  it('lists with --explain what each filter took out', async () => {
    const excluding = ['recommend', ...personal, '--exclude', 'a0,a1', '--limit', '3'];
    const { stdout } = await shop.run([...excluding, '--explain']);
    expect(stdout).toMatch(/merged +\d+\n +removed by +request\.exclude \(excluded\) +2\n +scored +\d+\n +shown +3\n/);
    expect((await shop.run(excluding)).stdout).not.toContain('removed by');
  });

  it('reads nothing about a user who did not agree, and says so', async () => {
    const { stdout } = await shop.run(['recommend', '--user', 'u1']);
    expect(stdout).not.toContain('personalised  ');
    expect(stdout).toContain('the request grants no purpose');
    expect((await shop.run(['recommend', '--user', 'nobody', '--purpose', 'personalisation'])).stdout).toContain('treated as a new one');
  });

  it('passes every option on', async () => {
    const run = async (...argv: string[]) => JSON.parse((await shop.run(['recommend', '--json', ...argv])).stdout);
    const ids = (answer: { items: { id: string }[] }) => answer.items.map((item) => item.id);
    expect(ids(await run(...personal, '--filter', 'item.price > 12.0', '--limit', '20')).sort()).toEqual(['a2', 'a3', 'a4', 'a5']);
    expect(ids(await run('--exclude', 'a0,a1', '--exclude', 'b0', '--limit', '20'))).not.toEqual(expect.arrayContaining(['a0']));
    expect((await run('--item', 'b0')).surface).toBe('product');
    const guest = await run('--session', 'b1:view,b2', '--limit', '2');
    expect(ids(guest).every((id) => id.startsWith('b'))).toBe(true);
    const boosted = await run('--boost', 'item.price > request.floor ? 5.0 : 0.0', '--context', 'floor=15', '--limit', '1');
    expect(ids(boosted)).toEqual(['a5']);
    expect(Object.keys((await run('--surface', 'product', '--item', 'a1', '--attributes', 'price')).items[0].attributes)).toEqual([
      'title',
      'price',
    ]);
    expect((await run('--as-of', '2024-05-04')).asOfMs).toBe(Date.UTC(2024, 4, 4));
  });

  it('searches', async () => {
    const { stdout } = await shop.run(['search', 'shop.yaml', 'beeswax', 'candle', '--limit', '2']);
    expect(stdout).toContain('search for “beeswax candle”');
    expect(stdout.match(/Candle of beeswax/g)).toHaveLength(2);
    expect((await shop.run(['search'])).exitCode).toBe(2);
  });

  it('searches by a picture of this machine, with words, weighed', async () => {
    shop.write('photo.png', 'not looked at by a search by words');
    const both = ['search', '--image', 'photo.png', '--text', 'beeswax', '--image-weight', '0.3', '--limit', '1'];
    const { stdout, exitCode } = await shop.run(both);
    expect(exitCode).toBe(0);
    expect(stdout).toContain('search for “beeswax”, a picture');
    expect(await shop.run(['search', '--image', 'nowhere.png'])).toMatchObject({
      exitCode: 2,
      stderr: expect.stringContaining('There is no picture nowhere.png'),
    });
    for (const weight of ['1.1', '-0.1', 'half'])
      expect((await shop.run(['search', '--image', 'photo.png', '--image-weight', weight])).exitCode).toBe(2);
  });

  it('follows an item through a request', async () => {
    const { stdout } = await shop.run(['explain', ...personal, '--target', 'b0', '--limit', '1']);
    expect(stdout).toContain('b0 Candle of beeswax number 0');
    expect(stdout).toMatch(/proposed by {2}recent +rank \d+/);
    expect(stdout).toMatch(/merged +12/);
    const trace = JSON.parse((await shop.run(['explain', ...personal, '--target', 'zz', '--json'])).stdout);
    expect(trace).toMatchObject({ known: false, inAnswer: false });
    expect((await shop.run(['explain', ...personal])).exitCode).toBe(2);
  });
});

describe('inspect', () => {
  it('shows the models that components run', async () => {
    const other = fixtureShop();
    try {
      other.write(
        'model-plugin.mjs',
        `import { definePlugin, defineScorer } from '@recloom/plugin-api';
import { z } from 'zod';
const click = defineScorer({
  id: 'click', summary: 'A model.', options: z.strictObject({ missing: z.boolean().default(false) }),
  capabilities: { devices: ['cpu'] }, stateVersion: 1,
  create: ({ options }) => {
    if (options.missing) throw new Error('no such file');
    return { score: (_batch, out) => void out.fill(1), models: () => [{ file: 'click.onnx', sha256: '${'0123456789abcdef'.repeat(4)}', device: 'cpu' }] };
  },
});
export default definePlugin({ apiVersion: 1, id: 'mine', components: [click] });
`,
      );
      const config = shopYaml.replace('components:', 'plugins: [./model-plugin.mjs]\ncomponents:\n  click: { use: mine/click }');
      other.write('shop.yaml', config);
      expect((await other.run(['build'])).exitCode).toBe(0);
      const { stdout } = await other.run(['inspect']);
      expect(stdout).toMatch(/Models\n[^]*click +click\.onnx +cpu +0123456789abcdef/);
      expect(JSON.parse((await other.run(['inspect', '--json'])).stdout).models).toEqual([
        { component: 'click', reference: 'mine/click', file: 'click.onnx', sha256: '0123456789abcdef'.repeat(4), device: 'cpu' },
      ]);
      // Where the model is not, everything else is still shown.
      other.write('shop.yaml', config.replace('mine/click }', 'mine/click, with: { missing: true } }'));
      const without = await other.run(['inspect']);
      expect(without.exitCode).toBe(0);
      expect(without.stdout).toContain('Its models cannot be shown');
      expect(without.stdout).toContain('Tensors');
    } finally {
      other.remove();
    }
  });
});

describe('exit codes and messages', () => {
  it('1 unexpected never shows a stack without --debug, 2 a request that cannot be', async () => {
    const wrong = await shop.run(['recommend', '--limit', '0', '--snapshot', 'none']);
    expect([wrong.exitCode, wrong.stderr]).toEqual([2, expect.stringContaining('whole number from 1')]);
    expect((await shop.run(['recommend', '--diversity', '3'])).stderr).toContain('from 0 to 1');
    // Before a snapshot is opened: there is none of this name.
    const limit = await shop.run(['recommend', '--limit', '99999', '--snapshot', 'none']);
    expect(limit.exitCode).toBe(2);
    expect(limit.stderr).toContain('RECLOOM_RUN_LIMIT');
    expect(limit.stderr).not.toContain('    at ');
    expect((await shop.run(['recommend', '--limit', '99999', '--debug'])).stderr).toContain('    at ');
    expect(JSON.parse((await shop.run(['recommend', '--limit', '99999', '--json'])).stdout)).toMatchObject({
      error: { code: 'RECLOOM_RUN_LIMIT' },
    });
  });

  it('2 without a config, 3 with a config that is not there or wrong, at the line', async () => {
    expect(await shop.run(['build'], { directory: join(shop.directory, 'data') })).toMatchObject({
      exitCode: 2,
      stderr: expect.stringContaining('recloom init'),
    });
    expect((await shop.run(['build', 'nowhere.yaml'])).exitCode).toBe(3);
    shop.write(
      'wrong.yaml',
      shopYaml.replace('decayDays: 5', 'decayDay: 5').replace('scorers: [neighbours, recent]', 'scorers: [neighbors, recent]'),
    );
    const { exitCode, stderr } = await shop.run(['validate', 'wrong.yaml']);
    expect(exitCode).toBe(3);
    expect(stderr).toMatch(/wrong\.yaml:\d+:\d+ error RECLOOM_CFG_UNKNOWN_KEY/);
    expect(stderr).toContain('did you mean "decayDays"');
    expect(stderr).toContain('did you mean "neighbours"');
    expect(stderr).toMatch(/^ +\| +\^$/m);
    expect(stderr).toContain('2 problems in');
    expect(stderr).not.toMatch(escapeCode);
  });

  it('4 when the data have problems', async () => {
    shop.write('gone.yaml', shopYaml.replace('data/orders.csv', 'data/gone.csv'));
    expect(await shop.run(['build', 'gone.yaml'])).toMatchObject({
      exitCode: 4,
      stderr: expect.stringContaining('RECLOOM_DAT_FILE_MISSING'),
    });
    shop.write('column.yaml', shopYaml.replace('user: customer', 'user: custommer'));
    expect(await shop.run(['validate', 'column.yaml'])).toMatchObject({ exitCode: 4, stderr: expect.stringContaining('"customer"') });
  });

  it('5 without a snapshot, or with one of another config', async () => {
    shop.write('other.yaml', shopYaml.replace('name: lamps', 'name: unbuilt'));
    expect(await shop.run(['recommend', 'other.yaml'])).toMatchObject({ exitCode: 5, stderr: expect.stringContaining('recloom build') });
    shop.write('stale.yaml', shopYaml.replace('decayDays: 5', 'decayDays: 6'));
    expect(await shop.run(['recommend', 'stale.yaml'])).toMatchObject({
      exitCode: 5,
      stderr: expect.stringContaining('RECLOOM_DAT_SNAPSHOT_STALE'),
    });
    expect((await shop.run(['inspect', 'ffff'])).exitCode).toBe(2);
  });

  it('6 while another build runs', async () => {
    const { SnapshotStore } = await import('@recloom/core');
    const lock = await new SnapshotStore(join(shop.directory, '.recloom/lamps')).acquireLock();
    try {
      expect(await shop.run(['build'])).toMatchObject({ exitCode: 6, stderr: expect.stringContaining('RECLOOM_DAT_LOCKED') });
    } finally {
      await lock.release();
    }
  });
});

describe('validate, inspect, diagram, schema, plugins', () => {
  it('validates', async () => {
    expect((await shop.run(['validate'])).stdout).toMatch(/✓ .*shop\.yaml is valid: 5 components, 3 surfaces/);
    expect(JSON.parse((await shop.run(['validate', '--no-data', '--json'])).stdout)).toMatchObject({
      valid: true,
      surfaces: ['home', 'product', 'search'],
    });
  });

  it('inspects a snapshot, and the difference between two', async () => {
    const { stdout } = await shop.run(['inspect']);
    expect(stdout).toContain('12 items, 20 users, 133 events from 2024-05-01 to 2024-05-20');
    expect(stdout).toMatch(/recent +popularity\/recent +v\d/);
    const { id } = JSON.parse((await shop.run(['inspect', 'current', '--json'])).stdout);
    const own = fixtureShop();
    try {
      await own.run(['build']);
      own.write('shop.yaml', shopYaml.replace('decayDays: 5', 'decayDays: 9'));
      await own.run(['build']);
      const difference = JSON.parse((await own.run(['inspect', 'previous', 'current', '--json'])).stdout);
      expect(difference).toMatchObject({ before: id, configChanged: true, dataChanged: false });
      expect((await own.run(['inspect', id.slice(0, 6), 'current'])).stdout).toMatch(/recent +changed +options, state/);
      expect((await own.run(['inspect', `.recloom/lamps/${id}`])).stdout).toContain(`Snapshot ${id}`);
    } finally {
      own.remove();
    }
  });

  it('looks into a component', async () => {
    const { stdout, exitCode } = await shop.run(['inspect', '--component', 'together', '--item', 'a0', '--json']);
    expect(exitCode).toBe(0);
    expect(JSON.parse(stdout)).toMatchObject({
      component: 'together',
      item: 'a0',
      title: 'Brass lamp number 0',
      known: expect.any(Object),
    });
    expect(await shop.run(['inspect', '--component', 'togther', '--item', 'a0'])).toMatchObject({
      exitCode: 2,
      stderr: expect.stringContaining('did you mean "together"'),
    });
  });

  it('draws', async () => {
    const { stdout } = await shop.run(['diagram', '--surface', 'home']);
    expect(stdout).toMatch(/^flowchart LR\n/);
    expect(stdout).not.toContain('product_');
    expect((await shop.run(['diagram', '--surface', 'hom'])).stderr).toContain('did you mean "home"');
    expect(JSON.parse((await shop.run(['diagram', '--json'])).stdout)).toMatchObject({ format: 'mermaid' });
  });

  it('gives the schema with the options of the installed plugins', async () => {
    const schema = JSON.parse((await shop.run(['schema'])).stdout);
    expect(schema.title).toBe('Recloom pipeline');
    expect(JSON.stringify(schema)).toContain('decayDays');
    expect((await shop.run(['schema', '--output', 'recloom.schema.json'])).exitCode).toBe(0);
    expect(JSON.parse(readFileSync(join(shop.directory, 'recloom.schema.json'), 'utf8'))).toEqual(schema);
  });

  it('lists and shows plugins', async () => {
    const list = JSON.parse((await shop.run(['plugins', '--json'])).stdout) as { id: string }[];
    expect(list.map((plugin) => plugin.id)).toEqual(expect.arrayContaining(['popularity', 'data-duckdb', 'keyword-search']));
    const { stdout } = await shop.run(['plugins', 'show', 'popularity/recent']);
    expect(stdout).toContain('decayDays: number, default 7');
    expect(stdout).toContain('explains itself');
    expect(Math.max(...stdout.split('\n').map(displayWidth))).toBeLessThanOrEqual(80);
    expect(JSON.parse((await shop.run(['plugins', 'show', 'popularity/recent', '--json'])).stdout)).toMatchObject({
      reference: 'popularity/recent',
      options: expect.arrayContaining([expect.objectContaining({ name: 'decayDays', type: 'number', default: 7 })]),
    });
    expect((await shop.run(['plugins', 'show', 'popularty'])).stderr).toContain('did you mean "popularity"');
  });
});

describe('init', () => {
  it('writes a config that builds and answers, and does not overwrite it', async () => {
    const own = fixtureShop();
    try {
      rmSync(join(own.directory, 'shop.yaml'));
      const first = await own.run(['init', 'data/orders.csv', '--name', 'mine']);
      expect(first.stderr).toBe('');
      expect(first.stdout).toMatch(/user +customer +\d+ % +it is called "customer"/);
      expect(first.stdout).toContain('wrote shop.yaml');
      const written = parse(readFileSync(join(own.directory, 'shop.yaml'), 'utf8'));
      expect(written).toMatchObject({
        base: 'recloom:shop',
        name: 'mine',
        data: { events: { with: { user: 'customer', item: 'sku', time: 'at', basket: 'order' } } },
      });
      expect((await own.run(['build'])).exitCode).toBe(0);
      expect(JSON.parse((await own.run(['recommend', ...personal, '--json'])).stdout).items.length).toBeGreaterThan(0);
      const before = readFileSync(join(own.directory, 'shop.yaml'), 'utf8');
      expect(await own.run(['init', 'data/orders.csv'])).toMatchObject({ exitCode: 2, stderr: expect.stringContaining('--force') });
      expect(readFileSync(join(own.directory, 'shop.yaml'), 'utf8')).toBe(before);
      const forced = await own.run(['init', 'data/orders.csv', '--items', 'data/items.csv', '--force', '--json']);
      expect(JSON.parse(forced.stdout)).toMatchObject({ surfaces: expect.arrayContaining(['home', 'search']), counts: { items: 12 } });
    } finally {
      own.remove();
    }
  }, 60_000);

  it('names what it leaves unused, and that types of events count the same', async () => {
    const kinds = ['view', 'cart', 'purchase'];
    const rows = Array.from({ length: 60 }, (_, row) => `u${row % 7},p${row % 5},2024-01-${10 + (row % 20)} 10:00:00,${kinds[row % 3]}`);
    shop.write('data/visits.csv', `customer,sku,at,kind\n${rows.join('\n')}\n`);
    const goods = Array.from({ length: 5 }, (_, row) => `p${row},Brass lamp ${row},Cedar & sons,2023-0${row + 1}-02`);
    shop.write('data/goods.csv', `sku,name,brand,added\n${goods.join('\n')}\n`);
    const { stdout } = await shop.run(['init', 'data/visits.csv', '--items', 'data/goods.csv', '-o', 'noted.yaml', '--no-check']);
    const text = stdout.replace(/\s+/g, ' ');
    expect(text).toContain('data/goods.csv: not used yet: brand, added. What describes an item becomes a field');
    expect(text).not.toContain('data/visits.csv: not used');
    expect(text).toMatch(/several types of events \([a-z, ]+\), and each counts 1\..*data\.events\.with/);
  });

  it('says what it needs', async () => {
    shop.write('data/nothing.csv', 'alpha,beta\nx,y\nx,z\n');
    expect(await shop.run(['init', 'data/nothing.csv', '-o', 'nothing.yaml'])).toMatchObject({
      exitCode: 2,
      stderr: expect.stringContaining('alpha, beta'),
    });
    expect(existsSync(join(shop.directory, 'nothing.yaml'))).toBe(false);
    expect((await shop.run(['init', '-o', 'nothing.yaml'])).stderr).toContain('data files here');
    expect((await shop.run(['init', 'missing.csv', '-o', 'nothing.yaml'])).exitCode).toBe(4);
  });
});

describe('dev', () => {
  it('answers once', async () => {
    const { stdout, exitCode } = await shop.run(['dev', '--once', '--json', ...personal]);
    expect(exitCode).toBe(0);
    const lines = stdout
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line));
    expect(lines.at(-1)).toMatchObject({ event: 'round', changed: false, answer: { personalised: true } });
  });

  it('answers again when the config changes, survives a mistake, and ends with Ctrl-C', async () => {
    const own = fixtureShop();
    const controller = new AbortController();
    try {
      let rounds = 0;
      const running = own.run(['dev', '--interval', '20', ...personal], { signal: controller.signal });
      const root = join(own.directory, '.recloom/lamps');
      const published = (): number => (existsSync(root) ? readdirSync(root).filter((name) => /^[0-9a-f]{16}$/.test(name)).length : 0);
      const until = async (condition: () => boolean): Promise<void> => {
        for (rounds = 0; !condition() && rounds < 400; rounds++) await wait(25);
        expect(condition()).toBe(true);
      };
      await until(() => published() === 1);
      await wait(600);
      own.write('shop.yaml', shopYaml.replace('decayDays: 5', 'decayDayz: 9'));
      await wait(600);
      own.write('shop.yaml', shopYaml.replace('decayDays: 5', 'decayDays: 9'));
      await until(() => published() === 2);
      await wait(600);
      controller.abort();
      const { exitCode, stdout, stderr } = await running;
      expect(exitCode).toBe(0);
      // Of the config as it was, as it was broken (by the last good snapshot), and as it was mended.
      expect(stdout.match(/home for user u1/g)).toHaveLength(3);
      expect(stdout.match(/last good snapshot goes on answering:\s+home for user u1/g)).toHaveLength(1);
      expect(stdout).toContain('shop.yaml changed');
      expect(stdout).toContain('fitted recent');
      expect(stderr).toContain('did you mean "decayDays"');
    } finally {
      controller.abort();
      own.remove();
    }
  }, 60_000);
});
