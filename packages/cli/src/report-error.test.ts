import { recloomError } from '@recloom/plugin-api';
import { describe, expect, it } from 'vitest';
import type { CliIo } from './io.js';
import { reportError } from './report-error.js';

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

  it('stands in the JSON as code and message', async () => {
    const { text } = await report(recloomError('RECLOOM_RUN_REQUIRED_FAILED', { name: 'price' }, { cause: broken }), true);
    expect(JSON.parse(text)).toMatchObject({
      error: { code: 'RECLOOM_RUN_REQUIRED_FAILED', cause: { code: 'RECLOOM_PLG_COMPONENT_FAILED' } },
    });
    expect(text).not.toContain('4711');
  });
});
