import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { errorAnchor, errorCodes } from '@recloom/plugin-api';
import { describe, expect, it } from 'vitest';
import { anchorsOf, brokenLinks, readMarkdown, relativeLinks, root } from '../../scripts/docs-markdown.mjs';
import { allPlugins, messageShape, referencePages } from '../../scripts/docs-reference.mjs';

const errorsPage = 'docs/reference/errors.md';

describe('docs/reference', () => {
  it.each(Object.keys(referencePages))('%s says what the code says (else run "npm run docs:generate")', async (path) => {
    expect(readFileSync(join(root, path), 'utf8')).toBe(await referencePages[path]?.());
  });

  it('errors.md and the tables of codes name the same codes, both ways', async () => {
    const text = readMarkdown(errorsPage);
    const [live = '', retired = ''] = text.split('\n## Retired codes');
    const listed = [...live.matchAll(/^### ([A-Z][A-Z0-9_]+)$/gm)].map((match) => match[1]);
    const declared = [
      ...Object.keys(errorCodes),
      ...(await allPlugins()).flatMap(({ definition }) => definition.errors.map((error) => error.code)),
    ];
    expect([...listed].sort()).toEqual([...declared].sort());
    expect(new Set(listed).size, 'a code stands once').toBe(listed.length);
    const retiredCodes = [...retired.matchAll(/`([A-Z][A-Z0-9_]+)`/g)].map((match) => match[1]);
    expect(retiredCodes.filter((code) => declared.includes(code as string))).toEqual([]);
  });

  it('the table has every code that our packages and docs name', () => {
    const sources = execFileSync('git', ['ls-files', 'packages/*.ts', 'plugins/*.ts', '*.md'], { cwd: root, encoding: 'utf8' })
      .split('\n')
      .filter((path) => path !== '' && !path.includes('/broken/') && !path.endsWith('.test.ts') && existsSync(join(root, path)));
    const unknown = sources.flatMap((path) =>
      [...readFileSync(join(root, path), 'utf8').matchAll(/\bRECLOOM_(?:CFG|PLG|DI|DAT|KRN|LAW|RUN|PRV)_[A-Z_]*[A-Z]\b(?![_*])/g)]
        .filter(([code]) => !(code in errorCodes))
        .map(([code]) => `${path}: ${code}`),
    );
    expect(unknown).toEqual([]);
    expect(sources.length).toBeGreaterThan(100);
  });

  it('every code has the anchor that errorAnchor() promises', () => {
    const anchors = anchorsOf(readMarkdown(errorsPage));
    for (const code of Object.keys(errorCodes)) {
      const [path, anchor] = errorAnchor(code).split('#');
      expect(path).toBe(errorsPage);
      expect(anchors, code).toContain(anchor);
    }
  });

  it("a code's own message and hint stand in its section", () => {
    const sections = readMarkdown(errorsPage).split(/^### /m);
    for (const [code, entry] of Object.entries(errorCodes)) {
      const section = sections.find((text) => text.startsWith(`${code}\n`));
      expect(section, code).toContain(messageShape(entry));
      expect(section, code).toContain(entry.hint);
      expect(section, code).toContain(entry.audience);
    }
  });
});

describe('links', () => {
  it('every relative link and anchor of every Markdown file leads somewhere', () => {
    expect(brokenLinks()).toEqual([]);
  });

  it('the check sees a broken link, and neither code nor addresses', () => {
    const text = [
      '# Über `code`, twice',
      '[a](b.md#c) ![p](i.png)',
      '`[x](no.md)` [web](https://example.org)',
      '```',
      '[y](no.md)',
      '```',
      '[r]: other.md',
    ];
    expect(relativeLinks(text.join('\n')).map((link) => link.target)).toEqual(['b.md#c', 'i.png', 'other.md']);
    expect([...anchorsOf(text.join('\n'))]).toEqual(['über-code-twice']);
    const wrong =
      '[x](no-such-file.md) [y](docs/reference/errors.md#no-such-anchor) [z](../outside.md) [fine](docs/guide/concepts.md#words)';
    expect(brokenLinks(['README.md'], () => wrong)).toEqual([
      'README.md:1 leads to nothing: no-such-file.md',
      'README.md:1 names an anchor that is not there: docs/reference/errors.md#no-such-anchor',
      'README.md:1 leads out of the repository: ../outside.md',
    ]);
  });
});
