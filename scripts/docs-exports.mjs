import { readFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { root } from './docs-markdown.mjs';

/**
 * The public names of a package, from the explicit exports of its `src/index.ts`: `name`, `kind` (`function`, `class`,
 * `constant`, `interface`, `type`), `summary` (first sentence of its docstring, '–' without one) and `file` (relative to the
 * repository). Reads the source as text: the house's own rules (R7, formatter) make that enough.
 */
export function exportsOf(packageDirectory, entry = 'src/index.ts') {
  const index = join(root, packageDirectory, entry);
  const text = readFileSync(index, 'utf8').replace(/\/\*[\s\S]*?\*\//g, '');
  const names = [];
  for (const match of text.matchAll(/export\s+(?:type\s+)?\{([^}]*)\}\s+from\s+'([^']+)'/g)) {
    const specifier = match[2];
    const file = specifier.startsWith('.') ? join(dirname(index), specifier.replace(/\.js$/, '.ts')) : undefined;
    for (const part of match[1].split(',')) {
      const words = part.trim().replace(/^type\s+/, '');
      if (words === '') continue;
      const [local, exported = local] = words.split(/\s+as\s+/);
      names.push({
        name: exported,
        ...(file === undefined ? { kind: 'type', summary: `From ${specifier}.` } : declarationOf(file, local)),
      });
    }
  }
  for (const match of readFileSync(index, 'utf8').matchAll(/^export (?:async function|function|const|class|interface|type) (\w+)/gm))
    names.push({ name: match[1], ...declarationOf(index, match[1]) });
  return names.sort((left, right) => (left.name.toLowerCase() < right.name.toLowerCase() ? -1 : 1));
}

const kinds = { function: 'function', class: 'class', const: 'constant', interface: 'interface', type: 'type' };

function declarationOf(file, name) {
  const text = readFileSync(file, 'utf8');
  const pattern = new RegExp(
    `^(?:export )?(?:declare )?(?:abstract )?(?:async )?(function\\*?|class|const|interface|type) ${name}\\b`,
    'm',
  );
  const found = pattern.exec(text);
  if (found === null) {
    // Re-exported by the file it was imported from.
    const from = new RegExp(`export (?:type )?\\{[^}]*\\b${name}\\b[^}]*\\} from '(\\.[^']+)'`).exec(text)?.[1];
    if (from !== undefined) return declarationOf(join(dirname(file), from.replace(/\.js$/, '.ts')), name);
    throw new Error(`${relative(root, file)} does not declare ${name}`);
  }
  const described = firstSentence(docBefore(text, found.index));
  // A token carries its description as a value.
  const token = new RegExp(`^export const ${name} = createToken<\\w+>\\('[^']+', '([^']+)'\\)`, 'm').exec(text)?.[1];
  const summary = described === '' && token !== undefined ? `Token: ${token}.` : described;
  return { kind: kinds[found[1].replace('*', '')], summary: summary === '' ? '–' : summary, file: relative(root, file) };
}

/** The docstring that ends right before an offset, as one line of prose. */
function docBefore(text, offset) {
  const before = text.slice(0, offset).trimEnd();
  if (!before.endsWith('*/')) return '';
  const start = before.lastIndexOf('/**');
  return start < 0
    ? ''
    : before
        .slice(start + 3, -2)
        .split('\n')
        .map((line) => line.replace(/^\s*\*\s?/, '').trim())
        .join(' ')
        .trim();
}

/** Up to the first full stop that ends a sentence: not one in `e.g.`, a number, or code. */
function firstSentence(text) {
  const prose = text.split(/\s@[a-z]+\b/)[0].trim();
  let code = false;
  for (let index = 0; index < prose.length; index++) {
    if (prose[index] === '`') code = !code;
    if (code || prose[index] !== '.' || (index + 1 < prose.length && prose[index + 1] !== ' ')) continue;
    if (/\b(?:e\.g|i\.e|etc|vs|al)$/.test(prose.slice(0, index))) continue;
    return prose.slice(0, index + 1);
  }
  return prose;
}
