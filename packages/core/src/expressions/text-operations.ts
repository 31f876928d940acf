import type { Table } from '@recloom/plugin-api';
import type { TextValues } from './frame.js';
import type { BooleanNode, ListNode, NumberNode, TextNode } from './nodes.js';

const unchanged = (text: string): string => text;

/** The same text for every candidate. */
export function constantText(constant: string): TextNode {
  return {
    type: 'text',
    constant,
    evaluate(frame) {
      const out = frame.pool.takeTexts();
      for (let index = 0; index < frame.count; index++) out[index] = constant;
      return out;
    },
  };
}

/** A text, image or category field of the items. `coded` says that it is a category, compared by code. */
export function itemText(field: string, coded: boolean): TextNode {
  return {
    type: 'text',
    ...(coded ? { coded: { field, transform: unchanged } } : {}),
    evaluate({ items, rows, count, pool }) {
      const out = pool.takeTexts();
      const column = items.column(field);
      if (column?.type === 'category') {
        const { codes, categories } = column;
        for (let index = 0; index < count; index++) out[index] = categories[codes[rows[index] as number] ?? -1] ?? null;
      } else if (column?.type === 'text' || column?.type === 'image') {
        const { values } = column;
        for (let index = 0; index < count; index++) out[index] = values[rows[index] as number] ?? null;
      } else {
        for (let index = 0; index < count; index++) out[index] = null;
      }
      return out;
    },
  };
}

/** The id of each item. */
export function itemId(): TextNode {
  return {
    type: 'text',
    evaluate({ items, rows, count, pool }) {
      const out = pool.takeTexts();
      for (let index = 0; index < count; index++) out[index] = items.idOf(rows[index] as number);
      return out;
    },
  };
}

/** A function of each text; null stays null. */
export function mapText(apply: (text: string) => string, operand: TextNode): TextNode {
  if (operand.constant !== undefined) return constantText(apply(operand.constant));
  const { coded } = operand;
  return {
    type: 'text',
    ...(coded === undefined ? {} : { coded: { field: coded.field, transform: (text: string) => apply(coded.transform(text)) } }),
    evaluate(frame) {
      const out = operand.evaluate(frame);
      for (let index = 0; index < frame.count; index++) {
        const text = out[index];
        if (typeof text === 'string') out[index] = apply(text);
      }
      return out;
    },
  };
}

/** A test of each text against a constant; false for null. On a category column the test runs once per category, not per candidate. */
export function testText(operand: TextNode, test: (text: string) => boolean): BooleanNode {
  const { coded } = operand;
  if (coded === undefined) {
    return {
      type: 'boolean',
      evaluate(frame) {
        const texts = operand.evaluate(frame);
        const out = frame.pool.takeBooleans(frame.count);
        for (let index = 0; index < frame.count; index++) {
          const text = texts[index];
          out[index] = typeof text === 'string' && test(text) ? 1 : 0;
        }
        frame.pool.giveTexts(texts);
        return out;
      },
    };
  }
  const verdicts = new DictionaryVerdicts((text) => test(coded.transform(text)));
  return {
    type: 'boolean',
    evaluate({ items, rows, count, pool }) {
      const out = pool.takeBooleans(count);
      const column = items.column(coded.field);
      if (column?.type !== 'category') return out.fill(0, 0, count);
      const accepted = verdicts.of(items, column.categories);
      const { codes } = column;
      for (let index = 0; index < count; index++) out[index] = accepted[codes[rows[index] as number] ?? -1] ?? 0;
      return out;
    },
  };
}

/**
 * The verdict on each entry of a dictionary. Looked up again only when the table's version has changed, and then only for
 * the entries that were appended, unless the overlay made a new dictionary.
 */
class DictionaryVerdicts {
  readonly #test: (text: string) => boolean;
  #version = -1;
  #items: Table | undefined;
  #categories: readonly string[] | undefined;
  #known = 0;
  #accepted = new Uint8Array(0);

  constructor(test: (text: string) => boolean) {
    this.#test = test;
  }

  of(items: Table, categories: readonly string[]): Uint8Array {
    if (items === this.#items && items.version === this.#version && categories === this.#categories) return this.#accepted;
    const appended = items === this.#items && categories === this.#categories && categories.length >= this.#known;
    const from = appended ? this.#known : 0;
    if (categories.length > this.#accepted.length || !appended) {
      const grown = new Uint8Array(categories.length);
      grown.set(this.#accepted.subarray(0, from));
      this.#accepted = grown;
    }
    for (let code = from; code < categories.length; code++) this.#accepted[code] = this.#test(categories[code] as string) ? 1 : 0;
    this.#version = items.version;
    this.#items = items;
    this.#categories = categories;
    this.#known = categories.length;
    return this.#accepted;
  }
}

/** A test of pairs of texts; false where one of them is null. */
export function compareTexts(left: TextNode, right: TextNode, test: (left: string, right: string) => boolean): BooleanNode {
  if (right.constant !== undefined) {
    const wanted = right.constant;
    return testText(left, (text) => test(text, wanted));
  }
  if (left.constant !== undefined) {
    const wanted = left.constant;
    return testText(right, (text) => test(wanted, text));
  }
  return {
    type: 'boolean',
    evaluate(frame) {
      const first = left.evaluate(frame);
      const second = right.evaluate(frame);
      const out = frame.pool.takeBooleans(frame.count);
      for (let index = 0; index < frame.count; index++) {
        const one = first[index];
        const other = second[index];
        out[index] = typeof one === 'string' && typeof other === 'string' && test(one, other) ? 1 : 0;
      }
      frame.pool.giveTexts(first);
      frame.pool.giveTexts(second);
      return out;
    },
  };
}

/** True where there is no text. */
export function textIsNull(operand: TextNode): BooleanNode {
  return {
    type: 'boolean',
    evaluate(frame) {
      const texts = operand.evaluate(frame);
      const out = frame.pool.takeBooleans(frame.count);
      for (let index = 0; index < frame.count; index++) out[index] = texts[index] === null ? 1 : 0;
      frame.pool.giveTexts(texts);
      return out;
    },
  };
}

/** The second where the condition is true, else the third. */
export function selectText(condition: BooleanNode, consequent: TextNode, alternate: TextNode): TextNode {
  return {
    type: 'text',
    evaluate(frame) {
      const chosen = condition.evaluate(frame);
      const out = consequent.evaluate(frame);
      const other = alternate.evaluate(frame);
      for (let index = 0; index < frame.count; index++) if (chosen[index] !== 1) out[index] = other[index] as string | null;
      frame.pool.giveBooleans(chosen);
      frame.pool.giveTexts(other);
      return out;
    },
  };
}

/** The right where the left is null. */
export function coalesceText(left: TextNode, right: TextNode): TextNode {
  return {
    type: 'text',
    evaluate(frame) {
      const out = left.evaluate(frame);
      const other = right.evaluate(frame);
      for (let index = 0; index < frame.count; index++) out[index] ??= other[index] as string | null;
      frame.pool.giveTexts(other);
      return out;
    },
  };
}

/** Length of each text in code points, as CEL counts; null for null. */
export function textSize(operand: TextNode): NumberNode {
  return {
    type: 'number',
    evaluate(frame) {
      const texts = operand.evaluate(frame);
      const out = frame.pool.takeNumbers(frame.count);
      for (let index = 0; index < frame.count; index++) out[index] = codePoints(texts[index] as string | null);
      frame.pool.giveTexts(texts);
      return out;
    },
  };
}

function codePoints(text: string | null): number {
  if (text === null) return Number.NaN;
  let pairs = 0;
  for (let index = 0; index + 1 < text.length; index++) {
    const high = text.charCodeAt(index);
    const low = text.charCodeAt(index + 1);
    if (high >= 0xd800 && high <= 0xdbff && low >= 0xdc00 && low <= 0xdfff) {
      pairs++;
      index++;
    }
  }
  return text.length - pairs;
}

/** How many entries each item's list has; 0 for null, which is the same as empty. */
export function listSize({ field }: ListNode): NumberNode {
  return {
    type: 'number',
    evaluate({ items, rows, count, pool }) {
      const out = pool.takeNumbers(count);
      const column = items.column(field);
      if (column?.type !== 'list') return out.fill(0, 0, count);
      const { offsets } = column;
      for (let index = 0; index < count; index++) {
        const start = offsets[rows[index] as number] ?? 0;
        // Rows that the overlay added later may lie beyond the column.
        out[index] = (offsets[(rows[index] as number) + 1] ?? start) - start;
      }
      return out;
    },
  };
}

/** True where the text is in the item's list. */
export function listHolds(list: ListNode, wanted: TextNode): BooleanNode {
  const constant = wanted.constant;
  const verdicts = constant === undefined ? undefined : new DictionaryVerdicts((text) => text === constant);
  return {
    type: 'boolean',
    evaluate(frame) {
      const { items, rows, count, pool } = frame;
      const out = pool.takeBooleans(count).fill(0, 0, count);
      const column = items.column(list.field);
      if (column?.type !== 'list') return out;
      const { offsets, codes, categories } = column;
      const accepted = verdicts?.of(items, categories);
      const texts: TextValues | undefined = accepted === undefined ? wanted.evaluate(frame) : undefined;
      for (let index = 0; index < count; index++) {
        const start = offsets[rows[index] as number] ?? 0;
        const end = offsets[(rows[index] as number) + 1] ?? start;
        const text = texts?.[index];
        for (let place = start; place < end; place++) {
          const code = codes[place] as number;
          if (accepted === undefined ? categories[code] === text : accepted[code] === 1) {
            out[index] = 1;
            break;
          }
        }
      }
      if (texts !== undefined) pool.giveTexts(texts);
      return out;
    },
  };
}
