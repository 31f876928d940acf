import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { findInJson } from './json-position.js';

describe('findInJson', () => {
  const text = '{\n  "a\\"}": { "b": [10, { "c": "x, ]" }] },\n\t"d": null, "b": 1, "b": 2\n}';

  it('finds keys and elements; by hand', () => {
    expect(findInJson(text, [])).toEqual({ line: 1, column: 1 });
    expect(findInJson(text, ['a"}'])).toEqual({ line: 2, column: 3 });
    expect(findInJson(text, ['a"}', 'b', 1])).toEqual({ line: 2, column: 23 });
    expect(findInJson(text, ['a"}', 'b', 1, 'c'])).toEqual({ line: 2, column: 25 });
    expect(findInJson(text, ['d'])).toEqual({ line: 3, column: 2 });
    // Of two equal keys JSON.parse keeps the last.
    expect(findInJson(text, ['b'])).toEqual({ line: 3, column: 21 });
  });

  it('is undefined for what is not there', () => {
    expect(findInJson(text, ['z'])).toBeUndefined();
    expect(findInJson(text, ['d', 'e'])).toBeUndefined();
    expect(findInJson(text, ['a"}', 'b', 2])).toBeUndefined();
  });

  it('finds every value of any JSON where it stands', () => {
    fc.assert(
      fc.property(fc.json({ maxDepth: 4 }), fc.constantFrom(0, 1, 2), (json, indent) => {
        const value = JSON.parse(json) as unknown;
        const written = JSON.stringify(value, null, indent);
        const lines = written.split('\n');
        const visit = (part: unknown, path: (string | number)[]): void => {
          const found = findInJson(written, path);
          expect(found).toBeDefined();
          const rest = [(lines[(found?.line ?? 1) - 1] as string).slice((found?.column ?? 1) - 1), ...lines.slice(found?.line)].join('\n');
          const last = path.at(-1);
          const key = typeof last === 'string' ? JSON.stringify(last) : JSON.stringify(part, null, indent).split('\n')[0];
          expect(rest.startsWith(key as string)).toBe(true);
          if (typeof part !== 'object' || part === null) return;
          for (const [name, child] of Object.entries(part)) {
            if (name !== '__proto__') visit(child, [...path, Array.isArray(part) ? Number(name) : name]);
          }
        };
        visit(value, []);
      }),
    );
  });
});
