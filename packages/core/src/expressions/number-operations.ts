import type { Frame } from './frame.js';
import { type BooleanNode, manyValues, type NumberNode, nullBoolean } from './nodes.js';

/** Works in place: `left` takes the result. */
type InPlace = (left: Float64Array, right: Float64Array, count: number) => void;
type Comparison = (left: Float64Array, right: Float64Array, out: Uint8Array, count: number) => void;

/** A loop of its own for each operator, so that V8 compiles each to plain float code. */
const arithmetic: Readonly<Record<string, InPlace>> = {
  '+': (left, right, count) => {
    for (let index = 0; index < count; index++) left[index] = (left[index] as number) + (right[index] as number);
  },
  '-': (left, right, count) => {
    for (let index = 0; index < count; index++) left[index] = (left[index] as number) - (right[index] as number);
  },
  '*': (left, right, count) => {
    for (let index = 0; index < count; index++) left[index] = (left[index] as number) * (right[index] as number);
  },
  '/': (left, right, count) => {
    for (let index = 0; index < count; index++) left[index] = (left[index] as number) / (right[index] as number);
  },
  '%': (left, right, count) => {
    for (let index = 0; index < count; index++) left[index] = (left[index] as number) % (right[index] as number);
  },
  min: (left, right, count) => {
    for (let index = 0; index < count; index++) left[index] = Math.min(left[index] as number, right[index] as number);
  },
  max: (left, right, count) => {
    for (let index = 0; index < count; index++) left[index] = Math.max(left[index] as number, right[index] as number);
  },
  pow: (left, right, count) => {
    for (let index = 0; index < count; index++) left[index] = (left[index] as number) ** (right[index] as number);
  },
  coalesce: (left, right, count) => {
    for (let index = 0; index < count; index++) if (Number.isNaN(left[index])) left[index] = right[index] as number;
  },
};

/** The same with one number on the right of all, which need not be laid out as a column. */
const arithmeticByConstant: Readonly<Record<string, (left: Float64Array, right: number, count: number) => void>> = {
  '+': (left, right, count) => {
    for (let index = 0; index < count; index++) left[index] = (left[index] as number) + right;
  },
  '-': (left, right, count) => {
    for (let index = 0; index < count; index++) left[index] = (left[index] as number) - right;
  },
  '*': (left, right, count) => {
    for (let index = 0; index < count; index++) left[index] = (left[index] as number) * right;
  },
  '/': (left, right, count) => {
    for (let index = 0; index < count; index++) left[index] = (left[index] as number) / right;
  },
};

/** NaN makes every comparison false, which is the rule for null. `!=` is compiled as the negation of `==`. */
const comparisons: Readonly<Record<string, Comparison>> = {
  '==': (left, right, out, count) => {
    for (let index = 0; index < count; index++) out[index] = left[index] === right[index] ? 1 : 0;
  },
  '<': (left, right, out, count) => {
    for (let index = 0; index < count; index++) out[index] = (left[index] as number) < (right[index] as number) ? 1 : 0;
  },
  '<=': (left, right, out, count) => {
    for (let index = 0; index < count; index++) out[index] = (left[index] as number) <= (right[index] as number) ? 1 : 0;
  },
  '>': (left, right, out, count) => {
    for (let index = 0; index < count; index++) out[index] = (left[index] as number) > (right[index] as number) ? 1 : 0;
  },
  '>=': (left, right, out, count) => {
    for (let index = 0; index < count; index++) out[index] = (left[index] as number) >= (right[index] as number) ? 1 : 0;
  },
};

/** The same number for every candidate. */
export function constantNumber(constant: number): NumberNode {
  return {
    type: 'number',
    constant,
    evaluate(frame) {
      const out = frame.pool.takeNumbers(frame.count);
      out.fill(constant, 0, frame.count);
      return out;
    },
  };
}

/** `left operator right` for + - * / % min max pow, and `coalesce`: right where left is null. */
export function binaryNumber(operator: string, left: NumberNode, right: NumberNode): NumberNode {
  const apply = arithmetic[operator] as InPlace;
  if (left.constant !== undefined && right.constant !== undefined) {
    const folded = Float64Array.of(left.constant);
    apply(folded, Float64Array.of(right.constant), 1);
    return constantNumber(folded[0] as number);
  }
  // Sums and products of two doubles do not depend on their order.
  const commutes = operator === '+' || operator === '*';
  const [operand, constant] = commutes && left.constant !== undefined ? [right, left.constant] : [left, right.constant];
  const applyConstant = arithmeticByConstant[operator];
  if (constant !== undefined && applyConstant !== undefined) {
    return {
      type: 'number',
      evaluate(frame) {
        const out = operand.evaluate(frame);
        applyConstant(out, constant, frame.count);
        return out;
      },
    };
  }
  return {
    type: 'number',
    evaluate(frame) {
      const out = left.evaluate(frame);
      const other = right.evaluate(frame);
      apply(out, other, frame.count);
      frame.pool.giveNumbers(other);
      return out;
    },
  };
}

/** A function of one number, applied to each. */
export function mapNumber(apply: (value: number) => number, operand: NumberNode): NumberNode {
  if (operand.constant !== undefined) return constantNumber(apply(operand.constant));
  return {
    type: 'number',
    evaluate(frame) {
      const out = operand.evaluate(frame);
      for (let index = 0; index < frame.count; index++) out[index] = apply(out[index] as number);
      return out;
    },
  };
}

/** Compares numbers; false where one of them is null. */
export function compareNumbers(operator: string, left: NumberNode, right: NumberNode): BooleanNode {
  const apply = comparisons[operator] as Comparison;
  return {
    type: 'boolean',
    evaluate(frame) {
      const first = left.evaluate(frame);
      const second = right.evaluate(frame);
      const out = frame.pool.takeBooleans(frame.count);
      apply(first, second, out, frame.count);
      frame.pool.giveNumbers(first);
      frame.pool.giveNumbers(second);
      return out;
    },
  };
}

/** True where the number is one of the constants. */
export function numberIsOneOf(operand: NumberNode, constants: readonly number[]): BooleanNode {
  const wanted = new Set(constants);
  // A set finds NaN, but nothing equals null.
  wanted.delete(Number.NaN);
  return fromNumbers(operand, (value) => (wanted.has(value) ? 1 : 0));
}

/** True where there is no number. */
export function numberIsNull(operand: NumberNode): BooleanNode {
  return fromNumbers(operand, (value) => (Number.isNaN(value) ? 1 : 0));
}

function fromNumbers(operand: NumberNode, test: (value: number) => number): BooleanNode {
  return {
    type: 'boolean',
    evaluate(frame) {
      const values = operand.evaluate(frame);
      const out = frame.pool.takeBooleans(frame.count);
      for (let index = 0; index < frame.count; index++) out[index] = test(values[index] as number);
      frame.pool.giveNumbers(values);
      return out;
    },
  };
}

/** The second where the condition is true, else the third; a null condition counts as false. */
export function selectNumber(condition: BooleanNode, consequent: NumberNode, alternate: NumberNode): NumberNode {
  return {
    type: 'number',
    evaluate(frame) {
      const chosen = condition.evaluate(frame);
      const out = consequent.evaluate(frame);
      const other = alternate.evaluate(frame);
      for (let index = 0; index < frame.count; index++) if (chosen[index] !== 1) out[index] = other[index] as number;
      frame.pool.giveBooleans(chosen);
      frame.pool.giveNumbers(other);
      return out;
    },
  };
}

/** Copies a float column of the batch; all null when it is not there. */
export function batchColumn(read: (frame: Frame) => ArrayLike<number> | undefined, missing: number): NumberNode {
  return {
    type: 'number',
    evaluate(frame) {
      const out = frame.pool.takeNumbers(frame.count);
      const values = read(frame);
      if (values === undefined) out.fill(Number.NaN, 0, frame.count);
      else if (frame.count >= manyValues && Number.isNaN(missing) && values.length === frame.count) out.set(values);
      else {
        for (let index = 0; index < frame.count; index++) {
          const value = values[index] as number;
          out[index] = value === missing ? Number.NaN : value;
        }
      }
      return out;
    },
  };
}

/** A number field of the items; null when the field is no longer there or has another type. */
export function itemNumber(field: string): NumberNode {
  return {
    type: 'number',
    evaluate({ items, rows, count, pool }) {
      const out = pool.takeNumbers(count);
      const column = items.column(field);
      if (column?.type !== 'number') return out.fill(Number.NaN, 0, count);
      const { values } = column;
      // Rows that the overlay added later may lie beyond the column.
      for (let index = 0; index < count; index++) out[index] = values[rows[index] as number] ?? Number.NaN;
      return out;
    },
  };
}

/** A boolean field of the items. */
export function itemBoolean(field: string): BooleanNode {
  return {
    type: 'boolean',
    evaluate({ items, rows, count, pool }) {
      const out = pool.takeBooleans(count);
      const column = items.column(field);
      if (column?.type !== 'boolean') return out.fill(nullBoolean, 0, count);
      const { values } = column;
      for (let index = 0; index < count; index++) out[index] = values[rows[index] as number] ?? nullBoolean;
      return out;
    },
  };
}
