import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { recloomError } from '@recloom/plugin-api';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { formatProblems } from './format-problems.js';

let folder: string;
let file: string;
beforeAll(() => {
  folder = mkdtempSync(path.join(tmpdir(), 'recloom-format-'));
  file = path.join(folder, 'shop.yaml');
  writeFileSync(file, `\uFEFFname: shop\r\n\tlimts: 3\r\n${'y'.repeat(300)}\u001b[31m`);
});
afterAll(() => rmSync(folder, { recursive: true }));

const unknownKey = (at: object) => recloomError('RECLOOM_CFG_UNKNOWN_KEY', { key: 'limts', suggestion: 'limits' }, { at });

describe('formatProblems', () => {
  it('shows place, code, message, the line with a caret, and the hint', () => {
    const invalid = recloomError('RECLOOM_CFG_INVALID', { count: 1, file }, { problems: [unknownKey({ file, line: 2, column: 2 })] });
    expect(formatProblems(invalid).split('\n')).toEqual([
      `${file}:2:2 error RECLOOM_CFG_UNKNOWN_KEY Unknown key "limts"; did you mean "limits"?`,
      '     2 | \tlimts: 3',
      '       | \t^',
      '    hint: Remove it or correct its spelling; `recloom schema` lists every key for your editor.',
    ]);
  });
  it('shows the part of a long line around the caret, and no control characters', () => {
    const lines = formatProblems(unknownKey({ file, line: 3, column: 302 })).split('\n');
    expect(lines[1]?.length).toBeLessThan(140);
    expect(lines[2]?.indexOf('^')).toBe(lines[1]?.indexOf('[31m'));
    expect(lines.join('')).not.toContain('\u001b');
  });
  it('does without a file, a line, or even a RecloomError', () => {
    expect(formatProblems(unknownKey({ file: '<object>', node: 'habits' }))).toMatch(
      /^<object> error RECLOOM_CFG_UNKNOWN_KEY \[habits\] Unknown/,
    );
    expect(formatProblems(unknownKey({ file: 'gone.yaml', line: 1, column: 1 }))).not.toContain('|');
    expect(formatProblems(unknownKey({}))).toMatch(/^error RECLOOM_CFG_UNKNOWN_KEY/);
    expect(formatProblems(new Error('boom'))).toBe('error boom');
  });
});
