import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { loadConfig, readPipelineData } from '@recloom/core';
import type { Warning } from '@recloom/plugin-api';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { type TuneOptions, type TuneReport, type TuneTrial, tune } from './tune.js';
import { cut, itemCount, nothingSeen, type Seen, start, step, tuneConfig, tunePlugin, tuneShop, until } from './tune-shop.test-support.js';
import { trialsTable, tunedConfig } from './tuned-config.js';

let folder: string;
let counter = 0;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'recloom-tune-'));
});
afterAll(() => rmSync(folder, { recursive: true }));

const day = 86_400_000;
const data = tuneShop();
const confirm = { cut: '2024-01-21', until: '2024-01-31' };

/** Runs a search of the test shop; the plugin's notes come along. */
async function search(over: Record<string, unknown> = {}, options: TuneOptions = {}): Promise<TuneReport & { readonly seen: Seen }> {
  const seen = nothingSeen();
  return { ...(await tune(tuneConfig(over), data, { plugins: [tunePlugin(seen)], ...options })), seen };
}

/** What must not depend on when and how a search ran. */
function lasting({ done, milliseconds: _, resumed: __, journal: ___, ...rest }: TuneReport & { readonly seen?: Seen }): unknown {
  const { seen: ____, ...facts } = rest;
  return { ...facts, done: done.map(({ milliseconds: _____, resumed: ______, ...trial }) => trial) };
}

describe('tune', () => {
  it('finds the options that the data were made by, and says what each gains', async () => {
    const report = await search({ confirm, trials: 30 });
    expect(report.bestValues['jump.shift']).toBe(5);
    expect(report.best).toBeGreaterThan(report.start);
    expect(report.changes).toContainEqual({ name: 'jump.shift', from: 12, to: 5, gain: expect.any(Number) });
    for (const { gain } of report.changes) expect(gain).toBeGreaterThan(0);
    expect(report.patch).toMatchObject({ components: { jump: { with: { shift: 5 } } } });
    expect(report.chosenOn).toMatchObject({ start: report.start, best: report.best, cases: 240 });
    expect(report.confirmed).toMatchObject({ survives: true });
    expect(report.confirmed?.difference.low).toBeGreaterThan(0);
    expect(report.importance).toHaveLength(2);
  });

  it('gives the same report for the same seed and another search for another', async () => {
    const first = await search({ trials: 15 });
    expect(lasting(await search({ trials: 15 }))).toEqual(lasting(first));
    expect((await search({ trials: 15, seed: 9 })).done[3]?.values).not.toEqual(first.done[3]?.values);
  });

  it('never lets a component see the test, nor what lies in the window it is asked about', async () => {
    const { seen, testFrom, window } = await search({ confirm, trials: 3 });
    expect(testFrom).toBe(new Date(Date.parse(until)).toISOString());
    expect(window).toEqual({ from: new Date(Date.parse(cut)).toISOString(), until: testFrom });
    // Events of day 40 are asked for, those of day 60 are the test; the newest that was fitted on is of day 25.
    expect(seen.newestMs).toBeLessThan(start + 26 * day);
    expect(seen.newestMs).toBeGreaterThan(start + 25 * day);
  });

  it('takes the test out for splits that draw from all data', async () => {
    const { seen, testFrom } = await search({
      split: { kind: 'user-holdout', fraction: 0.5, minimumUserItems: 2 },
      test: until,
      trials: 2,
    });
    expect(testFrom).toBe(new Date(Date.parse(until)).toISOString());
    expect(seen.newestMs).toBeLessThan(Date.parse(until));
    const last = await search({ split: { kind: 'leave-last-out', minimumUserItems: 2 }, trials: 2 });
    expect(last.testFrom).toBeUndefined();
    // Four items a person: the last (day 60) is the test, the one before (day 40) is asked for.
    expect(last.seen.newestMs).toBeLessThan(start + 26 * day);
  });

  it('asks for what is taken again, and for the events that are wanted', async () => {
    // Nobody takes anything twice.
    await expect(search({ split: { kind: 'temporal', cut, until, repeats: 'only' }, trials: 1 })).rejects.toMatchObject({
      code: 'RECLOOM_DAT_SPLIT_NO_TEST',
    });
    await expect(search({ split: { kind: 'temporal', cut, until, relevantTypes: ['cart'] }, trials: 1 })).rejects.toMatchObject({
      code: 'RECLOOM_DAT_UNKNOWN_EVENT_TYPE',
    });
    const { split } = await search({ split: { kind: 'temporal', cut, until, relevantTypes: ['event'] }, trials: 1 });
    expect(split.summary).toContain('events of type event alone');
    // Another kind for the check takes what it can of what the first one says.
    const { confirm: second } = await search({
      split: { kind: 'temporal', cut, until, repeats: 'answers', relevantTypes: ['event'] },
      confirm: { kind: 'leave-last-out', minimumUserItems: 2 },
      test: until,
      trials: 1,
    });
    expect(second?.split).toMatchObject({ kind: 'leave-last-out', summary: expect.stringContaining('events of type event alone') });
  });

  it('searches on what somebody kept back in a file, and begins anew when the file is another', async () => {
    const directory = mkdtempSync(join(folder, 'predefined-'));
    symlinkSync(fileURLToPath(new URL('../../../../node_modules', import.meta.url)), join(directory, 'node_modules'));
    const events = (first: number, length: number) =>
      [
        'user,item,at',
        ...Array.from({ length: 60 }, (_, person) =>
          Array.from(
            { length },
            (__, place) =>
              `u${String(person).padStart(3, '0')},i${String((person * 7 + first + place * step) % itemCount).padStart(2, '0')},2024-01-${String(3 + place).padStart(2, '0')}T00:00:00`,
          ),
        ).flat(),
      ].join('\n');
    writeFileSync(join(directory, 'train.csv'), events(0, 3));
    writeFileSync(join(directory, 'kept-back.csv'), events(3 * step, 1));
    const source = {
      ...tuneConfig({
        split: { kind: 'predefined', file: 'kept-back.csv' },
        trials: 4,
        options: { 'jump.shift': { values: [4, 5, 6] } },
      }),
      data: { events: { use: 'data-duckdb/events', with: { path: 'train.csv', user: 'user', item: 'item', time: 'at' } } },
    };
    const run = async (given: string | Record<string, unknown>, options: TuneOptions = {}): Promise<TuneReport & { warned: string[] }> => {
      const warned: string[] = [];
      const host = { plugins: [tunePlugin(nothingSeen())], directory };
      const report = await tune(given, await readPipelineData(given, host), {
        ...host,
        ...options,
        warn: ({ code }) => warned.push(code),
      });
      return { ...report, warned };
    };
    const report = await run(source);
    expect(report.bestValues).toEqual({ 'jump.shift': 5 });
    expect(report).toMatchObject({ best: 1, window: { from: undefined, until: undefined }, testFrom: undefined });
    expect(report.chosenOn?.cases).toBe(60);
    // The same as a file, with a journal.
    const file = join(directory, 'shop.yaml');
    writeFileSync(file, JSON.stringify(source));
    const journalDirectory = join(directory, 'journal');
    expect((await run(file, { journalDirectory })).bestValues).toEqual({ 'jump.shift': 5 });
    expect((await run(file, { journalDirectory })).resumed).toBe(4);
    writeFileSync(join(directory, 'kept-back.csv'), events(3 * step - 1, 1));
    const other = await run(file, { journalDirectory });
    expect(other).toMatchObject({ resumed: 0, bestValues: { 'jump.shift': 4 }, warned: ['RECLOOM_DAT_TUNE_OTHER'] });
    writeFileSync(
      file,
      JSON.stringify({ ...source, tune: { ...(source as { tune?: object }).tune, split: { kind: 'predefined', file: 'nowhere.csv' } } }),
    );
    await expect(run(file)).rejects.toMatchObject({ code: expect.stringMatching(/^(RECLOOM|DATA_DUCKDB|DUCKDB)_/) });
  });

  it('fits only what a trial changes, leaves out what the surface does without, and runs no side effect', async () => {
    const { seen, done } = await search({
      trials: 12,
      options: { 'jump.shift': { values: [4, 5, 6] }, 'jump.pull': { values: [0, 0.5] } },
    });
    expect(seen.steady).toBe(1);
    // Six combinations and the start; nothing is fitted for the surface `other`, and nothing twice.
    expect(done).toHaveLength(7);
    expect(seen.fits).toHaveLength(7);
    expect(new Set(seen.fits.map((options) => JSON.stringify(options))).size).toBe(7);
    expect(seen.effects).toEqual([]);
  });

  it('ends when every combination was tried', async () => {
    const report = await search({ trials: 50, options: { 'jump.shift': { values: [4, 5] } } });
    expect(report).toMatchObject({ ended: 'exhausted', bestValues: { 'jump.shift': 5 } });
    expect(report.done).toHaveLength(3);
  });

  it('stops only trials that could not have won, with an estimate near what they are worth', async () => {
    const report = await search({ trials: 30 });
    const stopped = report.done.filter((trial) => trial.stopped);
    expect(stopped.length).toBeGreaterThan(3);
    for (const trial of stopped) {
      expect(trial.cases).toBe(200);
      expect(trial.isBest).toBe(false);
      expect(trial.value).toBeLessThan(report.best);
    }
    for (const { values, value } of stopped.slice(0, 4)) {
      const { components, ...rest } = tuneConfig({ trials: 1 });
      const jump = { use: 'tuned/jump', with: { shift: values['jump.shift'], pull: values['jump.pull'] } };
      const config = { ...rest, components: { ...(components as object), jump } };
      const whole = await tune(config, data, { plugins: [tunePlugin(nothingSeen())] });
      expect(whole.done[0]).toMatchObject({ cases: 240, stopped: false });
      expect(whole.start).toBeLessThan(report.best);
      expect(Math.abs(whole.start - (value as number))).toBeLessThan(0.05);
    }
  });

  it('records a point that fails and goes on; a start that fails is the caller’s to repair', async () => {
    const over = { options: { 'jump.broken': { values: [false, true] }, 'jump.shift': { values: [5, 12] } }, trials: 5 };
    const report = await search(over);
    const failed = report.done.filter((trial) => trial.failed !== undefined);
    expect(failed.map((trial) => trial.failed)).toContain('RECLOOM_DAT_EMPTY');
    for (const trial of failed) expect(trial).toMatchObject({ value: undefined, values: { 'jump.broken': true } });
    expect(report.bestValues).toEqual({ 'jump.broken': false, 'jump.shift': 5 });
    const config = {
      ...tuneConfig(over),
      components: { jump: { use: 'tuned/jump', with: { broken: true } }, steady: { use: 'tuned/steady' } },
    };
    const surfaces = { home: { sources: { jump: 10 }, scorers: ['steady'] } };
    await expect(tune({ ...config, surfaces }, data, { plugins: [tunePlugin(nothingSeen())] })).rejects.toMatchObject({
      code: 'RECLOOM_DAT_EMPTY',
      at: { node: 'jump' },
    });
  });

  it('keeps the config when nothing is better', async () => {
    const report = await search({ options: { 'jump.shift': { from: 13, to: 20 } }, trials: 6 });
    expect(report).toMatchObject({ changes: [], patch: {}, chosenOn: undefined, confirmed: undefined, bestTrial: 0 });
    expect(report.best).toBe(report.start);
  });

  it('puts back what does not pay', async () => {
    // `steady` has no say: the number before it changes nothing, and so is not among the changes.
    const value = '1.0 * source.jump.score + {{steady}} * score.steady';
    const report = await search({
      options: {
        'jump.shift': { values: [5, 12] },
        'surfaces.home.value': { expression: value, numbers: { steady: { from: 0, to: 1 } } },
      },
      trials: 20,
    });
    expect(report.changes.map(({ name }) => name)).toEqual(['jump.shift']);
    expect(report.bestValues['surfaces.home.value.steady']).toBe(0.1);
  });

  it('tunes numbers inside a value', async () => {
    const report = await search({
      options: {
        'surfaces.home.value': {
          expression: '{{ jump }} * source.jump.score + 0.1*score.steady',
          numbers: { jump: { values: [-1, 0.5, 1] } },
        },
      },
      trials: 3,
    });
    // The start, 12 places on, is further off than its reverse: (−1) turns the order round.
    expect(report.done.map((trial) => trial.values)).toContainEqual({ 'surfaces.home.value.jump': -1 });
    expect(report.done.every((trial) => trial.failed === undefined)).toBe(true);
    if (report.changes.length > 0)
      expect(report.patch).toMatchObject({
        surfaces: { home: { value: expect.stringContaining('* source.jump.score + 0.1*score.steady') } },
      });
  });

  it('asks with the limits of serving when a limit is what is tuned, and keeps the other sources of a list', async () => {
    const config = tuneConfig({ options: { 'surfaces.home.sources.jump': { values: [1, 8, 30] } }, trials: 4 });
    const surfaces = {
      home: { sources: ['jump', { use: 'idle', limit: 1, fallback: true }], scorers: ['steady'], value: 'source.jump.score' },
    };
    const components = { ...(config['components'] as object), jump: { use: 'tuned/jump', with: { shift: 3 } } };
    const report = await tune({ ...config, components, surfaces }, data, { plugins: [tunePlugin(nothingSeen())] });
    const at = (limit: number): number | undefined =>
      report.done.find((trial) => trial.values['surfaces.home.sources.jump'] === limit)?.value;
    // With one candidate, 3 places on, nobody finds what lies 5 places on; with eight they do.
    expect(at(8)).toBeGreaterThan((at(1) ?? 1) + 0.05);
    // The start asks for the default of 200: what is found is what eight find, so nothing needs to change.
    expect(report.changes).toEqual([]);
    const tried = await tune(
      {
        ...config,
        components,
        surfaces: { home: { ...surfaces.home, sources: [{ use: 'jump', limit: 1 }, 'idle'], limits: { candidates: 50 } } },
      },
      data,
      {
        plugins: [tunePlugin(nothingSeen())],
      },
    );
    expect(tried.patch).toMatchObject({ surfaces: { home: { sources: { jump: { limit: expect.any(Number) }, idle: { limit: 200 } } } } });
  });

  it('refuses a metric that the data cannot give', async () => {
    const run = tune(tuneConfig({ metric: 'revenue' }), tuneShop(240, false), { plugins: [tunePlugin(nothingSeen())] });
    await expect(run).rejects.toMatchObject({ code: 'RECLOOM_DAT_NO_LABELS' });
    // At its best everybody is shown what they take: the mean of its price, which is its place in the catalogue.
    let sum = 0;
    for (let person = 0; person < 240; person++) sum += ((person * 7 + 2 * step + (person % 6 === 0 ? 4 : 0)) % itemCount) + 1;
    const report = await search({ metric: 'revenue', options: { 'jump.shift': { values: [5, 12] } }, trials: 3 });
    expect(report.best).toBeCloseTo(sum / 240, 10);
  });

  it('says all that is wrong with the declaration at once, and that there is none', async () => {
    await expect(search({ options: { 'jmup.shift': { from: 0, to: 2 }, 'jump.shfit': { from: 0, to: 2 } } })).rejects.toMatchObject({
      code: 'RECLOOM_CFG_INVALID',
      problems: [{ code: 'RECLOOM_CFG_UNKNOWN_NAME' }, { code: 'RECLOOM_CFG_UNKNOWN_KEY' }],
    });
    const { tune: _, ...without } = tuneConfig();
    await expect(tune(without, data, { plugins: [tunePlugin(nothingSeen())] })).rejects.toMatchObject({
      problems: [{ code: 'RECLOOM_CFG_MISSING_KEY', message: expect.stringContaining('tune') }],
    });
  });
});

describe('an interrupted search', () => {
  const over = { confirm, trials: 22 };

  /** Runs with a journal in a folder, and is interrupted after some trials. */
  async function interrupted(directory: string, after: number): Promise<readonly TuneTrial[]> {
    const controller = new AbortController();
    const trials: TuneTrial[] = [];
    const running = search(over, {
      journalDirectory: directory,
      signal: controller.signal,
      onTrial: (trial) => {
        trials.push(trial);
        if (trials.length === after) controller.abort(new DOMException('interrupted', 'AbortError'));
      },
    });
    await expect(running).rejects.toThrow('interrupted');
    return trials;
  }

  it('resumes and ends in the same best as one that was not, without scoring anything twice', async () => {
    const whole = await search(over);
    const directory = join(folder, `${counter++}`);
    await interrupted(directory, 5);
    await interrupted(directory, 13);
    const resumed = await search(over, { journalDirectory: directory });
    expect(resumed.resumed).toBe(13);
    expect(resumed.done.map((trial) => trial.resumed)).toEqual(Array.from({ length: 22 }, (_, number) => number < 13));
    expect(lasting(resumed)).toEqual(lasting(whole));
    // Once more: everything is in the journal, nothing is fitted.
    const again = await search(over, { journalDirectory: directory });
    expect(again.seen.fits).toEqual([]);
    expect(lasting(again)).toEqual(lasting(whole));
    // And more trials go on from there.
    const more = await search({ ...over, trials: 26 }, { journalDirectory: directory });
    expect(more.resumed).toBe(22);
    expect(lasting(more)).toEqual(lasting(await search({ ...over, trials: 26 })));
  });

  it('survives a line torn by a kill', async () => {
    const whole = await search(over);
    const directory = join(folder, `${counter++}`);
    await interrupted(directory, 6);
    const file = join(directory, readdirSync(directory).find((name) => name.endsWith('.jsonl')) as string);
    const text = readFileSync(file, 'utf8');
    writeFileSync(file, text.slice(0, -30));
    const resumed = await search(over, { journalDirectory: directory });
    expect(resumed.resumed).toBe(5);
    expect(lasting(resumed)).toEqual(lasting(whole));
  });

  it('does not mix in a journal of another space, window or data', async () => {
    const directory = join(folder, `${counter++}`);
    await interrupted(directory, 4);
    const warnings: Warning[] = [];
    const warn = (warning: Warning): void => void warnings.push(warning);
    const other = await search(
      { ...over, trials: 3, options: { 'jump.shift': { from: 0, to: 10 } } },
      { journalDirectory: directory, warn },
    );
    expect(other.resumed).toBe(0);
    expect(warnings).toMatchObject([{ code: 'RECLOOM_DAT_TUNE_OTHER', message: expect.stringContaining('the options to search') }]);
    const report = await tune(tuneConfig({ ...over, trials: 3 }), tuneShop(230), {
      plugins: [tunePlugin(nothingSeen())],
      journalDirectory: directory,
      warn,
    });
    expect(report.resumed).toBe(0);
    expect((await search({ ...over, trials: 3 }, { journalDirectory: directory, fresh: true })).resumed).toBe(0);
  });

  it('refuses a journal whose trials are not those of this search', async () => {
    const directory = join(folder, `${counter++}`);
    await interrupted(directory, 4);
    const file = join(directory, readdirSync(directory).find((name) => name.endsWith('.jsonl')) as string);
    writeFileSync(file, readFileSync(file, 'utf8').replace(/("number":2,"values":\{"jump.shift":)\d+/, '$199'));
    await expect(search(over, { journalDirectory: directory })).rejects.toMatchObject({ code: 'RECLOOM_DAT_TUNE_JOURNAL' });
  });

  it('lets two runs of one search not write into one journal', async () => {
    const directory = join(folder, `${counter++}`);
    let second: Promise<unknown> | undefined;
    await search(
      { trials: 3 },
      {
        journalDirectory: directory,
        onTrial: (trial) => {
          if (trial.number === 0) second = search({ trials: 3 }, { journalDirectory: directory }).catch((error: unknown) => error);
        },
        progress: () => {},
      },
    );
    expect(await second).toMatchObject({ code: 'RECLOOM_DAT_LOCKED' });
  });

  it('ends in time, with the checks done that it has time for', async () => {
    const report = await search({ trials: 100_000, options: { 'jump.pull': { from: 0, to: 1 } } }, { minutes: 0.01 });
    expect(report.ended).toBe('minutes');
    expect(report.done.length).toBeGreaterThan(0);
    expect(report.done.length).toBeLessThan(100_000);
  });
});

describe('a config file', () => {
  it('is tuned without touching its snapshot, and the best is a file on top of it', async () => {
    const directory = join(folder, `${counter++}`);
    const file = join(mkdtempSync(`${directory}-`), 'shop.yaml');
    writeFileSync(file, JSON.stringify(tuneConfig({ confirm, trials: 30, options: { 'jump.shift': { from: 0, to: 20 } } })));
    const plugins = [tunePlugin(nothingSeen())];
    const report = await tune(file, data, { plugins });
    const root = join(file, '..', '.recloom', 'tuned');
    // Nothing but the journal: no snapshot, no pointer, no parts.
    expect(readdirSync(root)).toEqual(['tune']);
    expect(report.journal).toContain(join(root, 'tune'));
    const text = tunedConfig(report, './shop.yaml');
    expect(parse(text)).toEqual({ base: './shop.yaml', components: { jump: { with: { shift: 5 } } } });
    expect(text).toMatch(/shift: 5 # was 12, now 5; gains 0\.\d{4}/);
    expect(text).toContain('the gain survives');
    expect(text).toContain('The test, from 2024-02-20 on, was not used.');
    const tuned = join(file, '..', 'shop.tuned.yaml');
    writeFileSync(tuned, text);
    const { config } = await loadConfig(tuned);
    expect(config.components['jump']?.with).toEqual({ shift: 5 });
    expect(Object.keys(config.surfaces)).toEqual(['home', 'other']);
    const rows = trialsTable(report).trimEnd().split('\n');
    expect(rows[0]).toBe('trial,ndcg@10,cases,outcome,jump.shift');
    // Every place once; the start is one of them.
    expect(rows).toHaveLength(22);
    expect(existsSync(join(root, 'current'))).toBe(false);
  });

  it('has the same hash with and without tune', async () => {
    const { tune: _, ...without } = tuneConfig();
    const hashOf = async (config: Record<string, unknown>): Promise<string> => (await loadConfig(config)).hash;
    expect(await hashOf(tuneConfig())).toBe(await hashOf(without));
    expect(await hashOf(tuneConfig({ trials: 7 }))).toBe(await hashOf(without));
  });
});
