import { existsSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { type FixtureShop, fixtureShop, shopYaml } from '../fixture-shop.fixture.js';

const search = `tune:
  k: 3
  trials: 4
  split: { cut: 2024-05-04, until: 2024-05-08 }
  confirm: { cut: 2024-05-08, until: 2024-05-13 }
  options:
    recent.decayDays: { from: 0.5, to: 30, scale: log }
    neighbours.neighbours: { values: [1, 5, 50] }
`;

let shop: FixtureShop;
beforeAll(() => {
  shop = fixtureShop();
  shop.write('shop.yaml', shopYaml + search);
});
afterAll(() => shop.remove());

const journal = (): readonly string[] => {
  const folder = join(shop.directory, '.recloom/lamps/tune');
  return existsSync(folder) ? readdirSync(folder).filter((name) => name.endsWith('.jsonl')) : [];
};

describe('recloom tune', () => {
  it('keeps what is finished when it is interrupted, goes on from there, and ends like a run that was not', async () => {
    const whole = await shop.run(['tune', '--json', '--out', 'whole.yaml', '--fresh']);
    expect(whole.exitCode).toBe(0);
    const controller = new AbortController();
    rmSync(join(shop.directory, '.recloom'), { recursive: true });
    const interrupted = await shop.run(['tune', '--out', 'resumed.yaml'], { signal: abortedBy(controller) });
    expect(interrupted.exitCode).toBe(130);
    expect(interrupted.stderr).toContain('finished trials are kept: the same command goes on from there');
    expect(journal()).toHaveLength(1);
    expect(existsSync(join(shop.directory, 'resumed.yaml'))).toBe(false);
    const resumed = await shop.run(['tune', '--out', 'resumed.yaml']);
    expect(resumed.exitCode).toBe(0);
    expect(resumed.stdout).toMatch(/goes on where it stopped: [23] trials of the journal/);
    const document = JSON.parse(whole.stdout) as {
      best: number;
      bestValues: unknown;
      changes: readonly unknown[];
      done: readonly unknown[];
    };
    expect(document.done).toHaveLength(4);
    expect(resumed.stdout).toContain(` ${document.best.toFixed(4).replace(/^0/, '')}`);
    expect(existsSync(join(shop.directory, 'resumed.yaml'))).toBe(document.changes.length > 0);
    const table = (name: string): string => readFileSync(join(shop.directory, name), 'utf8');
    expect(table('resumed.trials.csv')).toBe(table('whole.trials.csv'));
    // Numbers are those of the command.
    expect(
      table('whole.trials.csv')
        .split('\n')
        .slice(1, 5)
        .map((line) => line.split(',')[0]),
    ).toEqual(['1', '2', '3', '4']);
  }, 120_000);

  it('says what window it uses, that the test was not touched, and never touches a snapshot', async () => {
    const { stdout } = await shop.run(['tune', '--trials', '2', '--out', 'window.yaml']);
    expect(stdout).toContain('2024-05-04 to 2024-05-08');
    expect(stdout).toContain('was not touched: nothing from 2024-05-13 on is used');
    expect(readdirSync(join(shop.directory, '.recloom/lamps'))).toEqual(['tune']);
  });

  it('writes nothing over what is there unless told to', async () => {
    shop.write('mine.yaml', 'dear: to me\n');
    const refused = await shop.run(['tune', '--trials', '2', '--out', 'mine.yaml']);
    expect(refused).toMatchObject({ exitCode: 2, stderr: expect.stringContaining('mine.yaml is there already') });
    expect(parse(readFileSync(join(shop.directory, 'mine.yaml'), 'utf8'))).toEqual({ dear: 'to me' });
    expect((await shop.run(['tune', '--trials', '2', '--out', 'mine.yaml', '--force'])).exitCode).toBe(0);
    expect(await shop.run(['tune', '--out', 'shop.yaml', '--force'])).toMatchObject({
      exitCode: 2,
      stderr: expect.stringContaining('based on itself'),
    });
    expect(await shop.run(['tune', '--trials', '0'])).toMatchObject({ exitCode: 2 });
    expect(await shop.run(['tune', '--minutes', '0'])).toMatchObject({ exitCode: 2 });
  });

  it('refuses a window that reaches into the test, with file and line, and so does validate', async () => {
    const line = (shopYaml + search).split('\n').findIndex((text) => text.includes('confirm:')) + 1;
    const early = await shop.run(['tune', '--test', '2024-05-10']);
    expect(early).toMatchObject({ exitCode: 3, stderr: expect.stringContaining(`shop.yaml:${line}:`) });
    expect(early.stderr).toContain('RECLOOM_CFG_TUNE_TEST');
    shop.write('wrong.yaml', (shopYaml + search).replace('recent.decayDays', 'recent.decayDay'));
    for (const command of ['tune', 'validate']) {
      const { exitCode, stderr } = await shop.run([command, 'wrong.yaml']);
      expect(exitCode).toBe(3);
      expect(stderr.replace(/\s+/g, ' ')).toContain('did you mean "decayDays"');
    }
  });

  it('tells what to do when the config declares no search', async () => {
    shop.write('plain.yaml', shopYaml);
    expect(await shop.run(['tune', 'plain.yaml'])).toMatchObject({ exitCode: 3, stderr: expect.stringContaining('"tune" is missing') });
  });
});

/** Aborts once the command has begun the search; the fixture shows its output only at the end, so the journal is watched. */
function abortedBy(controller: AbortController): AbortSignal {
  const timer = setInterval(() => {
    const lines = journal().flatMap((name) => readFileSync(join(shop.directory, '.recloom/lamps/tune', name), 'utf8').split('\n'));
    if (lines.length >= 4) {
      clearInterval(timer);
      controller.abort(new DOMException('interrupted', 'AbortError'));
    }
  }, 2);
  return controller.signal;
}
