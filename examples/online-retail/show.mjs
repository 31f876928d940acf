// What the parts of the demo print with: one terminal, one way out, chapters counted through.
import {
  createBuildRenderer,
  dataReportLines,
  displayWidth,
  exitCodes,
  formatCountOf,
  formatDuration,
  printable,
  processIo,
  renderTable,
  styleOf,
  wrap,
} from '@recloom/cli';
import { buildPipeline } from '@recloom/core';

const interrupt = new AbortController();
for (const name of ['SIGINT', 'SIGTERM']) {
  process.on(name, () => {
    if (interrupt.signal.aborted) process.exit(exitCodes.interrupted);
    interrupt.abort(new DOMException('interrupted', 'AbortError'));
  });
}
export const { signal } = interrupt;
export const io = processIo(signal);
export const style = styleOf(process.stdout, process.env);

export const print = (...lines) => process.stdout.write(`${lines.flat().join('\n')}\n`);
export const say = (text) => print(wrap(text, style.width));

let chapters = 0;

export function chapter(title) {
  const text = ` ${++chapters}  ${title} `;
  print('', style.bold(style.cyan(`━━${text}${'━'.repeat(Math.max(0, Math.min(style.width, 80) - 2 - displayWidth(text)))}`)), '');
}

/** Lists beside each other, a title above each. */
export function beside(lists, titles) {
  const rows = Array.from({ length: Math.max(...lists.map((list) => list.length)) }, (_, place) => [
    String(place + 1),
    ...lists.map((list) => list[place] ?? ''),
  ]);
  const columns = titles.map((header) => ({ header, narrow: 'cut' }));
  print(renderTable([{ header: '', align: 'right', paint: style.dim }, ...columns], rows, { style }));
}

export const titlesOf = (answer) => answer.items.map((item) => printable(item.attributes.title ?? item.id));

/** Reads, cleans, fits, writes, verifies, publishes, from nothing; resolves with the report. */
export async function build(config, { dataLines }) {
  process.stderr.write('\n');
  const renderer = createBuildRenderer(io);
  try {
    const report = await buildPipeline(config, { observer: renderer.observer, signal, fresh: true });
    renderer.stop();
    if (dataLines) print(dataReportLines(report.data, report.counts, style), '');
    print(
      `${style.green('✓')} snapshot ${style.bold(report.snapshotId)} published after ${formatDuration(report.milliseconds)}: ${formatCountOf(report.components.length, 'fitted component')}`,
    );
    return report;
  } finally {
    renderer.stop();
  }
}
