import { describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { baseReference, writeConfigPatch } from './config-patch.js';

describe('writeConfigPatch', () => {
  const changes = {
    components: { blend: { use: 'blend/scores', with: { weights: { habits: 1, 'clicks.buy': 0.25 }, normaliseEach: null } } },
    surfaces: { home: { scorers: ['habits', { use: 'clicks', onError: 'fail' }, 'blend'], value: 'score.blend' } },
  };

  it('is short enough to read: small mappings on a line, the comment on top', () => {
    expect(writeConfigPatch({ base: './shop.yaml', comment: ['Two', '', 'lines: #1'], changes })).toBe(`# Two

# lines: #1

base: ./shop.yaml
components:
  blend:
    use: blend/scores
    with:
      weights: { habits: 1, clicks.buy: 0.25 }
      normaliseEach: null
surfaces:
  home:
    scorers:
      - habits
      - { use: clicks, onError: fail }
      - blend
    value: score.blend
`);
  });

  it('reads back as it was, whatever the values look like', () => {
    const odd = {
      texts: { a: 'yes', b: '1.0', c: '# no comment', d: 'two\nlines', e: `${'long '.repeat(60)}` },
      list: [1, [2, 3], { x: null }],
    };
    expect(parse(writeConfigPatch({ base: 'recloom:shop', changes: odd }))).toEqual({ base: 'recloom:shop', ...odd });
  });
});

describe('baseReference', () => {
  it.each([
    ['/shop/shop.yaml', '/shop/out.yaml', './shop.yaml'],
    ['/shop/shop.yaml', '/shop/tuned/out.yaml', '../shop.yaml'],
    ['/shop/a/shop.yaml', '/shop/out.yaml', './a/shop.yaml'],
  ])('%s from %s is %s', (config, out, expected) => {
    expect(baseReference(config, out)).toBe(expected);
  });
});
