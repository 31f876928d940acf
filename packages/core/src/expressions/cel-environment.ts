import { type ASTNode, Environment } from '@marcbachmann/cel-js';
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

/**
 * The CEL environment of a schema: parses, and checks types a second time by CEL's own rules, extended by what columns
 * need: mixed numbers, comparison with null, our functions. Nothing is ever evaluated with it.
 */
export class CelEnvironment {
  readonly #environment: Environment;

  constructor(schema: ExpressionSchema) {
    const environment = new Environment({
      limits: { maxAstNodes: 1000, maxDepth: 64, maxListElements: 500, maxMapEntries: 16, maxCallArguments: mostArguments },
    });
    declareFunctions(environment);
    declareColumns(environment, schema);
    this.#environment = environment;
  }

  /** @throws ExpressionFault with the place of the first thing that is no CEL. */
  parse(text: string): ASTNode {
    if (text.length > longestExpression) {
      throw new ExpressionFault(`it has ${text.length} characters, and an expression may have ${longestExpression}`, 0);
    }
    if (text.trim() === '') throw new ExpressionFault('it is empty', 0);
    try {
      return this.#environment.parse(text).ast;
    } catch (error) {
      throw asFault(error);
    }
  }

  /** Checks a text that our own compiler has accepted. @throws ExpressionFault when CEL does not agree. */
  check(text: string): void {
    const parsed = this.#environment.parse(text);
    numbersAsDoubles(parsed.ast);
    const result = parsed.check();
    if (!result.valid) throw asFault(result.error);
  }
}

function declareFunctions(environment: Environment): void {
  const never = (): never => {
    throw new Error('expressions are compiled, never evaluated by the library');
  };
  // Registered though the compiler reads every number as a double: `size()` gives an int.
  for (const operator of ['+', '-', '*', '/', '%']) {
    environment.registerOperator(`int ${operator} double: double`, never);
    environment.registerOperator(`double ${operator} int: double`, never);
  }
  environment.registerOperator('double % double: double', never);
  environment.registerOperator('int == double: bool', never);
  for (const type of ['double', 'int', 'string', 'bool', 'list<string>']) environment.registerOperator(`${type} == null: bool`, never);
  for (const [name, count] of Object.entries(numberFunctions)) {
    const [least, most] = count === Number.POSITIVE_INFINITY ? [2, mostArguments] : [count, count];
    for (let size = least; size <= most; size++) {
      environment.registerFunction(`${name}(${Array(size).fill('double').join(', ')}): double`, never);
    }
  }
  for (const type of ['double', 'string', 'bool']) {
    for (let size = 2; size <= mostArguments; size++) {
      environment.registerFunction(`coalesce(${Array(size).fill(type).join(', ')}): ${type}`, never);
    }
  }
  for (const operator of ['<', '<=', '>', '>=']) void operator;
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
