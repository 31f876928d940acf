import type { Frame, TextValues } from './frame.js';

/** Null in a boolean column. */
export const nullBoolean = 255;

/** From so many values on, a copy by the engine is faster than a loop. */
export const manyValues = 256;

/** A compiled part of an expression that gives one number per candidate; NaN is null. The caller owns the buffer and gives it back to the pool. */
export interface NumberNode {
  readonly type: 'number';
  readonly constant?: number;
  evaluate(frame: Frame): Float64Array;
}

/** One boolean per candidate: 0, 1 or 255 for null. The caller owns the buffer. */
export interface BooleanNode {
  readonly type: 'boolean';
  evaluate(frame: Frame): Uint8Array;
}

/** A category column, seen through a function of its texts; compared by code instead of by text. */
export interface CodedText {
  readonly field: string;
  readonly transform: (text: string) => string;
}

/** One text or null per candidate. The caller owns the list. */
export interface TextNode {
  readonly type: 'text';
  readonly constant?: string;
  readonly coded?: CodedText;
  evaluate(frame: Frame): TextValues;
}

/** A list column of the items. */
export interface ListNode {
  readonly type: 'list';
  readonly field: string;
}

/** A list written in the expression. */
export interface LiteralListNode {
  readonly type: 'literals';
  readonly items: readonly ExpressionNode[];
}

/** The word `null`. */
export interface NullNode {
  readonly type: 'null';
}

/** A value of the request's context, whose type is known only when the request comes: it is read as what its use asks for, and null when it is something else. */
export interface DynamicNode {
  readonly type: 'dynamic';
  asNumber(): NumberNode;
  asText(): TextNode;
  asBoolean(): BooleanNode;
  /** True where there is no value of any type. */
  isNull(): BooleanNode;
}

export type ExpressionNode = NumberNode | BooleanNode | TextNode | ListNode | LiteralListNode | NullNode | DynamicNode;

/** What the types are called in messages. */
export const typeNames: Readonly<Record<ExpressionNode['type'], string>> = {
  number: 'a number',
  boolean: 'true or false',
  text: 'a text',
  list: 'a list',
  literals: 'a list',
  null: 'null',
  dynamic: 'a request value',
};
