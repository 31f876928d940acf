import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync, statSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

/** Absolute folder of the repository. */
export const root = resolve(dirname(fileURLToPath(import.meta.url)), '..');

/** Paths, relative to the repository, of every Markdown file that is or could be committed, ascending. */
export function markdownFiles() {
  const listed = execFileSync('git', ['ls-files', '--cached', '--others', '--exclude-standard', '*.md'], { cwd: root, encoding: 'utf8' });
  return [...new Set(listed.split('\n'))].filter((path) => path !== '' && existsSync(join(root, path))).sort();
}

/** Text of a Markdown file by its path relative to the repository. */
export function readMarkdown(path) {
  return readFileSync(join(root, path), 'utf8');
}

/**
 * Fenced code blocks in order: `language` (first word after the fence), `info` (the words after it), `line` (1-based, of the
 * first line of code) and `code` with the fence's own indentation taken off.
 */
export function codeBlocks(text) {
  const blocks = [];
  let open;
  for (const [index, line] of text.split('\n').entries()) {
    const fence = /^(\s*)(`{3,}|~{3,})\s*(.*)$/.exec(line);
    if (open === undefined) {
      if (fence === null) continue;
      const [language = '', ...info] = (fence[3] ?? '').trim().split(/\s+/);
      open = { language, info, line: index + 2, indent: fence[1].length, fence: fence[2], lines: [] };
    } else if (fence !== null && fence[2].startsWith(open.fence) && fence[3] === '') {
      blocks.push({ language: open.language, info: open.info, line: open.line, code: `${open.lines.join('\n')}\n` });
      open = undefined;
    } else {
      open.lines.push(line.slice(Math.min(open.indent, line.length - line.trimStart().length)));
    }
  }
  return blocks;
}

/** The text with code blocks and code spans blanked out, line numbers kept. */
function withoutCode(text) {
  let inside;
  return text
    .split('\n')
    .map((line) => {
      const fence = /^\s*(`{3,}|~{3,})/.exec(line)?.[1];
      if (inside !== undefined) {
        if (fence?.startsWith(inside)) inside = undefined;
        return '';
      }
      if (fence !== undefined) {
        inside = fence;
        return '';
      }
      return line.replace(/(`+)(?!`).*?[^`]\1(?!`)/g, (span) => ' '.repeat(span.length));
    })
    .join('\n');
}

/** The anchors of a Markdown text as GitHub makes them: from its headings, and from `<a id="…">`. */
export function anchorsOf(text) {
  const anchors = new Set();
  const seen = new Map();
  const prose = withoutCode(text).split('\n');
  for (const [index, line] of text.split('\n').entries()) {
    for (const match of (prose[index] ?? '').matchAll(/<a (?:id|name)="([^"]+)"/g)) anchors.add(match[1]);
    // A heading may hold code spans, which are part of its anchor; a line inside a fence is no heading.
    if (prose[index] === '' || !/^#{1,6}\s/.test(prose[index] ?? '')) continue;
    const words = line
      .replace(/^#{1,6}\s+/, '')
      .replace(/\s+#+\s*$/, '')
      .replace(/\[([^\]]*)\]\([^)]*\)/g, '$1');
    const slug = words
      .toLowerCase()
      .replace(/[^\p{L}\p{N}\p{M}_\- ]/gu, '')
      .replace(/ /g, '-');
    const count = seen.get(slug) ?? 0;
    seen.set(slug, count + 1);
    anchors.add(count === 0 ? slug : `${slug}-${count}`);
  }
  return anchors;
}

/** Relative links and images of a Markdown text: `target` as written and its 1-based `line`. */
export function relativeLinks(text) {
  const found = [];
  for (const [index, line] of withoutCode(text).split('\n').entries()) {
    const targets = [
      ...[...line.matchAll(/\]\(\s*<?([^)\s>]+)>?(?:\s+"[^"]*")?\s*\)/g)].map((match) => match[1]),
      ...[...line.matchAll(/^\s*\[[^\]]+\]:\s*(\S+)/g)].map((match) => match[1]),
      ...[...line.matchAll(/<(?:img|a)\s[^>]*(?:src|href)="([^"]+)"/g)].map((match) => match[1]),
    ];
    for (const target of targets)
      if (!/^[a-z][a-z0-9+.-]*:/i.test(target) && !target.startsWith('//')) found.push({ target, line: index + 1 });
  }
  return found;
}

/** Every relative link or anchor, in all Markdown files, that leads nowhere; one sentence each. */
export function brokenLinks(files = markdownFiles(), read = readMarkdown) {
  const anchors = new Map();
  const anchorsOfFile = (path) => {
    if (!anchors.has(path)) anchors.set(path, anchorsOf(readFileSync(path, 'utf8')));
    return anchors.get(path);
  };
  const problems = [];
  for (const file of files) {
    for (const { target, line } of relativeLinks(read(file))) {
      const [path = '', anchor] = decodeURIComponent(target).split('#');
      const absolute = path === '' ? join(root, file) : resolve(root, dirname(file), path);
      if (relative(root, absolute).startsWith('..')) problems.push(`${file}:${line} leads out of the repository: ${target}`);
      else if (!existsSync(absolute)) problems.push(`${file}:${line} leads to nothing: ${target}`);
      else if (
        anchor !== undefined &&
        anchor !== '' &&
        statSync(absolute).isFile() &&
        absolute.endsWith('.md') &&
        !anchorsOfFile(absolute).has(anchor)
      )
        problems.push(`${file}:${line} names an anchor that is not there: ${target}`);
    }
  }
  return problems;
}
