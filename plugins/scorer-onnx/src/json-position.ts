/** A place in a text, 1-based. */
export interface JsonPosition {
  readonly line: number;
  readonly column: number;
}

/**
 * Where the entry at `path` stands in a JSON text: at its key in an object, at its value in an array. Undefined when it is not
 * there; the text must be valid JSON.
 */
export function findInJson(text: string, path: readonly (string | number)[]): JsonPosition | undefined {
  let place = skipSpace(text, text.startsWith('\uFEFF') ? 1 : 0);
  let found = place;
  for (const part of path) {
    const entry = entryOf(text, place, part);
    if (entry === undefined) return undefined;
    found = entry.start;
    place = entry.value;
  }
  const before = text.slice(0, found);
  const line = before.split('\n').length;
  return { line, column: found - before.lastIndexOf('\n') };
}

/** The entry of the object or array at `place`: where it begins, and where its value begins. The last of several equal keys counts, as in JSON.parse. */
function entryOf(text: string, place: number, part: string | number): { readonly start: number; readonly value: number } | undefined {
  const isObject = text[place] === '{';
  if (!isObject && text[place] !== '[') return undefined;
  let found: { readonly start: number; readonly value: number } | undefined;
  let index = 0;
  let at = skipSpace(text, place + 1);
  while (at < text.length && text[at] !== '}' && text[at] !== ']') {
    const start = at;
    let key: string | number = index++;
    if (isObject) {
      const end = skipValue(text, at);
      key = JSON.parse(text.slice(at, end)) as string;
      at = skipSpace(text, skipSpace(text, end) + 1);
    }
    if (key === part || String(key) === String(part)) found = { start, value: at };
    at = skipSpace(text, skipValue(text, at));
    if (text[at] === ',') at = skipSpace(text, at + 1);
  }
  return found;
}

function skipSpace(text: string, place: number): number {
  let at = place;
  while (text[at] === ' ' || text[at] === '\n' || text[at] === '\r' || text[at] === '\t') at++;
  return at;
}

/** The place after the value that begins at `place`. */
function skipValue(text: string, place: number): number {
  const first = text[place];
  if (first === '"') {
    let at = place + 1;
    while (at < text.length && text[at] !== '"') at += text[at] === '\\' ? 2 : 1;
    return at + 1;
  }
  if (first !== '{' && first !== '[') {
    let at = place;
    while (at < text.length && !/[\s,\]}]/.test(text[at] as string)) at++;
    return at;
  }
  let depth = 0;
  let at = place;
  while (at < text.length) {
    const character = text[at];
    if (character === '"') {
      at = skipValue(text, at);
      continue;
    }
    if (character === '{' || character === '[') depth++;
    if (character === '}' || character === ']') depth--;
    at++;
    if (depth === 0) return at;
  }
  return at;
}
