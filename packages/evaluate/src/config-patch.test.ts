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

  it('keeps notes: behind a short value, above a long one, a mapping, or when there are several', () => {
    const text = writeConfigPatch({
      base: './shop.yaml',
      comment: ['Tuned.'],
      changes: {
        components: { habits: { with: { lambda: 50, keep: 3, weights: { view: 1, cart: 2 } } }, recent: { with: { decayDays: null } } },
        surfaces: { home: { sources: { recent: { limit: 50, fallback: true }, habits: { limit: 300 } }, value: 'score.habits' } },
      },
      notes: [
        { path: ['components', 'habits', 'with', 'lambda'], lines: ['was 100'] },
        { path: ['components', 'habits', 'with', 'weights'], lines: ['both new'] },
        { path: ['components', 'recent', 'with', 'decayDays'], lines: [`was 7, ${'and that for long '.repeat(6)}`.trim()] },
        { path: ['surfaces', 'home', 'sources', 'recent', 'limit'], lines: ['was 20'] },
        { path: ['surfaces', 'home', 'value'], lines: ['first: was 1', '', 'second: # was 2'] },
        { path: ['base'], lines: ['the shop'] },
        { path: ['nowhere', 'at', 'all'], lines: ['lost'] },
      ],
    });
    expect(text).toBe(`# Tuned.

base: ./shop.yaml # the shop
components:
  habits:
    with:
      lambda: 50 # was 100
      keep: 3
      # both new
      weights: { view: 1, cart: 2 }
  recent:
    with:
      # was 7, and that for long and that for long and that for long and that for long and that for long and that for long
      decayDays: null
surfaces:
  home:
    sources:
      recent:
        limit: 50 # was 20
        fallback: true
      habits: { limit: 300 }
    # first: was 1

    # second: # was 2
    value: score.habits
`);
    expect(parse(text)).toMatchObject({ components: { habits: { with: { weights: { view: 1, cart: 2 } } } } });
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
