import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { createInference } from '@recloom/inference';
import { type BackgroundRequest, type BackgroundWork, type Inference, recloomError } from '@recloom/plugin-api';
import { afterAll, describe, expect, it } from 'vitest';
import { BackgroundTokenizer } from './background-tokenizer.js';
import { openTokenizer } from './tokenizer.js';

const model = fileURLToPath(new URL('../../../packages/model-all-minilm-l6-v2', import.meta.url));
const running = new AbortController().signal;
const inference = createInference();
afterAll(() => inference.close());
/** A service without a background thread. */
const without: Inference = { load: (request, signal) => inference.load(request, signal) };

/** What was asked of the background thread. */
function watched(change: (work: BackgroundWork) => Partial<BackgroundWork> = () => ({})): {
  readonly service: Inference;
  readonly requests: BackgroundRequest[];
  readonly calls: (readonly unknown[])[];
  readonly closed: () => number;
} {
  const requests: BackgroundRequest[] = [];
  const calls: (readonly unknown[])[] = [];
  let closed = 0;
  const service: Inference = {
    load: (request, signal) => inference.load(request, signal),
    background: async (request) => {
      requests.push(request);
      const work = await inference.background(request);
      const changed = { ...work, ...change(work) };
      return {
        call: (name, ...parameters) => {
          calls.push([name, ...parameters]);
          return changed.call(name, ...parameters);
        },
        close: () => {
          closed++;
          return changed.close();
        },
      };
    },
  };
  return { service, requests, calls, closed: () => closed };
}

describe('a tokenizer in the background', () => {
  const texts = [
    ...Array.from({ length: 100 }, (_, index) => `${'very '.repeat(index % 7)}red mug number ${index}`),
    '',
    'the '.repeat(9000),
    '   ',
    'Ärger',
  ];

  it.each([
    ['on a thread', inference],
    ['here, where the service has no thread', without],
  ])('gives %s what the tokenizer itself gives', async (_, service) => {
    const direct = await openTokenizer(model);
    const tokenizer = await BackgroundTokenizer.open(service, model);
    expect([tokenizer.vocabularySize, tokenizer.specialTokens]).toEqual([direct.vocabularySize, direct.specialTokens]);
    const encoded = await tokenizer.encode(texts, 64, running);
    expect(encoded).toHaveLength(texts.length);
    for (const [place, ids] of encoded.entries()) expect([...ids]).toEqual([...direct.encode(texts[place] as string, 64)]);
    expect(await tokenizer.encode([], 64, running)).toEqual([]);
    await tokenizer.close();
  });

  it('knows its files by their hash, which does not depend on where it is', async () => {
    const [there, here] = [await BackgroundTokenizer.open(inference, model), await BackgroundTokenizer.open(without, model)];
    expect(there.sha256).toMatch(/^[0-9a-f]{64}$/);
    expect(here.sha256).toBe(there.sha256);
    await there.close();
  });

  it('asks for equal things for equal files, so that builds and serving share one; for others once they are replaced', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'recloom-background-'));
    try {
      const { service, requests } = watched(() => ({ call: async () => ({ vocabularySize: 1, specialTokens: 2, sha256: '' }) }));
      const asked = async (): Promise<string> => {
        await (await BackgroundTokenizer.open(service, model)).close();
        return JSON.stringify(requests.at(-1));
      };
      expect(await asked()).toBe(await asked());
      const small = JSON.parse(await readFile(join(model, 'tokenizer.json'), 'utf8')) as object;
      const states: unknown[] = [];
      for (const spaces of [0, 1]) {
        await writeFile(join(folder, 'tokenizer.json'), JSON.stringify(small, null, spaces));
        const tokenizer = await BackgroundTokenizer.open(service, folder);
        states.push(requests.at(-1)?.settings['state']);
        await tokenizer.close();
      }
      expect(states[0]).not.toBe(states[1]);
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  });

  it('takes a catalogue in stretches of a millisecond: a query between them does not wait for all of it', async () => {
    const { service, calls } = watched();
    const tokenizer = await BackgroundTokenizer.open(service, model);
    calls.length = 0;
    await tokenizer.encode([...texts, 'x'.repeat(9000), 'y'.repeat(9000)], 64, running);
    for (const [, stretch] of calls as [string, readonly string[]][]) {
      expect(stretch.length).toBeLessThanOrEqual(32);
      if (stretch.length > 1) expect(stretch.join('').length).toBeLessThanOrEqual(8192);
    }
    expect(calls.length).toBeGreaterThanOrEqual(6);
    await tokenizer.close();
  });

  it('tries once more when the thread died, and only then; an abort stops it between stretches', async () => {
    for (const [code, attempts] of [
      ['RECLOOM_RUN_WORKER_DIED', 2],
      ['RECLOOM_RUN_CLOSED', 1],
    ] as const) {
      const { service, calls } = watched((work) => ({
        call: (name, ...parameters) =>
          name === 'facts'
            ? work.call(name, ...parameters)
            : Promise.reject(code === 'RECLOOM_RUN_CLOSED' ? recloomError(code, {}) : recloomError(code, { what: 'a test' })),
      }));
      const tokenizer = await BackgroundTokenizer.open(service, model);
      await expect(tokenizer.encode(['red mug'], 64, running)).rejects.toMatchObject({ code });
      expect(calls.filter(([name]) => name === 'encode')).toHaveLength(attempts);
      await tokenizer.close();
    }
    const abort = new AbortController();
    const { service, calls } = watched((work) => ({
      call: (name, ...parameters) => {
        if (name === 'encode') abort.abort();
        return work.call(name, ...parameters);
      },
    }));
    const tokenizer = await BackgroundTokenizer.open(service, model);
    await expect(tokenizer.encode(texts, 64, abort.signal)).rejects.toMatchObject({ code: 'RECLOOM_RUN_ABORTED' });
    expect(calls.filter(([name]) => name === 'encode')).toHaveLength(1);
    await tokenizer.close();
  });

  it('that cannot be opened leaves nothing behind', async () => {
    const { service, closed } = watched(() => ({ call: () => Promise.reject(new Error('no facts')) }));
    await expect(BackgroundTokenizer.open(service, model)).rejects.toThrow('no facts');
    expect(closed()).toBe(1);
    await expect(BackgroundTokenizer.open(inference, join(tmpdir(), 'nothing-here'))).rejects.toMatchObject({
      code: 'TEXT_BERT_TOKENIZER',
    });
  });
});
