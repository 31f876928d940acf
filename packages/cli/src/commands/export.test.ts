import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type FixtureShop, fixtureShop, shopYaml } from '../fixture-shop.fixture.js';

let shop: FixtureShop;
/** Every cut fits the whole pipeline. */
const manyFits = 120_000;
beforeAll(() => {
  shop = fixtureShop();
  // What a model would need, and components that look at when things happened.
  shop.write(
    'shop.yaml',
    shopYaml
      .replace(
        '  consent:',
        '  habits: { use: collaborative-linear/ease, with: { lambda: 5, recencyDays: 4, minimumItemUsers: 1 } }\n  next: { use: sequence/transitions, with: { recencyDays: 4 } }\n  rising: { use: popularity/trending, with: { windowDays: 3, beforeDays: 9 } }\n  consent:',
      )
      .replace('scorers: [neighbours, recent]', 'scorers: [neighbours, recent, habits, next, rising, together]'),
  );
});
afterAll(() => shop.remove());

const training = ['export', '--for', 'training', '--window', '4d'];

describe('export', () => {
  it(
    'says what each cut gave, what was left out and why, and the files',
    async () => {
      const { exitCode, stdout, stderr } = await shop.run([...training, '--out', 'rows', '--cuts', '2024-05-08,2024-05-12,2024-05-16']);
      expect(stderr).not.toContain('error');
      expect(exitCode).toBe(0);
      expect(stdout).toContain('Training rows of surface home');
      expect(stdout).toMatch(/2024-05-08 +2024-05-12 +train +\d+ +\d+ +\d+ +\d/);
      expect(stdout).toMatch(/2024-05-16 +2024-05-20 +validation/);
      expect(stdout).toMatch(/% of the items that were taken and new were proposed/);
      expect(stdout).toMatch(/rows\.parquet +\d/);
      expect(stderr).toMatch(/✓ cut 2024-05-08/);
      expect(readdirSync(join(shop.directory, 'rows')).sort()).toEqual(['groups.parquet', 'items.parquet', 'rows.parquet', 'schema.json']);
      expect(Math.max(...stdout.split('\n').map((line) => line.length))).toBeLessThanOrEqual(80 + shop.directory.length);
    },
    manyFits,
  );

  it(
    'passes every option on, and prints JSON',
    async () => {
      shop.write('columns.txt', '# within the request\nrank(score.recent)\n\nitem.price * 2.0\n');
      const { exitCode, stdout, stderr } = await shop.run([
        ...training,
        '--out',
        'options',
        '--cuts',
        '2',
        '--every',
        '5d',
        '--until',
        '2024-05-19',
        '--validation-cuts',
        '1',
        '--negatives',
        '2',
        '--json',
        '--without',
        'together',
        '--column',
        'zscore(score.recent)',
        '--column',
        '@columns.txt',
        '--history',
        '3',
        '--all-positives',
        '--minimum-item-users',
        '1',
        '--minimum-user-items',
        '1',
        '--seed',
        '7',
        '--with-ids',
        '--purpose',
        'personalisation',
        '--graded',
      ]);
      expect(stderr).toBe('');
      expect(exitCode).toBe(0);
      const printed = JSON.parse(stdout) as { columns: { name: string }[] };
      expect(printed).toMatchObject({
        cuts: [
          { at: '2024-05-10T00:00:00.000Z', until: '2024-05-14T00:00:00.000Z', split: 'train' },
          { at: '2024-05-15T00:00:00.000Z', split: 'validation' },
        ],
        leftOut: { without: ['together'] },
      });
      const schema = JSON.parse(readFileSync(join(shop.directory, 'options/schema.json'), 'utf8')) as {
        options: object;
        negatives: object;
      };
      expect(schema.negatives).toEqual({ sampled: true, perGroup: 2, seed: 7 });
      expect(schema.options).toMatchObject({
        history: 3,
        graded: true,
        allPositives: true,
        withIds: true,
        expressions: ['zscore(score.recent)', 'rank(score.recent)', 'item.price * 2.0'],
      });
      const names = printed.columns.map(({ name }) => name);
      expect(names).toContain('item.price * 2.0');
      expect(names.join()).not.toContain('together');
    },
    manyFits,
  );

  it(
    'is free of what happened after a cut, with every component that looks at time',
    async () => {
      const options = [
        '--cuts',
        '2024-05-12',
        '--validation-cuts',
        '0',
        '--with-ids',
        '--column',
        'zscore(score.habits)',
        '--column',
        'rank(score.rising)',
      ];
      expect((await shop.run([...training, '--out', 'plain', ...options])).exitCode).toBe(0);
      const orders = readFileSync(join(shop.directory, 'data/orders.csv'), 'utf8');
      // From the cut on b0 and b3 sell like nothing before, to everybody, in the baskets of others, in an order that was not seen before.
      const burst = Array.from({ length: 400 }, (_, index) => {
        const at = `2024-05-${12 + (index % 7)}T${String(index % 24).padStart(2, '0')}:30:00`;
        return `${9000 + Math.floor(index / 3)},late${index % 37},${index % 3 === 0 ? 'b3' : index % 3 === 1 ? 'b0' : 'a1'},${at},Norway`;
      });
      shop.write('data/orders.csv', `${orders}${burst.join('\n')}\n`);
      const planted = await shop.run([...training, '--out', 'planted', ...options]);
      const evaluated = await shop.run(['build', '--json']);
      shop.write('data/orders.csv', orders);
      expect(planted.exitCode).toBe(0);
      expect(evaluated.exitCode).toBe(0);
      // The labels are those of customers that the burst does not touch, so every byte of the rows must be the same.
      for (const file of ['rows.parquet', 'groups.parquet', 'items.parquet']) {
        const [left, right] = ['plain', 'planted'].map((name) => readFileSync(join(shop.directory, name, file)));
        expect(left?.equals(right as Buffer), file).toBe(true);
      }
      // And the burst would have shown: with the cut after it, it does.
      const after = ['--cuts', '2024-05-14', '--validation-cuts', '0', '--with-ids', '--window', '4d'];
      await shop.run(['export', '--for', 'training', '--out', 'after', ...after]);
      shop.write('data/orders.csv', `${orders}${burst.join('\n')}\n`);
      await shop.run(['export', '--for', 'training', '--out', 'afterPlanted', ...after]);
      shop.write('data/orders.csv', orders);
      const [left, right] = ['after', 'afterPlanted'].map((name) => readFileSync(join(shop.directory, name, 'rows.parquet')));
      expect(left?.equals(right as Buffer)).toBe(false);
    },
    manyFits,
  );

  it.each([
    [['export', '--for', 'testing', '--out', 'x'], 'training'],
    [['export'], '--out'],
    [[...training, '--out', 'x', '--cuts', 'never'], 'dates such as'],
    [[...training, '--out', 'x', '--cuts', '2024-05-12', '--every', '5d'], '--every belongs'],
    [[...training, '--out', 'x', '--every', 'often'], 'number of days'],
    [[...training, '--out', 'x', '--negatives', '0'], 'whole number from 1'],
    [[...training, '--out', 'x', '--column', '@nowhere.txt'], 'nowhere.txt'],
    [[...training, '--out', 'x', '--cuts', '2030-01-01'], 'no event after the cut'],
    [[...training, '--out', 'x', '--surface', 'hoem'], 'Did you mean|did you mean'],
    [[...training, '--out', 'x', '--column', 'score.recnt'], 'did you mean'],
  ])('refuses %j with exit code 2', async (words, message) => {
    const { exitCode, stderr } = await shop.run(words);
    expect(stderr.replace(/\s+/g, ' ')).toMatch(new RegExp(message));
    expect(exitCode).toBe(2);
    expect(existsSync(join(shop.directory, 'x'))).toBe(false);
  });

  it('refuses a component that is not there with exit code 3, and a folder that is in use with 4', async () => {
    expect(await shop.run([...training, '--out', 'x', '--without', 'clik'])).toMatchObject({ exitCode: 3 });
    expect(await shop.run([...training, '--out', 'data'])).toMatchObject({
      exitCode: 4,
      stderr: expect.stringContaining('holds other files'),
    });
  });

  it('is interrupted without leaving anything', async () => {
    const { exitCode } = await shop.run([...training, '--out', 'x'], { signal: AbortSignal.abort() });
    expect(exitCode).toBe(130);
    expect(existsSync(join(shop.directory, 'x'))).toBe(false);
  });
});
