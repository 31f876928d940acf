import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openTokenizer } from './tokenizer.js';

let folder = '';
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'recloom-clip-tokenizer-'));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

/** The parts of openai/clip-vit-base-patch32's tokenizer.json, with three words instead of 49,408. */
const clipLike = {
  version: '1.0',
  truncation: null,
  padding: null,
  added_tokens: ['<|startoftext|>', '<|endoftext|>'].map((content, index) => ({
    id: 6 + index,
    content,
    single_word: false,
    lstrip: false,
    rstrip: false,
    normalized: true,
    special: true,
  })),
  normalizer: { type: 'Sequence', normalizers: [{ type: 'NFC' }, { type: 'Lowercase' }] },
  pre_tokenizer: {
    type: 'Sequence',
    pretokenizers: [
      { type: 'Split', pattern: { Regex: "'s|'t|[\\p{L}]+|[\\p{N}]|[^\\s\\p{L}\\p{N}]+" }, behavior: 'Removed', invert: true },
      { type: 'ByteLevel', add_prefix_space: false, trim_offsets: true },
    ],
  },
  post_processor: {
    type: 'RobertaProcessing',
    sep: ['<|endoftext|>', 7],
    cls: ['<|startoftext|>', 6],
    trim_offsets: false,
    add_prefix_space: false,
  },
  decoder: { type: 'ByteLevel', add_prefix_space: true, trim_offsets: true },
  model: {
    type: 'BPE',
    dropout: null,
    unk_token: '<|endoftext|>',
    continuing_subword_prefix: '',
    end_of_word_suffix: '</w>',
    fuse_unk: false,
    vocab: { a: 0, 'a</w>': 1, b: 2, 'b</w>': 3, 'ab</w>': 4, 'c</w>': 5, '<|startoftext|>': 6, '<|endoftext|>': 7 },
    merges: ['a b</w>'],
  },
};

describe("a tokenizer of CLIP's kind", () => {
  it('puts the start before and the end after each text, and keeps the end of what is too long: CLIP reads the meaning there', async () => {
    await writeFile(join(folder, 'tokenizer.json'), JSON.stringify(clipLike));
    await writeFile(join(folder, 'tokenizer_config.json'), '{"model_max_length":77}');
    const tokenizer = await openTokenizer(folder);
    expect([tokenizer.specialTokens, tokenizer.longest]).toEqual([2, 77]);
    expect([...tokenizer.encode('AB a  b', 77)]).toEqual([6, 4, 1, 3, 7]);
    expect([...tokenizer.encode('ab a b c ab', 4)]).toEqual([6, 4, 1, 7]);
    expect([...tokenizer.encode('   ', 77)]).toEqual([]);
  });

  it('that knows no limit says so with a very large number', async () => {
    await writeFile(join(folder, 'tokenizer_config.json'), '{"model_max_length":1e30}');
    expect((await openTokenizer(folder)).longest).toBeUndefined();
    await writeFile(join(folder, 'tokenizer_config.json'), 'no JSON');
    await expect(openTokenizer(folder)).rejects.toMatchObject({ code: 'IMAGE_CLIP_TOKENIZER' });
  });
});
