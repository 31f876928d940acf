export {
  type BuildRenderer,
  type BuildRendererOptions,
  buildReportLines,
  createBuildRenderer,
  dataReportLines,
} from './build-renderer.js';
export { exitCodes } from './exit-codes.js';
export { type CliIo, type CliStream, processIo } from './io.js';
export { answerLines, type ItemTableOptions, itemLines } from './render/answer.js';
export { formatBytes, formatCount, formatCountOf, formatDuration, formatInstant, formatScore, formatShare } from './render/format.js';
export { type Style, styleOf } from './render/style.js';
export { bar, heading, renderTable, type TableColumn, type TableOptions } from './render/table.js';
export { displayWidth, pad, printable, truncate, wrap } from './render/text.js';
export { reportError, UsageError, warningLines } from './report-error.js';
export { runCli } from './run-cli.js';
