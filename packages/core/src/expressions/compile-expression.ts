import type { ASTNode } from '@marcbachmann/cel-js';
import type { ColumnType } from '@recloom/plugin-api';
import { suggest } from '../config/suggest.js';
import { booleanIsNull, both, coalesceBoolean, constantBoolean, either, not, sameBoolean, selectBoolean } from './boolean-operations.js';
import { mostArguments, numberFunctions } from './cel-environment.js';
import { ExpressionFault } from './expression-fault.js';
import { type ExpressionSchema, requestBuiltins } from './expression-schema.js';
import type { BooleanNode, DynamicNode, ExpressionNode, LiteralListNode, NumberNode, TextNode } from './nodes.js';
import { typeNames } from './nodes.js';
import { normaliseNumbers, normalisers } from './normalisers.js';
import {
  batchColumn,
  binaryNumber,
  compareNumbers,
  constantNumber,
  itemBoolean,
  itemNumber,
  mapNumber,
  numberIsNull,
  numberIsOneOf,
  selectNumber,
} from './number-operations.js';
import { requestValue } from './request-operations.js';
import {
  coalesceText,
  compareTexts,
  constantText,
  itemId,
  itemText,
  listHolds,
  listSize,
  mapText,
  selectText,
  testText,
  textIsNull,
  textSize,
} from './text-operations.js';

const namespaces = ['item', 'source', 'score', 'feature', 'request'];
const comparisonOperators = new Set(['==', '!=', '<', '<=', '>', '>=']);
const arithmeticOperators = new Set(['+', '-', '*', '/', '%']);

const unaryFunctions: Readonly<Record<string, (value: number) => number>> = {
  abs: Math.abs,
  ceil: Math.ceil,
  exp: Math.exp,
  floor: Math.floor,
  log: Math.log,
  round: Math.round,
  sqrt: Math.sqrt,
};

const textTests: Readonly<Record<string, (text: string, part: string) => boolean>> = {
  contains: (text, part) => text.includes(part),
  startsWith: (text, part) => text.startsWith(part),
  endsWith: (text, part) => text.endsWith(part),
};

const textMaps: Readonly<Record<string, (text: string) => string>> = {
  lowerAscii: (text) => text.toLowerCase(),
  upperAscii: (text) => text.toUpperCase(),
  trim: (text) => text.trim(),
};

const textComparisons: Readonly<Record<string, (left: string, right: string) => boolean>> = {
  '==': (left, right) => left === right,
  '<': (left, right) => left < right,
  '<=': (left, right) => left <= right,
  '>': (left, right) => left > right,
  '>=': (left, right) => left >= right,
};

const otherFunctions = ['coalesce', 'double', 'has', 'size'];
const methodNames = [...Object.keys(textTests), ...Object.keys(textMaps), 'size'];

/** What the compiler found out besides the operations. */
export interface CompiledTree {
  readonly root: NumberNode | BooleanNode;
  /** Names of the columns read, sorted. */
  readonly reads: readonly string[];
  /** Some part compares a candidate with the others of its request. */
  readonly comparesCandidates: boolean;
  /** False when it reads a column of a component whose columns are not known yet. */
  readonly decided: boolean;
}

/**
 * Turns the tree of an expression into column operations, checking types and names on the way.
 *
 * @throws ExpressionFault with the place of the first part that is wrong.
 */
export function compileTree(tree: ASTNode, schema: ExpressionSchema, result: 'number' | 'boolean'): CompiledTree {
  const compiler = new TreeCompiler(schema);
  const node = compiler.compile(tree);
  const root = result === 'number' ? compiler.number(node, tree, 'the result') : compiler.boolean(node, tree, 'the result');
  return { root, reads: [...compiler.reads].sort(), comparesCandidates: compiler.comparesCandidates, decided: compiler.decided };
}

class TreeCompiler {
  readonly #schema: ExpressionSchema;
  readonly reads = new Set<string>();
  comparesCandidates = false;
  decided = true;

  constructor(schema: ExpressionSchema) {
    this.#schema = schema;
  }

  compile(node: ASTNode): ExpressionNode {
    switch (node.op) {
      case 'value':
        return this.#literal(node.args, node);
      case 'id':
        throw this.#bareName(node.args, node);
      case '.':
      case '[]':
        return this.#column(node);
      case 'call':
        return this.#call(node.args[0], node.args[1], node);
      case 'rcall':
        return this.#method(node.args[0], node.args[1], node.args[2], node);
      case 'list':
        return { type: 'literals', items: node.args.map((item) => this.compile(item)) };
      case '?:':
        return this.#choice(node.args[0], node.args[1], node.args[2], node);
      case '&&':
      case '||': {
        const left = this.boolean(this.compile(node.args[0]), node.args[0], `the left of "${node.op}"`);
        const right = this.boolean(this.compile(node.args[1]), node.args[1], `the right of "${node.op}"`);
        return node.op === '&&' ? both(left, right) : either(left, right);
      }
      case '!_':
        return not(this.boolean(this.compile(node.args), node.args, 'what "!" negates'));
      case '-_':
        return mapNumber((value) => -value, this.number(this.compile(node.args), node.args, 'what "-" negates'));
      case 'in':
        return this.#membership(node.args[0], node.args[1]);
      default:
        break;
    }
    if (comparisonOperators.has(node.op)) {
      const [left, right] = node.args as [ASTNode, ASTNode];
      if (node.op === '!=') return not(this.#comparison('==', left, right, node));
      return this.#comparison(node.op, left, right, node);
    }
    if (arithmeticOperators.has(node.op)) {
      const [left, right] = node.args as [ASTNode, ASTNode];
      const first = this.compile(left);
      const second = this.compile(right);
      if (node.op === '+' && (first.type === 'text' || second.type === 'text')) throw fault('texts cannot be joined with "+"', node);
      return binaryNumber(
        node.op,
        this.number(first, left, `the left of "${node.op}"`),
        this.number(second, right, `the right of "${node.op}"`),
      );
    }
    throw fault('mappings and this kind of access are not supported', node);
  }

  number(node: ExpressionNode, at: ASTNode, what: string): NumberNode {
    if (node.type === 'number') return node;
    if (node.type === 'dynamic') return node.asNumber();
    throw fault(`${what} must be a number, but it is ${typeNames[node.type]}`, at);
  }

  boolean(node: ExpressionNode, at: ASTNode, what: string): BooleanNode {
    if (node.type === 'boolean') return node;
    if (node.type === 'dynamic') return node.asBoolean();
    throw fault(`${what} must be true or false, but it is ${typeNames[node.type]}`, at);
  }

  #text(node: ExpressionNode, at: ASTNode, what: string): TextNode {
    if (node.type === 'text') return node;
    if (node.type === 'dynamic') return node.asText();
    throw fault(`${what} must be a text, but it is ${typeNames[node.type]}`, at);
  }

  #literal(value: unknown, node: ASTNode): ExpressionNode {
    if (value === null) return { type: 'null' };
    if (typeof value === 'string') return constantText(value);
    if (typeof value === 'boolean') return constantBoolean(value);
    if (typeof value === 'number' || typeof value === 'bigint') return constantNumber(Number(value));
    throw fault('bytes and unsigned numbers are not supported', node);
  }

  #bareName(name: string, node: ASTNode): ExpressionFault {
    if (namespaces.includes(name)) return fault(`"${name}" needs a name after it, such as ${name}.${this.#example(name)}`, node);
    const namespace = suggest(name, namespaces);
    const columns = [
      ...(this.#schema.items.fields.includes(name) ? [`item.${name}`] : []),
      ...(this.#schema.scores.includes(name) ? [`score.${name}`] : []),
      ...(this.#schema.sources.includes(name) ? [`source.${name}.score`] : []),
      ...(this.#schema.features.includes(name) ? [`feature.${name}`] : []),
    ];
    const meant = columns[0] ?? namespace;
    return fault(
      `there is no "${name}"${meant === undefined ? '; columns begin with item, source, score, feature or request' : `; did you mean "${meant}"?`}`,
      node,
    );
  }

  #example(namespace: string): string {
    if (namespace === 'item') return this.#schema.items.fields[0] ?? '<field>';
    if (namespace === 'source') return `${this.#schema.sources[0] ?? '<name>'}.score`;
    if (namespace === 'request') return 'limit';
    return (namespace === 'score' ? this.#schema.scores[0] : this.#schema.features[0]) ?? '<name>';
  }

  #column(node: ASTNode): ExpressionNode {
    const path = columnPath(node);
    const [namespace, name, part] = path;
    if (namespace === undefined || name === undefined) throw fault('only columns have parts', node);
    if (!namespaces.includes(namespace)) {
      const meant = suggest(namespace, namespaces);
      const advice =
        meant === undefined ? `columns begin with ${namespaces.join(', ')}` : `did you mean "${[meant, ...path.slice(1)].join('.')}"?`;
      throw fault(`there is no "${namespace}"; ${advice}`, node);
    }
    const deepest = namespace === 'item' || namespace === 'request' ? 2 : 3;
    if (path.length > deepest) throw fault(`"${path.slice(0, deepest).join('.')}" has no parts`, node);
    switch (namespace) {
      case 'item':
        return this.#item(name, node);
      case 'request':
        return this.#request(name);
      case 'source':
        return this.#source(name, part, node);
      default:
        return this.#batchColumn(namespace as 'score' | 'feature', name, part, node);
    }
  }

  #item(field: string, node: ASTNode): ExpressionNode {
    const { items } = this.#schema;
    const type: ColumnType | undefined = items.fields.includes(field) ? items.column(field)?.type : undefined;
    if (type === undefined && field !== 'id') throw this.#unknown('item', field, [...items.fields, 'id'], node);
    this.reads.add(`item.${field}`);
    switch (type) {
      case undefined:
        return itemId();
      case 'number':
        return itemNumber(field);
      case 'boolean':
        return itemBoolean(field);
      case 'list':
        return { type: 'list', field };
      default:
        return itemText(field, type === 'category');
    }
  }

  #request(field: string): ExpressionNode {
    this.reads.add(`request.${field}`);
    const value = requestValue(field);
    const declared = { ...this.#schema.requestFields, ...requestBuiltins };
    const type = Object.hasOwn(declared, field) ? declared[field] : undefined;
    if (type === 'number') return value.asNumber();
    if (type === 'text') return value.asText();
    return type === 'boolean' ? value.asBoolean() : value;
  }

  #source(name: string, part: string | undefined, node: ASTNode): NumberNode {
    if (!this.#schema.sources.includes(name)) throw this.#unknown('source', name, this.#schema.sources, node);
    if (part !== 'score' && part !== 'rank') {
      throw fault(`write source.${name}.score or source.${name}.rank${part === undefined ? '' : `, not "${part}"`}`, node);
    }
    this.reads.add(`source.${name}.${part}`);
    // A source that did not propose the candidate gives no score, and rank 0.
    return batchColumn(
      (frame) => {
        const columns = frame.batch?.sources.find((source) => source.name === name);
        return part === 'score' ? columns?.scores : columns?.ranks;
      },
      part === 'rank' ? 0 : Number.NaN,
    );
  }

  #batchColumn(namespace: 'score' | 'feature', name: string, part: string | undefined, node: ASTNode): NumberNode {
    const known = namespace === 'score' ? this.#schema.scores : this.#schema.features;
    if (!known.includes(name)) throw this.#unknown(namespace, name, known, node);
    if (part !== undefined) {
      if (namespace === 'score') this.#checkFurther(name, part, node);
      else this.#checkIndex(name, part, node);
    }
    // The first column of a feature goes by the feature's name.
    const column =
      part === undefined || (namespace === 'feature' && part === '0') ? `${namespace}.${name}` : `${namespace}.${name}.${part}`;
    this.reads.add(column);
    return batchColumn((frame) => frame.batch?.column(column), Number.NaN);
  }

  #checkFurther(name: string, part: string, node: ASTNode): void {
    const further = this.#schema.furtherScores === undefined ? [] : this.#schema.furtherScores(name);
    if (further === undefined) {
      this.decided = false;
      return;
    }
    if (further.includes(part)) return;
    const meant = suggest(part, further);
    const advice =
      further.length === 0
        ? `"${name}" gives one score, score.${name}`
        : meant === undefined
          ? `"${name}" gives score.${name} and ${further.map((other) => `score.${name}.${other}`).join(', ')}`
          : `did you mean "score.${name}.${meant}"?`;
    throw fault(`there is no column "score.${name}.${part}"; ${advice}`, node);
  }

  #checkIndex(name: string, part: string, node: ASTNode): void {
    if (!/^(?:0|[1-9]\d*)$/.test(part)) throw fault(`the columns of a feature are numbered: feature.${name}.0, not "${part}"`, node);
    const width = this.#schema.featureWidth === undefined ? 1 : this.#schema.featureWidth(name);
    if (width === undefined) {
      this.decided = false;
      return;
    }
    if (Number(part) < width) return;
    const advice = width === 1 ? `"${name}" has one, feature.${name}` : `"${name}" has feature.${name}.0 to feature.${name}.${width - 1}`;
    throw fault(`there is no column "feature.${name}.${part}"; ${advice}`, node);
  }

  #unknown(namespace: string, name: string, known: readonly string[], node: ASTNode): ExpressionFault {
    const meant = suggest(name, known);
    const elsewhere = [
      ...(namespace !== 'score' && this.#schema.scores.includes(name) ? [`score.${name}`] : []),
      ...(namespace !== 'source' && this.#schema.sources.includes(name) ? [`source.${name}.score`] : []),
      ...(namespace !== 'item' && this.#schema.items.fields.includes(name) ? [`item.${name}`] : []),
    ][0];
    const suggestion = meant === undefined ? elsewhere : `${namespace}.${meant}`;
    const listed = known.length === 0 ? 'there are none' : `known: ${known.slice(0, 20).join(', ')}${known.length > 20 ? ', …' : ''}`;
    return fault(`there is no column "${namespace}.${name}"; ${suggestion === undefined ? listed : `did you mean "${suggestion}"?`}`, node);
  }

  #comparison(operator: string, leftAst: ASTNode, rightAst: ASTNode, node: ASTNode): BooleanNode {
    const left = this.compile(leftAst);
    const right = this.compile(rightAst);
    if (left.type === 'null' || right.type === 'null') {
      if (operator !== '==') throw fault(`null has no order; use "== null" or "!= null"`, node);
      if (left.type === right.type) return constantBoolean(true);
      return this.#isNull(left.type === 'null' ? right : left, node);
    }
    const types = [left.type, right.type];
    if (types.includes('list') || types.includes('literals')) {
      throw fault(`lists cannot be compared with "${operator}"; write "x" in ${types.includes('list') ? 'item.<list>' : '[…]'}`, node);
    }
    const concrete = types.find((type) => type !== 'dynamic');
    if (left.type === 'dynamic' && right.type === 'dynamic') {
      return operator === '==' ? sameDynamic(left, right) : orderedDynamic(operator, left, right);
    }
    if (types.every((type) => type === 'dynamic' || type === concrete)) {
      if (concrete === 'text') {
        const test = textComparisons[operator] as (left: string, right: string) => boolean;
        return compareTexts(this.#text(left, leftAst, ''), this.#text(right, rightAst, ''), test);
      }
      if (concrete === 'boolean') {
        if (operator !== '==') throw fault(`true and false have no order; "${operator}" compares numbers and texts`, node);
        return sameBoolean(this.boolean(left, leftAst, ''), this.boolean(right, rightAst, ''));
      }
      return compareNumbers(operator, this.number(left, leftAst, ''), this.number(right, rightAst, ''));
    }
    throw fault(`${typeNames[left.type]} cannot be compared with ${typeNames[right.type]}`, node);
  }

  #isNull(node: ExpressionNode, at: ASTNode): BooleanNode {
    switch (node.type) {
      case 'number':
        return numberIsNull(node);
      case 'text':
        return textIsNull(node);
      case 'boolean':
        return booleanIsNull(node);
      case 'dynamic':
        return node.isNull();
      case 'list':
        // An empty list and null are the same.
        return compareNumbers('==', listSize(node), constantNumber(0));
      default:
        throw fault('only a column or a value computed from columns can be null', at);
    }
  }

  #membership(leftAst: ASTNode, rightAst: ASTNode): BooleanNode {
    const left = this.compile(leftAst);
    const right = this.compile(rightAst);
    if (right.type === 'list') return listHolds(right, this.#text(left, leftAst, 'what is looked for in a list of texts'));
    if (right.type !== 'literals') throw fault(`the right of "in" must be a list, but it is ${typeNames[right.type]}`, rightAst);
    return this.#oneOf(left, right, leftAst, rightAst);
  }

  #oneOf(left: ExpressionNode, list: LiteralListNode, leftAst: ASTNode, listAst: ASTNode): BooleanNode {
    const elementAst = (index: number): ASTNode => (listAst.args as readonly ASTNode[])[index] ?? listAst;
    const type = left.type === 'dynamic' ? list.items.find((item) => item.type !== 'dynamic')?.type : left.type;
    const what = 'an element of the list';
    if (list.items.length === 0) return constantBoolean(false);
    if (type === 'text') {
      const texts = list.items.map((item, index) => this.#text(item, elementAst(index), what));
      const wanted = this.#text(left, leftAst, '');
      const constants = texts.flatMap((text) => text.constant ?? []);
      if (constants.length === texts.length) {
        const set = new Set(constants);
        return testText(wanted, (text) => set.has(text));
      }
      return anyOf(texts.map((text) => compareTexts(wanted, text, (one, other) => one === other)));
    }
    if (left.type === 'dynamic' && type === undefined) {
      return anyOf(list.items.map((item) => sameDynamic(left, item as DynamicNode)));
    }
    if (type === 'number') {
      const numbers = list.items.map((item, index) => this.number(item, elementAst(index), what));
      const wanted = this.number(left, leftAst, 'the left of "in"');
      const constants = numbers.flatMap((number) => number.constant ?? []);
      if (constants.length === numbers.length) return numberIsOneOf(wanted, constants);
      return anyOf(numbers.map((number) => compareNumbers('==', wanted, number)));
    }
    throw fault(`the left of "in" must be a number or a text, but it is ${typeNames[left.type]}`, leftAst);
  }

  #choice(conditionAst: ASTNode, consequentAst: ASTNode, alternateAst: ASTNode, node: ASTNode): ExpressionNode {
    const condition = this.boolean(this.compile(conditionAst), conditionAst, 'what stands before "?"');
    const consequent = this.compile(consequentAst);
    const alternate = this.compile(alternateAst);
    if (consequent.type === 'dynamic' && alternate.type === 'dynamic') {
      return {
        type: 'dynamic',
        asNumber: () => selectNumber(condition, consequent.asNumber(), alternate.asNumber()),
        asText: () => selectText(condition, consequent.asText(), alternate.asText()),
        asBoolean: () => selectBoolean(condition, consequent.asBoolean(), alternate.asBoolean()),
        isNull: () => selectBoolean(condition, consequent.isNull(), alternate.isNull()),
      };
    }
    const type = consequent.type === 'dynamic' ? alternate.type : consequent.type;
    const what = 'both sides of ":" must be of one type: this';
    if (type === 'number') {
      return selectNumber(condition, this.number(consequent, consequentAst, what), this.number(alternate, alternateAst, what));
    }
    if (type === 'text')
      return selectText(condition, this.#text(consequent, consequentAst, what), this.#text(alternate, alternateAst, what));
    if (type === 'boolean') {
      return selectBoolean(condition, this.boolean(consequent, consequentAst, what), this.boolean(alternate, alternateAst, what));
    }
    throw fault(`"? :" chooses between numbers, texts or truth values, not ${typeNames[type]}`, node);
  }

  #call(name: string, args: readonly ASTNode[], node: ASTNode): ExpressionNode {
    if (name === 'has') return this.#has(args, node);
    if (name === 'size') {
      expectArguments('size', args, 1, 1, node);
      return this.#size(this.compile(args[0] as ASTNode), args[0] as ASTNode);
    }
    if (name === 'coalesce') return this.#coalesce(args, node);
    if (name === 'double') {
      expectArguments('double', args, 1, 1, node);
      return this.number(this.compile(args[0] as ASTNode), args[0] as ASTNode, 'the argument of double()');
    }
    const expected = Object.hasOwn(numberFunctions, name) ? (numberFunctions[name] as number) : undefined;
    if (expected === undefined) {
      const asMethod = methodNames.includes(name) ? `; write it after the text: item.title.${name}(…)` : undefined;
      const meant = suggest(name, [...Object.keys(numberFunctions), ...otherFunctions]);
      const list = `; known: ${[...Object.keys(numberFunctions), ...otherFunctions].sort().join(', ')}`;
      throw fault(`there is no function ${name}()${asMethod ?? (meant === undefined ? list : `; did you mean ${meant}()?`)}`, node);
    }
    const [least, most] = expected === Number.POSITIVE_INFINITY ? [2, mostArguments] : [expected, expected];
    expectArguments(name, args, least, most, node);
    const numbers = args.map((argument, index) =>
      this.number(this.compile(argument), argument, args.length === 1 ? `the argument of ${name}()` : `argument ${index + 1} of ${name}()`),
    );
    const [first, ...others] = numbers as [NumberNode, ...NumberNode[]];
    if (Object.hasOwn(normalisers, name)) {
      this.comparesCandidates = true;
      return normaliseNumbers(name, first);
    }
    if (name === 'clamp') return binaryNumber('min', binaryNumber('max', first, others[0] as NumberNode), others[1] as NumberNode);
    const unary = unaryFunctions[name];
    if (unary !== undefined) return mapNumber(unary, first);
    return others.reduce((result, other) => binaryNumber(name, result, other), first);
  }

  #has(args: readonly ASTNode[], node: ASTNode): BooleanNode {
    expectArguments('has', args, 1, 1, node);
    const argument = args[0] as ASTNode;
    if (argument.op !== '.' && argument.op !== '[]') throw fault('has() takes one column, such as has(item.price)', argument);
    return not(this.#isNull(this.#column(argument), argument));
  }

  #size(operand: ExpressionNode, at: ASTNode): NumberNode {
    if (operand.type === 'list') return listSize(operand);
    if (operand.type === 'literals') return constantNumber(operand.items.length);
    if (operand.type === 'text' || operand.type === 'dynamic') return textSize(this.#text(operand, at, ''));
    throw fault(`size() takes a text or a list, but this is ${typeNames[operand.type]}`, at);
  }

  #coalesce(args: readonly ASTNode[], node: ASTNode): ExpressionNode {
    expectArguments('coalesce', args, 2, mostArguments, node);
    const operands = args.map((argument) => this.compile(argument));
    const type = operands.find((operand) => operand.type !== 'dynamic')?.type ?? 'dynamic';
    const at = (index: number): ASTNode => args[index] ?? node;
    const what = 'all arguments of coalesce() must be of one type: this';
    if (type === 'number')
      return operands
        .map((operand, index) => this.number(operand, at(index), what))
        .reduce((left, right) => binaryNumber('coalesce', left, right));
    if (type === 'text') return operands.map((operand, index) => this.#text(operand, at(index), what)).reduce(coalesceText);
    if (type === 'boolean') return operands.map((operand, index) => this.boolean(operand, at(index), what)).reduce(coalesceBoolean);
    if (type !== 'dynamic') throw fault(`coalesce() takes numbers, texts or truth values, not ${typeNames[type]}`, node);
    const values = operands as DynamicNode[];
    return {
      type: 'dynamic',
      asNumber: () => values.map((value) => value.asNumber()).reduce((left, right) => binaryNumber('coalesce', left, right)),
      asText: () => values.map((value) => value.asText()).reduce(coalesceText),
      asBoolean: () => values.map((value) => value.asBoolean()).reduce(coalesceBoolean),
      isNull: () => values.map((value) => value.isNull()).reduce(both),
    };
  }

  #method(name: string, receiverAst: ASTNode, args: readonly ASTNode[], node: ASTNode): ExpressionNode {
    if (name === 'matches')
      throw fault('matches() is not supported, because a pattern can take seconds; use contains(), startsWith() or endsWith()', node);
    if (['all', 'exists', 'exists_one', 'filter', 'map'].includes(name)) {
      throw fault(`${name}() is not supported; ask for one value with "x" in item.<list>`, node);
    }
    if (!methodNames.includes(name)) {
      const meant = suggest(name, methodNames);
      const asFunction = Object.hasOwn(numberFunctions, name) || otherFunctions.includes(name) ? `; write ${name}(…)` : undefined;
      throw fault(
        `there is no method ${name}()${asFunction ?? (meant === undefined ? `; known: ${methodNames.join(', ')}` : `; did you mean ${meant}()?`)}`,
        node,
      );
    }
    const receiver = this.compile(receiverAst);
    if (name === 'size') {
      expectArguments(name, args, 0, 0, node);
      return this.#size(receiver, receiverAst);
    }
    if (name === 'contains' && receiver.type === 'list') throw fault('write "x" in item.<list> to look into a list', node);
    const text = this.#text(receiver, receiverAst, `what stands before .${name}()`);
    const map = textMaps[name];
    if (map !== undefined) {
      expectArguments(name, args, 0, 0, node);
      return mapText(map, text);
    }
    expectArguments(name, args, 1, 1, node);
    const argument = args[0] as ASTNode;
    const test = textTests[name] as (text: string, part: string) => boolean;
    return compareTexts(text, this.#text(this.compile(argument), argument, `the argument of ${name}()`), test);
  }
}

function fault(why: string, at: ASTNode): ExpressionFault {
  return new ExpressionFault(why, at.start);
}

function expectArguments(name: string, args: readonly ASTNode[], least: number, most: number, node: ASTNode): void {
  if (args.length >= least && args.length <= most) return;
  const wanted = least === most ? `${least} argument${least === 1 ? '' : 's'}` : `${least} to ${most} arguments`;
  throw fault(`${name}() takes ${wanted}, not ${args.length}`, node);
}

/** `item.price` and `item["unit price"]` as names; undefined parts where the root is no name. */
function columnPath(node: ASTNode): readonly string[] {
  if (node.op === 'id') return [node.args];
  if (node.op === '.') return [...columnPath(node.args[0]), node.args[1]];
  if (node.op === '[]') {
    const [left, index] = node.args;
    const path = columnPath(left);
    if (path[0] === 'feature' && path.length === 2 && index.op === 'value' && typeof index.args === 'bigint') {
      return [...path, String(index.args)];
    }
    if (index.op !== 'value' || typeof index.args !== 'string')
      throw fault('only a name in quotes may stand in [ ], such as item["unit price"]', index);
    return [...path, index.args];
  }
  throw fault('only columns have parts', node);
}

function anyOf(nodes: readonly BooleanNode[]): BooleanNode {
  return nodes.reduce(either);
}

/** Two request values are the same when both are and of one type. */
function sameDynamic(left: DynamicNode, right: DynamicNode): BooleanNode {
  return anyOf([
    compareNumbers('==', left.asNumber(), right.asNumber()),
    compareTexts(left.asText(), right.asText(), (one, other) => one === other),
    sameBoolean(left.asBoolean(), right.asBoolean()),
  ]);
}

/** Two request values are in order when both are numbers or both are texts. */
function orderedDynamic(operator: string, left: DynamicNode, right: DynamicNode): BooleanNode {
  return either(
    compareNumbers(operator, left.asNumber(), right.asNumber()),
    compareTexts(left.asText(), right.asText(), textComparisons[operator] as (left: string, right: string) => boolean),
  );
}
