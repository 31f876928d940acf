import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { createInference } from '@recloom/inference';
import { type Inference, recloomError } from '@recloom/plugin-api';
import { afterAll, describe, expect, it } from 'vitest';
import { BackgroundTokenizer } from './background-tokenizer.js';
import { openTokenizer } from './tokenizer.js';

const model = fileURLToPath(new URL('../../../packages/model-all-minilm-l6-v2', import.meta.url));
const inference = createInference();
afterAll(() => inference.close());
/** A service without a background thread. */
const without: Inference = { load: (request, signal) => inference.load(request, signal) };

describe('a tokenizer in the background', () => {
  it.each([
    ['on a thread', inference],
    ['here, where the service has no thread', without],
  ])('gives %s what the tokenizer itself gives', async (_, service) => {
    const direct = await openTokenizer(model);
    const tokenizer = await BackgroundTokenizer.open(service, model);
    expect([tokenizer.longest, tokenizer.specialTokens]).toEqual([direct.longest, direct.specialTokens]);
    for (const text of ['red mug', '', 'the '.repeat(500), 'Ärger 🎁']) {
      expect([...(await tokenizer.encode(text, 77))]).toEqual([...direct.encode(text, 77)]);
    }
    await tokenizer.close();
  });

  it('tries once more when the thread died, and only then', async () => {
    for (const [code, attempts] of [
      ['RECLOOM_RUN_WORKER_DIED', 2],
      ['RECLOOM_RUN_CLOSED', 1],
    ] as const) {
      let calls = 0;
      const service: Inference = {
        load: (request, signal) => inference.load(request, signal),
        background: async (request) => {
          const work = await inference.background(request);
          return {
            ...work,
            call: (name, ...parameters) => {
              if (name === 'facts') return work.call(name, ...parameters);
              calls++;
              return Promise.reject(code === 'RECLOOM_RUN_CLOSED' ? recloomError(code, {}) : recloomError(code, { what: 'a test' }));
            },
          };
        },
      };
      const tokenizer = await BackgroundTokenizer.open(service, model);
      await expect(tokenizer.encode('red mug', 77)).rejects.toMatchObject({ code });
      expect(calls).toBe(attempts);
      await tokenizer.close();
    }
  });

  it('says what is wrong with its files', async () => {
    await expect(BackgroundTokenizer.open(inference, join(tmpdir(), 'nothing-here'))).rejects.toMatchObject({
      code: 'IMAGE_CLIP_TOKENIZER',
    });
  });
});
