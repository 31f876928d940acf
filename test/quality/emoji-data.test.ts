import { describe, expect, it } from 'vitest';
import { heldOutLabels, readEmojiSearch } from './emoji-data.js';

/** Counts of protocol Q7: quality.md of the design names 1,914 documents and 2,553 queries. */
describe('protocol Q7', () => {
  const { documents, queries } = readEmojiSearch();

  it('has the documents and queries that its figures were made with', () => {
    expect([documents.length, queries.length]).toEqual([1914, 2553]);
    const ids = documents.map(({ id }) => id);
    expect([...ids].sort()).toEqual(ids);
    expect(new Set(ids).size).toBe(ids.length);
  });

  it('asks no word of a label it looks for', () => {
    const words = (text: string): readonly string[] => text.toLowerCase().match(/[a-z0-9]+/g) ?? [];
    for (const { text, relevant } of queries) {
      expect(relevant.size).toBeGreaterThan(0);
      const asked = new Set(words(text));
      for (const row of relevant)
        expect(
          words(documents[row]?.label ?? '').some((word) => asked.has(word)),
          text,
        ).toBe(false);
    }
  });

  it('has two halves of about a size, the same every time', () => {
    const validation = queries.filter(({ half }) => half === 'validation');
    expect(validation.length).toBe(1286);
    // `printf brainy | sha256sum` begins with 83, that of clever with 0e.
    const halfOf = (text: string): string | undefined => queries.find((query) => query.text === text)?.half;
    expect([halfOf('brainy'), halfOf('clever')]).toEqual(['test', 'validation']);
  });

  it('keeps to held-out labels where pictures help, and counts what is relevant among them', () => {
    const heldOut = heldOutLabels();
    const part = readEmojiSearch(({ label, photo }) => photo !== null && heldOut.has(label));
    expect([part.documents.length, part.queries.length]).toEqual([308, 823]);
    expect(part.documents.every(({ label, photo }) => heldOut.has(label) && photo?.endsWith('.webp') === true)).toBe(true);
    expect(part.queries.every(({ relevant }) => [...relevant].every((row) => row < 308))).toBe(true);
  });
});
