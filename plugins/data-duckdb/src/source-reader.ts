import { createHash } from 'node:crypto';
import { type DataReadContext, type DroppedRows, recloomError, type Warning } from '@recloom/plugin-api';
import { locateLines } from './csv-records.js';
import { Engine } from './duckdb-engine.js';
import { hashFile, type InputFile, literalPath, openText, resolveFiles, verifyCompression } from './input-files.js';
import type { SourceOptions, ValueMapping } from './options.js';
import { readError } from './read-error.js';
import { openFiles, openSelect, type Relation, TypedColumns } from './relation.js';
import { areRepeatable, type CheckedSql, checkExpression, checkQuery, missingColumn } from './sql-guard.js';
import { quoteIdentifier, quoteText } from './sql-text.js';
import { presentSql, type SqlValue } from './value-sql.js';

/** Rows that could not be read, or were left out, with up to three places each. */
export interface CountedRows {
  readonly label: string;
  readonly count: number;
  readonly places: readonly LinePlace[];
  /** What the values should have been, where an option asked for it. */
  readonly wanted?: Wanted | undefined;
}

/** What an option asks of a column: `time` wants a time. */
export interface Wanted {
  /** E.g. `time` or `fields.price`. */
  readonly option: string;
  /** E.g. `a time`. */
  readonly what: string;
}

/** A line of a file, 1-based. */
export interface LinePlace {
  readonly file: InputFile;
  readonly line: number;
}

/** A column a component stages. */
export interface StageColumn {
  readonly name: string;
  /** SQL over the mapper's values. */
  readonly sql: string;
  /** For messages. */
  readonly label: string;
  /** What it was read from, where that can fail. */
  readonly readFrom?: SqlValue | undefined;
  /** What happens to a value that cannot be read: its row is dropped, or it is null and counted in `<name>_bad`. */
  readonly unreadable?: 'drop' | 'null';
  /** What the column is read as, for messages. */
  readonly wanted?: Wanted | undefined;
  /** Rows without it are dropped as "no <required>". */
  readonly required?: string;
}

/** What became of the rows of a file. */
export interface Staged {
  readonly rowsRead: number;
  readonly rowsKept: number;
  readonly dropped: readonly DroppedRows[];
  readonly warnings: readonly Warning[];
  /** Unreadable rows that count against `maxBadShare`. */
  readonly bad: readonly CountedRows[];
  /** Finds the lines of rows of the staged table by row number (ascending). Unknown ones are missing. */
  locate(rowNumbers: readonly number[]): Promise<Map<number, LinePlace>>;
}

interface TextTable {
  readonly name: string;
  readonly relation: Relation;
  readonly typed: TypedColumns;
  /** Columns whose typed form the query may see. */
  mentioned: readonly string[];
}

type RowKind = 'rule' | 'bad' | 'missing' | 'duplicate' | 'narrow';

/** Name of the table that `stage` fills: the plan's columns and `reason` (0 = kept), in the order of the source. */
export const stagedTable = 'staged';

/** One opened source: files found, engine locked on them, columns known. Used by one read and closed by it. */
export class SourceReader {
  readonly engine: Engine;
  readonly options: SourceOptions;
  readonly #files: readonly InputFile[];
  readonly #tables: readonly TextTable[];
  readonly #query: CheckedSql | undefined;
  #relation: Relation;
  #typed: TypedColumns;
  /** Numbers of physical lines, where the check of a compressed file gave them. */
  readonly #verified: Promise<(number | undefined)[]>;
  readonly #signal: AbortSignal;

  private constructor(
    engine: Engine,
    options: SourceOptions,
    files: readonly InputFile[],
    tables: readonly TextTable[],
    query: CheckedSql | undefined,
    relation: Relation,
    typed: TypedColumns,
    signal: AbortSignal,
  ) {
    this.engine = engine;
    this.options = options;
    this.#files = files;
    this.#tables = tables;
    this.#query = query;
    this.#relation = relation;
    this.#typed = typed;
    this.#signal = signal;
    this.#verified = Promise.all(files.map((file) => verifyCompression(file, signal)));
    // Awaited after staging, which runs meanwhile.
    this.#verified.catch(() => undefined);
  }

  /**
   * @throws RECLOOM_DAT_FILE_MISSING, RECLOOM_DAT_UNREADABLE, RECLOOM_DAT_EMPTY, RECLOOM_DAT_ENCODING about the files
   * @throws RECLOOM_DAT_QUERY_REFUSED about the query
   */
  static async open(options: SourceOptions, directory: string, signal: AbortSignal): Promise<SourceReader> {
    signal.throwIfAborted();
    const engine = await Engine.open(options);
    try {
      const inputs = await resolveInputs(engine, options, directory);
      const files = inputs.flatMap((input) => input.files);
      // A name with brackets has to be escaped in a query, and is then looked up both ways.
      await engine.lock([...new Set(files.flatMap((file) => [file.path, literalPath(file.path)]))]);
      // Of zstd only the frames are walked, which is quick and gives better reasons than the first look into the file.
      for (const file of files) if (file.compression === 'zstd') await verifyCompression(file, signal);
      const tables: TextTable[] = [];
      for (const input of inputs) {
        const relation = await openFiles(engine, input.files, options);
        tables.push({ name: input.name, relation, typed: new TypedColumns(engine, relation, options, input.name), mentioned: [] });
      }
      const [first] = tables;
      if (first === undefined) throw new Error('the options name no file');
      if (options.query === undefined) return new SourceReader(engine, options, files, [], undefined, first.relation, first.typed, signal);
      const query = await checkQuery(
        engine,
        options.query,
        tables.map((table) => table.name),
      );
      const relation = await openQuery(engine, query, tables, files, signal);
      return new SourceReader(
        engine,
        options,
        files,
        tables,
        query,
        relation,
        new TypedColumns(engine, relation, options, 'query'),
        signal,
      );
    } catch (error) {
      await engine.close();
      throw readError(error, []);
    }
  }

  get columnNames(): readonly string[] {
    return this.#relation.names;
  }

  get relation(): Relation {
    return this.#relation;
  }

  get typed(): TypedColumns {
    return this.#typed;
  }

  /**
   * Reads everything into the table `staged`, counts what was left out and why, and says which lines.
   *
   * @throws RECLOOM_DAT_TOO_MANY_BAD when more than `maxBadShare` of the rows cannot be read.
   * @throws RECLOOM_DAT_EMPTY when there were no rows at all.
   */
  async stage(makePlan: (mapper: Mapper) => Promise<readonly StageColumn[]>, progress: DataReadContext['progress']): Promise<Staged> {
    try {
      for (let attempt = 0; ; attempt++) {
        const staged = await this.#stageOnce(makePlan, progress, attempt);
        if (staged !== undefined) return staged;
      }
    } catch (error) {
      // A cut-off file makes DuckDB complain of its last line; the true reason is the better message.
      this.#signal.throwIfAborted();
      await this.#verified;
      throw readError(error, this.#files);
    }
  }

  async #stageOnce(
    makePlan: (mapper: Mapper) => Promise<readonly StageColumn[]>,
    progress: DataReadContext['progress'],
    attempt: number,
  ): Promise<Staged | undefined> {
    const { engine, options } = this;
    const signal = this.#signal;
    const mapper = new Mapper(this, signal);
    const where = options.where === undefined ? undefined : await mapper.condition('where', options.where);
    const rules: { readonly label: string; readonly condition: string }[] = [];
    for (const [index, rule] of options.drop.entries()) {
      rules.push({ label: rule.reason, condition: await mapper.condition(`drop[${index}].where`, rule.where) });
    }
    const plan = await makePlan(mapper);
    // A later expression can change what a column is; then the earlier ones must be looked at again.
    if (mapper.changed) return undefined;

    const fallible = this.#typed.fallible(mapper.columns);
    const reasons: { readonly label: string; readonly kind: RowKind; readonly column?: string; readonly wanted?: Wanted | undefined }[] = [
      { label: '', kind: 'rule' },
    ];
    const cases: string[] = [];
    const add = (label: string, kind: RowKind, condition: string, column?: string, wanted?: Wanted): void => {
      cases.push(`WHEN ${condition} THEN ${reasons.length}`);
      reasons.push({ label, kind, wanted, ...(column === undefined ? {} : { column }) });
    };
    const unread = (column: StageColumn, value: SqlValue): string =>
      `CASE WHEN ${stagedName(column.name)} IS NULL THEN ${presentSql(value)} ELSE false END`;
    for (const entry of fallible) if (entry.fraction !== undefined) add('', 'narrow', entry.fraction, entry.name);
    if (where !== undefined) add('where', 'rule', `NOT ${where}`);
    for (const rule of rules) add(rule.label, 'rule', rule.condition);
    for (const entry of fallible) add(entry.name, 'bad', entry.bad);
    // Unknown is not true; but where a value that cannot be read makes it unknown, that is the reason to give.
    if (where !== undefined) add('where', 'rule', `${where} IS NULL`);
    for (const column of plan) {
      if (column.readFrom !== undefined && column.unreadable === 'drop')
        add(column.label, 'bad', unread(column, column.readFrom), undefined, column.wanted);
    }
    for (const column of plan)
      if (column.required !== undefined) add(`no ${column.required}`, 'missing', `${stagedName(column.name)} IS NULL`);
    const duplicateReason = reasons.length;
    reasons.push({ label: 'exact duplicate', kind: 'duplicate' });

    const tag = `stage${attempt}`;
    const exact = options.deduplicate === 'exact';
    const selected: string[] = [];
    for (const column of plan) {
      selected.push(`${stagedName(column.name)} AS ${quoteIdentifier(column.name)}`);
      if (column.readFrom !== undefined && column.unreadable === 'null')
        selected.push(`${unread(column, column.readFrom)} AS ${quoteIdentifier(`${column.name}_bad`)}`);
    }
    selected.push(`CAST(${cases.length === 0 ? '0' : `CASE ${cases.join(' ')} ELSE 0 END`} AS USMALLINT) AS reason`);
    if (exact) selected.push(`hash(${this.#relation.columns.map((column) => column.raw.sql).join(', ')}) AS content`);
    // Read first, judge after: so that nothing is computed twice.
    const read = plan.map((column) => `, ${column.sql} AS ${stagedName(column.name)}`).join('');
    await engine.run(
      `CREATE OR REPLACE TEMP TABLE ${stagedTable} AS SELECT ${selected.join(', ')}
       FROM (SELECT *${read} FROM ${mapper.from(this.#relation.scan(tag))})`,
      signal,
      (fraction) => progress(0.1 + 0.5 * fraction, 'reading'),
    );
    progress(0.6, 'read');
    const [physicalLines] = await this.#verified;
    signal.throwIfAborted();

    if (exact) {
      // Equal hashes of all columns and equal staged values: for two different rows to be taken for one, 64 bits would have to agree by chance.
      const keys = ['content', ...plan.map((column) => quoteIdentifier(column.name))].join(', ');
      await engine.run(
        `UPDATE ${stagedTable} SET reason = ${duplicateReason} WHERE rowid IN (
           SELECT row FROM (SELECT rowid AS row, row_number() OVER (PARTITION BY ${keys} ORDER BY rowid) AS copy
             FROM ${stagedTable} WHERE reason = 0 AND content IN (SELECT content FROM ${stagedTable} WHERE reason = 0 GROUP BY content HAVING count(*) > 1))
           WHERE copy > 1)`,
        signal,
      );
    }
    const counted = await engine.rows(
      `SELECT reason, count(*) AS n, min(rowid, 3) AS first FROM ${stagedTable} GROUP BY reason ORDER BY reason`,
      signal,
    );
    const counts = new Map(
      counted.map((row) => [Number(row['reason']), { count: Number(row['n']), first: row['first'] as readonly number[] }]),
    );
    let tooNarrow = false;
    for (const [index, reason] of reasons.entries()) {
      if (reason.kind !== 'narrow' || reason.column === undefined || !counts.has(index)) continue;
      this.#typed.change(reason.column, 'number');
      tooNarrow = true;
    }
    if (tooNarrow) return undefined;
    const inputs = await this.#checkTables();
    if (inputs === undefined) return undefined;

    const rejected = await readRejects(engine, this.#query === undefined ? [{ tag, relation: this.#relation }] : this.#viewScans(), signal);
    const total = [...counts.values()].reduce((sum, entry) => sum + entry.count, 0);
    const refused = rejected.reduce((sum, entry) => sum + entry.count, 0);
    const rowsRead = total + refused;
    if (rowsRead === 0) throw recloomError('RECLOOM_DAT_EMPTY', { what: `rows in ${this.#files.map((file) => file.display).join(', ')}` });

    const wanted = [...counts.entries()].filter(([reason]) => reason !== 0).flatMap(([, entry]) => entry.first);
    const shape = this.#query === undefined && this.#files.length === 1 ? { rows: total, physicalLines } : undefined;
    const located = await locateRows(this.#relation, this.#query === undefined ? rejected : [], wanted, options, shape);
    refuseEndless(rejected, located.rejected);
    const oneFile = this.#files.length === 1;
    const lines = (places: readonly LinePlace[]): { readonly lines?: readonly number[] } =>
      oneFile && places.length > 0 ? { lines: places.map((place) => place.line) } : {};

    const dropped: DroppedRows[] = [];
    const bad: CountedRows[] = [];
    const warnings: Warning[] = [...this.#relation.warnings, ...this.#tables.flatMap((table) => table.relation.warnings)];
    for (const label of new Set(rejected.map((entry) => entry.label))) {
      const entries = rejected.filter((entry) => entry.label === label);
      const count = entries.reduce((sum, entry) => sum + entry.count, 0);
      const places = entries
        .flatMap((entry) => entry.records.slice(0, 3).map((record) => located.rejected.get(`${entry.file.path}\n${record}`)))
        .filter((place) => place !== undefined)
        .slice(0, 3);
      dropped.push({ reason: label, count, ...lines(places) });
      bad.push({ label, count, places });
    }
    for (const [index, reason] of reasons.entries()) {
      const entry = counts.get(index);
      if (index === 0 || entry === undefined) continue;
      const places = entry.first.map((row) => located.accepted.get(row)).filter((place) => place !== undefined);
      dropped.push({ reason: reason.kind === 'bad' ? `unreadable ${reason.label}` : reason.label, count: entry.count, ...lines(places) });
      if (reason.kind !== 'bad') continue;
      bad.push({ label: reason.label, count: entry.count, places, wanted: reason.wanted });
      warnings.push(
        badValuesWarning(reason.label, entry.count, places, oneFile, entry.count === 1 ? 'the row was dropped' : 'the rows were dropped'),
      );
    }
    for (const input of inputs) {
      bad.push(input);
      warnings.push(
        badValuesWarning(
          input.label,
          input.count,
          input.places,
          oneFile,
          input.count === 1 ? 'it counts as missing' : 'they count as missing',
        ),
      );
    }
    const staged: Staged = {
      rowsRead,
      rowsKept: counts.get(0)?.count ?? 0,
      dropped: mergeByReason(dropped),
      warnings,
      bad,
      locate: async (rows) => (await locateRows(this.#relation, this.#query === undefined ? rejected : [], rows, options, shape)).accepted,
    };
    return staged;
  }

  #viewScans(): { readonly tag: string; readonly relation: Relation }[] {
    return this.#tables.map((table) => ({ tag: `view_${table.name}`, relation: table.relation }));
  }

  /** In a query, text that its columns' types cannot read is null without a trace; this looks for it. Undefined = look again. */
  async #checkTables(): Promise<CountedRows[] | undefined> {
    const found: CountedRows[] = [];
    let changed = false;
    for (const table of this.#tables) {
      const fallible = table.typed.fallible(table.mentioned);
      if (fallible.length === 0) continue;
      const tests = fallible.flatMap((entry, index) => [
        `count(*) FILTER (${entry.bad}) AS bad${index}`,
        `min(place, 3) FILTER (${entry.bad}) AS first${index}`,
        `count(*) FILTER (${entry.fraction ?? 'false'}) AS fractions${index}`,
      ]);
      const from = table.typed.from(table.mentioned, `SELECT *, row_number() OVER () - 1 AS place FROM (${table.relation.scan('check')})`);
      const [row] = await this.engine.rows(`SELECT ${tests.join(', ')} FROM ${from}`, this.#signal);
      const rejected = await readRejects(this.engine, [{ tag: `view_${table.name}`, relation: table.relation }], this.#signal);
      for (const [index, entry] of fallible.entries()) {
        if (Number(row?.[`fractions${index}`] ?? 0) > 0) {
          table.typed.change(entry.name, 'number');
          changed = true;
        }
        const count = Number(row?.[`bad${index}`] ?? 0);
        if (count === 0) continue;
        const first = row?.[`first${index}`] as readonly number[];
        const located = await locateRows(table.relation, rejected, first, this.options);
        found.push({
          label: entry.name,
          count,
          places: first.map((place) => located.accepted.get(place)).filter((place) => place !== undefined),
        });
      }
    }
    if (!changed) return found;
    if (this.#query !== undefined) {
      this.#relation = await openQuery(this.engine, this.#query, this.#tables, this.#files, this.#signal);
      this.#typed = new TypedColumns(this.engine, this.#relation, this.options, 'query');
    }
    return undefined;
  }

  /** @throws RECLOOM_DAT_TOO_MANY_BAD when the rows counted in `bad` are more than `maxBadShare` of those read. */
  checkShare(staged: Pick<Staged, 'rowsRead'>, bad: readonly CountedRows[]): void {
    const count = bad.reduce((sum, entry) => sum + entry.count, 0);
    const share = staged.rowsRead === 0 ? 0 : count / staged.rowsRead;
    if (count === 0 || share <= this.options.maxBadShare) return;
    const oneFile = this.#files.length === 1;
    throw recloomError('RECLOOM_DAT_TOO_MANY_BAD', {
      count,
      total: staged.rowsRead,
      share: percent(share),
      limit: percent(this.options.maxBadShare),
      examples: bad
        .filter((entry) => entry.count > 0)
        .map(({ count: rows, label, places, wanted }) => {
          const found = places.length > 0 ? ` (${namePlaces(places, oneFile)})` : '';
          return wanted === undefined
            ? `${rows} × ${label}${found}`
            : `${rows} × column "${label}" is not ${wanted.what}${found}, as \`${wanted.option}\` wants it`;
        })
        .join(', '),
    });
  }

  get hasOneFile(): boolean {
    return this.#files.length === 1;
  }

  async close(): Promise<void> {
    await this.#verified.catch(() => undefined);
    await this.engine.close();
  }
}

/**
 * Resolves what options name to SQL over one row. Expressions get names of their own, so that each is computed once; their SQL holds
 * over `from(scan)`.
 */
export class Mapper {
  readonly #reader: SourceReader;
  readonly #signal: AbortSignal;
  readonly #columns = new Set<string>();
  readonly #expressions = new Map<string, { readonly name: string; readonly type: string }>();
  #changed = false;

  constructor(reader: SourceReader, signal: AbortSignal) {
    this.#reader = reader;
    this.#signal = signal;
  }

  /** True when a column was found to be something else than earlier expressions took it for. */
  get changed(): boolean {
    return this.#changed;
  }

  /** Typed columns used so far. */
  get columns(): readonly string[] {
    return [...this.#columns];
  }

  /** A scan with the typed columns and the expressions asked for so far, as a FROM entry. */
  from(scan: string): string {
    const typed = this.#reader.typed.from(this.columns, scan);
    const computed = [...this.#expressions].map(([sql, { name }]) => `${sql} AS ${quoteIdentifier(name)}`);
    return computed.length === 0 ? typed : `(SELECT *, ${computed.join(', ')} FROM ${typed})`;
  }

  /** @throws RECLOOM_DAT_COLUMN_MISSING, RECLOOM_DAT_QUERY_REFUSED */
  async value(option: string, mapping: ValueMapping): Promise<SqlValue> {
    if (typeof mapping === 'string') {
      const column = this.#reader.relation.columns.find((entry) => entry.name === mapping);
      if (column === undefined) throw missingColumn(mapping, this.#reader.columnNames);
      return column.raw;
    }
    return { ...(await this.#expression(`${option}.sql`, mapping.sql)), label: option };
  }

  /** A column under its typed form: dates order as dates, numbers as numbers. */
  async typedValue(option: string, mapping: ValueMapping): Promise<SqlValue> {
    if (typeof mapping !== 'string') return this.value(option, mapping);
    const raw = await this.value(option, mapping);
    if (!this.#reader.relation.isText) return raw;
    return { sql: quoteIdentifier(mapping), type: await this.#bind([mapping], quoteIdentifier(mapping)), label: mapping };
  }

  /** SQL of a BOOLEAN. @throws RECLOOM_DAT_QUERY_REFUSED when it is not a condition. */
  async condition(option: string, text: string): Promise<string> {
    const { sql, type } = await this.#expression(option, text);
    if (type !== 'BOOLEAN') throw recloomError('RECLOOM_DAT_QUERY_REFUSED', { why: `${option} is not a condition; it gives ${type}` });
    return sql;
  }

  async #expression(option: string, text: string): Promise<{ readonly sql: string; readonly type: string }> {
    const { columnNames, engine } = this.#reader;
    const checked = await checkExpression(engine, option, text, columnNames);
    let known = this.#expressions.get(checked.sql);
    if (known === undefined) {
      const type = await this.#bind(checked.columns, checked.sql, option);
      known = { name: `__recloom_value_${this.#expressions.size}`, type };
      this.#expressions.set(checked.sql, known);
    }
    return { sql: quoteIdentifier(known.name), type: known.type };
  }

  async #bind(columns: readonly string[], sql: string, option = ''): Promise<string> {
    const { engine, relation, typed } = this.#reader;
    for (const name of columns) this.#columns.add(name);
    await typed.decide(columns, this.#signal);
    const [witness] = relation.columns;
    const describe = async (): Promise<string> => {
      // The column beside it is a witness: an aggregate would not stand there without GROUP BY.
      const from = typed.from(columns, relation.scan('bind'));
      const [column] = await engine.describe(`SELECT ${sql} AS value${witness === undefined ? '' : `, ${witness.raw.sql}`} FROM ${from}`);
      return column?.type ?? 'VARCHAR';
    };
    try {
      return await describe();
    } catch (error) {
      if (/must appear in the GROUP BY|aggregate/i.test((error as Error).message)) {
        throw recloomError('RECLOOM_DAT_QUERY_REFUSED', { why: `${option} must not aggregate; use \`query\` for that` });
      }
      // `InvoiceNo LIKE 'C%'` wants text although all invoices read so far are numbers; `Quantity <= 0` wants a number although
      // some of the first quantities are not.
      for (const name of columns) {
        const kind = typed.kind(name);
        const other = typed.otherKind(name);
        if (other === undefined) continue;
        typed.change(name, other);
        const type = await describe().catch(() => undefined);
        if (type !== undefined) {
          this.#changed = true;
          return type;
        }
        typed.change(name, kind);
      }
      throw readError(error, relation.files);
    }
  }
}

/** Names inside the staging statement must not meet the file's own. */
function stagedName(name: string): string {
  return quoteIdentifier(`__recloom_staged_${name}`);
}

async function resolveInputs(
  engine: Engine,
  options: SourceOptions,
  directory: string,
): Promise<{ readonly name: string; readonly files: readonly InputFile[] }[]> {
  const inputs: { readonly name: string; readonly files: readonly InputFile[] }[] = [];
  const add = async (name: string, paths: string | readonly string[]): Promise<void> => {
    inputs.push({ name, files: await resolveFiles(engine, paths, directory, options.fileFormat) });
  };
  if (options.path !== undefined) await add('input', options.path);
  for (const [name, paths] of Object.entries(options.files ?? {})) await add(name, paths);
  return inputs;
}

async function openQuery(
  engine: Engine,
  query: CheckedSql,
  tables: readonly TextTable[],
  files: readonly InputFile[],
  signal: AbortSignal,
): Promise<Relation> {
  const mentioned = new Set(query.columns.map((name) => name.toLowerCase()));
  for (const table of tables) {
    table.mentioned = mentioned.has('*') ? table.relation.names : table.relation.names.filter((name) => mentioned.has(name.toLowerCase()));
    await table.typed.decide(table.mentioned, signal);
  }
  const createViews = async (): Promise<void> => {
    for (const table of tables) {
      const select = table.typed.view(table.relation.scan(`view_${table.name}`));
      await engine.run(`CREATE OR REPLACE TEMP VIEW ${quoteIdentifier(table.name)} AS ${select}`, signal);
    }
  };
  await createViews();
  try {
    return await openSelect(engine, query.sql, files);
  } catch (error) {
    for (const table of tables) {
      for (const name of table.mentioned) {
        const before = table.typed.kind(name);
        const other = table.typed.otherKind(name);
        if (other === undefined) continue;
        table.typed.change(name, other);
        await createViews();
        try {
          return await openSelect(engine, query.sql, files);
        } catch {
          table.typed.change(name, before);
        }
      }
    }
    throw readError(error, files);
  }
}

interface RejectedLines {
  readonly label: string;
  readonly file: InputFile;
  readonly count: number;
  /** Numbers of the records, 1-based, header and blank lines counted. */
  readonly records: readonly number[];
  /** The last of them opens a quote that nothing closes: it took all lines after it along. */
  readonly endless: boolean;
}

/**
 * However small the share of one row is: the rows behind an open quote were neither read nor counted.
 *
 * @throws RECLOOM_DAT_UNREADABLE
 */
function refuseEndless(rejected: readonly RejectedLines[], located: ReadonlyMap<string, LinePlace>): void {
  const found = rejected.find((entry) => entry.endless);
  if (found === undefined) return;
  const line = located.get(`${found.file.path}\n${Math.max(...found.records)}`)?.line;
  throw recloomError('RECLOOM_DAT_UNREADABLE', {
    path: found.file.display,
    why: `a quote that opens ${line === undefined ? 'in it' : `in line ${line}`} is never closed, so the rows after it are lost`,
  });
}

const rejectLabels: Readonly<Record<string, string>> = {
  'MISSING COLUMNS': 'too few columns',
  'TOO MANY COLUMNS': 'too many columns',
  'UNQUOTED VALUE': 'broken quotes',
  'LINE SIZE OVER MAXIMUM': 'line too long',
};

/**
 * The lines the CSV reader refused, by reason and file.
 *
 * @throws RECLOOM_DAT_ENCODING when one of them is not in the encoding.
 */
async function readRejects(
  engine: Engine,
  scans: readonly { readonly tag: string; readonly relation: Relation }[],
  signal: AbortSignal,
): Promise<RejectedLines[]> {
  const found: RejectedLines[] = [];
  for (const { tag, relation } of scans) {
    if (!relation.isText) continue;
    const [table] = await engine.rows(`SELECT count(*) AS n FROM duckdb_tables() WHERE table_name = ${quoteText(`rejects_${tag}`)}`);
    if (Number(table?.['n'] ?? 0) === 0) continue;
    const rows = await engine.rows(
      `SELECT file_path AS file, error AS error, count(*) AS n, list(line ORDER BY line) AS lines, bool_or(endless) AS endless FROM (
         SELECT file_path, line, min(error_type) AS error,
           bool_or(error_type = 'UNQUOTED VALUE' AND contains(rtrim(csv_line, chr(10) || chr(13)), chr(10))) AS endless FROM ${quoteIdentifier(`rejects_${tag}`)} JOIN ${quoteIdentifier(`scans_${tag}`)} USING (scan_id, file_id)
         GROUP BY file_path, line) GROUP BY file_path, error ORDER BY file_path, error`,
      signal,
    );
    for (const row of rows) {
      const file = relation.files.find((entry) => entry.path === row['file']) ?? relation.files[0];
      if (file === undefined) continue;
      if (row['error'] === 'INVALID ENCODING') throw recloomError('RECLOOM_DAT_ENCODING', { path: file.display });
      found.push({
        label: rejectLabels[String(row['error'])] ?? 'broken line',
        file,
        count: Number(row['n']),
        records: row['lines'] as readonly number[],
        endless: row['endless'] === true,
      });
    }
  }
  return found;
}

/** Finds the lines of accepted rows (by row number over all files) and of refused records. */
async function locateRows(
  relation: Relation,
  rejected: readonly RejectedLines[],
  rows: readonly number[],
  options: SourceOptions,
  shape?: { readonly rows: number; readonly physicalLines: number | undefined },
): Promise<{ readonly accepted: Map<number, LinePlace>; readonly rejected: Map<string, LinePlace> }> {
  const accepted = new Map<number, LinePlace>();
  const refused = new Map<string, LinePlace>();
  const [only] = relation.lineFiles;
  const headerLines = relation.dialect.header ? 1 : 0;
  const allRefused = rejected.flatMap((entry) => entry.records).sort((left, right) => left - right);
  const isOneLineEach = shape !== undefined && shape.physicalLines === headerLines + shape.rows + allRefused.length;
  if (only !== undefined && relation.lineFiles.length === 1 && isOneLineEach) {
    // As many lines as records: each record is one line, and the file need not be read again.
    let before = 0;
    for (const row of [...new Set(rows)].sort((left, right) => left - right)) {
      while (before < allRefused.length && (allRefused[before] as number) <= row + 1 + headerLines + before) before++;
      accepted.set(row, { file: only, line: row + 1 + headerLines + before });
    }
    for (const record of rejected.flatMap((entry) => entry.records.slice(0, 3)))
      refused.set(`${only.path}\n${record}`, { file: only, line: record });
    return { accepted, rejected: refused };
  }
  let wanted = [...new Set(rows)].sort((left, right) => left - right);
  let before = 0;
  for (const file of relation.lineFiles) {
    const own = rejected.filter((entry) => entry.file === file).flatMap((entry) => entry.records);
    const records = own.sort((left, right) => left - right);
    const shown = rejected.filter((entry) => entry.file === file).flatMap((entry) => entry.records.slice(0, 3));
    if (wanted.length === 0 && shown.length === 0) continue;
    const stream = await openText(file, relation.isText ? options.encoding : 'utf-8');
    if (stream === undefined) break;
    const found = await locateLines(
      stream,
      relation.dialect,
      wanted.map((row) => row - before),
      records,
      shown.length === 0 ? 0 : Math.max(...shown),
    );
    for (const [ordinal, line] of found.accepted) accepted.set(ordinal + before, { file, line });
    for (const [record, line] of found.rejected) refused.set(`${file.path}\n${record}`, { file, line });
    before += found.rows;
    wanted = wanted.filter((row) => row >= before);
  }
  return { accepted, rejected: refused };
}

/** "3, 9, 12", with the files' names where there are several. */
export function describePlaces(places: readonly LinePlace[], oneFile: boolean): string {
  return places.map((place) => (oneFile ? String(place.line) : `${place.file.display}:${place.line}`)).join(', ');
}

/** "line 3", "lines 3, 9", "a.csv:3, b.csv:9". */
function namePlaces(places: readonly LinePlace[], oneFile: boolean): string {
  return `${oneFile ? `line${places.length === 1 ? '' : 's'} ` : ''}${describePlaces(places, oneFile)}`;
}

/** What became of the rows when none is left: there is no build report to look at then. */
export function describeNothing(what: string, staged: Pick<Staged, 'rowsRead' | 'dropped'>): string {
  const reasons = staged.dropped.map(({ count, reason }) => `${count} × ${reason}`).join(', ');
  return `${what} left (${staged.rowsRead} row${staged.rowsRead === 1 ? '' : 's'} read; left out: ${reasons})`;
}

/** The typed warning for values that could not be read. */
export function badValuesWarning(label: string, count: number, places: readonly LinePlace[], oneFile: boolean, outcome: string): Warning {
  const where = places.length > 0 ? ` (${namePlaces(places, oneFile)})` : '';
  return {
    code: 'RECLOOM_DAT_BAD_VALUES',
    message: `${count} value${count === 1 ? '' : 's'} of "${label}" could not be read${where}; ${outcome}.`,
    count,
    detail: { column: label, lines: places.map((place) => place.line), files: [...new Set(places.map((place) => place.file.display))] },
  };
}

function mergeByReason(dropped: readonly DroppedRows[]): DroppedRows[] {
  const merged = new Map<string, { count: number; lines: number[] }>();
  for (const entry of dropped) {
    const known = merged.get(entry.reason);
    if (known === undefined) merged.set(entry.reason, { count: entry.count, lines: [...(entry.lines ?? [])] });
    else {
      known.count += entry.count;
      known.lines.push(...(entry.lines ?? []));
    }
  }
  return [...merged].map(([reason, { count, lines }]) => ({
    reason,
    count,
    ...(lines.length > 0 ? { lines: lines.sort((left, right) => left - right).slice(0, 3) } : {}),
  }));
}

function percent(share: number): string {
  return `${Number((share * 100).toPrecision(3))} %`;
}

/**
 * Hex SHA-256 over the bytes of all files, in order, and everything in the options that the rows depend on. Options that
 * ask for the current time make it another one every time.
 */
export async function sourceFingerprint(
  component: string,
  options: SourceOptions,
  directory: string,
  signal: AbortSignal,
): Promise<string> {
  signal.throwIfAborted();
  const engine = await Engine.open(options);
  try {
    const inputs = await resolveInputs(engine, options, directory);
    const { memoryLimitMb: _memory, threads: _threads, path: _path, files: _files, ...mapping } = options;
    const hash = createHash('sha256');
    hash.update(`data-duckdb/${component}/1\n${canonicalJson(mapping)}\n`);
    for (const input of inputs) {
      hash.update(`${input.name} ${input.files.length}\n`);
      for (const file of input.files) {
        hash.update(`${file.format} ${file.compression}\n`);
        await hashFile(hash, file, signal);
      }
    }
    const texts = collectSql(mapping).map((sql) => `SELECT ${sql}`);
    if (options.query !== undefined) texts.push(options.query);
    if (!(await areRepeatable(engine, texts))) hash.update(String(process.hrtime.bigint()) + String(Date.now()));
    return hash.digest('hex');
  } finally {
    await engine.close();
  }
}

/** Everything under the keys `sql` and `where`. */
function collectSql(value: unknown): string[] {
  if (Array.isArray(value)) return value.flatMap(collectSql);
  if (typeof value !== 'object' || value === null) return [];
  return Object.entries(value).flatMap(([key, child]) =>
    (key === 'sql' || key === 'where') && typeof child === 'string' ? [child] : collectSql(child),
  );
}

function canonicalJson(value: unknown): string {
  return JSON.stringify(value, (_key, child: unknown) =>
    typeof child === 'object' && child !== null && !Array.isArray(child)
      ? Object.fromEntries(Object.entries(child).sort(([left], [right]) => (left < right ? -1 : 1)))
      : child,
  );
}
