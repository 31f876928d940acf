import { describe, expect, it } from 'vitest';
import { checkEvent, checkRequest } from './check-request.js';

describe('a request from a caller without types', () => {
  it.each<[object, RegExp]>([
    [{ user: 17850 }, /"user" must be a text/],
    [{ user: null }, /"user" must be a text/],
    [{ usr: 'a' }, /there is no key "usr"; did you mean "user"\?$/],
    [{ completelyElse: 1 }, /a key that does not exist \(allowed: surface, user/],
    [{ items: 'i01' }, /"items" must be a list of texts/],
    [{ exclude: [1] }, /"exclude" must be a list of texts/],
    [{ purposes: 'personalisation' }, /"purposes" must be a list of texts/],
    [{ session: 'i01' }, /"session" must be a list of events/],
    [{ filter: 7 }, /"filter" must be a text/],
    [{ signal: 7 }, /"signal" must be the signal of an AbortController/],
    [{ seed: 1.5 }, /"seed" must be a whole number/],
    [{ context: [] }, /"context" must be an object/],
    [{ deadlineMs: -1 }, /"deadlineMs" must be a number of at least 0/],
    [{ diversity: 2 }, /"diversity" must be a number from 0 to 1/],
    [{ minRelevance: Number.NaN }, /"minRelevance" must be a number/],
    [{ explain: 'yes' }, /"explain" must be true or false/],
    [{ image: 7 }, /"image" must be bytes, a path or a URI/],
    [{ image: '' }, /"image" is empty/],
    [{ image: new Uint8Array(0) }, /"image" has no bytes/],
    [{ queryWeights: 0.5 }, /"queryWeights" must be \{ text, image \}/],
    [{ queryWeights: null }, /"queryWeights" must be/],
    [{ queryWeights: { text: 1 } }, /"queryWeights" must be/],
    [{ queryWeights: { text: 1, image: -1 } }, /"queryWeights" must be/],
    [{ queryWeights: { text: Number.NaN, image: 1 } }, /"queryWeights" must be/],
    [{ queryWeights: { text: Number.POSITIVE_INFINITY, image: 1 } }, /"queryWeights" must be/],
    [{ queryWeights: { text: 1, image: 1, sound: 1 } }, /"queryWeights" must be/],
    [{ queryWeights: { text: 0, image: 0 } }, /"queryWeights" must not both be zero/],
    [JSON.parse('{"__proto__": 1}') as object, /a key that does not exist/],
  ])('%j is refused', (request, message) => {
    expect(() => checkRequest(request as never)).toThrow(
      expect.objectContaining({ code: 'RECLOOM_RUN_REQUEST', message: expect.stringMatching(message) }),
    );
  });

  it('what is right, or left undefined, passes', () => {
    checkRequest({});
    checkRequest({
      surface: 'home',
      user: 'a',
      session: [{ item: 'i' }],
      item: 'i',
      items: [],
      text: '',
      image: new Uint8Array(1),
      queryWeights: { text: 0, image: 2 },
      purposes: [],
      limit: 3,
      filter: 'true',
      boost: '1',
      exclude: ['i'],
      diversity: 0,
      minRelevance: -3,
      context: { country: 'Norway' },
      seed: 7,
      deadlineMs: 0,
      signal: new AbortController().signal,
      explain: false,
      attributes: ['title'],
      asOf: 0,
    });
    checkRequest({ user: undefined } as never);
  });
});

describe('an event to record', () => {
  const nowMs = Date.UTC(2024, 5, 1);
  const event = { user: 'a', item: 'i' };

  it('may lie up to a day ahead, for clocks that differ', () => {
    checkEvent(event, nowMs + 86_400_000, nowMs);
    checkEvent(event, Date.UTC(1990, 0, 1), nowMs);
  });

  it.each([
    ['microseconds', nowMs * 1_000],
    ['seconds', nowMs / 1_000],
    ['two days ahead', nowMs + 2 * 86_400_000],
  ])('is refused with a time in %s', (_what, timeMs) => {
    expect(() => checkEvent(event, timeMs, nowMs)).toThrow(expect.objectContaining({ code: 'RECLOOM_RUN_REQUEST' }));
  });

  it.each([{ type: '' }, { type: 7 }, { weight: Number.NaN }, { weight: 1e300 }, { weight: '3' }])('is refused with %j', (part) => {
    expect(() => checkEvent({ ...event, ...part } as never, nowMs, nowMs)).toThrow(
      expect.objectContaining({ code: 'RECLOOM_RUN_REQUEST' }),
    );
  });
});
