#!/usr/bin/env node
// Plain JavaScript on purpose: npm links a bin only when the file is there, and `dist` appears after `npm ci`.
import { existsSync } from 'node:fs';

const main = new URL('../dist/main.js', import.meta.url);
if (existsSync(main)) {
  void import(main.href);
} else {
  process.stderr.write('recloom is not compiled yet: run `npm run build` in the repository first.\n');
  process.exitCode = 1;
}
