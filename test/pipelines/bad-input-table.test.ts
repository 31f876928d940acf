import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { errorCodes } from '@recloom/plugin-api';
import { describe, expect, it } from 'vitest';
import { readTable } from './support/bad-input.js';

const rows = readTable();
const files = readdirSync(import.meta.dirname).filter((name) => /^bad-input-.*\.test\.ts$/.test(name));
const tested = files.flatMap((name) =>
  [...readFileSync(join(import.meta.dirname, name), 'utf8').matchAll(/^\s*badInput\(\s*'([a-z0-9-]+)'/gm)].map(
    (found) => found[1] as string,
  ),
);
const plugins = join(import.meta.dirname, '..', '..', 'plugins');

describe('the table of bad input', () => {
  it('has one test for each row and one row for each test', () => {
    expect(rows.length).toBeGreaterThan(100);
    expect([...tested].sort()).toEqual(rows.map((row) => row.id).sort());
    expect(new Set(tested).size).toBe(tested.length);
  });

  it('names codes that exist, and says something in every cell', () => {
    const ofPlugins = new Set<string>();
    for (const plugin of readdirSync(plugins)) {
      const source = join(plugins, plugin, 'src');
      for (const name of readdirSync(source).filter((entry) => entry.endsWith('.ts') && !entry.endsWith('.test.ts')))
        for (const found of readFileSync(join(source, name), 'utf8').matchAll(/code: '([A-Z0-9_]+)'/g)) ofPlugins.add(found[1] as string);
    }
    for (const row of rows) {
      for (const code of row.codes) expect([row.id, code in errorCodes || ofPlugins.has(code)]).toEqual([row.id, true]);
      expect([row.id, row.input.length > 5, row.happens.length > 5, row.section !== '']).toEqual([row.id, true, true, true]);
    }
  });

  it('holds every item that the design asks for', () => {
    const ids = new Set(rows.map((row) => row.id));
    const asked = {
      Config: [
        'config-unknown-key',
        'config-unknown-component',
        'config-unknown-plugin',
        'config-wrong-type',
        'config-duplicate-key',
        'config-alias-bomb',
        'config-base-loop',
        'config-missing-variable',
        'config-two-components-of-one-name',
        'config-missing-library',
        'config-plugin-api-version',
        'config-surface-needs',
        'config-all-at-once',
      ],
      Data: [
        'data-missing-file',
        'data-missing-column',
        'data-unreadable-numbers',
        'data-unreadable-dates',
        'data-too-many-unreadable',
        'data-empty-file',
        'data-header-only',
        'data-wrong-encoding',
        'data-unknown-items',
        'data-impossible-times',
      ],
      Components: ['component-throws', 'component-hangs', 'component-not-finite', 'component-too-few', 'component-too-many'],
      Models: [
        'model-missing',
        'model-truncated',
        'model-wrong-hash',
        'model-newer-operators',
        'model-input-names',
        'model-input-widths',
        'model-nan',
        'model-wrong-length',
        'model-slow',
        'model-device-unknown',
        'model-device-missing',
        'model-outside-its-folder',
      ],
      Load: ['load-queue-full', 'load-abort-queued', 'load-abort-running', 'load-close-busy'],
      Pictures: [
        'picture-missing',
        'picture-bomb',
        'picture-cut-jpeg',
        'picture-cut-png',
        'picture-lying-name',
        'picture-animated-webp',
        'picture-huge-frame',
        'picture-print',
      ],
      Texts: ['text-megabyte', 'text-empty', 'text-emoji', 'text-other-scripts', 'text-control-characters'],
      Requests: [
        'request-unknown-user',
        'request-unknown-item',
        'request-limit-zero',
        'request-limit-negative',
        'request-limit-huge',
        'request-limit-not-a-number',
        'request-odd-ids',
        'request-megabyte-query',
        'request-abort',
        'request-lacks-needs',
      ],
      'Snapshots and disk': [
        'snapshot-truncated',
        'snapshot-bit-flipped',
        'snapshot-other-format',
        'snapshot-other-state-version',
        'snapshot-two-builds',
        'snapshot-killed',
        'disk-full',
        'disk-file-size-limit',
      ],
    };
    for (const id of Object.values(asked).flat()) expect([id, ids.has(id)]).toEqual([id, true]);
    // At least twenty hostile pictures: rows with a code.
    expect(rows.filter((row) => row.section === 'Pictures' && row.codes.length > 0).length).toBeGreaterThanOrEqual(20);
  });
});
