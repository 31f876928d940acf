import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { datasetFromArrays, validatePipeline } from '@recloom/core';
import { meanOf } from '@recloom/evaluate';
import { describe, expect, it } from 'vitest';
import { root } from '../bench/online-retail.js';
import { measurePipeline, measurePopularity } from './measure.js';
import { missingData, type ProtocolSplit, readProtocol } from './protocol-data.js';
import { goals, type ProtocolId } from './reference-figures.js';

const pipelines = join(import.meta.dirname, 'pipelines');
const files = readdirSync(pipelines, { recursive: true, encoding: 'utf8' }).filter((file) => file.endsWith('.yaml'));

/** Runs where the lent data are; elsewhere the line says why not. */
const whereData = (id: ProtocolId, title: string, test: () => Promise<void>): void => {
  const missing = missingData(id);
  it.skipIf(missing !== undefined)(missing === undefined ? title : `${title} (skipped: ${missing})`, test, 120_000);
};

const answers = (split: ProtocolSplit): number => split.cases.reduce((sum, { relevant }) => sum + relevant.length, 0);

describe('protocols of recommendation quality', () => {
  it('their pipelines are configs without a problem', async () => {
    expect(files.length).toBeGreaterThan(8);
    // What an item has (attributes) comes with the data.
    for (const file of files) {
      const { surfaces } = await validatePipeline(join(pipelines, file), { data: false });
      expect(surfaces, file).toContain('home');
    }
  });

  it('every peer’s figure lies between 0 and 1, and the library peers below the aim', () => {
    for (const goal of Object.values(goals)) {
      for (const peer of goal.peers) {
        const figures = [peer.valid, peer.testA, peer.testB].filter((figure) => figure !== undefined);
        expect(figures.length, `${goal.id} ${peer.name}`).toBeGreaterThan(0);
        for (const figure of figures) expect(figure > 0 && figure < 0.5).toBe(true);
        if (peer.kind === 'library' && peer.testB !== undefined) expect(peer.testB).toBeLessThan(goal.aim);
      }
    }
  });

  it('asks with what came after the fit, and never counts a masked item', async () => {
    // Everybody goes a → b and c → d. The last user was fitted with `a` alone and took `c` afterwards: then `d` comes next.
    const day = (number: number): number => Date.UTC(2020, 0, number);
    const others = ['u1', 'u2', 'u3', 'u4'];
    const train = datasetFromArrays({
      events: [
        ...others.flatMap((user, index) =>
          (index % 2 === 0 ? ['a', 'b'] : ['c', 'd']).map((item, place) => ({ user, item, timeMs: day(1 + place) })),
        ),
        { user: 'u5', item: 'a', timeMs: day(1) },
      ],
    });
    const split = (known: readonly string[], after: ProtocolSplit['after']): ProtocolSplit => ({
      train,
      cutMs: day(9),
      cases: [{ user: 'u5', known, relevant: ['d'] }],
      report: { trainUsers: 5, trainItems: 4, trainPairs: 9, testUsers: 1, testPairs: 1, droppedItems: 0, droppedUsers: 0, dropped: [] },
      after,
    });
    const file = join(pipelines, 'reference/q3-transitions.yaml');
    const before = await measurePipeline(file, split(['a'], []), { k: 1 });
    expect([...before.ndcg]).toEqual([0]);
    const after = await measurePipeline(file, split(['a', 'c'], [{ user: 'u5', item: 'c', time: day(5) }]), { k: 1 });
    expect([...after.ndcg]).toEqual([1]);
    expect(after.candidates.least).toBe(2);
    const served = await measurePipeline(file, split(['a', 'b', 'c'], []), { k: 1, served: true });
    expect([...served.recall]).toEqual([1]);
    expect(served.ceiling).toBe(1);
    // Of the two that most users have, `a` is masked: the other one is no right answer.
    expect([...(await measurePopularity(split(['a'], []), 1)).ndcg]).toEqual([0]);
  });

  whereData('q2', 'Q2: the counts, and nothing of valid or test in what is fitted', async () => {
    const valid = await readProtocol('q2', 'valid');
    expect(valid.report).toMatchObject({ trainUsers: 943, trainItems: 1682, trainPairs: 80_808, testUsers: 943 });
    expect(answers(valid)).toBe(9596);
    const both = await readProtocol('q2', 'test', 'B');
    expect(both.report.trainPairs).toBe(90_404);
    expect(answers(both)).toBe(9596);
    const alone = await readProtocol('q2', 'test', 'A');
    expect(alone.report.trainPairs).toBe(80_808);
    // Column A masks valid all the same.
    expect(alone.cases[0]?.known.length).toBe(both.cases[0]?.known.length);
    expectLeakFree(valid);
    expectLeakFree(both);
  });

  whereData('q3', 'Q3: rows stand in numeric order, now is the last known event, and column A brings valid along', async () => {
    const split = await readProtocol('q3', 'test', 'A');
    const ids = split.train.items.ids.map(Number);
    expect(ids).toEqual([...ids].sort((left, right) => left - right));
    expect(split.report.trainPairs).toBe(98_114);
    expect(split.after.length).toBe(943);
    for (const { user, asOfMs } of split.cases.slice(0, 50)) {
      const row = split.train.users.rowOf(user);
      const { offsets, timesMs } = split.train.history;
      const after = split.after.find((event) => event.user === user)?.time as number;
      expect(asOfMs).toBe(Math.max(timesMs[(offsets[row + 1] as number) - 1] as number, after));
    }
    expectLeakFree(split);
  });

  whereData('q4', 'Q4: ages are counted in events, and attributes are there only when asked for', async () => {
    const split = await readProtocol('q4', 'valid');
    expect(split.report).toMatchObject({
      trainUsers: 22_363,
      trainItems: 12_101,
      trainPairs: 153_776,
      testUsers: 22_363,
      testPairs: 22_363,
    });
    expect(Object.keys(split.train.items.columns)).toEqual([]);
    const { offsets, timesMs } = split.train.history;
    const last = (offsets[1] as number) - 1;
    expect(timesMs[last]).toBe(split.cases[0]?.asOfMs);
    expect((timesMs[last] as number) - (timesMs[last - 1] as number)).toBe(86_400_000);
    expectLeakFree(split);
  });

  whereData('q5', 'Q5: column A lets what valid holds compete, column B masks it', async () => {
    const alone = await readProtocol('q5', 'test', 'A');
    const both = await readProtocol('q5', 'test', 'B');
    expect([alone.report.trainPairs, both.report.trainPairs]).toEqual([118_551, 140_233]);
    expect(both.cases.length).toBe(19_445);
    const [one, other] = [alone.cases[0], both.cases[0]];
    expect((one?.known.length as number) < (other?.known.length as number)).toBe(true);
    expectLeakFree(both);
  });

  // The figures of /work/shared/reference/quality/reference.md, which numpy, RecTools and LensKit agree on.
  whereData('q2', 'Q2: our EASE has the reference’s figure to the fourth digit', async () => {
    const split = await readProtocol('q2', 'valid');
    const measured = await measurePipeline(join(root, 'test/quality/pipelines/reference/q2-ease.yaml'), split, { k: 10 });
    expect(meanOf(measured.ndcg).mean).toBeCloseTo(0.279161, 4);
    expect(meanOf(measured.recall).mean).toBeCloseTo(0.25403, 4);
    expect(meanOf((await measurePopularity(split, 10)).ndcg).mean).toBeCloseTo(0.1275, 4);
  });

  whereData('q3', 'Q3: our transitions have the reference’s figure to the fourth digit', async () => {
    const split = await readProtocol('q3', 'valid');
    const measured = await measurePipeline(join(root, 'test/quality/pipelines/reference/q3-transitions.yaml'), split, { k: 10 });
    expect(meanOf(measured.ndcg).mean).toBeCloseTo(0.13795, 4);
    expect(meanOf(measured.hitRate).mean).toBeCloseTo(0.251326, 4);
  });
});

/** No answer is in what was fitted, recorded afterwards or masked. */
function expectLeakFree(split: ProtocolSplit): void {
  const { items, users, history } = split.train;
  const later = new Set(split.after.map(({ user, item }) => `${user} ${item}`));
  let leaks = 0;
  for (const { user, known, relevant } of split.cases) {
    const row = users.rowOf(user);
    const fitted = new Set(history.items.subarray(history.offsets[row], history.offsets[row + 1]));
    const masked = new Set(known);
    for (const id of relevant) if (fitted.has(items.rowOf(id)) || masked.has(id) || later.has(`${user} ${id}`)) leaks++;
  }
  expect(leaks).toBe(0);
}
