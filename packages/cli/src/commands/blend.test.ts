import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { type FixtureShop, fixtureShop } from '../fixture-shop.fixture.js';
import { displayWidth } from '../render/text.js';

let shop: FixtureShop;
beforeAll(() => {
  shop = fixtureShop();
});
afterAll(() => shop.remove());

const window = ['--cut', '2024-05-07', '--until', '2024-05-10', '--k', '3', '--no-segments'];

describe('blend', () => {
  it('learns on one window, checks on the one before, and says both', async () => {
    const { stdout, stderr, exitCode } = await shop.run(['blend', ...window]);
    expect(exitCode).toBe(0);
    expect(stdout).toContain('A blend for surface home');
    expect(stdout).toMatch(/learned on +2024-05-07/);
    expect(stdout).toMatch(/checked on +2024-05-04/);
    expect(stdout).toMatch(/recommended/i);
    expect(stdout).toContain('use: blend/scores');
    expect(Math.max(...stdout.split('\n').map(displayWidth))).toBeLessThanOrEqual(90);
    expect(stderr).toContain('learn weights');
  }, 120_000);

  it('writes only what is recommended, unless told; what it writes is a valid config', async () => {
    const refused = await shop.run(['blend', ...window, '--out', 'blended.yaml', '--json']);
    expect(refused.exitCode).toBe(0);
    const learned = JSON.parse(refused.stdout);
    expect(learned).toMatchObject({ surface: 'home', k: 3, columns: ['neighbours', 'recent'] });
    // Some twenty people are too few for a gain that is beyond chance.
    expect(learned.verdict).not.toBe('recommended');
    expect(existsSync(join(shop.directory, 'blended.yaml'))).toBe(false);

    const written = await shop.run(['blend', 'shop.yaml', ...window, '--out', 'blended.yaml', '--anyway', '--columns', 'neighbours']);
    expect(written.exitCode).toBe(0);
    const text = readFileSync(join(shop.directory, 'blended.yaml'), 'utf8');
    expect(text).toContain('# Not recommended');
    expect(parse(text)).toMatchObject({ base: './shop.yaml', surfaces: { home: { value: 'score.blend' } } });
    expect((await shop.run(['validate', 'blended.yaml'])).exitCode).toBe(0);

    const again = await shop.run(['blend', ...window, '--out', 'blended.yaml']);
    expect(again.exitCode).toBe(2);
    expect(again.stderr).toContain('is there already');
  }, 120_000);

  it.each([
    ['no cut', ['blend'], 2],
    ['a list of no length', ['blend', ...window, '--k', '0'], 2],
    ['a window that ends before it begins', ['blend', ...window, '--until', '2024-05-01'], 2],
    ['an end of a check without its beginning', ['blend', ...window, '--confirm-until', '2024-05-06'], 2],
    ['itself as the file to write', ['blend', ...window, '--out', 'shop.yaml'], 2],
    ['a column that there is none', ['blend', ...window, '--columns', 'neighbors'], 3],
    ['a type of events that nobody has', ['blend', ...window, '--relevant', 'rating'], 4],
    ['nobody in the window', ['blend', '--cut', '2030-01-01'], 4],
  ])('refuses %s', async (_, argv, exitCode) => {
    expect((await shop.run(argv)).exitCode).toBe(exitCode);
  });
});
