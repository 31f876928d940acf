/**
 * The protocols of recommendation quality, each a program of this folder: `npm run quality` lists them,
 * `npm run quality -- cold-items --json` runs one. What an option means, each program says with `--help`.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const folder = dirname(fileURLToPath(import.meta.url));

/** A program's file begins with a comment whose first line says what it measures; helper files do not. */
function summaryOf(name: string): string | undefined {
  const match = /^(?:#!.*\n)?\/\*\*\s*\n?\s*\*?\s*(?:Protocol:\s*)(.+?)\s*(?:\*\/)?\n/.exec(
    readFileSync(join(folder, `${name}.ts`), 'utf8'),
  );
  return match?.[1];
}

const programs = readdirSync(folder)
  .filter((file) => file.endsWith('.ts') && !file.endsWith('.test.ts') && file !== 'run.ts')
  .map((file) => file.slice(0, -'.ts'.length))
  .flatMap((name) => {
    const summary = summaryOf(name);
    return summary === undefined ? [] : [{ name, summary }];
  });

const [wanted, ...rest] = process.argv.slice(2);
if (wanted === undefined || wanted === '--help') {
  console.log('Usage: npm run quality -- <protocol> [options]\n');
  for (const { name, summary } of programs) console.log(`  ${name.padEnd(16)} ${summary}`);
} else if (!programs.some(({ name }) => name === wanted)) {
  console.error(`There is no protocol "${wanted}". There are: ${programs.map(({ name }) => name).join(', ')}.`);
  process.exitCode = 2;
} else {
  const tsx = join(folder, '..', '..', 'node_modules', '.bin', 'tsx');
  const ended = spawnSync(existsSync(tsx) ? tsx : 'tsx', [join(folder, `${wanted}.ts`), ...rest], { stdio: 'inherit' });
  process.exitCode = ended.status ?? 1;
}
