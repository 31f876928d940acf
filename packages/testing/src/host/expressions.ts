import { type CandidateBatch, type CompiledExpression, columnValue, type Expressions, recloomError, type Table } from '@recloom/plugin-api';

type Value = number | string | boolean | null | readonly Value[];
/** Value at one candidate; `place` is -1 when a whole-catalogue evaluation asks by row. */
type Evaluate = (batch: CandidateBatch | undefined, place: number, row: number, request: number) => Value;

const tokenPattern =
  /\s*(?:(\d+(?:\.\d+)?)|("(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')|([A-Za-z_][\w]*(?:\.[A-Za-z_]\w*)*)|(\|\||&&|[=!<>]=|[-+*/%<>!()[\],?:]))/y;

interface LexedToken {
  readonly kind: 'number' | 'text' | 'name' | 'symbol' | 'end';
  readonly text: string;
  readonly position: number;
}

function tokens(source: string): readonly LexedToken[] {
  const found: LexedToken[] = [];
  tokenPattern.lastIndex = 0;
  while (tokenPattern.lastIndex < source.trimEnd().length) {
    const position = tokenPattern.lastIndex;
    const match = tokenPattern.exec(source);
    if (match === null) throw recloomError('RECLOOM_CFG_EXPRESSION', { why: 'unexpected character', position: `${position}` });
    const [, number, text, name, symbol] = match;
    if (number !== undefined) found.push({ kind: 'number', text: number, position });
    else if (text !== undefined) found.push({ kind: 'text', text: text.slice(1, -1).replace(/\\(.)/g, '$1'), position });
    else if (name !== undefined) found.push({ kind: 'name', text: name, position });
    else found.push({ kind: 'symbol', text: symbol ?? '', position });
  }
  return [...found, { kind: 'end', text: '', position: source.length }];
}

const levels: readonly (readonly string[])[] = [['||'], ['&&'], ['==', '!=', '<', '<=', '>', '>=', 'in'], ['+', '-'], ['*', '/', '%']];

/**
 * A small stand-in for core's CEL: literals, lists, `item.*`, `source.<name>.score|rank`, `score.*`, `feature.*`,
 * `request.<context key>`, arithmetic, comparison, `in`, `&&`, `||`, `!`, `? :` and parentheses, worked out row by row.
 * Comparing with null is false except by `==` and `!=`. For tests of components; core's compiler is the real one.
 */
export function simpleExpressions(items: Table): Expressions {
  return { compile: (source, result) => compile(items, source, result) };
}

function compile(items: Table, source: string, resultType: 'number' | 'boolean'): CompiledExpression {
  const list = tokens(source);
  const reads = new Set<string>();
  let next = 0;
  const peek = (): LexedToken => list[next] as LexedToken;
  const fail = (why: string, at: LexedToken = peek()): never => {
    throw recloomError('RECLOOM_CFG_EXPRESSION', { why, position: `${at.position}` });
  };
  const accept = (symbol: string): boolean => {
    const token = peek();
    if (token.text !== symbol || token.kind === 'text' || token.kind === 'number') return false;
    next++;
    return true;
  };
  const expect = (symbol: string): void => {
    if (!accept(symbol)) fail(`"${symbol}" expected`);
  };

  const conditional = (): Evaluate => {
    const test = binary(0);
    if (!accept('?')) return test;
    const yes = conditional();
    expect(':');
    const no = conditional();
    return (...at) => (test(...at) === true ? yes(...at) : no(...at));
  };
  const binary = (level: number): Evaluate => {
    const symbols = levels[level];
    if (symbols === undefined) return unary();
    let left = binary(level + 1);
    for (;;) {
      const symbol = symbols.find((candidate) => accept(candidate));
      if (symbol === undefined) return left;
      const before = left;
      const right = binary(level + 1);
      if (symbol === '&&') left = (...at) => before(...at) === true && right(...at) === true;
      else if (symbol === '||') left = (...at) => before(...at) === true || right(...at) === true;
      else left = (...at) => apply(symbol, before(...at), right(...at));
    }
  };
  const unary = (): Evaluate => {
    if (accept('!')) {
      const inner = unary();
      return (...at) => inner(...at) !== true;
    }
    if (accept('-')) {
      const inner = unary();
      return (...at) => -Number(inner(...at));
    }
    return primary();
  };
  const primary = (): Evaluate => {
    if (accept('(')) {
      const inner = conditional();
      expect(')');
      return inner;
    }
    if (accept('[')) {
      const members: Evaluate[] = [];
      while (!accept(']')) {
        members.push(conditional());
        accept(',');
      }
      return (...at) => members.map((member) => member(...at));
    }
    const token = peek();
    next++;
    if (token.kind === 'number') return () => Number(token.text);
    if (token.kind === 'text') return () => token.text;
    if (token.kind !== 'name') return fail('a value expected', token);
    if (token.text === 'true') return () => true;
    if (token.text === 'false') return () => false;
    if (token.text === 'null') return () => null;
    return column(token);
  };
  const column = (token: LexedToken): Evaluate => {
    const [namespace, name = '', part] = token.text.split('.');
    reads.add(token.text);
    switch (namespace) {
      case 'item':
        if (items.column(name) === undefined) fail(`there is no field "${name}"`, token);
        return (_batch, _place, row) => {
          const found = items.column(name);
          return found === undefined ? null : columnValue(found, row);
        };
      case 'score':
      case 'feature':
        return (batch, place) => numberOrNull(batch?.column(token.text)?.[place]);
      case 'source':
        return (batch, place) => {
          const found = batch?.sources.find((candidate) => candidate.name === name);
          if (part === 'rank') return found?.ranks[place] === 0 ? null : numberOrNull(found?.ranks[place]);
          return numberOrNull(found?.scores[place]);
        };
      case 'request':
        return (batch, _place, _row, request) => batch?.requests[request]?.context[name] ?? null;
      default:
        return fail(`unknown name "${token.text}"`, token);
    }
  };

  const evaluate = conditional();
  if (peek().kind !== 'end') fail('the expression ends too early');
  const itemsOnly = [...reads].every((name) => name.startsWith('item.'));
  const number = (value: Value): number =>
    value === null || typeof value === 'object' || typeof value === 'string' ? Number.NaN : Number(value);
  return {
    source,
    resultType,
    reads: [...reads].sort(),
    itemsOnly,
    evaluate(batch, out) {
      for (let request = 0; request < batch.requests.length; request++) {
        for (let place = batch.offsets[request] ?? 0; place < (batch.offsets[request + 1] ?? 0); place++) {
          out[place] = number(evaluate(batch, place, batch.rows[place] ?? -1, request));
        }
      }
    },
    evaluateItems(out) {
      for (let row = 0; row < items.rowCount; row++) out[row] = number(evaluate(undefined, -1, row, -1));
    },
  };
}

function numberOrNull(value: number | undefined): number | null {
  return value === undefined || Number.isNaN(value) ? null : value;
}

function apply(symbol: string, left: Value, right: Value): Value {
  if (symbol === '==') return left === right;
  if (symbol === '!=') return left !== right;
  if (symbol === 'in') return Array.isArray(right) && right.includes(left);
  if (left === null || right === null) return '+-*/%'.includes(symbol) ? null : false;
  if (typeof left === 'string' && typeof right === 'string') {
    const order = left < right ? -1 : left > right ? 1 : 0;
    if (symbol === '+') return left + right;
    return compare(symbol, order, 0);
  }
  const a = Number(left);
  const b = Number(right);
  switch (symbol) {
    case '+':
      return a + b;
    case '-':
      return a - b;
    case '*':
      return a * b;
    case '/':
      return a / b;
    case '%':
      return a % b;
    default:
      return compare(symbol, a, b);
  }
}

function compare(symbol: string, left: number, right: number): boolean {
  if (symbol === '<') return left < right;
  if (symbol === '<=') return left <= right;
  if (symbol === '>') return left > right;
  return left >= right;
}
