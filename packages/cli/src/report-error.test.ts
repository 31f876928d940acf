import { recloomError } from '@recloom/plugin-api';
import { describe, expect, it } from 'vitest';
import type { CliIo } from './io.js';
import { displayWidth } from './render/text.js';
import { excerptOf, reportError } from './report-error.js';

async function report(error: unknown, json = false): Promise<{ readonly text: string; readonly exitCode: number }> {
  let text = '';
  const stream = {
    write: (part: string) => {
      text += part;
    },
  };
  const io: CliIo = { stdout: stream, stderr: stream, env: {}, directory: '/', signal: new AbortController().signal };
  const exitCode = await reportError(error, io, { json, debug: false });
  return { text, exitCode };
}

describe('what lies behind an error', () => {
  const foreign = new TypeError('customer 4711 has no name');
  const broken = recloomError('RECLOOM_PLG_COMPONENT_FAILED', { what: 'filter()' }, { cause: foreign });

  it.each([
    ['with a place in the config', { file: 'shop.yaml', line: 3, column: 5, node: 'price' }],
    ['without one', { node: 'price' }],
  ])('is told down to the first foreign error, whose message may quote data: %s', async (_, at) => {
    const { text } = await report(recloomError('RECLOOM_RUN_REQUIRED_FAILED', { name: 'price' }, { cause: broken, at }));
    expect(text).toContain('caused by: RECLOOM_PLG_COMPONENT_FAILED');
    expect(text).toContain('caused by: TypeError (--debug shows it)');
    expect(text).not.toContain('4711');
  });

  it('is not told again when the message has it already', async () => {
    const fault = new Error('there is no column "item.stok"; did you mean "item.stock"?');
    const inner = recloomError('RECLOOM_CFG_EXPRESSION', { why: fault.message, position: 'column 1' }, { cause: fault });
    const { text } = await report(recloomError('RECLOOM_RUN_REQUEST', { why: `"filter" is wrong: ${fault.message}` }, { cause: inner }));
    expect(text).not.toContain('caused by');
    expect(text.match(/item\.stok/g)).toHaveLength(1);
    // A short word stands in a sentence by chance.
    const short = await report(recloomError('RECLOOM_RUN_REQUIRED_FAILED', { name: 'price' }, { cause: new TypeError('failed') }));
    expect(short.text).toContain('caused by: TypeError');
  });

  it('stands in the JSON as code and message', async () => {
    const { text } = await report(recloomError('RECLOOM_RUN_REQUIRED_FAILED', { name: 'price' }, { cause: broken }), true);
    expect(JSON.parse(text)).toMatchObject({
      error: { code: 'RECLOOM_RUN_REQUIRED_FAILED', cause: { code: 'RECLOOM_PLG_COMPONENT_FAILED' } },
    });
    expect(text).not.toContain('4711');
  });
});

describe('the line that is wrong', () => {
  const frame = '     7 | ';
  const of = (text: string, at: number, width: number): readonly [string, string] =>
    excerptOf(`${frame}${text}`, `       | ${' '.repeat(at)}^`, width);

  it('stays as it is where there is room', () => {
    expect(of('limts: 5', 0, 60)).toEqual(['     7 | limts: 5', '       | ^']);
  });

  it('is cut around its caret to the width of the terminal, wherever the caret stands', () => {
    const text = Array.from({ length: 200 }, (_, place) => String.fromCharCode(97 + (place % 26))).join('');
    for (const width of [60, 80, 120])
      for (const at of [0, 1, 30, 70, 71, 100, 150, 198, 199, 200]) {
        const [line, caret] = of(text, at, width);
        expect(displayWidth(line)).toBeLessThanOrEqual(width);
        expect(displayWidth(caret)).toBeLessThanOrEqual(width);
        // The caret stands under the character it stood under.
        expect(line[caret.length - 1] ?? '').toBe(text[at] ?? '');
      }
  });

  it('counts columns of the terminal, not letters', () => {
    const [line, caret] = of('蝋燭: x', 4, 60);
    // Two characters of two columns, a colon and a blank.
    expect([line, caret.indexOf('^') - frame.length]).toEqual([`${frame}蝋燭: x`, 6]);
  });
});
