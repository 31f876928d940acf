import type { RecloomError } from '@recloom/plugin-api';
import { type Plan, type PlannedNode, type PlannedSurface, plainIssue, schemaAt } from '../pipeline/plan.js';
import { ProblemCollector } from './problems.js';
import { suggest } from './suggest.js';
import type { ConfigPath, TuneConfig, TuneOption, TuneRange, TuneSplit, TuneSplitKind, TuneValue } from './types.js';

/** What one parameter of a search may be. */
export type TuneDomain =
  /** Numbers from `from` to `to`, both included; whole ones when the option takes no others. */
  | {
      readonly kind: 'number';
      readonly from: number;
      readonly to: number;
      readonly integer: boolean;
      readonly scale: 'linear' | 'log';
    }
  /** One of `values`, at least two; null leaves the option out. */
  | { readonly kind: 'choice'; readonly values: readonly TuneValue[] };

/** One thing a search may change. */
export interface TuneParameter {
  /** As in the config: `habits.lambda`, `surfaces.home.sources.recent`; a number in a value: `surfaces.home.value.<name>`. */
  readonly name: string;
  /** The place in the config that it sets. */
  readonly path: ConfigPath;
  readonly domain: TuneDomain;
  /** What the config says now, defaults included; undefined when the option is not set and has no default. */
  readonly start: TuneValue | undefined;
  /** For a number in a surface's `value`: the text with `{{name}}` for numbers, and which of them this is. */
  readonly expression?: { readonly template: string; readonly number: string };
}

/** A validation part with its instants read, in milliseconds since the epoch. */
export interface ResolvedTuneSplit extends Omit<TuneSplit, 'cut' | 'until'> {
  /** Of a temporal split: never undefined then; of a predefined one "now" of the questions, where it is said. */
  readonly cutMs: number | undefined;
  readonly untilMs: number | undefined;
}

/** What `recloom tune` searches, checked against the plan. */
export interface ResolvedTune {
  readonly config: TuneConfig;
  readonly surface: string;
  /** Names of the components the surface's answers depend on, in dependency order; the others (side effects too) are no part of a trial. */
  readonly components: readonly string[];
  /** In the order of the config. */
  readonly parameters: readonly TuneParameter[];
  readonly split: ResolvedTuneSplit;
  readonly confirm: ResolvedTuneSplit | undefined;
  /** Data from this instant on must not be read by a search; undefined when the kind of split keeps its own test part out. */
  readonly testMs: number | undefined;
}

export interface ResolveTuneOptions {
  /** First instant of the test in milliseconds; the earlier of this and `tune.test` counts. */
  readonly testMs?: number;
}

/**
 * Checks `tune:` against the components and surfaces of a plan: addresses, types and ranges by the components' own option
 * schemas, and windows. All problems stand at their place in the file.
 *
 * Problems: RECLOOM_CFG_MISSING_KEY, RECLOOM_CFG_TUNE, RECLOOM_CFG_TUNE_TEST, RECLOOM_CFG_TYPE, RECLOOM_CFG_UNKNOWN_KEY, RECLOOM_CFG_UNKNOWN_NAME.
 *
 * @returns `tune` only when there is no problem; both empty for a config without `tune:`
 */
export function resolveTune(
  plan: Plan,
  options: ResolveTuneOptions = {},
): { readonly tune: ResolvedTune | undefined; readonly problems: readonly RecloomError[] } {
  const { tune } = plan.loaded.config;
  if (tune === undefined) return { tune: undefined, problems: [] };
  const resolver = new Resolver(plan, tune);
  const resolved = resolver.run(options);
  const { problems } = resolver;
  return { tune: problems.count === 0 ? resolved : undefined, problems: problems.problems };
}

/** The number in an expression, negative ones in parentheses so that they can stand after any operator. */
export function numberInExpression(value: number): string {
  // CEL knows no exponent without a digit before it, and JavaScript writes none such.
  return value < 0 || Object.is(value, -0) ? `(${value})` : String(value);
}

const placeholder = /\{\{\s*([a-zA-Z][a-zA-Z0-9_]*)\s*\}\}/g;

/** An expression with numbers in the place of its names. Names without a number stay. */
export function fillExpression(template: string, numbers: ReadonlyMap<string, number>): string {
  return template.replace(placeholder, (found, name: string) => {
    const value = numbers.get(name);
    return value === undefined ? found : numberInExpression(value);
  });
}

/** Which keys a kind of split reads. */
const splitKeys: Readonly<Record<TuneSplitKind, readonly (keyof TuneSplit)[]>> = {
  temporal: ['cut', 'until', 'minimumItemUsers', 'minimumUserItems', 'repeats', 'relevantTypes'],
  'leave-last-out': ['minimumUserItems', 'relevantTypes'],
  'leave-n-out': ['count', 'minimumUserItems', 'relevantTypes'],
  random: ['fraction', 'minimumUserItems', 'seeds', 'relevantTypes'],
  'k-fold': ['folds', 'minimumUserItems', 'seeds', 'relevantTypes'],
  'user-holdout': ['fraction', 'foldIn', 'minimumUserItems', 'seeds', 'relevantTypes'],
  'cold-items': ['fraction', 'minimumUserItems', 'seeds', 'relevantTypes'],
  predefined: ['file', 'cut', 'relevantTypes'],
};

/** Kinds whose parts are drawn anew from the whole: only a declared test keeps the final data out of sight. */
const withoutOwnValidation: readonly TuneSplitKind[] = ['k-fold', 'user-holdout', 'cold-items'];

const largestCount = 1_000_000;

class Resolver {
  readonly problems: ProblemCollector;
  readonly #plan: Plan;
  readonly #tune: TuneConfig;

  constructor(plan: Plan, tune: TuneConfig) {
    this.#plan = plan;
    this.#tune = tune;
    this.problems = new ProblemCollector(plan.loaded);
  }

  run(options: ResolveTuneOptions): ResolvedTune {
    const tune = this.#tune;
    const surface = this.#surface();
    const components = surface === undefined ? [] : reachable(this.#plan, surface);
    const names = Object.keys(tune.options);
    if (names.length === 0) this.#type('tune.options', 'it is empty: there is nothing to search', ['tune', 'options'], 'key');
    const parameters = names.flatMap((address) =>
      this.#parameters(address, tune.options[address] as TuneOption, surface?.name, new Set(components)),
    );
    const declared = [options.testMs, this.#instant(tune.test, ['tune', 'test'])].filter((time) => time !== undefined);
    // Nobody widens by mistake what a search may see.
    const testMs = declared.length === 0 ? undefined : Math.min(...declared);
    const split = this.#split(tune.split, 'split', testMs, undefined);
    const confirm = tune.confirm === undefined ? undefined : this.#split(tune.confirm, 'confirm', testMs, split);
    if (confirm !== undefined) this.#checkApart(split, confirm);
    if (confirm !== undefined && confirm.kind !== split.kind && testMs === undefined) {
      const why = 'tune.confirm is of another kind than tune.split, and no test is declared';
      this.problems.add('RECLOOM_CFG_TUNE_TEST', { why }, ['tune', 'confirm', 'kind']);
    }
    // Windows end where the test begins when nobody says more.
    const ends = [split.untilMs, confirm?.untilMs].filter((time) => time !== undefined);
    return {
      config: tune,
      surface: surface?.name ?? '',
      components,
      parameters,
      split,
      confirm,
      testMs: testMs ?? (ends.length === 0 ? undefined : Math.max(...ends)),
    };
  }

  #type(key: string, why: string, path: ConfigPath, target: 'key' | 'value' = 'value'): void {
    this.problems.add('RECLOOM_CFG_TYPE', { key, why }, path, target);
  }

  #surface(): PlannedSurface | undefined {
    const { surfaces } = this.#plan;
    const wanted = this.#tune.surface ?? 'home';
    const found = surfaces.get(wanted) ?? (this.#tune.surface === undefined && surfaces.size === 1 ? [...surfaces.values()][0] : undefined);
    if (found === undefined) {
      const names = [...surfaces.keys()];
      this.problems.add('RECLOOM_CFG_UNKNOWN_NAME', { name: wanted, suggestion: suggest(wanted, names), available: names.join(', ') }, [
        'tune',
        'surface',
      ]);
    }
    return found;
  }

  #parameters(address: string, option: TuneOption, surface: string | undefined, components: ReadonlySet<string>): readonly TuneParameter[] {
    const at: ConfigPath = ['tune', 'options', address];
    const key = `tune.options.${address}`;
    const [first = '', ...rest] = address.split('.');
    if (first === 'surfaces') return this.#surfaceParameters(address, option, rest, surface, at, key);
    if (option.expression !== undefined || option.numbers !== undefined) {
      const name = option.expression === undefined ? 'numbers' : 'expression';
      this.#type(key, `"${name}" is for surfaces.<name>.value; here write from and to, or values`, [...at, name], 'key');
      return [];
    }
    const config = this.#plan.loaded.config.components;
    if (!Object.hasOwn(config, first)) {
      const names = Object.keys(config);
      const suggestion = suggest(first, [...names, 'surfaces']);
      this.problems.add('RECLOOM_CFG_UNKNOWN_NAME', { name: first, suggestion, available: names.join(', ') }, at, 'key');
      return [];
    }
    const node = this.#plan.nodes.find((candidate) => candidate.name === first);
    // Its own problems are listed already.
    if (node === undefined) return [];
    if (rest.length === 0 || rest.includes('')) {
      this.#type(key, `it must name an option of "${first}", such as ${first}.${optionNames(node, [])[0] ?? '<option>'}`, at, 'key');
      return [];
    }
    if (!this.#optionExists(node, rest, at)) return [];
    if (surface !== undefined && !components.has(first)) {
      this.problems.add('RECLOOM_CFG_TUNE', { option: address, why: `the surface "${surface}" does not use "${first}"` }, at, 'key');
      return [];
    }
    const domain = this.#domain(option, at, key, (value) => optionIssue(node, config[first]?.with ?? {}, rest, value));
    if (domain === undefined) return [];
    const written = plainValue(get(node.options, rest) ?? get(config[first]?.with, rest));
    // What is not set is the choice "leave it out", where there is one.
    const start = written ?? (domain.kind === 'choice' && domain.values.includes(null) ? null : undefined);
    return [{ name: address, path: ['components', first, 'with', ...rest], domain, start }];
  }

  #optionExists(node: PlannedNode, path: readonly string[], at: ConfigPath): boolean {
    for (const [depth, part] of path.entries()) {
      const above = schemaAt(node.definition, path.slice(0, depth));
      const properties = above?.['properties'] as Readonly<Record<string, unknown>> | undefined;
      // A schema that does not list its keys (a record, a union) is left to its own validation.
      if (properties === undefined || (above?.['additionalProperties'] !== false && above?.['additionalProperties'] !== undefined))
        return true;
      if (Object.hasOwn(properties, part)) continue;
      const allowed = Object.keys(properties);
      this.problems.add(
        'RECLOOM_CFG_UNKNOWN_KEY',
        { key: part, suggestion: suggest(part, allowed), allowed: allowed.join(', ') },
        at,
        'key',
      );
      return false;
    }
    return true;
  }

  #surfaceParameters(
    address: string,
    option: TuneOption,
    rest: readonly string[],
    asked: string | undefined,
    at: ConfigPath,
    key: string,
  ): readonly TuneParameter[] {
    const [name = '', part = '', entry, ...more] = rest;
    const surface = this.#plan.loaded.config.surfaces[name];
    if (!Object.hasOwn(this.#plan.loaded.config.surfaces, name) || surface === undefined) {
      const names = Object.keys(this.#plan.loaded.config.surfaces);
      this.problems.add('RECLOOM_CFG_UNKNOWN_NAME', { name, suggestion: suggest(name, names), available: names.join(', ') }, at, 'key');
      return [];
    }
    if (asked !== undefined && name !== asked) {
      this.problems.add('RECLOOM_CFG_TUNE', { option: address, why: `the search asks the surface "${asked}"` }, at, 'key');
      return [];
    }
    if (part === 'value' && entry === undefined) return this.#expressionParameters(address, option, name, surface.value, at, key);
    if (option.expression !== undefined || option.numbers !== undefined) {
      this.#type(key, `"expression" and "numbers" are for surfaces.${name}.value`, at, 'key');
      return [];
    }
    const positive = (value: TuneValue): string | undefined =>
      typeof value === 'number' && Number.isInteger(value) && value >= 1 && value <= largestCount
        ? undefined
        : `expected a whole number from 1 to ${largestCount}, found ${JSON.stringify(value)}`;
    if (part === 'sources' && entry !== undefined && (more.length === 0 || (more.length === 1 && more[0] === 'limit'))) {
      if (!Object.hasOwn(surface.sources, entry)) {
        const names = Object.keys(surface.sources);
        this.problems.add(
          'RECLOOM_CFG_UNKNOWN_NAME',
          { name: entry, suggestion: suggest(entry, names), available: names.join(', ') },
          at,
          'key',
        );
        return [];
      }
      const domain = this.#domain(option, at, key, positive);
      if (domain === undefined) return [];
      return [{ name: address, path: ['surfaces', name, 'sources', entry, 'limit'], domain, start: surface.sources[entry]?.limit }];
    }
    if (part === 'limits' && entry === 'candidates' && more.length === 0) {
      const domain = this.#domain(option, at, key, positive);
      if (domain === undefined) return [];
      return [{ name: address, path: ['surfaces', name, 'limits', 'candidates'], domain, start: surface.limits.candidates }];
    }
    const places = ['value', 'sources.<source>', 'limits.candidates'].map((place) => `surfaces.${name}.${place}`);
    this.#type(key, `of a surface a search may change ${places.join(', ')}`, at, 'key');
    return [];
  }

  #expressionParameters(
    address: string,
    option: TuneOption,
    surface: string,
    value: string | undefined,
    at: ConfigPath,
    key: string,
  ): readonly TuneParameter[] {
    const { expression, numbers = {} } = option;
    if (value === undefined) {
      this.#type(key, `the surface "${surface}" has no value; write surfaces.${surface}.value first`, at, 'key');
      return [];
    }
    if (expression === undefined) {
      this.#type(key, `it needs "expression" (the surface's value with {{names}} for numbers) and "numbers"`, at, 'key');
      return [];
    }
    if (option.from !== undefined || option.to !== undefined || option.values !== undefined) {
      this.#type(key, 'ranges stand under "numbers", one for each name', at, 'key');
      return [];
    }
    const names = [...expression.matchAll(placeholder)].map((found) => found[1] as string);
    const starts = numbersIn(value, expression);
    if (starts === undefined) {
      this.#type(`${key}.expression`, `but for the names in {{}} it must be the value of the surface "${surface}"`, [...at, 'expression']);
      return [];
    }
    for (const name of new Set(names)) {
      if (!Object.hasOwn(numbers, name))
        this.problems.add('RECLOOM_CFG_MISSING_KEY', { key: `${key}.numbers.${name}` }, [...at, 'numbers'], 'key');
    }
    return Object.entries(numbers).flatMap(([name, range]): readonly TuneParameter[] => {
      const place: ConfigPath = [...at, 'numbers', name];
      if (!names.includes(name)) {
        this.problems.add(
          'RECLOOM_CFG_UNKNOWN_NAME',
          { name, suggestion: suggest(name, names), available: names.join(', ') },
          place,
          'key',
        );
        return [];
      }
      const domain = this.#domain(range, place, `${key}.numbers.${name}`, (number) =>
        typeof number === 'number' ? undefined : `expected a number, found ${JSON.stringify(number)}`,
      );
      if (domain === undefined) return [];
      // Any number may stand in an expression; only an option's own schema can ask for whole ones.
      const free = domain.kind === 'number' ? { ...domain, integer: false } : domain;
      return [
        {
          name: `${address}.${name}`,
          path: ['surfaces', surface, 'value'],
          domain: free,
          start: starts.get(name),
          expression: { template: expression, number: name },
        },
      ];
    });
  }

  /** `issue` says what is wrong with a value, or nothing. */
  #domain(range: TuneRange, at: ConfigPath, key: string, issue: (value: TuneValue) => string | undefined): TuneDomain | undefined {
    const { from, to, values, scale } = range;
    if (values !== undefined) {
      const other = (['from', 'to', 'scale'] as const).find((name) => range[name] !== undefined);
      if (other !== undefined) {
        this.#type(`${key}.${other}`, 'a list of values has none', [...at, other], 'key');
        return undefined;
      }
      let right = true;
      for (const [index, value] of values.entries()) {
        const wrong = values.indexOf(value) < index ? 'it stands in the list twice' : issue(value);
        if (wrong === undefined) continue;
        this.#type(`${key}.values[${index}]`, wrong, [...at, 'values', index]);
        right = false;
      }
      if (values.length < 2) {
        this.#type(`${key}.values`, 'one value is no choice', [...at, 'values']);
        return undefined;
      }
      return right ? { kind: 'choice', values } : undefined;
    }
    if (from === undefined || to === undefined) {
      const missing = from === undefined && to === undefined ? 'from and to, or values' : from === undefined ? 'from' : 'to';
      this.problems.add('RECLOOM_CFG_MISSING_KEY', { key: `${key}: ${missing}` }, at, 'key');
      return undefined;
    }
    if (!(from < to)) {
      this.#type(key, `the range is empty: from (${from}) must be below to (${to})`, [...at, 'from']);
      return undefined;
    }
    if (scale === 'log' && from <= 0) {
      this.#type(`${key}.from`, `a log scale needs it above 0, found ${from}`, [...at, 'from']);
      return undefined;
    }
    let right = true;
    for (const [end, value] of [
      ['from', from],
      ['to', to],
    ] as const) {
      const wrong = issue(value);
      if (wrong === undefined) continue;
      this.#type(`${key}.${end}`, wrong, [...at, end]);
      right = false;
    }
    if (!right) return undefined;
    // An option that takes both ends but no broken number in between counts whole ones.
    const between = from + (to - from) * 0.381966;
    const integer =
      Number.isInteger(from) && Number.isInteger(to) && issue(Number.isInteger(between) ? between + 0.25 : between) !== undefined;
    return { kind: 'number', from, to, integer, scale: scale ?? 'linear' };
  }

  #instant(text: string | undefined, path: ConfigPath): number | undefined {
    if (text === undefined) return undefined;
    const zoned = /^\d{4}-\d{2}-\d{2}T[\d:.]+$/.test(text) ? `${text}Z` : text;
    const timeMs = /^\d{4}-\d{2}-\d{2}/.test(text) ? Date.parse(zoned) : Number.NaN;
    if (!Number.isNaN(timeMs)) return timeMs;
    this.#type(path.join('.'), 'expected a date such as 2011-11-09 or 2011-11-09T08:30:00Z', path);
    return undefined;
  }

  #split(
    written: TuneSplit,
    key: 'split' | 'confirm',
    testMs: number | undefined,
    first: ResolvedTuneSplit | undefined,
  ): ResolvedTuneSplit {
    const at: ConfigPath = ['tune', key];
    const { kind } = written;
    const read = splitKeys[kind];
    const own = this.#plan.loaded.config.tune?.[key] ?? written;
    for (const name of Object.keys(own) as (keyof TuneSplit)[]) {
      // `confirm` inherits from `split`, of which another kind may leave keys behind.
      if (name === 'kind' || own[name] === undefined || read.includes(name) || key === 'confirm') continue;
      this.#type(`tune.${key}.${name}`, `a ${kind} split does not read it; it reads ${read.join(', ')}`, [...at, name], 'key');
    }
    const { cut, until, ...rest } = written;
    if (kind !== 'temporal') {
      if (withoutOwnValidation.includes(kind) && testMs === undefined)
        this.problems.add('RECLOOM_CFG_TUNE_TEST', { why: `a ${kind} split has no validation part of its own, and no test is declared` }, [
          ...at,
          'kind',
        ]);
      if (kind === 'predefined' && rest.file === undefined)
        this.problems.add('RECLOOM_CFG_MISSING_KEY', { key: `tune.${key}.file` }, at, 'key');
      const nowMs = kind === 'predefined' ? this.#instant(cut, [...at, 'cut']) : undefined;
      return { ...rest, cutMs: nowMs, untilMs: undefined };
    }
    if (cut === undefined) this.problems.add('RECLOOM_CFG_MISSING_KEY', { key: `tune.${key}.cut` }, at, 'key');
    const cutMs = this.#instant(cut, [...at, 'cut']);
    // A second window lies before the first one, or between it and the test.
    const usual = first?.cutMs !== undefined && cutMs !== undefined && cutMs < first.cutMs ? first.cutMs : testMs;
    const untilMs = this.#instant(until, [...at, 'until']) ?? usual;
    if (untilMs === undefined && until === undefined)
      this.problems.add('RECLOOM_CFG_TUNE_TEST', { why: `tune.${key} has no "until" and no test is declared` }, at, 'key');
    if (untilMs !== undefined && testMs !== undefined && untilMs > testMs) {
      const why = `tune.${key} reaches to ${day(untilMs)}, and the test begins at ${day(testMs)}`;
      this.problems.add('RECLOOM_CFG_TUNE_TEST', { why }, [...at, 'until']);
    }
    if (cutMs !== undefined && untilMs !== undefined && cutMs >= untilMs)
      this.#type(`tune.${key}`, `the window is empty: the cut must be before ${day(untilMs)}`, [...at, 'cut']);
    return { ...rest, cutMs, untilMs };
  }

  #checkApart(split: ResolvedTuneSplit, confirm: ResolvedTuneSplit): void {
    if (split.kind !== confirm.kind) return;
    if (split.kind !== 'temporal') {
      const same = (name: keyof TuneSplit): boolean =>
        JSON.stringify((split as unknown as TuneSplit)[name]) === JSON.stringify((confirm as unknown as TuneSplit)[name]);
      // The same people and things, asked about another kind of event, are no second part.
      if (splitKeys[split.kind].every((name) => name === 'cut' || name === 'relevantTypes' || same(name)))
        this.#type(
          'tune.confirm',
          'it is the same part as tune.split; give it other seeds, another file, or a temporal window',
          ['tune', 'confirm'],
          'key',
        );
      return;
    }
    const { cutMs, untilMs } = confirm;
    if (cutMs === undefined || untilMs === undefined || split.cutMs === undefined || split.untilMs === undefined) return;
    if (cutMs < split.untilMs && split.cutMs < untilMs)
      this.#type(
        'tune.confirm',
        'its window overlaps that of tune.split: what was chosen there is no proof here',
        ['tune', 'confirm'],
        'key',
      );
  }
}

function day(timeMs: number): string {
  return new Date(timeMs).toISOString().replace(/T00:00:00\.000Z$/, '');
}

/** Components that a surface's answers depend on: its stages but side effects, what these are made of, and what their options name. */
function reachable(plan: Plan, surface: PlannedSurface): readonly string[] {
  const nodes = new Map(plan.nodes.map((node) => [node.name, node]));
  const needed = new Set<string>();
  const visit = (node: PlannedNode): void => {
    if (needed.has(node.name)) return;
    needed.add(node.name);
    for (const { entries } of node.inputs.values()) for (const entry of entries) if (entry.kind === 'feature') visit(entry.node);
    for (const word of words(node.options)) {
      const named = nodes.get(word);
      if (named !== undefined) visit(named);
    }
  };
  const { sources, filters, features, scorers, rankers, privacy, queryFeatures } = surface;
  for (const { node } of [...sources, ...filters, ...features, ...scorers, ...rankers, ...privacy]) visit(node);
  for (const node of queryFeatures) visit(node);
  return plan.nodes.filter((node) => needed.has(node.name)).map((node) => node.name);
}

/** Every name in an option's texts and keys: expressions and lists may speak of other components. */
function* words(options: unknown): Iterable<string> {
  if (typeof options === 'string') yield* options.match(/[a-zA-Z][a-zA-Z0-9_]*/g) ?? [];
  else if (Array.isArray(options)) for (const entry of options) yield* words(entry);
  else if (typeof options === 'object' && options !== null && !ArrayBuffer.isView(options)) {
    for (const [key, entry] of Object.entries(options)) {
      yield key;
      yield* words(entry);
    }
  }
}

function optionNames(node: PlannedNode, path: readonly string[]): readonly string[] {
  return Object.keys((schemaAt(node.definition, path)?.['properties'] as object | undefined) ?? {});
}

/** What the component's own schema says of its options with one of them changed. */
function optionIssue(
  node: PlannedNode,
  written: Readonly<Record<string, unknown>>,
  path: readonly string[],
  value: TuneValue,
): string | undefined {
  const options = structuredClone({ ...written }) as Record<string, unknown>;
  let parent = options;
  for (const part of path.slice(0, -1)) {
    const next = Object.hasOwn(parent, part) ? parent[part] : undefined;
    if (typeof next !== 'object' || next === null) parent[part] = {};
    parent = parent[part] as Record<string, unknown>;
  }
  const last = path.at(-1) as string;
  if (value === null) delete parent[last];
  else parent[last] = value;
  const result = node.definition.options['~standard'].validate(options);
  // An asynchronous schema is refused by the planner.
  if (result instanceof Promise || result.issues === undefined) return undefined;
  const issue = result.issues[0];
  return issue === undefined ? undefined : `${plainIssue(issue.message)}, found ${JSON.stringify(value)}`;
}

/** The numbers of an expression at the names of a template, or undefined when the rest differs in more than blanks. */
function numbersIn(expression: string, template: string): ReadonlyMap<string, number> | undefined {
  const names: string[] = [];
  const pattern = template
    .split(/(\{\{\s*[a-zA-Z][a-zA-Z0-9_]*\s*\}\})/)
    .map((piece) => {
      const name = /^\{\{\s*([a-zA-Z][a-zA-Z0-9_]*)\s*\}\}$/.exec(piece)?.[1];
      if (name === undefined) return withoutBlanks(piece).replace(/[\\^$.*+?()[\]{}|]/g, '\\$&');
      names.push(name);
      return String.raw`(-?\d+(?:\.\d+)?(?:e[-+]?\d+)?|\(-\d+(?:\.\d+)?(?:e[-+]?\d+)?\))`;
    })
    .join('');
  const found = new RegExp(`^${pattern}$`, 'i').exec(withoutBlanks(expression));
  if (found === null) return undefined;
  const numbers = new Map<string, number>();
  for (const [index, name] of names.entries()) {
    const value = Number((found[index + 1] as string).replace(/[()]/g, ''));
    // One name is one number, wherever it stands.
    if (numbers.has(name) && numbers.get(name) !== value) return undefined;
    numbers.set(name, value);
  }
  return numbers;
}

function withoutBlanks(text: string): string {
  return text.replace(/\s+/g, '');
}

function get(value: unknown, path: readonly string[]): unknown {
  let current = value;
  for (const part of path) {
    if (typeof current !== 'object' || current === null || !Object.hasOwn(current, part)) return undefined;
    current = (current as Record<string, unknown>)[part];
  }
  return current;
}

function plainValue(value: unknown): TuneValue | undefined {
  return typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean' ? value : undefined;
}
