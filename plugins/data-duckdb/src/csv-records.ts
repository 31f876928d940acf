import type { Readable } from 'node:stream';

/** How the lines of a text file are put together. */
export interface CsvDialect {
  readonly delimiter: string;
  /** Empty for none. */
  readonly quote: string;
  readonly header: boolean;
}

/** The values of the first record of `text`; undefined when it holds none. `text` must reach past its end. */
export function parseFirstRecord(text: string, dialect: Pick<CsvDialect, 'delimiter' | 'quote'>): string[] | undefined {
  const start = /^[\r\n]*/.exec(text.startsWith('\uFEFF') ? text.slice(1) : text)?.[0].length ?? 0;
  const body = (text.startsWith('\uFEFF') ? text.slice(1) : text).slice(start);
  if (body === '') return undefined;
  const values: string[] = [];
  let value = '';
  let quoted = false;
  for (let index = 0; index < body.length; index++) {
    const character = body[index] as string;
    if (quoted) {
      if (character !== dialect.quote) value += character;
      else if (body[index + 1] === dialect.quote) value += body[++index];
      else quoted = false;
    } else if (character === dialect.quote && dialect.quote !== '' && value === '') quoted = true;
    else if (body.startsWith(dialect.delimiter, index)) {
      values.push(value);
      value = '';
      index += dialect.delimiter.length - 1;
    } else if (character === '\n' || character === '\r') break;
    else value += character;
  }
  values.push(value);
  return values;
}

/** The delimiter that stands most often in the first record, outside quotes; comma when none does. */
export function detectDelimiter(text: string, quote: string): string {
  const counts = new Map([',', ';', '\t', '|'].map((delimiter) => [delimiter, 0]));
  let quoted = false;
  let begun = false;
  for (const character of text) {
    if (character === quote && quote !== '') quoted = !quoted;
    const isBreak = character === '\n' || character === '\r';
    if (isBreak && !quoted && begun) break;
    begun ||= !isBreak && character !== '\uFEFF';
    const count = counts.get(character);
    if (count !== undefined && !quoted) counts.set(character, count + 1);
  }
  let best = ',';
  for (const [delimiter, count] of counts) if (count > (counts.get(best) ?? 0)) best = delimiter;
  return best;
}

/** Names for the columns: trimmed, never empty, unique without regard to case (as SQL identifiers are). */
export function columnNames(record: readonly string[], header: boolean): string[] {
  const taken = new Set<string>();
  return record.map((text, index) => {
    const base = header && text.trim() !== '' ? text.trim() : `column${index + 1}`;
    let name = base;
    for (let copy = 1; taken.has(name.toLowerCase()); copy++) name = `${base}_${copy}`;
    taken.add(name.toLowerCase());
    return name;
  });
}

/**
 * Finds the physical lines (1-based) of records. Both inputs ascend: `ordinals` count the rows that DuckDB accepted from 0,
 * `rejected` names the records it refused by their number (1-based, header and blank lines counted, as DuckDB reports them).
 * Stops reading after the last one asked for (of the refused: after `lastRejected`). Values in quotes may span lines; blank lines are no rows.
 */
export async function locateLines(
  stream: Readable,
  dialect: CsvDialect,
  ordinals: readonly number[],
  rejected: readonly number[],
  lastRejected = rejected[rejected.length - 1] ?? 0,
): Promise<{ readonly accepted: Map<number, number>; readonly rejected: Map<number, number>; readonly rows: number }> {
  const accepted = new Map<number, number>();
  const refused = new Map<number, number>();
  const refusedRecords = new Set(rejected);
  const lastOrdinal = ordinals[ordinals.length - 1] ?? -1;
  const wanted = new Set(ordinals);
  const quote = dialect.quote === '' ? -1 : dialect.quote.charCodeAt(0);
  const delimiterEnd = dialect.delimiter.charCodeAt(dialect.delimiter.length - 1);

  let line = 1;
  let recordLine = 1;
  let record = 1;
  let ordinal = 0;
  let quoted = false;
  let fieldStart = true;
  let recordEmpty = true;
  let pendingReturn = false;
  let justClosed = false;
  let header = dialect.header;

  const endRecord = (): boolean => {
    if (!recordEmpty) {
      if (header) header = false;
      else if (refusedRecords.has(record)) refused.set(record, recordLine);
      else {
        if (wanted.has(ordinal)) accepted.set(ordinal, recordLine);
        ordinal++;
      }
    }
    record++;
    recordLine = line;
    recordEmpty = true;
    fieldStart = true;
    return ordinal > lastOrdinal && record > lastRejected;
  };

  let done = false;
  for await (const chunk of stream as AsyncIterable<string>) {
    let nextQuote = dialect.quote === '' ? chunk.length : indexFrom(chunk, dialect.quote, 0);
    let nextReturn = indexFrom(chunk, '\r', 0);
    for (let index = 0; index < chunk.length && !done; index++) {
      // Most lines hold neither a quote nor a lone carriage return: jump over them.
      if (recordEmpty && !quoted && !pendingReturn && record > 1) {
        const end = chunk.indexOf('\n', index);
        if (nextQuote < index) nextQuote = indexFrom(chunk, dialect.quote, index);
        if (nextReturn < index) nextReturn = indexFrom(chunk, '\r', index);
        if (end >= 0 && nextQuote > end && nextReturn >= end - 1) {
          recordEmpty = end === index || (end === index + 1 && nextReturn === index);
          line++;
          done = endRecord();
          index = end;
          continue;
        }
      }
      const code = chunk.charCodeAt(index);
      if (pendingReturn) {
        pendingReturn = false;
        if (code === 10) continue;
      }
      if (code === 10 || code === 13) {
        line++;
        pendingReturn = code === 13;
        justClosed = false;
        if (!quoted) done = endRecord();
        continue;
      }
      if (code === 0xfeff && record === 1 && recordEmpty) continue;
      recordEmpty = false;
      if (code === quote) {
        if (quoted) {
          quoted = false;
          justClosed = true;
        } else if (fieldStart || justClosed) {
          // A doubled quote closes and opens again, which comes to the same.
          quoted = true;
          justClosed = false;
        }
        fieldStart = false;
      } else if (!quoted) {
        fieldStart = code === delimiterEnd;
        justClosed = false;
      }
    }
    if (done) break;
  }
  if (!done) endRecord();
  stream.destroy();
  return { accepted, rejected: refused, rows: ordinal };
}

/** Like indexOf, with the length for "nowhere". */
function indexFrom(text: string, wanted: string, from: number): number {
  const found = text.indexOf(wanted, from);
  return found < 0 ? text.length : found;
}
