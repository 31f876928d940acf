import { consentToken, isRecloomError, type PrivacyFilter, type Provided } from '@recloom/plugin-api';
import { categoryColumn, consentFrom, createTestHost, listColumn, openComponent, resultList, shopFrom, tableFrom } from '@recloom/testing';
import { describe, expect, it } from 'vitest';
import { purpose } from './index.js';

const signal = new AbortController().signal;
const context = { surface: 'home', userId: 'user-1', purposes: undefined, signal };
const consent = consentFrom({ 'user-1': ['personalisation'], 'user-2': [] });

const open = (options: object = {}, provide: Provided = [[consentToken, consent]]) =>
  openComponent<PrivacyFilter>(purpose, { options, provide });

describe('the gate', () => {
  it("grants by the request's own purposes", async () => {
    const filter = await open();
    expect(await filter.gate?.({ ...context, purposes: ['personalisation'] })).toEqual(['history', 'profile', 'location']);
    expect(await filter.gate?.({ ...context, purposes: ['statistics'] })).toEqual([]);
  });

  it('lists the purposes that grant something, whatever else it does', async () => {
    expect((await open()).purposes).toEqual(['personalisation']);
    expect((await open({ grants: { habits: ['history'], service: ['location'] } })).purposes).toEqual(['habits', 'service']);
  });

  it('asks the consent service when the request says nothing, and only then', async () => {
    const filter = await open();
    expect(await filter.gate?.(context)).toEqual(['history', 'profile', 'location']);
    expect(await filter.gate?.({ ...context, userId: 'user-2' })).toEqual([]);
    expect(await filter.gate?.({ ...context, userId: 'user-3' })).toEqual([]);
    expect(await filter.gate?.({ ...context, userId: undefined })).toEqual([]);
    // An empty list is an answer: this person refused for this request.
    expect(await filter.gate?.({ ...context, purposes: [] })).toEqual([]);
  });

  it('maps purposes to labels as told, each label once', async () => {
    const filter = await open({ grants: { habits: ['history'], service: ['history', 'location'], nothing: [] } });
    expect(await filter.gate?.({ ...context, purposes: ['habits', 'service', 'nothing'] })).toEqual(['history', 'location']);
    expect(await filter.gate?.({ ...context, purposes: ['personalisation'] })).toEqual([]);
  });

  it.each(['__proto__', 'constructor', 'toString', ''])('a purpose called "%s" grants nothing', async (name) => {
    expect(await (await open()).gate?.({ ...context, purposes: [name] })).toEqual([]);
  });

  it.each([
    [
      'throws',
      () => {
        throw new TypeError('no row for Ada Lovelace');
      },
    ],
    ['rejects', () => Promise.reject(new TypeError('no row for Ada Lovelace'))],
    ['gives no list', () => Promise.resolve('personalisation')],
    ['gives nothing', () => undefined],
  ])('fails closed when the service %s, and repeats nothing of it', async (_what, purposes) => {
    const host = createTestHost({ provide: [[consentToken, { purposes }]] });
    const filter = await host.open<PrivacyFilter>(purpose);
    const error: unknown = await (async () => filter.gate?.(context))().catch((caught: unknown) => caught);
    expect(isRecloomError(error) && error.code).toBe('CONSENT_SERVICE_FAILED');
    expect((error as Error).cause).toBeUndefined();
    expect(host.logs).toHaveLength(1);
    expect(JSON.stringify([error, String(error), host.logs])).not.toMatch(/Ada|user-1/);
  });
});

describe('the result filter', () => {
  const items = tableFrom(['a', 'b', 'c', 'd'], {
    category: categoryColumn(['health', 'garden', null, 'adult']),
    tags: listColumn([['gift', 'health'], ['sale'], null, ['adult']]),
  });
  const run = async (field: string, grants: readonly string[]): Promise<number[]> => {
    const filter = await openComponent<PrivacyFilter>(purpose, {
      options: { withhold: ['health', 'adult'] },
      inputs: { category: `item.${field}` },
      shop: shopFrom({ items }),
    });
    const removed = new Uint8Array(4);
    await filter.filterResult?.(resultList([3, 2, 1, 0], [4, 3, 2, 1], { grants }), removed);
    return [...removed];
  };

  it.each(['category', 'tags'])('withholds the categories named, by %s', async (field) => {
    expect(await run(field, ['item', 'history'])).toEqual([1, 0, 0, 1]);
    expect(await run(field, ['item', 'sensitive'])).toEqual([0, 0, 0, 0]);
  });

  it('is not there when nothing is to be withheld', async () => {
    expect(await open()).not.toHaveProperty('filterResult');
  });

  it('wants the field, and withholds everything when it vanishes', async () => {
    await expect(open({ withhold: ['health'] })).rejects.toMatchObject({ code: 'RECLOOM_CFG_INPUT' });
    let there = true;
    const vanishing = { ...items, column: (field: string) => (there ? items.column(field) : undefined) };
    const filter = await openComponent<PrivacyFilter>(purpose, {
      options: { withhold: ['health'] },
      inputs: { category: 'item.category' },
      shop: shopFrom({ items: vanishing }),
    });
    there = false;
    expect(() => filter.filterResult?.(resultList([0], [1], { grants: ['item'] }), new Uint8Array(1))).toThrow(
      expect.objectContaining({ code: 'CONSENT_FIELD_MISSING' }),
    );
  });
});
