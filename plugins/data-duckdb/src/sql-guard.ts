import { recloomError } from '@recloom/plugin-api';
import type { Engine } from './duckdb-engine.js';
import { nearestName, quoteText } from './sql-text.js';

/** SQL of a config that was parsed, judged and written out again from its syntax tree. */
export interface CheckedSql {
  /** Canonical text: no comment, no second statement, safe to embed in parentheses. */
  readonly sql: string;
  /** Columns it mentions, without repetition; in a query also the names of its own making, and "*". */
  readonly columns: readonly string[];
  /** False when it asks for the current time, so that the same files can give other rows tomorrow. */
  readonly repeatable: boolean;
}

type Node = Readonly<Record<string, unknown>>;

/** Parts of DuckDB's syntax tree that hold types rather than expressions. */
const leaves = new Set(['cast_type', 'type_info']);
/** Table references and query nodes a query may be made of; whatever DuckDB adds later is refused until it is known. */
const knownNodes = new Set([
  'SELECT_NODE',
  'SET_OPERATION_NODE',
  'RECURSIVE_CTE_NODE',
  'CTE_NODE',
  'BASE_TABLE',
  'SUBQUERY',
  'JOIN',
  'EMPTY',
  'EXPRESSION_LIST',
  'TABLE_FUNCTION',
  'CROSS_PRODUCT',
  'ORDER_MODIFIER',
  'LIMIT_MODIFIER',
  'LIMIT_PERCENT_MODIFIER',
  'DISTINCT_MODIFIER',
  // Direction of an ORDER BY entry stands under `type` too.
  'ASCENDING',
  'DESCENDING',
  'ORDER_DEFAULT',
  'ORDER_ASCENDING',
  'ORDER_DESCENDING',
]);
const harmlessTableFunctions = new Set(['generate_series', 'range', 'unnest']);
/** DuckDB reads these bare words as the current time where no column has the name. */
const clockWords = new Set(['current_date', 'current_time', 'current_timestamp', 'localtime', 'localtimestamp']);

/**
 * Accepts one expression over the columns of a row.
 *
 * @throws RECLOOM_DAT_QUERY_REFUSED when it is anything else (a second statement, a sub-query, a window, an aggregate, `*`).
 * @throws RECLOOM_DAT_COLUMN_MISSING when it names a column that is not there.
 */
export async function checkExpression(engine: Engine, option: string, text: string, columns: readonly string[]): Promise<CheckedSql> {
  const refuse = (why: string): Error => recloomError('RECLOOM_DAT_QUERY_REFUSED', { why: `${option} ${why}` });
  // The line break keeps a trailing comment from swallowing anything.
  const { node, canonical } = await parse(engine, `SELECT ${text}\n`, refuse);
  const list = (node['select_list'] ?? []) as readonly Node[];
  const from = node['from_table'] as Node | undefined;
  const plain =
    node['type'] === 'SELECT_NODE' &&
    list.length === 1 &&
    from?.['type'] === 'EMPTY' &&
    node['where_clause'] === null &&
    node['having'] === null &&
    node['qualify'] === null &&
    node['sample'] === null &&
    (node['group_expressions'] as readonly unknown[]).length === 0 &&
    (node['modifiers'] as readonly unknown[]).length === 0 &&
    (list[0] as Node)['alias'] === '';
  if (!plain) throw refuse('must be a single expression');
  const found = walkExpression(list[0] as Node, refuse);
  const known = new Map(columns.map((name) => [name.toLowerCase(), name]));
  const names: string[] = [];
  let readsClock = false;
  for (const name of found.columns) {
    const column = known.get(name.toLowerCase());
    if (column !== undefined) names.push(column);
    else if (clockWords.has(name.toLowerCase())) readsClock = true;
    else throw missingColumn(name, columns);
  }
  const repeatable = checkFunctions(found.functions, refuse);
  return { sql: `(${canonical.slice('SELECT '.length)})`, columns: names, repeatable: repeatable && !readsClock };
}

/**
 * Accepts exactly one SELECT over the given tables.
 *
 * @throws RECLOOM_DAT_QUERY_REFUSED when it is anything else or reads something else.
 */
export async function checkQuery(engine: Engine, text: string, tables: readonly string[]): Promise<CheckedSql> {
  const refuse = (why: string): Error => recloomError('RECLOOM_DAT_QUERY_REFUSED', { why: `the query ${why}` });
  const { node, canonical } = await parse(engine, text, refuse);
  const allowed = new Set(tables.map((name) => name.toLowerCase()));
  collectCommonTables(node, allowed);
  const columns = new Set<string>();
  const functions = new Set<string>();
  walkQuery(node, (part) => {
    const kind = part['type'];
    if (part['class'] === undefined && typeof kind === 'string') {
      if (!knownNodes.has(kind)) throw refuse(`uses ${kind}, which is not allowed`);
      if (kind === 'BASE_TABLE') {
        const name = String(part['table_name']);
        const qualified = part['schema_name'] !== '' || part['catalog_name'] !== '';
        if (qualified || !allowed.has(name.toLowerCase())) {
          throw refuse(`reads a table that is not configured; it may read ${tables.join(', ')}`);
        }
      }
      if (kind === 'TABLE_FUNCTION') {
        const name = String((part['function'] as Node | undefined)?.['function_name']).toLowerCase();
        if (!harmlessTableFunctions.has(name)) throw refuse(`calls ${name}(), which is not allowed; files are named under \`files\``);
      }
    }
    if (part['class'] === undefined && part['sample'] !== undefined && part['sample'] !== null) {
      throw refuse('takes a random sample, which is another one every time');
    }
    if (part['class'] === 'PARAMETER') throw refuse('holds a parameter');
    if (part['class'] === 'COLUMN_REF') for (const name of part['column_names'] as readonly string[]) columns.add(name);
    if (part['class'] === 'FUNCTION' || part['class'] === 'WINDOW') {
      const name = typeof part['function_name'] === 'string' ? part['function_name'].toLowerCase() : '';
      if (name !== '' && !harmlessTableFunctions.has(name)) functions.add(name);
    }
    if (part['class'] === 'STAR') columns.add('*');
  });
  const repeatable = checkFunctions(functions, refuse);
  const readsClock = [...columns].some((name) => clockWords.has(name.toLowerCase()));
  return { sql: canonical, columns: [...columns], repeatable: repeatable && !readsClock };
}

/** The error for a column that is not there, with the nearest name. */
export function missingColumn(column: string, columns: readonly string[]): Error {
  return recloomError('RECLOOM_DAT_COLUMN_MISSING', { column, suggestion: nearestName(column, columns), available: columns.join(', ') });
}

async function parse(
  engine: Engine,
  text: string,
  refuse: (why: string) => Error,
): Promise<{ readonly node: Node; readonly canonical: string }> {
  const literal = quoteText(text);
  const row = (await engine.rows(`SELECT json_serialize_sql(${literal}) AS tree`))[0];
  const tree = JSON.parse(String(row?.['tree'])) as {
    readonly error: boolean;
    readonly error_type?: string;
    readonly error_message?: string;
    readonly statements?: readonly { readonly node: Node }[];
  };
  if (tree.error) {
    if (tree.error_type !== 'parser') throw refuse('is not a SELECT');
    throw refuse(
      `cannot be parsed: ${firstLine(tree.error_message ?? '')}; column names that are SQL words stand in double quotes, as in "order"`,
    );
  }
  const [statement, ...others] = tree.statements ?? [];
  if (statement === undefined) throw refuse('is empty');
  if (others.length > 0) throw refuse('holds more than one statement');
  const rendered = (await engine.rows(`SELECT json_deserialize_sql(json_serialize_sql(${literal})) AS text`))[0];
  return { node: statement.node, canonical: String(rendered?.['text']) };
}

interface Found {
  readonly columns: Set<string>;
  readonly functions: Set<string>;
}

function walkExpression(root: Node, refuse: (why: string) => Error): Found {
  const found: Found = { columns: new Set(), functions: new Set() };
  const visit = (value: unknown, parameters: ReadonlySet<string>): void => {
    if (Array.isArray(value)) {
      for (const entry of value) visit(entry, parameters);
      return;
    }
    if (typeof value !== 'object' || value === null) return;
    const node = value as Node;
    let inner = parameters;
    switch (node['class']) {
      case 'CONSTANT':
        return;
      case 'SUBQUERY':
        throw refuse('must not hold a sub-query; use `query` for that');
      case 'WINDOW':
        throw refuse('must not hold a window function; use `query` for that');
      case 'STAR':
        throw refuse('must not hold *');
      case 'PARAMETER':
        throw refuse('must not hold a parameter');
      case 'COLUMN_REF': {
        const [name] = node['column_names'] as readonly string[];
        if (name !== undefined && !parameters.has(name.toLowerCase())) found.columns.add(name);
        return;
      }
      case 'FUNCTION':
        if (String(node['function_name']).toLowerCase() === 'unnest') throw refuse('must not unnest: one row must stay one row');
        found.functions.add(String(node['function_name']).toLowerCase());
        break;
      case 'LAMBDA': {
        const names = new Set(parameters);
        collectNames(node['lhs'], names);
        inner = names;
        break;
      }
    }
    for (const [key, child] of Object.entries(node)) if (!leaves.has(key)) visit(child, inner);
  };
  visit(root, new Set());
  return found;
}

function collectNames(value: unknown, into: Set<string>): void {
  if (Array.isArray(value)) {
    for (const entry of value) collectNames(entry, into);
  } else if (typeof value === 'object' && value !== null) {
    const node = value as Node;
    if (node['class'] === 'COLUMN_REF') for (const name of node['column_names'] as readonly string[]) into.add(name.toLowerCase());
    else for (const child of Object.values(node)) collectNames(child, into);
  }
}

function walkQuery(value: unknown, visit: (node: Node) => void): void {
  if (Array.isArray(value)) {
    for (const entry of value) walkQuery(entry, visit);
  } else if (typeof value === 'object' && value !== null) {
    const node = value as Node;
    visit(node);
    // A constant's value holds its type, which looks like a node.
    if (node['class'] === 'CONSTANT') return;
    for (const [key, child] of Object.entries(node)) if (!leaves.has(key)) walkQuery(child, visit);
  }
}

function collectCommonTables(value: unknown, into: Set<string>): void {
  walkQuery(value, (node) => {
    const map = (node['cte_map'] as { readonly map?: readonly { readonly key: string }[] } | undefined)?.map;
    for (const entry of map ?? []) into.add(entry.key.toLowerCase());
    if (typeof node['cte_name'] === 'string') into.add(node['cte_name'].toLowerCase());
    if (node['type'] === 'RECURSIVE_CTE_NODE' && typeof node['ctename'] === 'string') into.add(node['ctename'].toLowerCase());
  });
}

/**
 * Functions that give something else every time (refused) or with every query (they tell the time; the result is then not
 * repeatable). Kept here because asking DuckDB's catalogue takes 0.1 s; a test compares the lists with it.
 */
export const volatileFunctions: ReadonlySet<string> = new Set([
  'current_connection_id',
  'current_query',
  'current_query_id',
  'current_transaction_id',
  'currval',
  'error',
  'gen_random_uuid',
  'nextval',
  'random',
  'setseed',
  'sleep_ms',
  'stats',
  'uuid',
  'uuidv4',
  'uuidv7',
  'write_log',
]);
/** Functions that give something else with every query: what they are used in is not repeatable. Lower case. */
export const clockFunctions: ReadonlySet<string> = new Set([
  'age',
  'ago',
  'current_database',
  'current_date',
  'current_schema',
  'current_schemas',
  'get_current_time',
  'get_current_timestamp',
  'in_search_path',
  'now',
  'pg_conf_load_time',
  'pg_postmaster_start_time',
  'today',
  'transaction_timestamp',
  'txid_current',
]);

function checkFunctions(names: ReadonlySet<string>, refuse: (why: string) => Error): boolean {
  let repeatable = true;
  for (const name of names) {
    if (volatileFunctions.has(name)) throw refuse(`calls ${name}(), which gives something else every time`);
    if (clockFunctions.has(name)) repeatable = false;
  }
  return repeatable;
}

function firstLine(message: string): string {
  return message.split('\n', 1)[0] ?? message;
}

/** False when one of the texts asks for the current time; texts that cannot be parsed are left to the reader to refuse. */
export async function areRepeatable(engine: Engine, texts: readonly string[]): Promise<boolean> {
  const functions = new Set<string>();
  let readsClock = false;
  for (const text of texts) {
    const [row] = await engine.rows(`SELECT json_serialize_sql(${quoteText(text)}) AS tree`);
    walkQuery(JSON.parse(String(row?.['tree'])), (node) => {
      if (node['class'] === 'FUNCTION' || node['class'] === 'WINDOW') functions.add(String(node['function_name']).toLowerCase());
      if (node['class'] === 'COLUMN_REF')
        readsClock ||= (node['column_names'] as readonly string[]).some((name) => clockWords.has(name.toLowerCase()));
    });
  }
  return !readsClock && [...functions].every((name) => !clockFunctions.has(name));
}
