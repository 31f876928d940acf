import { type ASTNode, Environment, type ParseResult } from '@marcbachmann/cel-js';
import { ExpressionFault } from './expression-fault.js';
import { type ExpressionSchema, requestBuiltins } from './expression-schema.js';

/** Longest expression in characters. */
export const longestExpression = 4096;

/** CEL's names of the column types. */
const celTypes: Readonly<Record<string, string>> = {
  number: 'double',
  text: 'string',
  image: 'string',
  category: 'string',
  boolean: 'bool',
  list: 'list<string>',
};

/** Functions of numbers by name, with how many arguments they take; `Infinity` means two to eight. */
export const numberFunctions: Readonly<Record<string, number>> = {
  abs: 1,
  ceil: 1,
  exp: 1,
  floor: 1,
  log: 1,
  minmax: 1,
  rank: 1,
  round: 1,
  sqrt: 1,
  zscore: 1,
  pow: 2,
  clamp: 3,
  max: Number.POSITIVE_INFINITY,
  min: Number.POSITIVE_INFINITY,
};
export const mostArguments = 8;

/** `size` gives an int in CEL; the check reads it under this name, which gives a double. */
const sizeInCheck = 'sizeAsDouble';

/**
 * The CEL environment of a schema: parses, and checks types a second time by CEL's own rules, extended by what columns
 * need: mixed numbers, comparison with null, our functions. Nothing is ever evaluated with it.
 */
export class CelEnvironment {
  readonly #environment: Environment;

  constructor(schema: ExpressionSchema) {
    const environment = new Environment({
      // Elements are checked one by one against what they are compared with; a request value may stand among texts.
      homogeneousAggregateLiterals: false,
      limits: { maxAstNodes: 1000, maxDepth: 64, maxListElements: 500, maxMapEntries: 16, maxCallArguments: mostArguments },
    });
    declareFunctions(environment);
    declareColumns(environment, schema);
    this.#environment = environment;
  }

  /** @throws ExpressionFault with the place of the first thing that is no CEL. */
  parse(text: string): ParseResult {
    if (text.length > longestExpression) {
      throw new ExpressionFault(`it has ${text.length} characters, and an expression may have ${longestExpression}`, 0);
    }
    if (text.trim() === '') throw new ExpressionFault('it is empty', 0);
    try {
      return this.#environment.parse(text);
    } catch (error) {
      throw asFault(error);
    }
  }

  /**
   * Checks what our own compiler has accepted, and rewrites its numbers on the way: the tree is of no use afterwards.
   *
   * @throws ExpressionFault when CEL does not agree.
   */
  check(parsed: ParseResult): void {
    numbersAsDoubles(parsed.ast);
    const result = parsed.check();
    if (!result.valid) throw asFault(result.error);
  }
}

function declareFunctions(environment: Environment): void {
  const never = (): never => {
    throw new Error('expressions are compiled, never evaluated by the library');
  };
  environment.registerOperator('double % double: double', never);
  for (const type of ['double', 'string', 'bool', 'list<string>']) environment.registerOperator(`${type} == null: bool`, never);
  for (const [name, count] of Object.entries(numberFunctions)) {
    const [least, most] = count === Number.POSITIVE_INFINITY ? [2, mostArguments] : [count, count];
    for (let size = least; size <= most; size++) {
      environment.registerFunction(`${name}(${Array(size).fill('double').join(', ')}): double`, never);
    }
  }
  // With overloads by type, the check would take two request values for the first of them.
  for (let size = 2; size <= mostArguments; size++) {
    environment.registerFunction(`coalesce(${Array(size).fill('dyn').join(', ')}): dyn`, never);
  }
  for (const type of ['string', 'list<string>']) {
    environment.registerFunction(`${sizeInCheck}(${type}): double`, never);
    environment.registerFunction(`${type}.${sizeInCheck}(): double`, never);
  }
}

function declareColumns(environment: Environment, schema: ExpressionSchema): void {
  const fields: Record<string, string> = Object.create(null);
  fields.id = 'string';
  for (const field of schema.items.fields) fields[field] = celTypes[schema.items.column(field)?.type ?? ''] ?? 'dyn';
  const all = (names: readonly string[], type: string): Record<string, string> =>
    Object.assign(Object.create(null), Object.fromEntries(names.map((name) => [name, type])));
  const request: Record<string, string> = Object.create(null);
  for (const [field, type] of Object.entries({ ...schema.requestFields, ...requestBuiltins })) request[field] = celTypes[type] as string;
  const declare = (variable: string, type: string, members: Record<string, string>): void => {
    environment.registerType(type, { fields: members });
    environment.registerVariable(variable, type);
  };
  declare('item', 'ItemColumns', fields);
  declare('score', 'ScoreColumns', all(schema.scores, 'double'));
  declare('feature', 'FeatureColumns', all(schema.features, 'double'));
  environment.registerType('SourceColumn', { fields: { score: 'double', rank: 'double' } });
  declare('source', 'SourceColumns', all(schema.sources, 'SourceColumn'));
  // Context keys are not known in advance.
  environment.registerVariable('request', 'map<string, dyn>');
}

/**
 * All numbers of an expression are doubles: `1 / 2` is 0.5 and `2 * item.price` needs no decimal point. And a further column
 * (`score.click.cvr`, `feature.walk[1]`) is of the type of the first, under whose name it is checked.
 */
function numbersAsDoubles(node: ASTNode): void {
  const writable = node as { args: unknown };
  const owner = ownerOfFurther(node);
  if (owner !== undefined) {
    (node as { op: string }).op = owner.op;
    writable.args = owner.args;
    return;
  }
  if (typeof node.args === 'bigint') {
    writable.args = Number(node.args);
    return;
  }
  if (!Array.isArray(node.args)) {
    if (typeof node.args === 'object' && node.args !== null && 'op' in node.args) numbersAsDoubles(node.args as ASTNode);
    return;
  }
  const parts: unknown[] = node.args;
  if ((node.op === 'call' || node.op === 'rcall') && parts[0] === 'size') parts[0] = sizeInCheck;
  for (const part of parts.flat(2)) if (typeof part === 'object' && part !== null && 'op' in part) numbersAsDoubles(part as ASTNode);
}

/** The node of `score.click` in `score.click.cvr`; undefined for anything else. */
function ownerOfFurther(node: ASTNode): ASTNode | undefined {
  if (node.op !== '.' && node.op !== '[]') return undefined;
  const [owner] = node.args;
  if (owner.op !== '.' && owner.op !== '[]') return undefined;
  const [root] = owner.args;
  return root.op === 'id' && (root.args === 'score' || root.args === 'feature') ? owner : undefined;
}

const tokenWords: Readonly<Record<string, string>> = {
  EOF: 'the end',
  IDENTIFIER: 'a name',
  NUMBER: 'a number',
  STRING: 'a text',
  LPAREN: '"("',
  RPAREN: '")"',
  LBRACKET: '"["',
  RBRACKET: '"]"',
  LBRACE: '"{"',
  RBRACE: '"}"',
  COLON: '":"',
  COMMA: '","',
  QUESTION: '"?"',
  DOT: '"."',
};

const characterAdvice: Readonly<Record<string, string>> = {
  '=': 'a single "=" is no operator; compare with "==", "<=" or ">="',
  '&': 'write "&&" for "and"',
  '|': 'write "||" for "or"',
};

interface LibraryError {
  readonly code?: string;
  readonly summary?: string;
  readonly message?: string;
  readonly range?: { readonly start: number };
}

function asFault(error: unknown): ExpressionFault {
  // The parser calls itself for "!" and "-" without counting: a long row of them ends at the stack.
  if (error instanceof RangeError) return new ExpressionFault('it is nested too deeply', 0);
  const { code, summary, message, range } = error as LibraryError;
  return new ExpressionFault(explain(code ?? '', summary ?? message ?? 'unknown'), range?.start ?? 0);
}

function explain(code: string, summary: string): string {
  if (code === 'limit_exceeded') {
    return summary.includes('maxDepth')
      ? 'it is nested too deeply'
      : `it has too many parts (more than ${/\d+/.exec(summary)?.[0] ?? 'allowed'})`;
  }
  const words = summary.replace(/\b[A-Z]{2,}\b/g, (token) => tokenWords[token] ?? token.toLowerCase());
  if (code === 'unexpected_character') {
    const character = /: '?(.)/.exec(summary)?.[1] ?? '';
    const advice = characterAdvice[character];
    return advice ?? `"${character}" cannot stand here`;
  }
  if (code === 'unexpected_token' && summary.endsWith('EOF')) return 'it ends too early';
  return words.charAt(0).toLowerCase() + words.slice(1);
}
