import { recloomError } from '@recloom/plugin-api';
import { describe, expect, it } from 'vitest';
import { datasetFromArrays } from '../data/dataset-from-arrays.js';
import { openPipeline } from '../open-pipeline.js';
import type { Pipeline } from './pipeline.js';
import { type TestBehaviour, testPlugin } from './test-plugin.test-support.js';

const day = 86_400_000;

/** Items a…f; a is bought by 4, b by 3, c by 2, d, e, f by 1. */
function dataset() {
  const pairs: readonly (readonly [string, string])[] = [
    ['u1', 'a'],
    ['u2', 'a'],
    ['u3', 'a'],
    ['u4', 'a'],
    ['u1', 'b'],
    ['u2', 'b'],
    ['u3', 'b'],
    ['u1', 'c'],
    ['u4', 'c'],
    ['u2', 'd'],
    ['u3', 'e'],
    ['u4', 'f'],
  ];
  return datasetFromArrays({
    items: ['a', 'b', 'c', 'd', 'e', 'f'].map((id, index) => ({ id, title: `Item ${id.toUpperCase()}`, price: index + 1 })),
    events: pairs.map(([user, item], index) => ({ user, item, timeMs: Date.UTC(2024, 0, 1) + index * day, type: 'purchase' })),
  });
}

const components = {
  popular: { use: 'test/counts' },
  custom: { use: 'test/custom' },
  mine: { use: 'test/history' },
  seen: { use: 'test/seen' },
  extra: { use: 'test/custom-score' },
  shuffle: { use: 'test/custom-rank' },
  consent: { use: 'test/gate' },
  log: { use: 'test/log' },
};

async function open(
  surface: Record<string, unknown>,
  behaviour: TestBehaviour = {},
  options: Record<string, unknown> = {},
): Promise<Pipeline> {
  return openPipeline(
    { format: '1.0', name: 'unit', data: { now: 'data' }, components, surfaces: { home: surface } },
    { plugins: [testPlugin(behaviour)], dataset: dataset(), ...options },
  );
}

const ids = (answer: { items: readonly { id: string }[] }): string => answer.items.map((item) => item.id).join('');
const codes = (answer: { warnings: readonly { code: string }[] }): string[] => answer.warnings.map((warning) => warning.code);

describe('a request', () => {
  it('runs through sources, filters, scorers and value', async () => {
    const pipeline = await open({
      sources: { popular: 10 },
      filters: ['seen'],
      scorers: ['popular'],
      value: 'score.popular',
      attributes: ['title'],
    });
    const answer = await pipeline.recommend({ user: 'u1', limit: 3 });
    expect(ids(answer)).toBe('def');
    expect(answer.items[0]).toMatchObject({ id: 'd', value: 1, attributes: { title: 'Item D' } });
    expect(answer.ledger).toMatchObject({
      proposed: { popular: 6 },
      merged: 6,
      removed: [{ filter: 'seen', reason: 'seen', count: 3 }],
      scored: 3,
    });
    expect(answer.personalised).toBe(true);
    await pipeline.close();
  });

  it('merges sources place by place and keeps every source’s rank', async () => {
    const behaviour: TestBehaviour = {
      propose: () => ({ offsets: Int32Array.of(0, 2), rows: Int32Array.of(5, 0), scores: Float32Array.of(9, 8) }),
    };
    const pipeline = await open({ sources: { popular: 3, custom: 5 } }, behaviour);
    const answer = await pipeline.recommend({ limit: 4, explain: true });
    // Reciprocal rank fusion: a 1/61 + 1/62, f 1/61, b 1/62, c 1/63.
    expect(ids(answer)).toBe('afbc');
    expect(answer.items[0]?.value).toBeCloseTo(1 / 61 + 1 / 62, 6);
    expect(answer.items[0]?.explanation?.sources).toEqual([
      { name: 'popular', rank: 1, score: 4 },
      { name: 'custom', rank: 2, score: 8 },
    ]);
    expect(answer.items[0]?.reason).toBe('Bought 4 times');
    await pipeline.close();
  });

  it('refills from the overflow when filters leave too few, without asking a source twice', async () => {
    let calls = 0;
    const behaviour: TestBehaviour = {
      propose: () => {
        calls++;
        return { offsets: Int32Array.of(0, 6), rows: Int32Array.of(0, 1, 2, 3, 4, 5), scores: Float32Array.of(6, 5, 4, 3, 2, 1) };
      },
    };
    const pipeline = await open({ sources: { custom: 6 }, filters: ['seen'], limits: { candidates: 2 } }, behaviour);
    // u1 has a, b, c: the first two chunks lose three of four.
    const answer = await pipeline.recommend({ user: 'u1', limit: 2 });
    expect(ids(answer)).toBe('de');
    expect(calls).toBe(1);
    expect(answer.ledger.removed).toEqual([{ filter: 'seen', reason: 'seen', count: 3 }]);
    await pipeline.close();
  });

  it('asks fallback sources only when too few are left', async () => {
    const surface = { sources: { mine: 10, popular: { limit: 10, fallback: true } } };
    const pipeline = await open(surface);
    const enough = await pipeline.recommend({ user: 'u1', limit: 3 });
    expect(enough.ledger.proposed).toEqual({ mine: 3 });
    const short = await pipeline.recommend({ user: 'u1', limit: 5 });
    expect(short.ledger.proposed).toEqual({ mine: 3, popular: 6 });
    expect(new Set(ids(short))).toEqual(new Set('abcde'));
    await pipeline.close();
  });

  it('takes session events of a guest and counts unknown items', async () => {
    const pipeline = await open({ sources: { mine: 10 } });
    const answer = await pipeline.recommend({ session: [{ item: 'e', type: 'view' }, { item: 'b' }, { item: 'nowhere' }], limit: 2 });
    expect(ids(answer)).toBe('be');
    expect(answer.warnings).toMatchObject([{ code: 'RECLOOM_RUN_UNKNOWN_ITEMS', count: 1 }]);
    await pipeline.close();
  });

  it('answers a batch as it answers each request alone', async () => {
    const surface = { sources: { popular: 4, mine: 3 }, filters: ['seen'], scorers: ['popular'], privacy: ['consent'] };
    const pipeline = await open(surface);
    const requests = ['u1', 'u2', 'nobody', 'u3', 'u4'].map((user, index) => ({
      user,
      limit: 3,
      ...(index % 2 === 0 ? { purposes: ['personalisation'] } : {}),
    }));
    const alone = await Promise.all(requests.map((request) => pipeline.recommend(request)));
    const together: string[] = [];
    for await (const result of pipeline.recommendMany([...requests, { user: 'u1', limit: 0 }], { batch: 4 })) {
      together.push(result.answer === undefined ? result.error.code : ids(result.answer));
    }
    expect(together).toEqual([...alone.map(ids), 'RECLOOM_RUN_LIMIT']);
    await pipeline.close();
  });
});

describe('privacy', () => {
  it('reads no personal column without consent', async () => {
    const read: string[] = [];
    const pipeline = await open(
      { sources: { mine: 10, popular: 10 }, filters: ['seen'], privacy: ['consent'] },
      {},
      { onRead: (label: string) => read.push(label) },
    );
    const refused = await pipeline.recommend({ user: 'u1', limit: 3 });
    expect(read).toEqual([]);
    expect(ids(refused)).toBe('abc');
    expect(refused.personalised).toBe(false);
    expect(codes(refused)).toContain('RECLOOM_PRV_NOT_GRANTED');
    const granted = await pipeline.recommend({ user: 'u1', purposes: ['personalisation'], limit: 3 });
    expect(read.length).toBeGreaterThan(0);
    expect(ids(granted)).toBe('def');
    await pipeline.close();
  });

  it('warns when a surface that reads about people has no gate', async () => {
    const ungated = await open({ sources: { mine: 10 } });
    expect(ungated.warnings).toMatchObject([{ code: 'RECLOOM_PRV_NO_GATE', at: { surface: 'home' } }]);
    await ungated.close();
    for (const surface of [{ sources: { mine: 10 }, privacy: ['consent'] }, { sources: { popular: 10 } }]) {
      const pipeline = await open(surface);
      expect(pipeline.warnings).toEqual([]);
      await pipeline.close();
    }
  });

  it('a gate that hangs does not hang a batch', async () => {
    const surface = { sources: { popular: 3 }, privacy: ['consent'], limits: { timeoutMs: 40 } };
    const pipeline = await open(surface, { gate: () => new Promise(() => {}) });
    const codesSeen: string[] = [];
    for await (const result of pipeline.recommendMany(['u1'])) codesSeen.push(result.answer?.warnings[0]?.code ?? 'none');
    expect(codesSeen).toEqual(['RECLOOM_PRV_FAILED_CLOSED']);
    await pipeline.close();
  });

  it.each([
    [
      'throws',
      () => {
        throw new Error('canary 4711');
      },
    ],
    ['rejects', () => Promise.reject(new Error('canary 4711'))],
    ['gives nonsense', () => 'history'],
    ['hangs', () => new Promise(() => {})],
  ])('fails closed when a gate %s', async (_what, gate) => {
    const read: string[] = [];
    const pipeline = await open(
      { sources: { mine: 10, popular: 10 }, privacy: ['consent'], limits: { timeoutMs: 50 } },
      { gate },
      { onRead: (label: string) => read.push(label) },
    );
    const answer = await pipeline.recommend({ user: 'u1', purposes: ['personalisation'], limit: 3 });
    expect(read).toEqual([]);
    expect(codes(answer)).toContain('RECLOOM_PRV_FAILED_CLOSED');
    expect(JSON.stringify(answer)).not.toContain('canary');
    await pipeline.close();
  });
});

describe('a component that breaks its contract', () => {
  it.each<[string, TestBehaviour['propose'], string]>([
    [
      'throws',
      () => {
        throw new Error('x');
      },
      'RECLOOM_RUN_NODE_FAILED',
    ],
    ['rejects', () => Promise.reject(new Error('x')), 'RECLOOM_RUN_NODE_FAILED'],
    ['hangs', () => new Promise(() => {}), 'RECLOOM_RUN_TIMEOUT'],
    [
      'gives the wrong shape',
      () => ({ offsets: Int32Array.of(0), rows: Int32Array.of(1), scores: Float32Array.of(1) }),
      'RECLOOM_RUN_NODE_FAILED',
    ],
    ['gives undefined', () => undefined, 'RECLOOM_RUN_NODE_FAILED'],
    [
      'gives rows out of range and twice',
      () => ({ offsets: Int32Array.of(0, 4), rows: Int32Array.of(99, -1, 3, 3), scores: new Float32Array(4) }),
      'RECLOOM_LAW_ROWS',
    ],
    [
      'gives too many',
      () => ({ offsets: Int32Array.of(0, 6), rows: Int32Array.of(0, 1, 2, 3, 4, 5), scores: new Float32Array(6) }),
      'RECLOOM_LAW_TOO_MANY',
    ],
  ])('a source that %s is left out or cut, with a warning', async (_what, propose, code) => {
    const pipeline = await open({ sources: { custom: { limit: 3, timeoutMs: 30 }, popular: 6 } }, { propose: propose as never });
    const answer = await pipeline.recommend({ limit: 6 });
    expect(codes(answer)).toContain(code);
    expect(new Set(ids(answer))).toEqual(new Set('abcdef'));
    await pipeline.close();
  });

  it('a required source that fails fails the request', async () => {
    const pipeline = await open(
      { sources: { custom: { limit: 3, required: true }, popular: 6 } },
      {
        propose: () => {
          throw new Error('x');
        },
      },
    );
    await expect(pipeline.recommend({ limit: 2 })).rejects.toMatchObject({ code: 'RECLOOM_RUN_REQUIRED_FAILED', at: { node: 'custom' } });
    await pipeline.close();
  });

  it('scores that are not finite sink and are counted', async () => {
    const behaviour: TestBehaviour = {
      score: (out) => {
        out.set([Number.NaN, 3, Number.POSITIVE_INFINITY, 1, 2, Number.NEGATIVE_INFINITY]);
      },
    };
    const pipeline = await open({ sources: { popular: 6 }, scorers: ['extra'], value: 'score.extra' }, behaviour);
    const answer = await pipeline.recommend({ limit: 6 });
    expect(ids(answer)).toBe('bedacf');
    expect(answer.ledger.missingScores).toEqual({ extra: 3 });
    expect(answer.warnings.find((warning) => warning.code === 'RECLOOM_LAW_NON_FINITE')?.count).toBe(3);
    await pipeline.close();
  });

  it('a scorer that fails counts as 0 for all', async () => {
    const pipeline = await open(
      { sources: { popular: 6 }, scorers: ['popular', 'extra'], value: 'score.popular + score.extra' },
      {
        score: () => {
          throw new Error('x');
        },
      },
    );
    const answer = await pipeline.recommend({ limit: 3 });
    expect(ids(answer)).toBe('abc');
    expect(codes(answer)).toContain('RECLOOM_RUN_NODE_FAILED');
    await pipeline.close();
  });

  it('a ranker can neither invent nor repeat items', async () => {
    const pipeline = await open({ sources: { popular: 6 }, rankers: ['shuffle'] }, { rank: () => Int32Array.of(2, 2, 77, -1, 0) });
    const answer = await pipeline.recommend({ limit: 6 });
    expect(ids(answer)).toBe('ca');
    expect(answer.warnings.find((warning) => warning.code === 'RECLOOM_LAW_ROWS')?.count).toBe(3);
    await pipeline.close();
  });

  it('a filter that fails fails the request, unless it may be skipped', async () => {
    const failing: TestBehaviour = {
      filter: () => {
        throw new Error('x');
      },
    };
    const strict = await open({ sources: { popular: 6 }, filters: ['seen'] }, failing);
    await expect(strict.recommend({ user: 'u1', limit: 2 })).rejects.toMatchObject({ code: 'RECLOOM_RUN_REQUIRED_FAILED' });
    await strict.close();
    const lenient = await open({ sources: { popular: 6 }, filters: [{ use: 'seen', onError: 'skip' }] }, failing);
    expect(codes(await lenient.recommend({ user: 'u1', limit: 2 }))).toContain('RECLOOM_RUN_NODE_FAILED');
    await lenient.close();
  });
});

describe('bad requests', () => {
  it.each([
    [{ limit: 0 }, 'RECLOOM_RUN_LIMIT'],
    [{ limit: -1 }, 'RECLOOM_RUN_LIMIT'],
    [{ limit: 1e9 }, 'RECLOOM_RUN_LIMIT'],
    [{ limit: Number.NaN }, 'RECLOOM_RUN_LIMIT'],
    [{ limit: 2.5 }, 'RECLOOM_RUN_LIMIT'],
    [{ limit: '10' }, 'RECLOOM_RUN_LIMIT'],
    [{ surface: 'hmoe' }, 'RECLOOM_RUN_UNKNOWN_SURFACE'],
    [{ diversity: 2 }, 'RECLOOM_RUN_REQUEST'],
    [{ text: 7 }, 'RECLOOM_RUN_REQUEST'],
    [{ session: [{}] }, 'RECLOOM_RUN_REQUEST'],
    [{ filter: 'item.prise < 3' }, 'RECLOOM_RUN_REQUEST'],
    [{ asOf: new Date('never') }, 'RECLOOM_RUN_REQUEST'],
  ])('%j is refused with %s', async (request, code) => {
    const pipeline = await open({ sources: { popular: 6 } });
    await expect(pipeline.recommend(request as never)).rejects.toMatchObject({ code });
    await pipeline.close();
  });

  it('strange ids are ids like others', async () => {
    const pipeline = await open({ sources: { popular: 6, mine: 5 } });
    for (const id of ['__proto__', 'constructor', '', 'toString']) {
      const answer = await pipeline.recommend({ user: id, item: id, exclude: [id], limit: 2 });
      expect(ids(answer)).toBe('ab');
    }
    await pipeline.upsertItems([{ id: '__proto__', title: 'odd', price: 1 }]);
    pipeline.record([{ user: 'constructor', item: '__proto__' }]);
    const answer = await pipeline.recommend({ user: 'constructor', limit: 3 });
    expect(answer.items.map((item) => item.id)).toContain('__proto__');
    await pipeline.close();
  });

  it('a text of a megabyte is cut, with a warning', async () => {
    const pipeline = await open({ sources: { popular: 6 } });
    const answer = await pipeline.recommend({ surface: 'home', text: 'x'.repeat(1_000_000), limit: 2 });
    expect(codes(answer)).toContain('RECLOOM_RUN_TEXT_TOO_LONG');
    await pipeline.close();
  });

  it('an abort half-way rejects at once', async () => {
    const pipeline = await open({ sources: { custom: 3, popular: 6 } }, { propose: () => new Promise(() => {}) });
    const controller = new AbortController();
    const pending = pipeline.recommend({ limit: 2, signal: controller.signal });
    controller.abort();
    await expect(pending).rejects.toMatchObject({ code: 'RECLOOM_RUN_ABORTED' });
    await expect(pipeline.recommend({ limit: 2, signal: controller.signal })).rejects.toMatchObject({ code: 'RECLOOM_RUN_ABORTED' });
    await pipeline.close();
  });
});

describe('a component that refuses a request', () => {
  const refusing: TestBehaviour = {
    filter: () => {
      throw recloomError('RECLOOM_RUN_REQUEST', { why: '"maximumPrice" must be a number' });
    },
  };

  it('speaks to the caller with its own error', async () => {
    const pipeline = await open({ sources: { popular: 6 }, filters: ['seen'] }, refusing);
    await expect(pipeline.recommend({ user: 'u1', limit: 2 })).rejects.toMatchObject({ code: 'RECLOOM_RUN_REQUEST', retryable: false });
    await pipeline.close();
  });

  it('spoils only that request of a batch', async () => {
    const requests = [{ limit: 2 }, { limit: 2, exclude: ['a', 'b'] }, { limit: 2 }];
    const strict = await open(
      { sources: { popular: 6 }, scorers: [{ use: 'extra', onError: 'fail' }] },
      {
        score: (out) => {
          if (out.length !== 6) throw recloomError('RECLOOM_RUN_REQUEST', { why: 'not six' });
          out.fill(1);
        },
      },
    );
    const alone: string[] = [];
    for await (const result of strict.recommendMany(requests)) alone.push(result.error?.code ?? 'answered');
    expect(alone).toEqual(['answered', 'RECLOOM_RUN_REQUEST', 'answered']);
    await strict.close();
  });
});

describe('the overlay', () => {
  it('shows recorded events and new items to the next request', async () => {
    const pipeline = await open({ sources: { mine: 10 } });
    expect(
      pipeline.record([
        { user: 'new', item: 'c' },
        { user: 'new', item: 'e' },
        { user: 'new', item: 'nowhere' },
      ]),
    ).toEqual({ recorded: 2, unknownItems: 1, unknownTypes: 0 });
    expect(ids(await pipeline.recommend({ user: 'new', limit: 2 }))).toBe('ec');
    await pipeline.upsertItems([{ id: 'z', title: 'Item Z', price: 9 }]);
    pipeline.record([{ user: 'new', item: 'z' }]);
    const answer = await pipeline.recommend({ user: 'new', limit: 1, attributes: ['title', 'price'] });
    expect(answer.items[0]).toMatchObject({ id: 'z', attributes: { title: 'Item Z', price: 9 } });
    await pipeline.close();
  });
});

describe('purposes that no gate knows', () => {
  const surface = { sources: { popular: 10 }, privacy: ['consent'] };
  const purposes = ['personalisation', 'statistics'];
  const warned = async (behaviour: TestBehaviour, sent: readonly string[] | undefined) => {
    const pipeline = await open(surface, behaviour);
    const answer = await pipeline.recommend({ user: 'u1', ...(sent === undefined ? {} : { purposes: sent }) });
    await pipeline.close();
    return answer.warnings.filter(({ code }) => code === 'RECLOOM_PRV_UNKNOWN_PURPOSE');
  };

  it('are told of, with those that are known, when nothing that was sent is', async () => {
    const [warning, ...others] = await warned({ purposes }, ['marketing', 'marketing', 'Anna of 12 Elm Street']);
    expect(others).toEqual([]);
    expect(warning?.count).toBe(2);
    expect(warning?.message).toBe('No gate of surface "home" knows 2 purposes of the request. Known: personalisation, statistics.');
  });

  it('are told of beside a known one when one is misspelt', async () => {
    expect((await warned({ purposes }, ['statistics', 'personalization'])).map(({ message }) => message)).toEqual([
      'No gate of surface "home" knows a purpose of the request; did you mean "personalisation"? Known: personalisation, statistics.',
    ]);
  });

  it('are no news when known ones come with them, when nothing was sent, and when a gate does not say what it knows', async () => {
    expect(await warned({ purposes }, ['personalisation', 'marketing'])).toEqual([]);
    expect(await warned({ purposes }, [])).toEqual([]);
    expect(await warned({ purposes }, undefined)).toEqual([]);
    expect(await warned({}, ['marketing'])).toEqual([]);
  });
});

describe('recorded event types', () => {
  it('counts the types that no stored event has, each time they come', async () => {
    const pipeline = await open({ sources: { mine: 10 } });
    const event = { user: 'new', item: 'c' };
    const misspelt = [{ ...event, type: 'purchse' }, { ...event, type: 'purchase' }, event, { ...event, item: 'nowhere', type: 'purchse' }];
    expect(pipeline.record(misspelt)).toEqual({ recorded: 3, unknownItems: 1, unknownTypes: 1 });
    // That it was recorded before does not make it known.
    expect(pipeline.record([{ ...event, type: 'purchse' }])).toEqual({ recorded: 1, unknownItems: 0, unknownTypes: 1 });
    expect(ids(await pipeline.recommend({ user: 'new', limit: 1 }))).toBe('c');
    await pipeline.close();
  });
});

describe('explain', () => {
  it('follows an item to where it was lost', async () => {
    const pipeline = await open({ sources: { popular: 5 }, filters: ['seen'], scorers: ['popular'] });
    expect(await pipeline.explain({ user: 'u1', limit: 1, target: 'a' })).toMatchObject({
      known: true,
      inAnswer: false,
      removedBy: { filter: 'seen', reason: 'seen' },
      proposedBy: [{ source: 'popular', rank: 1 }],
    });
    expect(await pipeline.explain({ user: 'u1', limit: 1, target: 'd' })).toMatchObject({ inAnswer: true, place: 1, placeByValue: 1 });
    expect((await pipeline.explain({ user: 'u1', limit: 1, target: 'f' })).verdict).toBe('No source proposed the item.');
    expect((await pipeline.explain({ user: 'u1', limit: 1, target: 'q' })).known).toBe(false);
    await pipeline.close();
  });
});

describe('explain without consent', () => {
  it('names what was left out', async () => {
    const pipeline = await open({ sources: { mine: 5 }, privacy: ['consent'] });
    const trace = await pipeline.explain({ user: 'u1', limit: 1, target: 'a' });
    expect(trace.verdict).toBe('No source that may run without consent proposed the item; left out were mine.');
    await pipeline.close();
  });
});

describe('the end', () => {
  it('disposes every component once, runs side effects after the answer, and refuses further requests', async () => {
    const behaviour: TestBehaviour = { effects: [], disposed: [] };
    const pipeline = await open({ sources: { popular: 6 }, effects: ['log'] }, behaviour);
    await pipeline.recommend({ limit: 2 });
    expect(behaviour.effects).toEqual([]);
    await pipeline.close();
    await pipeline.close();
    expect(behaviour.effects).toEqual(['a,b']);
    expect(behaviour.disposed).toEqual(['counts']);
    await expect(pipeline.recommend({ limit: 2 })).rejects.toMatchObject({ code: 'RECLOOM_RUN_CLOSED' });
  });
});
