import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { findNode, toPlain } from './located-node.js';
import { longestConfig, readYaml } from './yaml-document.js';

function read(text: string): { plain: unknown; codes: string[]; places: string[]; messages: string[] } {
  const { root, problems } = readYaml(text, 'x.yaml');
  return {
    plain: root === undefined ? undefined : JSON.parse(JSON.stringify(toPlain(root))),
    codes: problems.map((problem) => problem.code),
    places: problems.map((problem) => `${problem.at.line}:${problem.at.column}`),
    messages: problems.map((problem) => problem.message),
  };
}

describe('readYaml', () => {
  it('reads the core schema with the place of every value', () => {
    const { root } = readYaml('a: 1\nb:\n  - x\n  - { c: true, d: null }\n', 'x.yaml');
    expect(JSON.parse(JSON.stringify(toPlain(root as never)))).toEqual({ a: 1, b: ['x', { c: true, d: null }] });
    const place = (path: (string | number)[]) => {
      const { line, column } = findNode(root as never, path).node.position;
      return `${line}:${column}`;
    };
    expect([place(['a']), place(['b']), place(['b', 0]), place(['b', 1, 'c']), place(['b', 1, 'd'])]).toEqual([
      '1:4',
      '3:3',
      '3:5',
      '4:10',
      '4:19',
    ]);
    expect(findNode(root as never, ['b', 1, 'd']).keyPosition).toMatchObject({ line: 4, column: 16 });
  });

  it('gives the same places with CRLF, and a BOM moves nothing', () => {
    const text = 'a: 1\nbb:\n  c: [1, 2]\n';
    const places = (content: string) => {
      const { root } = readYaml(content, 'x.yaml');
      return [['a'], ['bb', 'c'], ['bb', 'c', 1]].map((path) => findNode(root as never, path).node.position);
    };
    expect(places(text.replaceAll('\n', '\r\n'))).toEqual(places(text));
    expect(places(`\uFEFF${text}`)).toEqual(places(text));
  });

  it('reads JSON indented with tabs', () => {
    expect(read('{\n\t"a": [\n\t\t1,\n\t\t"x"\n\t],\n\t"b": null\n}').plain).toEqual({ a: [1, 'x'], b: null });
  });

  it('reads names that YAML 1.1 took for values as texts', () => {
    expect(read('on: yes\nno: off\n1.0: a\ntrue: b\nnull: c\n').plain).toEqual({ on: 'yes', no: 'off', '1.0': 'a', true: 'b', null: 'c' });
  });

  it('applies aliases and merge keys; own entries win', () => {
    const text = 'd: &d { x: 1, y: 2 }\ne: &e { y: 5, z: 6 }\na: { <<: *d, y: 3 }\nb: { <<: [*d, *e] }\nc: *d\nf: { "<<": 1 }\n';
    expect(read(text).plain).toMatchObject({ a: { x: 1, y: 3 }, b: { x: 1, y: 2, z: 6 }, c: { x: 1, y: 2 }, f: { '<<': 1 } });
  });

  it.each([
    ['a tab as indentation', 'a:\n\tb: 2\n', '2:1', /tabs are not allowed as indentation/],
    ['an unclosed quote', 'a: "x\nb: 1\n', '3:1', /missing closing "quote/],
    ['two colons in a line', 'a: b: c\n', '1:4', /put the value in quotes/],
    ['an unknown tag', 'a: !!js/function "x"\n', '1:4', /js\/function is not supported/],
    ['a second document', 'a: 1\n---\nb: 2\n', '2:1', /more than one document/],
    ['an alias of nothing', 'a: *none\n', '1:4', /no anchor &none/],
    ['an alias inside itself', 'a: &a [1, *a]\n', '1:11', /stands inside what it names/],
    ['a list as a key', '? [x]\n: 1\n', '1:3', /a key must be a text/],
    ['an unclosed list', 'a: [1,\nb: 2\n', '2:1', /"\[" is not closed with "\]"/],
    ['a text after a quoted one', 'a: "x" y\n', '1:8', /stands after the end of a value/],
    ['a bare placeholder in a flow mapping', 'a: { b: ${env:X} }\n', '1:9', /put \$\{env:…\} in quotes/],
    ['a merge of a number', 'a: { <<: 3 }\n', '1:6', /must name a mapping/],
  ])('refuses %s with its place', (_, text, place, message) => {
    const result = read(text);
    expect(result.codes).toEqual(['RECLOOM_CFG_SYNTAX']);
    expect(result.places).toEqual([place]);
    expect(result.messages[0]).toMatch(message);
  });

  it('reports every duplicate key at its second place and keeps the first value', () => {
    const result = read('components:\n  a: { use: x/y }\n  a: { use: z/z }\nk: 1\nk: 2\n');
    expect(result.codes).toEqual(['RECLOOM_CFG_DUPLICATE_COMPONENT', 'RECLOOM_CFG_DUPLICATE_KEY']);
    expect(result.places).toEqual(['3:3', '5:1']);
    expect(result.plain).toMatchObject({ k: 1, components: { a: { use: 'x/y' } } });
  });

  it('refuses __proto__ as a key and pollutes nothing', () => {
    const result = read('a: { __proto__: { polluted: true } }\n"__proto__": { polluted: true }\n');
    expect(result.codes).toEqual(['RECLOOM_CFG_UNKNOWN_KEY', 'RECLOOM_CFG_UNKNOWN_KEY']);
    expect(result.places).toEqual(['1:6', '2:1']);
    expect(({} as { polluted?: boolean }).polluted).toBeUndefined();
    const { root } = readYaml('constructor: 1\n', 'x.yaml');
    expect((toPlain(root as never) as { toString?: unknown }).toString).toBeUndefined();
  });

  it('refuses an alias bomb before it is written out', () => {
    const levels = Array.from({ length: 9 }, (_, level) => `l${level + 1}: &l${level + 1} [${Array(10).fill(`*l${level}`).join(', ')}]`);
    const started = performance.now();
    const result = read(`l0: &l0 x\n${levels.join('\n')}\n`);
    expect(result.codes).toEqual(['RECLOOM_CFG_ALIAS_BOMB']);
    expect(result.plain).toBeUndefined();
    expect(performance.now() - started).toBeLessThan(5000);
  });

  it.each([
    ['flow lists', '['.repeat(200_000)],
    ['closed flow lists', `${'['.repeat(5000)}${']'.repeat(5000)}`],
    ['block lists', '- '.repeat(100_000)],
    ['complex keys', '? '.repeat(10_000)],
    ['mappings', Array.from({ length: 1000 }, (_, depth) => `${' '.repeat(depth)}k:`).join('\n')],
  ])('refuses very deep %s without ending the process', (_, text) => {
    const result = read(text);
    expect(result.codes).toEqual(['RECLOOM_CFG_SYNTAX']);
    expect(result.messages[0]).toMatch(/nested more than 60 levels deep/);
  });

  it('reads what is nested as deep as a config needs', () => {
    const text = `${'['.repeat(40)}1${']'.repeat(40)}`;
    expect(read(text).codes).toEqual([]);
  });

  it('refuses a text of 1 MB and reads one of the largest size', () => {
    expect(read('#'.repeat(1_000_000)).messages[0]).toMatch(/1000000 characters/);
    const value = 'x'.repeat(longestConfig - 3);
    expect(read(`a: ${value}`).plain).toEqual({ a: value });
  });

  it('names a few errors of a text that is no YAML, not thousands', () => {
    expect(read('"a" '.repeat(2000)).codes.length).toBeLessThanOrEqual(5);
  });

  it('throws for no text whatever', () => {
    const alphabet = fc.constantFrom(...'abc:-[]{}"\'&*!|>%@`#?,\n\t \r<~0.'.split(''));
    fc.assert(
      fc.property(fc.array(alphabet, { maxLength: 60 }), (characters) => {
        const { root, problems } = readYaml(characters.join(''), 'x.yaml');
        expect(root !== undefined || problems.length > 0).toBe(true);
        for (const problem of problems) {
          expect(problem.at.line).toBeGreaterThanOrEqual(1);
          expect(problem.at.column).toBeGreaterThanOrEqual(1);
        }
      }),
      { numRuns: 500 },
    );
  });

  it('reads back any plain data written as JSON', () => {
    const data = fc.dictionary(
      fc.string({ minLength: 1 }).filter((key) => key !== '__proto__' && key !== '<<'),
      fc.jsonValue({ maxDepth: 3 }),
    );
    fc.assert(
      fc.property(data, (value) => {
        const text = JSON.stringify(value);
        fc.pre(!text.includes('__proto__'));
        const { plain, codes } = read(text);
        expect(codes).toEqual([]);
        expect(plain).toEqual(JSON.parse(text));
      }),
      { numRuns: 200 },
    );
  });
});
