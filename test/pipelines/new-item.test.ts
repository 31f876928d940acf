import { join } from 'node:path';
import { datasetFromArrays, openPipeline, type Pipeline } from '@recloom/core';
import { createRandomStream } from '@recloom/plugin-api';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

// A product is added to an open pipeline and recommended at once, to those whose history says so, by where its words lead.
const kinds = ['kettle teapot tea cosy', 'spade lantern garden gloves', 'ball racket whistle tennis'].map((words) => words.split(' '));
const itemsPerKind = 20;

/** Three kinds of items; people stay with one. Every title has two words of its kind and one of any. */
function shop() {
  const random = createRandomStream(17);
  const pick = (words: readonly string[]): string => words[random.integer(words.length)] as string;
  const colours = ['red', 'blue', 'large', 'small', 'striped'];
  const items = kinds.flatMap((words, kind) =>
    Array.from({ length: itemsPerKind }, (_, index) => ({
      id: `k${kind}-${index}`,
      title: `${pick(colours)} ${pick(words)} ${pick(words)}`,
    })),
  );
  const events = Array.from({ length: 120 }, (_, person) =>
    Array.from({ length: 6 }, () => ({
      user: `p${person}`,
      item: `k${person % 3}-${random.integer(itemsPerKind)}`,
      timeMs: Date.UTC(2024, 0, 1 + random.integer(60)),
      type: 'purchase',
    })),
  ).flat();
  return datasetFromArrays({ items, events, types: { items: { title: 'text' } } });
}

let pipeline: Pipeline;

beforeAll(async () => {
  pipeline = await openPipeline(
    {
      format: '1.0',
      name: 'new-item',
      data: {},
      components: {
        words: { use: 'keyword-search/tokens', in: { text: 'item.title' } },
        pieces: { use: 'keyword-search/tokens', in: { text: 'item.title' }, with: { pairs: false } },
        space: { use: 'multimodal/cold-map', in: { vectors: ['words', 'pieces'] }, with: { width: 3 } },
        graph: { use: 'multimodal/content-graph', in: { vectors: ['words'] }, with: { width: 3 } },
        near: { use: 'vector-search/nearest', in: { vectors: ['space'] } },
        nearGraph: { use: 'vector-search/nearest', in: { vectors: ['graph'] } },
        profile: { use: 'multimodal/factor-profile', in: { vectors: 'space' } },
      },
      surfaces: Object.fromEntries(['near', 'nearGraph', 'profile'].map((name) => [name, { sources: { [name]: 100 } }])),
    },
    { dataset: shop(), directory: join(import.meta.dirname, '..', '..') },
  );
  await pipeline.upsertItems([
    { id: 'new-tea', title: 'green teapot tea' },
    { id: 'new-ball', title: 'green tennis racket' },
    { id: 'new-blank' },
  ]);
}, 60_000);

afterAll(async () => {
  await pipeline.close();
});

async function listOf(surface: string, person: string): Promise<readonly string[]> {
  const { items } = await pipeline.recommend({ surface, user: person, purposes: ['personalisation'], limit: 40 });
  return items.map(({ id }) => id);
}

describe.each(['near', 'nearGraph', 'profile'])('an item added after the build, through "%s"', (surface) => {
  it('is recommended to the people of its kind, before items of other kinds', async () => {
    for (const [person, fresh, other] of [
      ['p0', 'new-tea', 'new-ball'],
      ['p3', 'new-tea', 'new-ball'],
      ['p2', 'new-ball', 'new-tea'],
      ['p5', 'new-ball', 'new-tea'],
    ] as const) {
      const list = await listOf(surface, person);
      const place = list.indexOf(fresh);
      expect(place).toBeGreaterThanOrEqual(0);
      const ownKind = `k${Number(person.slice(1)) % 3}-`;
      const foreign = list.findIndex((id) => id.startsWith('k') && !id.startsWith(ownKind));
      if (foreign >= 0) expect(place).toBeLessThan(foreign);
      if (list.includes(other)) expect(list.indexOf(other)).toBeGreaterThan(place);
    }
  });

  it('is not there when nothing is known of it', async () => {
    expect(await listOf(surface, 'p0')).not.toContain('new-blank');
  });
});

describe('an item whose title changes', () => {
  /** True when the person is offered it before anything of another kind. */
  async function isOffered(person: string): Promise<boolean> {
    const list = await listOf('profile', person);
    const foreign = list.findIndex((id) => id.startsWith('k') && !id.startsWith(`k${Number(person.slice(1)) % 3}-`));
    const place = list.indexOf('new-odd');
    return place >= 0 && (foreign < 0 || place < foreign);
  }

  it('moves to where its new words lead', async () => {
    await pipeline.upsertItems([{ id: 'new-odd', title: 'green spade garden' }]);
    expect([await isOffered('p1'), await isOffered('p2')]).toEqual([true, false]);
    await pipeline.upsertItems([{ id: 'new-odd', title: 'green tennis ball' }]);
    expect([await isOffered('p1'), await isOffered('p2')]).toEqual([false, true]);
  });
});
