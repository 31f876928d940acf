import { z } from 'zod';

const timeZone = z.string().refine((zone) => {
  try {
    new Intl.DateTimeFormat('en', { timeZone: zone });
    return true;
  } catch {
    return false;
  }
}, 'not an IANA time zone such as Europe/London');

const sqlExpression = z
  .strictObject({
    sql: z.string().min(1).describe('SQL expression over the columns of one row, e.g. upper(StockCode). No sub-queries, no aggregates.'),
  })
  .describe('An SQL expression over the columns.');

/** Where a value comes from: a column name, or an SQL expression over the columns of one row. */
export const valueMapping = z.union([z.string().min(1), sqlExpression]);
/** Where a value comes from: a column, or an SQL expression. */
export type ValueMapping = z.output<typeof valueMapping>;

/** What a field can be read as; `time` becomes a number of milliseconds since the epoch. */
export const fieldTypes = ['text', 'number', 'category', 'boolean', 'list', 'image', 'time'] as const;
/** One of `fieldTypes`. */
export type FieldType = (typeof fieldTypes)[number];

/** How one value is made of those of several rows. */
export const aggregates = ['mode', 'first', 'last', 'min', 'max', 'median', 'mean', 'sum', 'count', 'union'] as const;
/** One of `aggregates`. */
export type Aggregate = (typeof aggregates)[number];

const fieldObject = z
  .strictObject({
    column: z.string().min(1).optional().describe('Column to read. Default: the column named like the field.'),
    from: z.string().min(1).optional().describe('The same as `column`.'),
    sql: z.string().min(1).optional().describe('SQL expression to use instead of a column.'),
    type: z.enum(fieldTypes).optional().describe('How to read it. Default: inferred from the values.'),
    aggregate: z
      .enum(aggregates)
      .optional()
      .describe(
        'How rows of one id are joined. Default: mode (most frequent non-empty value, ties alphabetical) for text, category, boolean and image; median for number; last for time; union for list.',
      ),
    separator: z
      .string()
      .min(1)
      .default('|')
      .describe('Between the entries of a list written as text. A JSON array is recognised by itself. Default "|".'),
  })
  .refine(
    (field) => [field.column, field.from, field.sql].filter((value) => value !== undefined).length <= 1,
    'give one of column, from, sql',
  );

/** A field: a column name, a bare type word (`title: text` reads the column `title`), or an object. */
export const fieldMapping = z.union([z.string().min(1), fieldObject]);
/** Where a field comes from, what it is read as and how rows are joined. */
export type FieldMapping = z.output<typeof fieldMapping>;

const common = {
  path: z
    .union([z.string().min(1), z.array(z.string().min(1)).min(1)])
    .optional()
    .describe('File, glob or list of them, relative to the config: CSV or TSV (.gz, .zst), Parquet, JSON, NDJSON.'),
  files: z
    .record(z.string().regex(/^[A-Za-z_][A-Za-z0-9_]*$/), z.union([z.string().min(1), z.array(z.string().min(1)).min(1)]))
    .optional()
    .describe('Files that `query` sees as tables, by name. `path` is seen as the table `input`.'),
  query: z
    .string()
    .min(1)
    .optional()
    .describe('One SELECT over `input` and the tables of `files`; its columns are what the mapping names.'),
  fileFormat: z
    .enum(['auto', 'csv', 'tsv', 'parquet', 'json', 'ndjson'])
    .default('auto')
    .describe('Format of the files. Default: by file extension.'),
  where: z.string().min(1).optional().describe('SQL condition; rows for which it is not true are dropped and counted as "where".'),
  drop: z
    .array(
      z.strictObject({
        reason: z.string().min(1).max(80).describe('Name under which the build report counts these rows.'),
        where: z.string().min(1).describe('SQL condition; rows for which it is true are dropped.'),
      }),
    )
    .max(500)
    .default([])
    .describe('Rows to leave out, counted by reason; the first rule that matches a row counts it.'),
  types: z
    .record(z.string(), z.enum(['text', 'number', 'time', 'boolean']))
    .default({})
    .describe(
      "What a text file's column is inside SQL, by column. Default: read from the first 10,240 rows. Ids that are mapped directly are always read as they stand.",
    ),
  timeZone: timeZone.default('UTC').describe('IANA zone of times that name none. Default UTC.'),
  timeFormat: z
    .string()
    .min(1)
    .default('auto')
    .describe(
      'How times are written: auto, seconds, milliseconds, microseconds, nanoseconds, or a strptime format such as %d.%m.%Y %H:%M. Default auto.',
    ),
  maxBadShare: z
    .number()
    .min(0)
    .max(1)
    .default(0.01)
    .describe('Share of rows (0 to 1) that may be unreadable before the build stops. Default 0.01.'),
  encoding: z.enum(['utf-8', 'latin-1', 'utf-16']).default('utf-8').describe('Encoding of CSV and TSV files. Default utf-8.'),
  delimiter: z
    .string()
    .min(1)
    .max(4)
    .refine((text) => !/[\r\n"]/.test(text), 'must not hold a line break or a quote')
    .optional()
    .describe('Between the values of a CSV line. Default: found in the header line (comma, semicolon, tab or bar).'),
  quote: z
    .string()
    .max(1)
    .refine((text) => !/[\r\n]/.test(text), 'must not be a line break')
    .default('"')
    .describe('Around values that hold a delimiter; empty for none. Default ".'),
  decimal: z.enum(['.', ',']).default('.').describe('Decimal separator of numbers in text files. Default ".".'),
  header: z
    .boolean()
    .default(true)
    .describe('The first line of a CSV file names the columns; otherwise they are column1, column2, … Default true.'),
  nullStrings: z.array(z.string()).default(['']).describe('Texts that mean "no value" in CSV files. Default: the empty text.'),
  memoryLimitMb: z
    .number()
    .int()
    .min(64)
    .default(512)
    .describe('Memory DuckDB may use, in megabytes; beyond it, it works on disk. Default 512.'),
  threads: z
    .number()
    .int()
    .min(1)
    .max(256)
    .optional()
    .describe('Threads DuckDB may use. Default: the cores of the machine, at most 8. Does not change the result.'),
};

function oneInput(options: { readonly path?: unknown; readonly files?: unknown; readonly query?: unknown }): boolean {
  return options.query === undefined
    ? options.path !== undefined && options.files === undefined
    : options.path !== undefined || options.files !== undefined;
}
const oneInputMessage = 'give `path`, or `query` with `path` or `files`';

/** Options of `data-duckdb/events`. */
export const eventsOptions = z
  .strictObject({
    ...common,
    user: valueMapping.describe('Column or { sql } of the user id. An empty one stays as an event of nobody.'),
    item: valueMapping.describe('Column or { sql } of the item id. Rows without one are dropped.'),
    time: z
      .union([
        valueMapping,
        z.strictObject({
          sequence: z
            .string()
            .refine((text) => !Number.isNaN(Date.parse(text)), 'not a date such as 2024-01-01')
            .describe(
              'Rows stand in order of time but carry none: the first row of the file gets this instant, each later one a second more.',
            ),
        }),
      ])
      .describe('Column or { sql } of the time; or { sequence: 2024-01-01 } where rows are in order but carry no time.'),
    type: z
      .union([z.string().min(1), sqlExpression, z.strictObject({ value: z.string().min(1).describe('The type of every event.') })])
      .optional()
      .describe('Column, { sql } or { value: purchase } of the event type.'),
    weights: z
      .record(z.string(), z.number())
      .optional()
      .describe('Weight of an event by its type, e.g. { view: 1, purchase: 5 }. Types not named weigh 1.'),
    weight: valueMapping
      .optional()
      .describe('Column or { sql } of a number each event is weighted by (times its type weight). An empty one counts as 1.'),
    basket: valueMapping.optional().describe('Column or { sql } of what was bought or seen together: order number, session id.'),
    deduplicate: z
      .enum(['exact', 'none'])
      .default('exact')
      .describe('exact: a row equal to an earlier one in every column is dropped and counted as "exact duplicate". Default exact.'),
  })
  .refine(oneInput, oneInputMessage);
/** Options of `data-duckdb/events`, defaults filled in. */
export type EventsOptions = z.output<typeof eventsOptions>;

const tableFields = {
  ...common,
  id: valueMapping.describe('Column or { sql } of the id. Rows without one are dropped; rows of one id are joined.'),
  fields: z
    .record(
      z
        .string()
        .min(1)
        .refine((name) => name !== 'id', 'is taken by the id itself'),
      fieldMapping,
    )
    .default({})
    .describe('Fields by name: a column (title: Description), a type (price: number), or { column | sql, type, aggregate, separator }.'),
  orderBy: valueMapping
    .optional()
    .describe('Column or { sql } that orders the rows of one id for the aggregates first and last. Default: the order of the file.'),
  deduplicate: z
    .enum(['exact', 'none'])
    .default('none')
    .describe('exact: rows equal to an earlier one in every column are dropped before they are joined. Default none.'),
};

/** Options of `data-duckdb/items` and `data-duckdb/users`. */
export const tableOptions = z.strictObject(tableFields).refine(oneInput, oneInputMessage);
/** Options of `data-duckdb/items` and `data-duckdb/users`, defaults filled in. */
export type TableOptions = z.output<typeof tableOptions>;

/** What the three components have in common. */
export type SourceOptions = Pick<
  EventsOptions,
  | 'path'
  | 'files'
  | 'query'
  | 'fileFormat'
  | 'where'
  | 'drop'
  | 'types'
  | 'timeZone'
  | 'timeFormat'
  | 'maxBadShare'
  | 'encoding'
  | 'delimiter'
  | 'quote'
  | 'decimal'
  | 'header'
  | 'nullStrings'
  | 'memoryLimitMb'
  | 'threads'
  | 'deduplicate'
>;
