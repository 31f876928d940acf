import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { formatBytes, formatCount, formatDuration, formatScore, formatShare } from './format.js';
import { styleOf } from './style.js';
import { bar, renderTable } from './table.js';
import { displayWidth, pad, printable, truncate, wrap } from './text.js';

const style = styleOf({ write: () => true }, {});

describe('numbers', () => {
  it('are written for people', () => {
    expect([0.04, 9.94, 9.96, 999, 999.6, 59_949, 185_000].map(formatDuration)).toEqual([
      '0.0 ms',
      '9.9 ms',
      '10 ms',
      '999 ms',
      '1.0 s',
      '59.9 s',
      '3 min 05 s',
    ]);
    expect([0, 999, 1000, 7_500_000, 123e9].map(formatBytes)).toEqual(['0 B', '999 B', '1.0 kB', '7.5 MB', '123 GB']);
    expect([0, 0.0004, 0.023, 0.58, 1].map(formatShare)).toEqual(['0 %', '0.04 %', '2.3 %', '58 %', '100 %']);
    expect([0, 0.12345, 11.704, 463.2, -0.0325, 123456, 1e-7, Number.NaN].map(formatScore)).toEqual([
      '0',
      '0.1235',
      '11.70',
      '463.2',
      '-0.0325',
      '123,456',
      '1.00e-7',
      '–',
    ]);
    expect(formatCount(541909)).toBe('541,909');
  });
});

describe('text', () => {
  it('of a hostile file cannot steer the terminal', () => {
    expect(printable('a\u001b[2Jb\r\nc\u202ed\u0007')).toBe('a [2Jb c d');
  });

  it('is measured as a terminal shows it', () => {
    expect(displayWidth('lamp')).toBe(4);
    expect(displayWidth('\u001b[31mlamp\u001b[39m')).toBe(4);
    expect(displayWidth('灯')).toBe(2);
    expect(displayWidth('e\u0301')).toBe(1);
  });

  it('is cut, padded and wrapped to any width', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme', maxLength: 60 }), fc.integer({ min: 1, max: 40 }), (text, width) => {
        const line = printable(text);
        expect(displayWidth(truncate(line, width))).toBeLessThanOrEqual(width);
        expect(displayWidth(pad(truncate(line, width), width))).toBe(width);
        expect(wrap(line, width).join(' ').split(/\s+/)).toEqual(line.split(/\s+/));
      }),
    );
  });
});

describe('tables', () => {
  it('line up', () => {
    const lines = renderTable(
      [{ header: 'item' }, { header: 'price', align: 'right' }],
      [
        ['lamp', '2.50'],
        ['candle', '12.00'],
      ],
      { style },
    );
    expect(lines).toEqual(['  item    price', '  lamp     2.50', '  candle  12.00']);
  });

  it('give way where they may, and only there', () => {
    const long = 'a very long title that goes on and on and on and on and on and on and on and on';
    const cut = renderTable([{ header: 'id' }, { header: 'title', narrow: 'cut' }], [['keep-this-identifier', long]], { style });
    expect(cut).toHaveLength(2);
    expect(displayWidth(cut[1] as string)).toBeLessThanOrEqual(80);
    expect(cut[1]).toContain('keep-this-identifier');
    expect(cut[1]).toMatch(/…$/);
    const wrapped = renderTable([{ header: 'id' }, { header: 'title', narrow: 'wrap' }], [['keep-this-identifier', long]], { style });
    expect(wrapped.length).toBeGreaterThan(2);
    expect(
      wrapped
        .slice(1)
        .map((line) => line.slice(24).trim())
        .join(' '),
    ).toBe(long);
  });

  it('draw bars', () => {
    expect([bar(0, 4), bar(0.5, 4), bar(7, 4)]).toEqual(['░░░░', '██░░', '████']);
  });
});
