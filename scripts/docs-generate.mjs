#!/usr/bin/env node
// Writes docs/reference/ from the compiled code; with --check writes nothing and fails when a page or a link is wrong.
// `node scripts/docs-generate.mjs plugins errors` does those pages only.
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { brokenLinks, root } from './docs-markdown.mjs';
import { referencePages } from './docs-reference.mjs';

const words = process.argv.slice(2);
const check = words.includes('--check');
const wanted = words.filter((word) => !word.startsWith('--'));

const problems = [];
for (const [path, write] of Object.entries(referencePages)) {
  if (wanted.length > 0 && !wanted.some((word) => path.endsWith(`/${word}.md`))) continue;
  const text = await write();
  const file = join(root, path);
  if (check) {
    if (readIfThere(file) !== text) problems.push(`${path} is not what the code says; run "npm run docs:generate" and commit it`);
  } else {
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(file, text);
    console.log(path);
  }
}
if (check) problems.push(...brokenLinks());
for (const problem of problems) console.error(problem);
process.exitCode = problems.length === 0 ? 0 : 1;

function readIfThere(file) {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return undefined;
  }
}
