import { type BooleanNode, nullBoolean } from './nodes.js';

/** The same boolean for every candidate. */
export function constantBoolean(constant: boolean): BooleanNode {
  return {
    type: 'boolean',
    evaluate: ({ pool, count }) => pool.takeBooleans(count).fill(constant ? 1 : 0, 0, count),
  };
}

/** `&&`; null counts as false. */
export function both(left: BooleanNode, right: BooleanNode): BooleanNode {
  return combine(left, right, (first, second, count) => {
    for (let index = 0; index < count; index++) first[index] = first[index] === 1 && second[index] === 1 ? 1 : 0;
  });
}

/** `||`; null counts as false. */
export function either(left: BooleanNode, right: BooleanNode): BooleanNode {
  return combine(left, right, (first, second, count) => {
    for (let index = 0; index < count; index++) first[index] = first[index] === 1 || second[index] === 1 ? 1 : 0;
  });
}

/** `==` of booleans; false where one of them is null. */
export function sameBoolean(left: BooleanNode, right: BooleanNode): BooleanNode {
  return combine(left, right, (first, second, count) => {
    for (let index = 0; index < count; index++) first[index] = first[index] === second[index] && first[index] !== nullBoolean ? 1 : 0;
  });
}

/** The right where the left is null. */
export function coalesceBoolean(left: BooleanNode, right: BooleanNode): BooleanNode {
  return combine(left, right, (first, second, count) => {
    for (let index = 0; index < count; index++) if (first[index] === nullBoolean) first[index] = second[index] as number;
  });
}

/** `!`; the negation of null is true, because null counts as false. */
export function not(operand: BooleanNode): BooleanNode {
  return {
    type: 'boolean',
    evaluate(frame) {
      const out = operand.evaluate(frame);
      for (let index = 0; index < frame.count; index++) out[index] = out[index] === 1 ? 0 : 1;
      return out;
    },
  };
}

/** True where there is no boolean. */
export function booleanIsNull(operand: BooleanNode): BooleanNode {
  return {
    type: 'boolean',
    evaluate(frame) {
      const out = operand.evaluate(frame);
      for (let index = 0; index < frame.count; index++) out[index] = out[index] === nullBoolean ? 1 : 0;
      return out;
    },
  };
}

/** The second where the condition is true, else the third. */
export function selectBoolean(condition: BooleanNode, consequent: BooleanNode, alternate: BooleanNode): BooleanNode {
  return {
    type: 'boolean',
    evaluate(frame) {
      const chosen = condition.evaluate(frame);
      const out = consequent.evaluate(frame);
      const other = alternate.evaluate(frame);
      for (let index = 0; index < frame.count; index++) if (chosen[index] !== 1) out[index] = other[index] as number;
      frame.pool.giveBooleans(chosen);
      frame.pool.giveBooleans(other);
      return out;
    },
  };
}

function combine(
  left: BooleanNode,
  right: BooleanNode,
  apply: (first: Uint8Array, second: Uint8Array, count: number) => void,
): BooleanNode {
  return {
    type: 'boolean',
    evaluate(frame) {
      const first = left.evaluate(frame);
      const second = right.evaluate(frame);
      apply(first, second, frame.count);
      frame.pool.giveBooleans(second);
      return first;
    },
  };
}
