import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { toPlain, withoutNulls } from './located-node.js';
import { mergeNodes } from './merge.js';
import { readObject } from './object-document.js';

const node = (value: unknown) => readObject(value, '<object>').root;
const merge = (base: unknown, over: unknown) => JSON.parse(JSON.stringify(toPlain(mergeNodes(node(base), node(over)))));

describe('mergeNodes', () => {
  it('merges mappings, replaces lists and scalars, and takes out what is null', () => {
    expect(merge({ a: { x: 1, y: [1, 2] }, b: 2, c: 3 }, { a: { y: [3], z: null }, b: null, d: { e: null, f: 1 } })).toEqual({
      a: { x: 1, y: [3] },
      c: 3,
      d: { f: 1 },
    });
  });
  it('lets a mapping and a scalar replace each other', () => {
    expect(merge({ a: { x: 1 }, b: 2 }, { a: 3, b: { y: 1 } })).toEqual({ a: 3, b: { y: 1 } });
  });

  const data = fc.letrec((tie) => ({
    value: fc.oneof({ maxDepth: 3 }, fc.integer(), fc.constant(null), fc.array(fc.integer(), { maxLength: 2 }), tie('mapping')),
    mapping: fc.dictionary(fc.constantFrom('a', 'b', 'c', 'd'), tie('value'), { maxKeys: 3 }),
  })).mapping;

  const clean = (value: unknown) => withoutNulls(node(value));
  /** Every value that is no mapping, by its dotted path; an empty mapping counts as a value. */
  const leaves = (value: unknown, path = ''): [string, unknown][] => {
    if (typeof value !== 'object' || value === null || Array.isArray(value)) return [[path, value]];
    const entries = Object.entries(value);
    return entries.length === 0 ? [[path, '{}']] : entries.flatMap(([key, entry]) => leaves(entry, `${path}.${key}`));
  };

  it('changes nothing when laid over itself', () => {
    fc.assert(
      fc.property(data, (value) => {
        expect(toPlain(mergeNodes(clean(value), clean(value)))).toEqual(toPlain(clean(value)));
      }),
    );
  });

  it('holds every value of the upper layer, every untouched one of the lower, and nothing else', () => {
    fc.assert(
      fc.property(data, data, (lower, upper) => {
        const below = leaves(toPlain(clean(lower)));
        const above = leaves(toPlain(clean(upper)));
        const untouched = below.filter(
          ([path]) => !above.some(([other]) => path === other || path.startsWith(`${other}.`) || other.startsWith(`${path}.`)),
        );
        const isEmpty = ([, value]: [string, unknown]) => value === '{}';
        const merged = leaves(toPlain(mergeNodes(clean(lower), clean(upper)))).filter((leaf) => !isEmpty(leaf));
        // An empty mapping over a mapping leaves it as it is.
        const kept = below.filter(([path]) => above.some(([other, value]) => value === '{}' && path.startsWith(`${other}.`)));
        const expected = new Map([...untouched, ...kept, ...above].filter((leaf) => !isEmpty(leaf)));
        expect(new Map(merged)).toEqual(expected);
      }),
    );
  });
});
