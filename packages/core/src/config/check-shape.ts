import type { z } from 'zod';
import { configSchema, namePattern, patternWords, reservedNames, type WrittenConfig } from './config-schema.js';
import { type ConfigNode, findNode, toPlain, withoutPath, withPath } from './located-node.js';
import { readObject } from './object-document.js';
import type { ProblemCollector } from './problems.js';
import { suggest } from './suggest.js';
import type { ConfigPath } from './types.js';
import { meantIssues } from './union-issues.js';

type Issue = z.core.$ZodIssue;

export interface ShapeResult {
  /** Undefined when too little is right to go on with. */
  readonly written: WrittenConfig | undefined;
  /** Components and surfaces that exist in the file but were left out, wholly or in part, because of a problem. */
  readonly broken: ReadonlySet<string>;
  /** Places whose missing part was stood in for, so that the rest could be looked at: what is wrong there says nothing. */
  readonly stoodIn: readonly ConfigPath[];
}

/** What stands in for required parts of `tune:`, so that the mistakes in the others are found in the same run. */
const standIns: Readonly<Record<string, { readonly node: ConfigNode; readonly about: readonly ConfigPath[] }>> = {
  'tune.split': {
    node: readObject({ kind: 'leave-last-out' }, '<object>').root,
    about: [
      ['tune', 'split'],
      ['tune', 'confirm'],
    ],
  },
  'tune.options': { node: readObject({}, '<object>').root, about: [['tune', 'options']] },
};

/** Rounds of "take the wrong parts out and look again"; each makes the tree smaller, two are the most seen. */
const mostRounds = 8;

/**
 * Checks the merged document against the shape of a config and adds every problem. What is wrong is taken out, so that the
 * rest can still be planned and its problems found in the same run. With `incomplete`, a part of the config could not be read:
 * what is missing may stand there and is no problem of its own.
 */
export function checkShape(merged: ConfigNode, collector: ProblemCollector, incomplete = false): ShapeResult {
  let root = merged;
  const stoodIn: ConfigPath[] = [];
  const broken = new Set<string>();
  const wrong: ConfigPath[] = [];
  checkFormat(root, collector);
  checkNames(root, collector, wrong);
  checkStages(root, collector, wrong, incomplete);
  for (let round = 0; round < mostRounds; round++) {
    const result = configSchema.safeParse(toPlain(root));
    if (result.success && wrong.length === 0) return { written: result.data, broken, stoodIn };
    let usable = true;
    for (const issue of meantIssues(result.error?.issues ?? [])) {
      // Problems are told of the whole document only: of what is left after that, paths and places differ.
      const parts = report(issue, root, round === 0 ? collector : undefined, incomplete);
      if (parts === undefined) usable = false;
      else wrong.push(...parts);
    }
    if (!usable) break;
    for (const path of wrong.sort(laterFirst)) {
      if (path.length >= 2 && (path[0] === 'components' || path[0] === 'surfaces')) broken.add(String(path[1]));
      const standIn = standIns[dotted(path)];
      if (standIn !== undefined && !findNode(root, path).exact) {
        root = withPath(root, path, standIn.node);
        stoodIn.push(...standIn.about);
      } else root = withoutPath(root, path);
    }
    wrong.length = 0;
  }
  return { written: undefined, broken, stoodIn };
}

/** Later elements of a list and deeper paths first, so that taking one out does not move the others. */
function laterFirst(left: ConfigPath, right: ConfigPath): number {
  for (const [depth, step] of left.entries()) {
    const other = right[depth];
    if (other === undefined) return -1;
    if (step === other) continue;
    if (typeof step === 'number' && typeof other === 'number') return other - step;
    return String(step) < String(other) ? -1 : 1;
  }
  return left.length === right.length ? 0 : 1;
}

/** Adds the problem an issue stands for; gives the paths to take out, or undefined when nothing can be done without it. */
function report(
  issue: Issue,
  root: ConfigNode,
  collector: ProblemCollector | undefined,
  incomplete: boolean,
): readonly ConfigPath[] | undefined {
  const path = issue.path.map((step) => (typeof step === 'symbol' ? String(step) : step));
  const key = dotted(path);
  if (issue.code === 'unrecognized_keys') {
    const allowed = allowedKeys(path);
    const missing = allowed.filter((name) => !findNode(root, [...path, name]).exact);
    for (const name of issue.keys) {
      const suggestion = suggest(name, missing) ?? suggest(name, allowed) ?? misplaced(name, path);
      const parameters = { key: name, suggestion, allowed: suggestion === undefined ? allowed.join(', ') : undefined };
      collector?.add('RECLOOM_CFG_UNKNOWN_KEY', parameters, [...path, name], 'key');
    }
    return issue.keys.map((name) => [...path, name]);
  }
  const found = findNode(root, path);
  if (!found.exact) {
    if (!incomplete) collector?.add('RECLOOM_CFG_MISSING_KEY', { key: key === 'format' ? 'format: "1.0"' : key }, path.slice(0, -1), 'key');
    if (standIns[key] !== undefined) return [path];
    // Without its `use` a component is nothing; without name, data, components or surfaces the document is none.
    return path.length > 1 ? [path.slice(0, -1)] : undefined;
  }
  // `checkFormat` has said it.
  if (key !== 'format') collector?.add('RECLOOM_CFG_TYPE', { key, why: explain(issue, found.node) }, path);
  return path.length === 0 || requiredKeys.includes(key) ? undefined : [path];
}

const requiredKeys: readonly string[] = ['format', 'name', 'data', 'components', 'surfaces'];

const typeWords: Readonly<Record<string, string>> = {
  string: 'a text',
  number: 'a number',
  int: 'a whole number',
  boolean: 'true or false',
  array: 'a list',
  object: 'a mapping of keys',
  record: 'a mapping of names',
};

function explain(issue: Issue, node: ConfigNode): string {
  const written = node.kind === 'scalar' ? node.value : undefined;
  const found = describe(node, written);
  switch (issue.code) {
    case 'invalid_type':
      return `expected ${typeWords[issue.expected] ?? issue.expected}, found ${found}${quotingAdvice(issue.expected, written)}`;
    case 'invalid_value': {
      const values = issue.values.map((value) => String(value));
      const suggestion = typeof written === 'string' ? suggest(written, values) : undefined;
      return `expected ${oneOf(values)}, found ${found}${suggestion === undefined ? '' : ` (did you mean "${suggestion}"?)`}`;
    }
    case 'invalid_format':
      return `expected ${patternWords[(issue as { pattern?: string }).pattern ?? ''] ?? issue.message}, found ${found}`;
    case 'too_small':
      return issue.origin === 'string' ? 'it is empty' : `it must be at least ${issue.minimum}, found ${found}`;
    case 'too_big':
      return `it must be at most ${issue.maximum}, found ${found}`;
    case 'invalid_union': {
      const branches = issue.errors as unknown as readonly (readonly Issue[])[];
      const expected = branches.flatMap((branch) =>
        branch.flatMap((inner) => (inner.code === 'invalid_type' ? [typeWords[inner.expected] ?? inner.expected] : [])),
      );
      return `expected ${[...new Set(expected)].join(' or ')}, found ${found}${quotingAdvice('number', written)}`;
    }
    default:
      return issue.message;
  }
}

function describe(node: ConfigNode, written: unknown): string {
  if (node.kind === 'mapping') return 'a mapping';
  if (node.kind === 'list') return 'a list';
  if (written === null) return 'nothing';
  // A value from the environment may be a secret.
  if (node.template !== undefined) return 'a value from the environment';
  if (typeof written === 'string') return `the text "${written.length > 60 ? `${written.slice(0, 60)}…` : written}"`;
  return typeof written === 'boolean' ? String(written) : `the number ${JSON.stringify(written)}`;
}

function quotingAdvice(expected: string, written: unknown): string {
  if (expected === 'string' && (typeof written === 'number' || typeof written === 'boolean')) return ' (put it in quotes)';
  const isNumber = expected === 'number' || expected === 'int';
  if (isNumber && typeof written === 'string' && /^[-+]?\d+(\.\d+)?$/.test(written)) return ' (take the quotes away)';
  if (expected === 'array' && typeof written === 'string') return ` (write [${written}])`;
  return '';
}

function oneOf(values: readonly string[]): string {
  return values.length === 1 ? (values[0] as string) : `${values.slice(0, -1).join(', ')} or ${values.at(-1)}`;
}

function checkFormat(root: ConfigNode, collector: ProblemCollector): void {
  const found = findNode(root, ['format']);
  if (!found.exact || found.node.kind !== 'scalar') return;
  const { value } = found.node;
  if (value !== '1.0' && value !== 1) collector.add('RECLOOM_CFG_FORMAT', { found: String(value), supported: '"1.0"' }, ['format']);
}

function checkNames(root: ConfigNode, collector: ProblemCollector, wrong: ConfigPath[]): void {
  for (const [section, what] of [
    ['components', 'component'],
    ['surfaces', 'surface'],
  ] as const) {
    const found = findNode(root, [section]);
    if (!found.exact || found.node.kind !== 'mapping') continue;
    for (const name of found.node.entries.keys()) {
      const reserved = reservedNames.includes(name);
      if (namePattern.test(name) && !reserved) continue;
      const why = reserved
        ? `the name of a ${what} may not be "${name}", which expressions read as a value`
        : `the name of a ${what} must begin with a letter and hold only letters, digits and "_", because expressions use it`;
      collector.add('RECLOOM_CFG_TYPE', { key: `${section}.${name}`, why }, [section, name], 'key');
      wrong.push([section, name]);
    }
  }
}

/** Rules that a schema of one value cannot say: privacy is never skipped, no component stands twice in a stage, sources exist. */
function checkStages(root: ConfigNode, collector: ProblemCollector, wrong: ConfigPath[], incomplete: boolean): void {
  const surfaces = findNode(root, ['surfaces']);
  if (!surfaces.exact || surfaces.node.kind !== 'mapping') return;
  for (const [surface, { node }] of surfaces.node.entries) {
    if (node.kind !== 'mapping') continue;
    const sources = node.entries.get('sources')?.node;
    const none =
      sources === undefined ||
      (sources.kind === 'list' && sources.items.length === 0) ||
      (sources.kind === 'mapping' && sources.entries.size === 0);
    if (none && !incomplete) collector.add('RECLOOM_CFG_NO_SOURCES', { surface }, ['surfaces', surface], 'key');
    for (const stage of ['sources', 'filters', 'features', 'scorers', 'privacy', 'effects']) {
      const list = node.entries.get(stage)?.node;
      if (list?.kind !== 'list') continue;
      const seen = new Set<string>();
      for (const [index, item] of list.items.entries()) {
        const name = nameOf(item);
        const path = ['surfaces', surface, stage, index];
        if (name !== '' && seen.has(name)) {
          collector.add('RECLOOM_CFG_TYPE', { key: dotted(['surfaces', surface, stage]), why: `it names "${name}" twice` }, path);
          wrong.push(path);
        }
        seen.add(name);
      }
    }
    const privacy = node.entries.get('privacy')?.node;
    if (privacy?.kind !== 'list') continue;
    for (const [index, item] of privacy.items.entries()) {
      const onError = item.kind === 'mapping' ? item.entries.get('onError')?.node : undefined;
      if (onError?.kind === 'scalar' && onError.value === 'skip') {
        collector.add('RECLOOM_CFG_PRIVACY_SKIP', { name: nameOf(item) }, ['surfaces', surface, 'privacy', index, 'onError']);
      }
    }
  }
}

function nameOf(item: ConfigNode): string {
  const use = item.kind === 'mapping' ? item.entries.get('use')?.node : item;
  return use?.kind === 'scalar' && typeof use.value === 'string' ? use.value : '';
}

/** The keys the schema allows at a path, in its order. */
function allowedKeys(path: ConfigPath): readonly string[] {
  let schemas: z.core.$ZodType[] = [configSchema];
  for (const step of path) schemas = schemas.flatMap(alternatives).flatMap((schema) => child(schema, step));
  const keys = schemas.flatMap(alternatives).flatMap((schema) => Object.keys(definition(schema).shape ?? {}));
  return [...new Set(keys)].filter((key) => key !== '$schema');
}

interface SchemaDefinition {
  readonly shape?: Readonly<Record<string, z.core.$ZodType>>;
  readonly innerType?: z.core.$ZodType;
  readonly valueType?: z.core.$ZodType;
  readonly element?: z.core.$ZodType;
  readonly options?: readonly z.core.$ZodType[];
}

function definition(schema: z.core.$ZodType): SchemaDefinition {
  return schema._zod.def as SchemaDefinition;
}

function alternatives(schema: z.core.$ZodType): z.core.$ZodType[] {
  const { innerType, options } = definition(schema);
  if (innerType !== undefined) return alternatives(innerType);
  return options === undefined ? [schema] : options.flatMap(alternatives);
}

function child(schema: z.core.$ZodType, step: string | number): z.core.$ZodType[] {
  const { shape, valueType, element } = definition(schema);
  const next = typeof step === 'number' ? element : (shape?.[step] ?? valueType);
  return next === undefined ? [] : [next];
}

/** Options and inputs are often written one level too high. */
function misplaced(name: string, path: ConfigPath): string | undefined {
  const component = (path[0] === 'components' && path.length === 2) || (path[0] === 'data' && path.length === 2);
  return component && /^[a-z][A-Za-z0-9]*$/.test(name) && !['options', 'inputs'].includes(name) ? `with: { ${name}: … }` : undefined;
}

/** A path as one writes it: `surfaces.home.filters[1].onError`. */
function dotted(path: ConfigPath): string {
  const text = path.map((step) => (typeof step === 'number' ? `[${step}]` : `.${step}`)).join('');
  return text.startsWith('.') ? text.slice(1) : text;
}
