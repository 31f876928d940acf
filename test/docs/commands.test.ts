import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { exitCodes } from '@recloom/cli';
import { describe, expect, it } from 'vitest';
import { codeBlocks, markdownFiles, readMarkdown, root } from '../../scripts/docs-markdown.mjs';

/** Command lines of the docs against what the command's own help says (docs/reference/cli.md, itself under test). */
const help = readMarkdown('docs/reference/cli.md');
const npmScripts = Object.keys(
  (JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { scripts: Record<string, string> }).scripts,
);

const sections = new Map(
  help
    .split(/^#{2,3} recloom /m)
    .slice(1)
    .map((section) => [section.split('\n', 1)[0] as string, section]),
);

/** What is wrong with one command line, or undefined. */
function problemOf(line: string): string | undefined {
  const words = line
    .replace(/\s+#.*$/, '')
    .trim()
    .split(/\s+/);
  if (words[0] === 'npx') words.shift();
  if (words[0] === 'npm' && words[1] === 'run')
    return npmScripts.includes(words.find((word, index) => index > 1 && !word.startsWith('-')) ?? '') ? undefined : 'no such npm script';
  if (words[0] !== 'recloom') return undefined;
  const command = [`${words[1]} ${words[2]}`, words[1] ?? ''].find((name) => sections.has(name));
  if (command === undefined) return words[1]?.startsWith('-') ? undefined : 'no such command';
  const unknown = words.filter(
    (word) =>
      word.startsWith('--') &&
      !new RegExp(`(^|[\\s,])${(word.split('=')[0] ?? '').replace(/-/g, '\\-')}(?![\\w-])`, 'm').test(sections.get(command) as string),
  );
  return unknown.length === 0 ? undefined : `no option ${unknown.join(', ')}`;
}

const lines = markdownFiles()
  .filter((file) => file !== 'docs/reference/cli.md' && !file.startsWith('packages/model-'))
  .flatMap((file) =>
    codeBlocks(readMarkdown(file))
      .filter((block) => ['sh', 'bash', 'shell', 'console'].includes(block.language))
      .flatMap((block) =>
        block.code
          .split('\n')
          .flatMap((line, index) =>
            line.split('&&').map((part) => ({ place: `${file}:${block.line + index}`, line: part.replace(/^\s*\$\s*/, '').trim() })),
          ),
      ),
  );

describe('command lines in the docs', () => {
  it('are commands and options that there are', () => {
    expect(lines.length).toBeGreaterThan(10);
    expect(lines.flatMap(({ place, line }) => problemOf(line)?.replace(/^/, `${place} ${line}: `) ?? [])).toEqual([]);
  });

  it('the exit codes of operations.md are those of the command', () => {
    const table = readMarkdown('docs/guide/operations.md').split('## Exit codes')[1]?.split('\n## ')[0] ?? '';
    const listed = [...table.matchAll(/^\|\s*(\d+)\s*\|/gm)].map((match) => Number(match[1]));
    expect(listed).toEqual(Object.values(exitCodes).sort((left, right) => left - right));
  });

  it('the check sees what is wrong', () => {
    expect(problemOf('recloom bild')).toBe('no such command');
    expect(problemOf('npx recloom build --frsh')).toBe('no option --frsh');
    expect(problemOf('npm run demmo')).toBe('no such npm script');
    expect(problemOf('recloom build --fresh shop.yaml')).toBeUndefined();
  });
});
