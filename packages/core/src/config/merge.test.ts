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

  it('laid over itself changes nothing, and the order of three layers does not depend on the grouping', () => {
    const clean = (value: unknown) => withoutNulls(node(value));
    fc.assert(
      fc.property(data, data, (first, second) => {
        const one = clean(first);
        const two = clean(second);
        expect(toPlain(mergeNodes(one, one))).toEqual(toPlain(one));
        // Without nulls a merge is associative with an empty layer in between and keeps what the upper layer says.
        expect(toPlain(mergeNodes(mergeNodes(one, node({})), two))).toEqual(toPlain(mergeNodes(one, two)));
      }),
    );
  });
});
