import { type RecloomError, recloomError } from '@recloom/plugin-api';
import {
  Composer,
  type Document,
  isAlias,
  isMap,
  isScalar,
  isSeq,
  Lexer,
  LineCounter,
  type Node,
  type Pair,
  type ParsedNode,
  Parser,
  type Range,
} from 'yaml';
import {
  type ConfigNode,
  deepestNesting,
  type ListNode,
  type MappingEntry,
  type MappingNode,
  type ScalarNode,
  type SourceText,
} from './located-node.js';
import type { SourcePosition } from './types.js';

/** Largest config file in characters. The library took about 6 µs per character (measured on two busy cores) of the worst kind of text. */
export const longestConfig = 512 * 1024;
/** Most values a file may come to once its aliases are written out. */
const mostValues = 100_000;
/** A text that is no YAML at all yields an error per token; the first few say it. */
const mostSyntaxErrors = 5;

export interface ReadDocument {
  /** Undefined when the text is no YAML that could be used. */
  readonly root: ConfigNode | undefined;
  readonly problems: readonly RecloomError[];
}

/**
 * Reads one YAML (or JSON) document into nodes that know their place. Never throws for a bad text: what is wrong is in
 * `problems` (RECLOOM_CFG_SYNTAX, RECLOOM_CFG_DUPLICATE_KEY, RECLOOM_CFG_DUPLICATE_COMPONENT, RECLOOM_CFG_ALIAS_BOMB,
 * RECLOOM_CFG_UNKNOWN_KEY for `__proto__`). No tag but those of the core schema is known, so a file can hold data only.
 */
export function readYaml(content: string, file: string): ReadDocument {
  const text = content.startsWith('\uFEFF') ? content.slice(1) : content;
  const lines = new LineCounter();
  const source: SourceText = {
    file,
    text,
    positionAt(offset) {
      const { line, col } = lines.linePos(Math.min(offset, text.length));
      // The counter answers 0 for an empty text.
      return { file, line: Math.max(line, 1), column: Math.max(col, 1) };
    },
  };
  const problems: RecloomError[] = [];
  const syntax = (why: string, offset: number): void => {
    problems.push(recloomError('RECLOOM_CFG_SYNTAX', { why: why.replace(/\.$/, '') }, { at: source.positionAt(offset) }));
  };
  if (text.length > longestConfig) {
    syntax(`it has ${text.length} characters, and a config may have ${longestConfig}`, 0);
    return { root: undefined, problems };
  }
  const document = compose(text, lines, syntax);
  if (document === undefined) return { root: undefined, problems };
  const faults = [...document.errors, ...document.warnings];
  const placeholder = placeholderInFlow(text, faults[0]?.pos[0]);
  if (placeholder !== undefined) syntax('inside { } or [ ], put ${env:…} in quotes', placeholder);
  else {
    // One mistake, such as a bracket left open, makes the library say the same of every line that follows.
    const firstOfKind = faults.filter((fault, index) => faults.findIndex((other) => other.message === fault.message) === index);
    for (const fault of firstOfKind.slice(0, mostSyntaxErrors)) syntax(explain(fault.message), fault.pos[0]);
  }
  // A half-understood text would be followed by problems that are none.
  if (problems.length > 0) return { root: undefined, problems };
  const reader = new NodeReader(source, problems);
  const root = reader.read(document.contents as Node | null);
  return { root: reader.broken ? undefined : root, problems };
}

/**
 * The library's own steps, one by one, because its composer is recursive: on a text nested some thousand levels deep V8
 * ends the whole process. The parser before it is not, so its stack is watched.
 */
function compose(text: string, lines: LineCounter, syntax: (why: string, offset: number) => void): Document.Parsed | undefined {
  const parser = new Parser(lines.addNewLine);
  lines.addNewLine(0);
  const tokens = [];
  for (const lexeme of new Lexer().lex(text)) {
    for (const token of parser.next(lexeme)) tokens.push(token);
    // The stack holds the document, and for a mapping both the mapping and its value.
    if (parser.stack.length > deepestNesting + 1) {
      syntax(`it is nested more than ${deepestNesting} levels deep`, parser.offset);
      return undefined;
    }
  }
  for (const token of parser.end()) tokens.push(token);
  const composer = new Composer({ uniqueKeys: false, resolveKnownTags: false, merge: false, logLevel: 'error', prettyErrors: false });
  const [first, second] = [...composer.compose(tokens, true, text.length)] as Document.Parsed[];
  if (second !== undefined) syntax('it holds more than one document', second.range[0]);
  return first;
}

/** The place of an unquoted placeholder before an error in the same line: its braces end a flow mapping, and the errors that follow speak of those. */
function placeholderInFlow(text: string, offset: number | undefined): number | undefined {
  if (offset === undefined) return undefined;
  const start = text.lastIndexOf('\n', offset - 1) + 1;
  const found = /[:,[]\s*(\$\{env:)/.exec(text.slice(start, offset + '{env:'.length));
  return found === null ? undefined : start + found.index + found[0].length - (found[1] as string).length;
}

/** The library's messages, where they speak of its own workings, in words for the author of a config. */
function explain(message: string): string {
  if (message.startsWith('Unresolved tag')) return `${message.replace('Unresolved tag: ', 'the tag ')} is not supported`;
  if (message.includes('Maximum call stack')) return 'it is nested too deeply';
  if (message.startsWith('Nested mappings are not allowed in compact mappings')) {
    return 'a second ":" stands in the same line (put the value in quotes)';
  }
  const unclosed = /^Flow (?:sequence|map).*(?:end with a|to be closed with) (.)/.exec(message)?.[1];
  if (unclosed !== undefined) return `a "${unclosed === ']' ? '[' : '{'}" is not closed with "${unclosed}" (or its lines are not indented)`;
  if (/^Unexpected \S+ at node end/.test(message))
    return 'something stands after the end of a value (put texts with special characters in quotes)';
  return message.charAt(0).toLowerCase() + message.slice(1);
}

class NodeReader {
  readonly #source: SourceText;
  readonly #problems: RecloomError[];
  readonly #anchors = new Map<string, { readonly node: ConfigNode; readonly size: number }>();
  readonly #open = new Set<string>();
  #size = 0;
  broken = false;

  constructor(source: SourceText, problems: RecloomError[]) {
    this.#source = source;
    this.#problems = problems;
  }

  read(node: Node | null | undefined, offset = 0, path: readonly string[] = []): ConfigNode {
    this.#size++;
    if (node === null || node === undefined || this.broken) return this.#empty(offset);
    const start = (node as ParsedNode).range[0];
    if (isAlias(node)) return this.#alias(node.source, start);
    const before = this.#size;
    const anchor = (node as { anchor?: string }).anchor;
    if (anchor !== undefined) this.#open.add(anchor);
    const result = isMap(node)
      ? this.#mapping(node.items as Pair<ParsedNode, ParsedNode | null>[], start, path)
      : isSeq(node)
        ? this.#list(node.items as Node[], start, path)
        : this.#scalar(node as ParsedNode);
    if (anchor !== undefined) {
      this.#open.delete(anchor);
      this.#anchors.set(anchor, { node: result, size: this.#size - before + 1 });
    }
    return result;
  }

  #empty(offset: number): ScalarNode {
    return { kind: 'scalar', value: null, position: this.#source.positionAt(offset), plain: true, range: undefined, template: undefined };
  }

  #scalar(node: ParsedNode): ScalarNode {
    const [start, end] = node.range as Range;
    const raw = isScalar(node) ? node.value : null;
    const value = typeof raw === 'bigint' ? Number(raw) : raw;
    return {
      kind: 'scalar',
      value: typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean' ? value : null,
      position: this.#source.positionAt(start),
      plain: isScalar(node) && node.type === 'PLAIN',
      range: { source: this.#source, start, end },
      template: undefined,
    };
  }

  #list(items: readonly Node[], start: number, path: readonly string[]): ListNode {
    return {
      kind: 'list',
      position: this.#source.positionAt(start),
      items: items.map((item, index) => this.read(item, start, [...path, String(index)])),
    };
  }

  #mapping(items: readonly Pair<ParsedNode, ParsedNode | null>[], start: number, path: readonly string[]): MappingNode {
    const entries = new Map<string, MappingEntry>();
    const merged: MappingNode[] = [];
    for (const { key, value } of items) {
      const keyOffset = key?.range?.[0] ?? start;
      const keyPosition = this.#source.positionAt(keyOffset);
      const keyEnd = key?.range?.[1] ?? keyOffset;
      if (isScalar(key) && key.type === 'PLAIN' && key.value === '<<') {
        this.#merge(this.read(value, keyEnd, path), merged, keyPosition);
        continue;
      }
      const name = keyName(key);
      const problem =
        name === undefined ? this.#syntax('a key must be a text', keyPosition) : this.#keyProblem(name, entries, keyPosition, path);
      const node = this.read(value, keyEnd, [...path, name ?? '']);
      if (problem !== undefined) this.#problems.push(problem);
      else if (name !== undefined) entries.set(name, { keyPosition, node });
    }
    // YAML's merge keys: a mapping's own entries win, and so do earlier mappings over later ones.
    for (const mapping of merged) for (const [key, entry] of mapping.entries) if (!entries.has(key)) entries.set(key, entry);
    return { kind: 'mapping', position: this.#source.positionAt(start), entries };
  }

  #keyProblem(
    name: string,
    entries: ReadonlyMap<string, MappingEntry>,
    at: SourcePosition,
    path: readonly string[],
  ): RecloomError | undefined {
    if (name === '__proto__') return recloomError('RECLOOM_CFG_UNKNOWN_KEY', { key: name }, { at });
    if (!entries.has(name)) return undefined;
    return path.length === 1 && path[0] === 'components'
      ? recloomError('RECLOOM_CFG_DUPLICATE_COMPONENT', { name }, { at })
      : recloomError('RECLOOM_CFG_DUPLICATE_KEY', { key: name }, { at });
  }

  #merge(node: ConfigNode, into: MappingNode[], at: SourcePosition): void {
    if (node.kind === 'mapping') into.push(node);
    else if (node.kind === 'list') for (const item of node.items) this.#merge(item, into, at);
    else if (!this.broken) this.#problems.push(this.#syntax('"<<" must name a mapping, such as *defaults', at));
  }

  #alias(name: string, start: number): ConfigNode {
    const at = this.#source.positionAt(start);
    const target = this.#anchors.get(name);
    if (this.#open.has(name)) {
      this.#problems.push(this.#syntax(`the alias *${name} stands inside what it names`, at));
    } else if (target === undefined) {
      this.#problems.push(this.#syntax(`there is no anchor &${name} before the alias *${name}`, at));
    } else {
      this.#size += target.size;
      if (this.#size <= mostValues) return target.node;
      this.#problems.push(recloomError('RECLOOM_CFG_ALIAS_BOMB', {}, { at }));
    }
    this.broken = true;
    return this.#empty(start);
  }

  #syntax(why: string, at: SourcePosition): RecloomError {
    return recloomError('RECLOOM_CFG_SYNTAX', { why }, { at });
  }
}

/** A key as its author wrote it: `1.0:`, `true:` and `null:` are names too. */
function keyName(key: ParsedNode | null): string | undefined {
  if (key === null) return 'null';
  if (!isScalar(key)) return undefined;
  if (typeof key.value === 'string') return key.value;
  return key.source ?? String(key.value);
}
