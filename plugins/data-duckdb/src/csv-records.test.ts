import { Readable } from 'node:stream';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { columnNames, detectDelimiter, locateLines, parseFirstRecord } from './csv-records.js';

const comma = { delimiter: ',', quote: '"', header: true };

describe('parseFirstRecord', () => {
  it('reads quotes, doubled quotes, delimiters and line breaks inside quotes', () => {
    expect(parseFirstRecord('a,"b,""c""\nd",e\r\nnext', comma)).toEqual(['a', 'b,"c"\nd', 'e']);
  });

  it('passes over a byte order mark and blank lines, and finds nothing in nothing', () => {
    expect(parseFirstRecord('\uFEFF\r\n\na,b\n', comma)).toEqual(['a', 'b']);
    expect(parseFirstRecord('', comma)).toBeUndefined();
    expect(parseFirstRecord('\uFEFF\n\n', comma)).toBeUndefined();
  });

  it('keeps a quote inside an unquoted value', () => {
    expect(parseFirstRecord('5" pipe,b\n', comma)).toEqual(['5" pipe', 'b']);
  });
});

describe('detectDelimiter', () => {
  it.each([
    ['a,b;c,d\n', ','],
    ['a;b;"c,d,e,f"\n', ';'],
    ['a\tb\tc d\n', '\t'],
    ['a|b\n', '|'],
    ['alone\n', ','],
  ])('%j', (text, delimiter) => expect(detectDelimiter(text, '"')).toBe(delimiter));
});

describe('columnNames', () => {
  it('are trimmed, never empty and unique without regard to case', () => {
    expect(columnNames([' Id', 'id', '', 'ID'], true)).toEqual(['Id', 'id_1', 'column3', 'ID_2']);
    expect(columnNames(['7', '8'], false)).toEqual(['column1', 'column2']);
  });
});

describe('locateLines', () => {
  it('counts lines inside quotes and blank lines, not as rows', async () => {
    // line:        1        2      3   4 5          6 7
    const text = 'h1,h2\nr0,"x\ny"\n\nr1,z\r\n"r""2",5"\nr3,w';
    const found = await locateLines(Readable.from([text]), comma, [0, 1, 2, 3], []);
    expect([...found.accepted]).toEqual([
      [0, 2],
      [1, 5],
      [2, 6],
      [3, 7],
    ]);
  });

  it('leaves out refused records, whose numbers count header and blank lines but not lines inside quotes', async () => {
    const text = 'h1,h2\n"a\nb",1\n\nbad\nc,2\n';
    // Records: 1 header, 2 the row of two lines, 3 the blank line, 4 the refused one, 5 the last.
    const found = await locateLines(Readable.from([text]), comma, [0, 1], [4]);
    expect([...found.accepted]).toEqual([
      [0, 2],
      [1, 6],
    ]);
    expect([...found.rejected]).toEqual([[4, 5]]);
  });

  it('finds every row of any file, however it is cut into chunks', async () => {
    const value = fc.oneof(
      fc.constantFrom('', 'x', '"', '""', 'a"b', '\n', '\r\n', 'p\nq', ',', ' "'),
      fc.string({ maxLength: 4 }).map((text) => text.replaceAll('\r', '')),
    );
    const row = fc.record({ values: fc.tuple(value, value), blanksBefore: fc.nat(2), refused: fc.boolean() });
    await fc.assert(
      fc.asyncProperty(
        fc.array(row, { maxLength: 8 }),
        fc.constantFrom('\n', '\r\n'),
        fc.integer({ min: 1, max: 7 }),
        fc.boolean(),
        async (rows, newline, chunk, header) => {
          const quoted = (text: string): string => `"${text.replaceAll('"', '""')}"`;
          let text = header ? `h1,h2${newline}` : '';
          let line = header ? 2 : 1;
          let record = header ? 2 : 1;
          const lines: number[] = [];
          const refused: number[] = [];
          const refusedLines: number[] = [];
          for (const { values, blanksBefore, refused: isRefused } of rows) {
            text += newline.repeat(blanksBefore);
            line += blanksBefore;
            record += blanksBefore;
            if (isRefused) {
              refused.push(record);
              refusedLines.push(line);
            } else lines.push(line);
            const written = values.map(quoted).join(',') + newline;
            text += written;
            line += written.split('\n').length - 1;
            record++;
          }
          const chunks = text.match(new RegExp(`[\\s\\S]{1,${chunk}}`, 'g')) ?? [];
          const found = await locateLines(
            Readable.from(chunks),
            { delimiter: ',', quote: '"', header },
            lines.map((_, index) => index),
            refused,
          );
          expect([...found.accepted.values()]).toEqual(lines);
          expect([...found.rejected.values()]).toEqual(refusedLines);
        },
      ),
      { numRuns: 300 },
    );
  });
});
