import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, expect, it } from 'vitest';
import { OutputFolder } from './output-folder.js';
import { trainingFormat } from './schema.js';

let root = '';
afterEach(() => rm(root, { recursive: true, force: true }));

async function publish(text: string): Promise<string> {
  const output = await OutputFolder.open(join(root, 'out'));
  await writeFile(join(output.workPath, 'schema.json'), JSON.stringify({ format: trainingFormat, text }));
  await output.publish();
  await output.discard();
  return output.path;
}

it('replaces an earlier export and leaves nothing beside it', async () => {
  root = await mkdtemp(join(tmpdir(), 'recloom-output-'));
  await publish('first');
  const path = await publish('second');
  expect(await readFile(join(path, 'schema.json'), 'utf8')).toContain('second');
  expect(await readdir(root)).toEqual(['out']);
});

it('keeps the earlier export when the new one cannot be put in its place', async () => {
  root = await mkdtemp(join(tmpdir(), 'recloom-output-'));
  const path = await publish('first');
  const output = await OutputFolder.open(path);
  await rm(output.workPath, { recursive: true });
  await expect(output.publish()).rejects.toMatchObject({ code: 'RECLOOM_DAT_EXPORT_FOLDER' });
  expect(await readFile(join(path, 'schema.json'), 'utf8')).toContain('first');
  expect(await readdir(root)).toEqual(['out']);
});
