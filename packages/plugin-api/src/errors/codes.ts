/** Who a message speaks to. */
export type ErrorAudience = 'pipeline author' | 'plugin author' | 'data owner' | 'embedder';

/** What the table of errors says of one code. */
export interface ErrorEntry {
  // Each entry takes its own values; `ErrorParameters` recovers them.
  readonly message: (values: never) => string;
  readonly hint: string;
  readonly audience: ErrorAudience;
  /** True when the same call may succeed later. */
  readonly retryable?: boolean;
}

/**
 * Every code of Recloom, sorted: `RECLOOM_<AREA>_<FACT>`. Areas: CFG config, PLG plugin, DI wiring, DAT data and snapshots,
 * KRN kernels, LAW a component broke its contract, RUN request time, PRV privacy. `docs/reference/errors.md` is compared with it by a test.
 */
export const errorCodes = {
  RECLOOM_CFG_ALIAS_BOMB: {
    message: (_: Record<string, never>) => 'The YAML expands aliases to more nodes than a config can need.',
    hint: 'Write the repeated parts out, or use `base:`.',
    audience: 'pipeline author',
  },
  RECLOOM_CFG_BASE_LOOP: {
    message: ({ chain }: { chain: string }) => `The "base" entries form a loop: ${chain}.`,
    hint: 'Remove one of them.',
    audience: 'pipeline author',
  },
  RECLOOM_CFG_BASE_MISSING: {
    message: ({ base, suggestion }: { base: string; suggestion?: string | undefined }) =>
      `The base "${base}" was not found${suggestion ? `; did you mean "${suggestion}"?` : '.'}`,
    hint: 'A base is a file path relative to this file, or a preset such as recloom:shop (package @recloom/presets).',
    audience: 'pipeline author',
  },
  RECLOOM_CFG_CYCLE: {
    message: ({ chain }: { chain: string }) => `The components depend on each other in a circle: ${chain}.`,
    hint: 'Remove one of the references under `in:`.',
    audience: 'pipeline author',
  },
  RECLOOM_CFG_DUPLICATE_COMPONENT: {
    message: ({ name }: { name: string }) => `Two components are called "${name}".`,
    hint: 'Rename one of them.',
    audience: 'pipeline author',
  },
  RECLOOM_CFG_DUPLICATE_KEY: {
    message: ({ key }: { key: string }) => `The key "${key}" stands twice in the same mapping.`,
    hint: 'Remove or rename one of them.',
    audience: 'pipeline author',
  },
  RECLOOM_CFG_ENV_MISSING: {
    message: ({ variable }: { variable: string }) => `The environment variable ${variable} is not set.`,
    hint: 'Set it before starting, or write the value itself.',
    audience: 'pipeline author',
  },
  RECLOOM_CFG_EXPRESSION: {
    message: ({ why, position }: { why: string; position?: string | undefined }) =>
      `The expression is wrong: ${why}${position ? ` (at ${position})` : ''}.`,
    hint: 'Expressions are CEL over item.*, source.*, score.*, feature.* and request.*; the guide lists the functions.',
    audience: 'pipeline author',
  },
  RECLOOM_CFG_FORMAT: {
    message: ({ found, supported }: { found: string; supported: string }) =>
      `The config says format "${found}", this version reads ${supported}.`,
    hint: 'Set `format` to a supported version.',
    audience: 'pipeline author',
  },
  RECLOOM_CFG_INPUT: {
    message: ({ name, input, why }: { name: string; input: string; why: string }) => `Input "${input}" of "${name}": ${why}.`,
    hint: 'Correct `in:`; `recloom plugins` shows the inputs of each component.',
    audience: 'pipeline author',
  },
  RECLOOM_CFG_INVALID: {
    message: ({ count, file }: { count: number; file: string }) => `${count} problem${count === 1 ? '' : 's'} in ${file}.`,
    hint: 'All of them are listed; each has its own line, code and hint.',
    audience: 'pipeline author',
  },
  RECLOOM_CFG_MISSING_KEY: {
    message: ({ key }: { key: string }) => `The required key "${key}" is missing.`,
    hint: 'Add it; `recloom schema` describes every key of a config, `recloom plugins` the options of each component.',
    audience: 'pipeline author',
  },
  RECLOOM_CFG_NO_SOURCES: {
    message: ({ surface }: { surface: string }) => `Surface "${surface}" has no sources that could propose anything.`,
    hint: 'Name at least one component under `sources:`.',
    audience: 'pipeline author',
  },
  RECLOOM_CFG_PRIVACY_SKIP: {
    message: ({ name }: { name: string }) => `The privacy filter "${name}" may not be skipped on error.`,
    hint: 'Remove `onError: skip`: privacy filters fail closed.',
    audience: 'pipeline author',
  },
  RECLOOM_CFG_READ: {
    message: ({ file, why }: { file: string; why: string }) => `The config file ${file} could not be read: ${why}.`,
    hint: 'Check the path and its permissions; a config is UTF-8 text.',
    audience: 'pipeline author',
  },
  RECLOOM_CFG_SCORER_ORDER: {
    message: ({ name, column, surface, why }: { name: string; column: string; surface: string; why: string }) =>
      `Scorer "${name}" of surface "${surface}" reads ${column}, which is not there when its turn comes: ${why}.`,
    hint: 'List scorers and features of the surface so that each comes after those whose columns it reads; or read another column.',
    audience: 'pipeline author',
  },
  RECLOOM_CFG_STILL_USED: {
    message: ({ name, places }: { name: string; places: string }) => `"${name}" is taken out here, and is still used in ${places}.`,
    hint: 'Take it out there too: `name: null` in a mapping, a list or `value` written anew without it; or keep the component.',
    audience: 'pipeline author',
  },
  RECLOOM_CFG_SURFACE_NEEDS: {
    message: ({ surface, name, needs }: { surface: string; name: string; needs: string }) =>
      `Surface "${surface}" uses "${name}", which needs a request with ${needs}, but the surface does not ask for it.`,
    hint: "Add it to the surface's `needs:` or take the component out of this surface.",
    audience: 'pipeline author',
  },
  RECLOOM_CFG_SYNTAX: {
    message: ({ why }: { why: string }) => `The YAML cannot be parsed: ${why}.`,
    hint: 'Look at the line named; indentation and unclosed quotes are the usual causes.',
    audience: 'pipeline author',
  },
  RECLOOM_CFG_TUNE: {
    message: ({ option, why }: { option: string; why: string }) => `Nothing can come of tuning "${option}": ${why}.`,
    hint: 'Take it out of `tune.options`, or set `tune.surface` to the surface that uses it.',
    audience: 'pipeline author',
  },
  RECLOOM_CFG_TUNE_TEST: {
    message: ({ why }: { why: string }) => `A search must not see the test: ${why}.`,
    hint: 'End the validation window where the test begins, or declare `tune.test` (or `--test`), the first instant of the test.',
    audience: 'pipeline author',
  },
  RECLOOM_CFG_TYPE: {
    message: ({ key, why }: { key: string; why: string }) => `"${key}" has a wrong value: ${why}.`,
    hint: '`recloom schema` describes every key, `recloom plugins` the options of each component with types and defaults.',
    audience: 'pipeline author',
  },
  RECLOOM_CFG_UNKNOWN_COMPONENT: {
    message: ({ reference, suggestion, available }: { reference: string; suggestion?: string | undefined; available: string }) =>
      `There is no component "${reference}"${suggestion ? `; did you mean "${suggestion}"?` : '.'} The plugin has: ${available}.`,
    hint: "Use one of the plugin's components; `recloom plugins` lists them.",
    audience: 'pipeline author',
  },
  RECLOOM_CFG_UNKNOWN_FIELD: {
    message: ({ field, suggestion, available }: { field: string; suggestion?: string | undefined; available: string }) =>
      `There is no field "${field}"${suggestion ? `; did you mean "${suggestion}"?` : '.'} The data have: ${available}.`,
    hint: 'Add the field under `data:` or correct the name.',
    audience: 'pipeline author',
  },
  RECLOOM_CFG_UNKNOWN_KEY: {
    message: ({ key, suggestion, allowed }: { key: string; suggestion?: string | undefined; allowed?: string | undefined }) =>
      `Unknown key "${key}"${suggestion ? `; did you mean "${suggestion}"?` : '.'}${allowed ? ` Allowed here: ${allowed}.` : ''}`,
    hint: 'Remove it or correct its spelling; `recloom schema` lists every key for your editor.',
    audience: 'pipeline author',
  },
  RECLOOM_CFG_UNKNOWN_NAME: {
    message: ({ name, suggestion, available }: { name: string; suggestion?: string | undefined; available: string }) =>
      `"${name}" is not a component of this config${suggestion ? `; did you mean "${suggestion}"?` : '.'} Defined: ${available}.`,
    hint: 'Define it under `components:` or correct the name.',
    audience: 'pipeline author',
  },
  RECLOOM_CFG_UNKNOWN_PLUGIN: {
    message: ({ plugin, suggestion, tried }: { plugin: string; suggestion?: string | undefined; tried: string }) =>
      `No plugin "${plugin}" was found${suggestion ? `; did you mean "${suggestion}"?` : ''} (tried ${tried}).`,
    hint: 'Install its package beside the config, list it under `plugins:`, or hand it in with openPipeline(config, { plugins: [...] }).',
    audience: 'pipeline author',
  },
  RECLOOM_CFG_WRONG_CONTRACT: {
    message: ({ name, stage, provides }: { name: string; stage: string; provides: string }) =>
      `"${name}" cannot stand under ${stage}: it provides ${provides}.`,
    hint: 'Use it where one of its contracts is asked for, or choose another component.',
    audience: 'pipeline author',
  },
  RECLOOM_DAT_BAD_VALUES: {
    message: ({ column, count, lines }: { column: string; count: number; lines: string }) =>
      `${count} value${count === 1 ? '' : 's'} in column "${column}" could not be read (lines ${lines}); the rows were dropped.`,
    hint: 'Correct the data or the column type.',
    audience: 'data owner',
  },
  RECLOOM_DAT_COLUMN_MISSING: {
    message: ({ column, suggestion, available }: { column: string; suggestion?: string | undefined; available: string }) =>
      `There is no column "${column}"${suggestion ? `; did you mean "${suggestion}"?` : '.'} The file has: ${available}.`,
    hint: 'Correct the mapping in the config.',
    audience: 'data owner',
  },
  RECLOOM_DAT_COLUMN_SILENT: {
    message: ({ column }: { column: string }) =>
      `The column "${column}" says the same about all candidates of every case: it gets no weight of its own.`,
    hint: 'Check that its component learned something from the training part, and that requests grant what it reads.',
    audience: 'pipeline author',
  },
  RECLOOM_DAT_EMPTY: {
    message: ({ what }: { what: string }) => `There are no ${what}.`,
    hint: 'Look at the file, and at what `where`, `drop` and the mapping in the config leave out.',
    audience: 'data owner',
  },
  RECLOOM_DAT_ENCODING: {
    message: ({ path }: { path: string }) => `${path} is not valid UTF-8.`,
    hint: 'Convert it (iconv -f LATIN1 -t UTF-8) or set `encoding` in the options.',
    audience: 'data owner',
  },
  RECLOOM_DAT_EXPORT_FOLDER: {
    message: ({ path, why }: { path: string; why: string }) => `Training rows cannot be written to ${path}: ${why}.`,
    hint: 'Name a new folder, or one that holds an earlier export of training rows: that one is replaced.',
    audience: 'data owner',
  },
  RECLOOM_DAT_FEW_CASES: {
    message: ({ count }: { count: number }) =>
      `There ${count === 1 ? 'is' : 'are'} only ${count} case${count === 1 ? '' : 's'} to learn from.`,
    hint: 'Figures from so few are mostly chance: take a longer window, or more data.',
    audience: 'data owner',
  },
  RECLOOM_DAT_FILE_MISSING: {
    message: ({ path }: { path: string }) => `No file matches ${path}.`,
    hint: 'Paths are relative to the config file; check the name and the working folder.',
    audience: 'data owner',
  },
  RECLOOM_DAT_HISTORY_TYPES: {
    message: ({ count }: { count: number }) => `The events have ${count} different types; at most 255 are supported.`,
    hint: "Map rare types to one with the source's options.",
    audience: 'data owner',
  },
  RECLOOM_DAT_IMAGE_MISSING: {
    message: (_: Record<string, never>) => 'A picture was not found.',
    hint: 'Paths are relative to the folder of the config file; check the field and the files.',
    audience: 'data owner',
  },
  RECLOOM_DAT_IMAGE_REFUSED: {
    message: ({ why }: { why: string }) => `A picture was not read: ${why}.`,
    hint: 'Allow folders with images.directories and hosts with images.hosts in the config, or provide imageReaderToken.',
    audience: 'pipeline author',
  },
  RECLOOM_DAT_IMAGE_TOO_LARGE: {
    message: ({ maximumBytes }: { maximumBytes: number }) => `A picture has more than ${maximumBytes} bytes.`,
    hint: 'Store it smaller, or raise the limit of the component that reads it.',
    audience: 'data owner',
  },
  RECLOOM_DAT_IMPOSSIBLE_TIMES: {
    message: ({ count, lines }: { count: number; lines?: string | undefined }) =>
      `${count} event${count === 1 ? ' has' : 's have'} an impossible time${lines ? ` (lines ${lines})` : ''}; ${count === 1 ? 'it was' : 'they were'} dropped.`,
    hint: 'Times must lie between 1990 and one day after the build; check the unit and the time zone.',
    audience: 'data owner',
  },
  RECLOOM_DAT_LOCKED: {
    message: ({ path }: { path: string }) => `Another build is running in ${path}.`,
    hint: 'Wait for it to end; a lock left by a killed build expires by itself after some seconds.',
    audience: 'embedder',
    retryable: true,
  },
  RECLOOM_DAT_MODEL_INVALID: {
    message: ({ why }: { why: string }) => `The model cannot be used: ${why}.`,
    hint: 'Check the file and its pinned sha256.',
    audience: 'pipeline author',
  },
  RECLOOM_DAT_MODEL_MISFIT: {
    message: ({ file, why }: { file: string; why: string }) => `The model ${file} does not fit what it is used for: ${why}.`,
    hint: 'Correct the names, types or widths in the config, or export the model again.',
    audience: 'pipeline author',
  },
  RECLOOM_DAT_MODEL_MISSING: {
    message: ({ reference, tried }: { reference: string; tried: string }) => `The model ${reference} was not found (tried ${tried}).`,
    hint: 'Install the model package, or give a path; hub downloads must be allowed under `models.allowDownload`.',
    audience: 'pipeline author',
  },
  RECLOOM_DAT_MODEL_TOO_LARGE: {
    message: ({ file, bytes, maximumBytes }: { file: string; bytes: number; maximumBytes: number }) =>
      `The model ${file} has ${bytes} bytes with the files beside it; at most ${maximumBytes} are allowed.`,
    hint: "Use a smaller or quantised model, or raise the inference service's `limits.maximumModelBytes`.",
    audience: 'pipeline author',
  },
  RECLOOM_DAT_NOT_COMPARABLE: {
    message: ({ name, first, why }: { name: string; first: string; why: string }) =>
      `"${name}" cannot be compared with "${first}": ${why}.`,
    hint: 'Figures compare only on the same questions: let both configs read the same events (their item and user fields may differ).',
    audience: 'data owner',
  },
  RECLOOM_DAT_NO_LABELS: {
    message: ({ metric, why }: { metric: string; why: string }) => `The data have no labels for ${metric}: ${why}.`,
    hint: 'Name an event type for what was shown and one for what was clicked, and choose a time span that has both; without such events use the ranking metrics.',
    audience: 'data owner',
  },
  RECLOOM_DAT_QUERY_REFUSED: {
    message: ({ why }: { why: string }) => `The SQL was refused: ${why}.`,
    hint: 'Expressions read the columns of one row; `query` is one SELECT over `input` and the tables of `files`.',
    audience: 'data owner',
  },
  RECLOOM_DAT_SNAPSHOT_CORRUPT: {
    message: ({ file, why }: { file: string; why: string }) => `The snapshot file ${file} is damaged: ${why}.`,
    hint: 'The last good snapshot keeps serving; run `recloom build` again.',
    audience: 'embedder',
  },
  RECLOOM_DAT_SNAPSHOT_FALLBACK: {
    message: ({ wanted, opened }: { wanted: string; opened: string }) =>
      `The snapshot ${wanted} cannot be used; the older ${opened} serves instead.`,
    hint: 'Run `recloom build` again; `recloom inspect` says what is wrong with it.',
    audience: 'embedder',
  },
  RECLOOM_DAT_SNAPSHOT_FORMAT: {
    message: ({ found, supported }: { found: string; supported: string }) =>
      `The snapshot has format ${found}, this version reads ${supported}.`,
    hint: 'Build it again with this version.',
    audience: 'embedder',
  },
  RECLOOM_DAT_SNAPSHOT_MISSING: {
    message: ({ path }: { path: string }) => `There is no published snapshot in ${path}.`,
    hint: 'Run `recloom build` first.',
    audience: 'embedder',
  },
  RECLOOM_DAT_SNAPSHOT_STALE: {
    message: ({ name }: { name: string }) =>
      `The snapshot was built from a config without "${name}" or with other options or inputs for it.`,
    hint: 'Run `recloom build` after changing the config.',
    audience: 'embedder',
  },
  RECLOOM_DAT_SPLIT_NO_TEST: {
    message: ({ counts, change }: { counts: string; change: string }) => `The split leaves nobody to ask: ${counts}. ${change}`,
    hint: 'A test user needs something in training (or brought along) and something kept back that is new to them.',
    audience: 'data owner',
  },
  RECLOOM_DAT_SPLIT_NO_TRAINING: {
    message: ({ counts, change }: { counts: string; change: string }) => `The split leaves nothing to train on: ${counts}. ${change}`,
    hint: 'Keep back less, or bring more data.',
    audience: 'data owner',
  },
  RECLOOM_DAT_STATE_TENSOR: {
    message: ({ tensor, expected, found }: { tensor: string; expected: string; found?: string | undefined }) =>
      found === undefined
        ? `The state has no tensor "${tensor}"; a ${expected} was expected.`
        : `The tensor "${tensor}" of the state is a ${found}, not a ${expected}.`,
    hint: 'Run `recloom build --fresh`; the author of the plugin raises `stateVersion` when `fit` writes another layout.',
    audience: 'plugin author',
  },
  RECLOOM_DAT_STATE_VERSION: {
    message: ({ name, found, supported }: { name: string; found: number; supported: number }) =>
      `The state of "${name}" has version ${found}, the plugin reads ${supported}.`,
    hint: 'Build again with the installed plugin.',
    audience: 'embedder',
  },
  RECLOOM_DAT_TOO_MANY_BAD: {
    message: ({ count, total, share, limit, examples }: { count: number; total: number; share: string; limit: string; examples: string }) =>
      `${count} of ${total} rows (${share}) are unreadable, more than the allowed ${limit}: ${examples}.`,
    hint: 'Name the right column or type; where only single rows are wrong, correct them or raise `maxBadShare`.',
    audience: 'data owner',
  },
  RECLOOM_DAT_TUNE_JOURNAL: {
    message: ({ file, why }: { file: string; why: string }) => `The journal of the search, ${file}, cannot be used: ${why}.`,
    hint: 'Begin anew with `--fresh`; the old journal is kept beside it.',
    audience: 'pipeline author',
  },
  RECLOOM_DAT_TUNE_OTHER: {
    message: ({ what }: { what: string }) =>
      `There is a journal of another search (${what} differ): it is left alone and nothing of it is mixed in.`,
    hint: 'Go back to what it searched to continue it; nothing needs to be done otherwise.',
    audience: 'pipeline author',
  },
  RECLOOM_DAT_UNKNOWN_EVENT_TYPE: {
    message: ({ name, available }: { name: string; available: string }) => `No event has the type "${name}"; the data have: ${available}.`,
    hint: 'Name a type that is there; the names come from `type` of `data.events`.',
    audience: 'data owner',
  },
  RECLOOM_DAT_UNKNOWN_ITEMS: {
    message: ({ count }: { count: number }) =>
      count === 1
        ? '1 event names an item that is not in the catalogue; it was dropped.'
        : `${count} events name items that are not in the catalogue; they were dropped.`,
    hint: 'Add the items, or let the events bring their own catalogue.',
    audience: 'data owner',
  },
  RECLOOM_DAT_UNREADABLE: {
    message: ({ path, why }: { path: string; why: string }) => `${path} cannot be read: ${why}.`,
    hint: 'Check that the file is what its name says and is complete.',
    audience: 'data owner',
  },
  RECLOOM_DAT_WRITE: {
    message: ({ path, why }: { path: string; why: string }) => `Writing ${path} failed: ${why}.`,
    hint: 'Free disk space or check permissions; the published snapshot is unchanged.',
    audience: 'embedder',
    retryable: true,
  },
  RECLOOM_DI_DUPLICATE: {
    message: ({ token }: { token: string }) => `The service "${token}" is provided twice.`,
    hint: 'Keep one of the two entries in `provide`.',
    audience: 'embedder',
  },
  RECLOOM_DI_FAILED: {
    message: ({ what }: { what: string }) => `Wiring failed: ${what}.`,
    hint: 'The cause is attached.',
    audience: 'embedder',
  },
  RECLOOM_DI_MISSING: {
    message: ({ token, name }: { token: string; name: string }) => `"${name}" needs the service "${token}", which nobody provides.`,
    hint: 'Pass it: openPipeline(config, { provide: [[token, value]] }).',
    audience: 'embedder',
  },
  RECLOOM_KRN_ABORTED: {
    message: (_: Record<string, never>) => 'The computation was aborted.',
    hint: 'Nothing to do: the caller cancelled it.',
    audience: 'embedder',
    retryable: true,
  },
  RECLOOM_KRN_CLOSED: {
    message: (_: Record<string, never>) => 'The compute pool or the index is closed.',
    hint: 'Open a new one; inside a pipeline, report it to the author of the plugin.',
    audience: 'plugin author',
  },
  RECLOOM_KRN_NOT_POSITIVE_DEFINITE: {
    message: (_: Record<string, never>) => 'A matrix is not positive definite.',
    hint: 'Raise the regularisation (lambda).',
    audience: 'plugin author',
  },
  RECLOOM_KRN_OUT_OF_MEMORY: {
    message: (_: Record<string, never>) => 'The kernels ran out of memory.',
    hint: 'Lower the number of items or neighbours, or the width of the vectors.',
    audience: 'pipeline author',
  },
  RECLOOM_KRN_SHAPE: {
    message: ({ why }: { why: string }) => `A kernel was called with arrays that do not fit: ${why}.`,
    hint: 'Report it to the author of the plugin.',
    audience: 'plugin author',
  },
  RECLOOM_KRN_TRAP: {
    message: ({ kernel }: { kernel: string }) => `The kernel "${kernel}" stopped abnormally.`,
    hint: 'This is a defect: please report it with the sizes of the arrays.',
    audience: 'plugin author',
  },
  RECLOOM_KRN_UNAVAILABLE: {
    message: ({ why }: { why: string }) => `The kernels are not available as asked: ${why}.`,
    hint: 'Use the implementation "auto", which falls back to plain TypeScript.',
    audience: 'embedder',
  },
  RECLOOM_KRN_WORKER_LOST: {
    message: (_: Record<string, never>) => 'A worker thread of the kernels stopped while it computed; it was replaced.',
    hint: 'Try again; if it comes back, look for a lack of memory.',
    audience: 'embedder',
    retryable: true,
  },
  RECLOOM_LAW_NON_FINITE: {
    message: ({ name, count }: { name: string; count: number }) =>
      `"${name}" gave ${count} score${count === 1 ? '' : 's'} that are not finite; they sink below all others.`,
    hint: 'Look for missing features or a division by zero in the component.',
    audience: 'plugin author',
  },
  RECLOOM_LAW_ROWS: {
    message: ({ name, count }: { name: string; count: number }) =>
      `"${name}" returned ${count} row${count === 1 ? '' : 's'} out of range or twice; they were ignored.`,
    hint: 'The component breaks its contract; report it to the author of the plugin.',
    audience: 'plugin author',
  },
  RECLOOM_LAW_SHAPE: {
    message: ({ name, expected, found }: { name: string; expected: string; found: string }) =>
      `"${name}" returned ${found} instead of ${expected}.`,
    hint: 'The component breaks its contract; report it to the author of the plugin.',
    audience: 'plugin author',
  },
  RECLOOM_LAW_TOO_MANY: {
    message: ({ name, limit }: { name: string; limit: number }) =>
      `"${name}" proposed more than the ${limit} it was asked for; the rest was cut.`,
    hint: 'The component breaks its contract; report it to the author of the plugin.',
    audience: 'plugin author',
  },
  RECLOOM_PLG_API_VERSION: {
    message: ({ plugin, found, supported }: { plugin: string; found: string; supported: number }) =>
      `Plugin "${plugin}" was made for plugin API ${found}, this version speaks ${supported}.`,
    hint: 'Install a matching version of the plugin.',
    audience: 'plugin author',
  },
  RECLOOM_PLG_COMPONENT_FAILED: {
    message: ({ what }: { what: string }) => `The component failed in ${what}.`,
    hint: 'The cause is attached; report it to the author of the plugin.',
    audience: 'plugin author',
  },
  RECLOOM_PLG_INVALID: {
    message: ({ plugin, why }: { plugin: string; why: string }) => `"${plugin}" is not a plugin: ${why}.`,
    hint: 'The default export of a plugin package must be the result of definePlugin().',
    audience: 'plugin author',
  },
  RECLOOM_PLG_LIBRARY_MISSING: {
    message: ({ packageName, range }: { packageName: string; range: string }) => `The library ${packageName} (${range}) is not installed.`,
    hint: 'Install it beside the plugin that needs it: npm install the named package and range.',
    audience: 'embedder',
  },
  RECLOOM_PLG_LOAD: {
    message: ({ plugin, why }: { plugin: string; why: string }) => `Plugin "${plugin}" failed while loading: ${why}.`,
    hint: 'The cause is attached; reinstalling the plugin often helps.',
    audience: 'plugin author',
  },
  RECLOOM_PRV_FAILED_CLOSED: {
    message: ({ name }: { name: string }) =>
      `The privacy filter "${name}" failed; nothing personal was read and nothing it guards was returned.`,
    hint: 'The cause is in the log.',
    audience: 'embedder',
    retryable: true,
  },
  RECLOOM_PRV_NO_GATE: {
    message: ({ surface, labels, names }: { surface: string; labels: string; names: string }) =>
      `Surface "${surface}" has no privacy gate, so every request grants ${labels} to ${names}.`,
    hint: 'Add a gate under `privacy:` (privacy-consent/purpose), or leave it out on purpose where the host asks for consent itself.',
    audience: 'pipeline author',
  },
  RECLOOM_PRV_NOT_GRANTED: {
    message: ({ name, labels }: { name: string; labels: string }) => `"${name}" was left out: the request does not grant ${labels}.`,
    hint: 'Normal without consent; send `purposes` or provide a consent service if the person has agreed.',
    audience: 'embedder',
  },
  RECLOOM_PRV_UNKNOWN_PURPOSE: {
    message: ({
      count,
      surface,
      suggestion,
      available,
    }: {
      count: number;
      surface: string;
      suggestion?: string | undefined;
      available: string;
    }) =>
      `No gate of surface "${surface}" knows ${count === 1 ? 'a purpose' : `${count} purposes`} of the request${suggestion ? `; did you mean "${suggestion}"?` : '.'} Known: ${available}.`,
    hint: 'Send a purpose that the gate knows, or add yours to its `grants`.',
    audience: 'embedder',
  },
  RECLOOM_RUN_ABORTED: {
    message: (_: Record<string, never>) => 'The request was aborted.',
    hint: 'Nothing to do: the caller cancelled it.',
    audience: 'embedder',
    retryable: true,
  },
  RECLOOM_RUN_CLOSED: {
    message: (_: Record<string, never>) => 'The pipeline is closed.',
    hint: 'Open a new one.',
    audience: 'embedder',
  },
  RECLOOM_RUN_DEVICE_CHANGED: {
    message: ({ name, before, device }: { name: string; before: string; device: string }) =>
      `The model of "${name}" no longer runs on ${before} but on ${device}.`,
    hint: 'Look into the log for what the device failed with; answers go on, at the speed of the other device.',
    audience: 'embedder',
  },
  RECLOOM_RUN_DEVICE_UNAVAILABLE: {
    message: ({ device, why }: { device: string; why: string }) => `The device "${device}" cannot run the model: ${why}.`,
    hint: 'Install what the device needs, or name another device; `cpu` always works.',
    audience: 'embedder',
  },
  RECLOOM_RUN_EVALUATION: {
    message: ({ why }: { why: string }) => `The evaluation is not possible as asked: ${why}.`,
    hint: '`recloom evaluate --help` lists the splits and what each takes.',
    audience: 'pipeline author',
  },
  RECLOOM_RUN_EXPORT: {
    message: ({ why }: { why: string }) => `The training rows cannot be made: ${why}.`,
    hint: 'Correct the options of the export; `recloom export --help` describes them.',
    audience: 'pipeline author',
  },
  RECLOOM_RUN_EXPORT_WINDOW: {
    message: ({ count }: { count: number }) =>
      `The label window of ${count} cut${count === 1 ? '' : 's'} ends after the last event: later takings are not in the data.`,
    hint: 'Choose earlier cuts or a shorter window, or leave it: labels of that cut are incomplete.',
    audience: 'pipeline author',
  },
  RECLOOM_RUN_FEW_CASES: {
    message: ({ count }: { count: number }) =>
      `Only ${count} user${count === 1 ? ' was' : 's were'} asked: the figures are hardly more than anecdotes.`,
    hint: 'Keep back more, or lower the items a user must have; look at the intervals before you believe a difference.',
    audience: 'pipeline author',
  },
  RECLOOM_RUN_LIMIT: {
    message: ({ found, maximum }: { found: string; maximum: number }) =>
      `"limit" must be a whole number from 1 to ${maximum}, not ${found}.`,
    hint: 'Correct `limit`.',
    audience: 'embedder',
  },
  RECLOOM_RUN_LOAD_TIMEOUT: {
    message: ({ file, timeoutMs }: { file: string; timeoutMs: number }) => `The model ${file} was not loaded within ${timeoutMs} ms.`,
    hint: "Try again when the machine is less busy, or raise the inference service's `limits.loadTimeoutMs`.",
    audience: 'embedder',
    retryable: true,
  },
  RECLOOM_RUN_MODEL_FAILED: {
    message: ({ why }: { why: string }) => `The model failed while running: ${why}.`,
    hint: 'The cause is attached; check that the model fits its inputs.',
    audience: 'plugin author',
  },
  RECLOOM_RUN_MODEL_INPUT: {
    message: ({ why }: { why: string }) => `The tensors do not fit what the model declares: ${why}.`,
    hint: 'Compare names, types and shapes with the inputs and outputs of the session.',
    audience: 'plugin author',
  },
  RECLOOM_RUN_NEEDS: {
    message: ({ surface, needs }: { surface: string; needs: string }) => `Surface "${surface}" needs a request with ${needs}.`,
    hint: 'Add it to the request or ask another surface.',
    audience: 'embedder',
  },
  RECLOOM_RUN_NODE_FAILED: {
    message: ({ name, what, why }: { name: string; what: string; why?: string }) =>
      `"${name}" failed while ${what} and was left out${why === undefined ? '' : ` (${why})`}.`,
    hint: 'The code of the cause, where it has one, is in the warning, its message in the log; the answer was given without it.',
    audience: 'plugin author',
    retryable: true,
  },
  RECLOOM_RUN_OVERLOADED: {
    message: ({ what }: { what: string }) => `${what} is overloaded.`,
    hint: 'Try again later or add workers.',
    audience: 'embedder',
    retryable: true,
  },
  RECLOOM_RUN_REQUEST: {
    message: ({ why }: { why: string }) => `The request is not valid: ${why}.`,
    hint: '`RecommendRequest` describes every key of a request; on the command line `--help` lists what a command takes.',
    audience: 'embedder',
  },
  RECLOOM_RUN_REQUIRED_FAILED: {
    message: ({ name }: { name: string }) => `The required component "${name}" failed.`,
    hint: 'The cause is attached.',
    audience: 'embedder',
    retryable: true,
  },
  RECLOOM_RUN_SHORT_CATALOGUE: {
    message: ({ items, k }: { items: number; k: number }) =>
      `Lists of ${k} were asked for and only ${items} item${items === 1 ? ' can' : 's can'} be proposed: every list holds all of them.`,
    hint: 'Choose a smaller k; precision divides by k all the same.',
    audience: 'pipeline author',
  },
  RECLOOM_RUN_TEXT_TOO_LONG: {
    message: ({ length, maximum }: { length: number; maximum: number }) => `The text has ${length} characters; it was cut at ${maximum}.`,
    hint: 'Send what the person typed, not whole documents.',
    audience: 'embedder',
  },
  RECLOOM_RUN_TIMEOUT: {
    message: ({ name, timeoutMs }: { name: string; timeoutMs: number }) =>
      `"${name}" did not answer within ${timeoutMs} ms and was left out.`,
    hint: "Raise `limits.timeoutMs`, lower the component's limit, or look at its timings.",
    audience: 'embedder',
    retryable: true,
  },
  RECLOOM_RUN_TOO_FEW: {
    message: ({ found, wanted }: { found: number; wanted: number }) =>
      `The answer has ${found} of the ${wanted} items asked for: the sources proposed no more that pass the filters.`,
    hint: 'Add a source marked `fallback: true`, raise source limits or relax filters.',
    audience: 'pipeline author',
  },
  RECLOOM_RUN_UNKNOWN_ITEMS: {
    message: ({ count }: { count: number }) =>
      `${count} item id${count === 1 ? ' is not in the catalogue and was' : 's are not in the catalogue and were'} passed over.`,
    hint: 'Normal for new items; upsert them to make them known.',
    audience: 'embedder',
  },
  RECLOOM_RUN_UNKNOWN_SURFACE: {
    message: ({ surface, suggestion, available }: { surface: string; suggestion?: string | undefined; available: string }) =>
      `There is no surface "${surface}"${suggestion ? `; did you mean "${suggestion}"?` : '.'} The config has: ${available}.`,
    hint: "Name one of the config's surfaces.",
    audience: 'embedder',
  },
  RECLOOM_RUN_WORKER_DIED: {
    message: ({ what }: { what: string }) => `A worker of ${what} died; its calls failed and it was replaced.`,
    hint: 'Try again.',
    audience: 'embedder',
    retryable: true,
  },
} as const satisfies Record<string, ErrorEntry>;

/** A code of the table; plugins declare their own in `definePlugin`. */
export type ErrorCode = keyof typeof errorCodes;
/** The values the message of a code needs. */
export type ErrorParameters<Code extends ErrorCode> = Parameters<(typeof errorCodes)[Code]['message']>[0];

/** The anchor of a code in `docs/reference/errors.md`. */
export function errorAnchor(code: string): string {
  return `docs/reference/errors.md#${code.toLowerCase()}`;
}
