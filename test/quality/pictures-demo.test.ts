import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { formatProblems, validatePipeline } from '@recloom/core';
import { isRecloomError } from '@recloom/plugin-api';
import { describe, expect, it } from 'vitest';
import { renderPage } from '../../examples/pictures/page.mjs';
import { prepare, readItems } from '../../examples/pictures/prepare.mjs';
import { root } from './emoji-data.js';

const pixel = 'data:image/png;base64,AA==';
const item = {
  id: 'A',
  label: 'rock & <roll>',
  group: 'objects',
  picture: pixel,
  reason: 'Matches "your" search',
  sources: [
    { name: 'alike', rank: 2, score: 0.514 },
    { name: 'words', rank: 1, score: 12.5 },
  ],
};
const answer = { items: [item], milliseconds: 12, devices: ['cpu'], warnings: [] };

function pageOf(label = item.label): string {
  const answers = { ...answer, items: [{ ...item, label }] };
  return renderPage({
    version: '0.1.0',
    snapshotId: 'abc',
    counts: { items: 1 },
    components: 3,
    kept: false,
    buildMs: 1,
    totalMs: 2,
    formatDuration: (milliseconds: number) => `${milliseconds} ms`,
    formatCount: String,
    sections: {
      text: [{ text: '<script>alert(1)</script>', answer: answers }],
      picture: [{ query: { picture: pixel, alt: 'a "mug"', note: 'drawn' }, answer: answers }],
      both: [{ query: { picture: pixel, alt: 'a mug' }, text: 'with alcohol', textWeight: 0.3, answer: answers }],
      broken: {
        text: 'with alcohol',
        answer: { ...answers, warnings: [{ code: 'IMAGE_CLIP_DAMAGED', message: 'The picture was not used.' }] },
      },
      like: [{ item, looks: answers, both: answers }],
      twins: [[item, item]],
    },
  });
}

describe('the catalogue of the picture demo', () => {
  it('has at least 1,500 items, each with a picture of its own', () => {
    const items = readItems();
    expect(items.length).toBeGreaterThanOrEqual(1500);
    expect(new Set(items.map(({ id }) => id)).size).toBe(items.length);
    expect(new Set(items.map(({ photo }) => photo)).size).toBe(items.length);
    expect(
      items.filter(({ label, group, subgroup }) => [label, group, subgroup].some((name) => typeof name !== 'string' || name === '')),
    ).toEqual([]);
  });

  it('is described by a config without a problem, in which no keyword is indexed', async () => {
    // The config is checked against the file that the demo prepares.
    prepare();
    const config = join(root, 'examples/pictures/shop.yaml');
    const problems = await validatePipeline(config).then(
      () => '',
      (error: unknown) => (isRecloomError(error) ? formatProblems(error) : String(error)),
    );
    expect(problems).toBe('');
    expect(readFileSync(config, 'utf8')).not.toMatch(/\btags\b/);
  });
});

describe('the page of the picture demo', () => {
  it('needs no network and runs nothing', () => {
    const page = pageOf();
    expect(page).not.toMatch(/<script|<link|https?:|@import|\son\w+=/);
    expect([...page.matchAll(/\ssrc="([^"]*)"/g)].map(([, address]) => address?.slice(0, 5))).toEqual(
      Array.from({ length: 11 }, () => 'data:'),
    );
  });

  it('shows what people wrote as text', () => {
    expect(pageOf()).toContain('rock &amp; &lt;roll&gt;');
    expect(pageOf()).toContain('&lt;script&gt;alert(1)&lt;/script&gt;');
    expect(pageOf()).toContain('alt="a &quot;mug&quot;"');
  });

  it('says what was found, why, and what went wrong', () => {
    const page = pageOf();
    expect(page).toContain('0.51');
    expect(page).toContain('Matches &quot;your&quot; search');
    expect(page).toContain('words 30 %, picture 70 %');
    expect(page).toContain('<code>IMAGE_CLIP_DAMAGED</code> The picture was not used.');
    expect(page).toContain('answered in 12 ms, models on cpu');
  });
});
