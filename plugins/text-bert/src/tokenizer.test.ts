import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import reference from '@recloom/model-all-minilm-l6-v2/reference.json' with { type: 'json' };
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openTokenizer, type Tokenizer } from './tokenizer.js';

const model = fileURLToPath(new URL('../../../packages/model-all-minilm-l6-v2', import.meta.url));
let tokenizer: Tokenizer;
let folder = '';
beforeAll(async () => {
  tokenizer = await openTokenizer(model);
  folder = await mkdtemp(join(tmpdir(), 'recloom-tokenizer-'));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

describe('the tokenizer', () => {
  // reference.json: ids from Hugging Face's Python tokenizers on the model as published.
  it.each(reference.cases)('gives the published ids of %j', ({ text, token_ids, token_count }) => {
    const ids = tokenizer.encode(text, reference.max_tokens);
    if (token_ids !== null) expect([...ids]).toEqual(token_ids);
    expect(ids).toHaveLength(token_count);
  });

  it('knows its vocabulary and special tokens (BERT uncased: 30,522; [CLS] and [SEP])', () => {
    expect(tokenizer.vocabularySize).toBe(30_522);
    expect(tokenizer.specialTokens).toBe(2);
  });

  it('cuts the end of what is too long and keeps the closing token', () => {
    const whole = tokenizer.encode('hand warmer red love heart', 256);
    expect(whole).toHaveLength(7);
    expect([...tokenizer.encode('hand warmer red love heart', 5)]).toEqual([...whole.slice(0, 4), 102]);
    expect(tokenizer.encode('the '.repeat(5000), 256)).toHaveLength(256);
  });

  it('has no tokens for what is empty, blank or nothing but control characters', () => {
    for (const text of ['', '   ', '\n\t', '\u0000\u0001', '\u200b']) expect(tokenizer.encode(text, 256)).toHaveLength(0);
  });

  it('takes any text: ids within the vocabulary, never more than asked, special tokens around', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary', maxLength: 60 }), fc.integer({ min: 3, max: 20 }), (text, maximum) => {
        const ids = tokenizer.encode(text, maximum);
        expect(ids.length).toBeLessThanOrEqual(maximum);
        if (ids.length === 0) return;
        expect([ids[0], ids.at(-1)]).toEqual([101, 102]);
        expect(ids.every((id) => id >= 0 && id < 30_522)).toBe(true);
      }),
      { numRuns: 200 },
    );
  });

  it('loads neither onnxruntime nor sharp into this process', () => {
    const libraries = (process.report.getReport() as { sharedObjects?: string[] }).sharedObjects ?? [];
    expect(libraries.length).toBeGreaterThan(0);
    expect(libraries.filter((library) => /onnxruntime|vips/.test(library))).toEqual([]);
  });

  it.each([
    ['no file', undefined],
    ['no JSON', '{"model":'],
    ['another kind of JSON', '{"model":{"type":"Nonsense"}}'],
  ])('refuses a folder with %s', async (_, content) => {
    if (content !== undefined) await writeFile(join(folder, 'tokenizer.json'), content);
    await expect(openTokenizer(folder)).rejects.toMatchObject({ code: 'TEXT_BERT_TOKENIZER' });
  });
});
