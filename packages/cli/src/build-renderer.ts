import type { BuildObserver, BuildReport } from '@recloom/core';
import type { DataReport, Warning } from '@recloom/plugin-api';
import cliProgress from 'cli-progress';
import type { CliIo } from './io.js';
import { formatCount, formatCountOf, formatDuration } from './render/format.js';
import { type Style, styleOf } from './render/style.js';
import { heading, renderTable } from './render/table.js';
import { pad, printable, truncate } from './render/text.js';
import { warningLines } from './report-error.js';

/** Shows a build as it runs. Give `observer` to `buildPipeline`, and call `stop` when it has ended, however it ended. */
export interface BuildRenderer {
  readonly observer: BuildObserver;
  stop(): void;
}

/** How the progress of a build is told. */
export interface BuildRendererOptions {
  /** JSON lines of step start, progress, end and warnings on stdout. */
  readonly json?: boolean;
}

const labelWidth = 26;

/**
 * On a terminal a bar for the step at work and a line for each that is done; elsewhere one line per step; with `json`, JSON
 * lines. Text goes to stderr, so that stdout holds the result alone.
 */
export function createBuildRenderer(io: CliIo, options: BuildRendererOptions = {}): BuildRenderer {
  if (options.json === true) return jsonRenderer(io);
  const style = styleOf(io.stderr, io.env);
  return style.isTerminal ? barRenderer(io, style) : lineRenderer(io, style);
}

function jsonRenderer(io: CliIo): BuildRenderer {
  const write = (value: unknown): void => void io.stdout.write(`${JSON.stringify(value)}\n`);
  const lastPercent = new Map<string, number>();
  return {
    observer: {
      step: (step, phase, detail) => write({ event: `step-${phase}`, step, ...(detail === undefined ? {} : { detail }) }),
      progress: (step, fraction, note) => {
        const percent = Math.floor(fraction * 100);
        if (lastPercent.get(step) === percent) return;
        lastPercent.set(step, percent);
        write({ event: 'progress', step, fraction, ...(note === undefined ? {} : { note }) });
      },
      warn: (warning) => write({ event: 'warning', warning }),
    },
    stop: () => {},
  };
}

/** The steps of core in a person's words; the files of a snapshot are one step. */
function stepOf(step: string): string {
  if (/^(clean$|write |sync$|rename$)/.test(step)) return writing;
  const labels: Readonly<Record<string, string>> = {
    config: 'check config',
    verify: 'verify snapshot',
    point: 'publish',
    prune: 'remove old snapshots',
  };
  return labels[step] ?? step;
}

const writing = 'write snapshot';

/** A step at work. Steps of core that carry the same label are one. */
interface OpenStep {
  readonly label: string;
  readonly startedMs: number;
  depth: number;
  detail: Readonly<Record<string, unknown>> | undefined;
}

/** Follows the steps, several of which may be at work at once, and tells when one begins and ends. */
class StepTracker {
  readonly #open = new Map<string, OpenStep>();
  readonly #begun: (label: string) => void;
  readonly #ended: (step: OpenStep) => void;

  constructor(begun: (label: string) => void, ended: (step: OpenStep) => void) {
    this.#begun = begun;
    this.#ended = ended;
  }

  step(step: string, phase: 'start' | 'end', detail: Readonly<Record<string, unknown>> | undefined): void {
    const label = stepOf(step);
    if (phase === 'start') {
      // The files of a snapshot come one after the other: they have ended together when something else begins.
      if (label !== writing) this.#end(writing);
      const known = this.#open.get(label);
      if (known !== undefined) {
        known.depth++;
        return;
      }
      this.#open.set(label, { label, startedMs: performance.now(), depth: 1, detail: undefined });
      this.#begun(label);
      return;
    }
    const open = this.#open.get(label);
    if (open === undefined) return;
    open.depth--;
    open.detail = detail ?? open.detail;
    if (open.depth === 0 && label !== writing) this.#end(label);
  }

  #end(label: string): void {
    const open = this.#open.get(label);
    if (open === undefined) return;
    this.#open.delete(label);
    this.#ended(open);
  }
}

/** One line for a step that ended: its time and what came out. */
function stepLine(step: OpenStep, style: Style): string {
  const label = pad(truncate(step.label, labelWidth), labelWidth);
  const time = pad(formatDuration(performance.now() - step.startedMs), 11, 'right');
  const note = noteOf(step.detail);
  return `  ${style.green('✓')} ${label}${time}${note === '' ? '' : `  ${style.dim(note)}`}`;
}

function lineRenderer(io: CliIo, style: Style): BuildRenderer {
  const warned: Warning[] = [];
  const write = (lines: readonly string[]): void => {
    for (const line of lines) io.stderr.write(`${line}\n`);
  };
  const tracker = new StepTracker(
    () => {},
    (step) => write([stepLine(step, style), ...warningLines(warned.splice(0), style)]),
  );
  return {
    observer: {
      step: (step, phase, detail) => tracker.step(step, phase, detail),
      progress: () => {},
      warn: (warning) => void warned.push(warning),
    },
    stop: () => {},
  };
}

function noteOf(detail: Readonly<Record<string, unknown>> | undefined): string {
  if (detail === undefined) return '';
  const { items, users, events, component, reused } = detail;
  if (typeof items === 'number' && typeof events === 'number') {
    return [
      formatCountOf(events, 'event'),
      formatCountOf(items, 'item'),
      ...(typeof users === 'number' ? [formatCountOf(users, 'user')] : []),
    ].join(', ');
  }
  if (typeof component === 'string') return reused === true ? `${component} (unchanged, kept)` : component;
  return '';
}

function barRenderer(io: CliIo, style: Style): BuildRenderer {
  const bars = new cliProgress.MultiBar(
    {
      stream: io.stderr as NodeJS.WritableStream,
      format: `  ${style.cyan('›')} {label} {bar} {percentage} %  {note}`,
      barsize: 24,
      barCompleteChar: '█',
      barIncompleteChar: '░',
      clearOnComplete: true,
      hideCursor: true,
      linewrap: false,
      // Core reports faster than an eye reads.
      fps: 12,
      // Ctrl-C is ours.
      gracefulExit: false,
    },
    cliProgress.Presets.shades_classic,
  );
  const shown = new Map<string, cliProgress.SingleBar>();
  const tracker = new StepTracker(
    (label) => void shown.set(label, bars.create(100, 0, { label: pad(truncate(label, labelWidth), labelWidth), note: '' })),
    (step) => {
      const bar = shown.get(step.label);
      if (bar !== undefined) bars.remove(bar);
      shown.delete(step.label);
      bars.log(`${stepLine(step, style)}\n`);
    },
  );
  return {
    observer: {
      step: (step, phase, detail) => tracker.step(step, phase, detail),
      progress: (step, fraction, note) =>
        shown
          .get(stepOf(step))
          ?.update(Math.floor(Math.min(1, Math.max(0, fraction)) * 100), { note: truncate(printable(note ?? ''), 20) }),
      warn: (warning) => {
        for (const line of warningLines([warning], style)) bars.log(`${line}\n`);
      },
    },
    stop: () => {
      for (const bar of shown.values()) bars.remove(bar);
      shown.clear();
      bars.update();
      bars.stop();
    },
  };
}

/** Sources that read the same rows: one table of what they dropped. */
interface ReadGroup {
  readonly rowsRead: number;
  readonly columns: { readonly kinds: DataKind[]; readonly report: DataReport }[];
}
type DataKind = 'items' | 'users' | 'events';

/** What was read, and what was dropped and why. Sources of the same rows stand in one table. */
export function dataReportLines(reports: BuildReport['data'], counts: BuildReport['counts'], style: Style): string[] {
  const lines = heading('Data', style);
  for (const { rowsRead, columns } of readGroups(reports)) {
    const kept = columns.flatMap(({ kinds }) => kinds.map((kind) => formatCountOf(counts[kind], kind.slice(0, -1)))).join(', ');
    lines.push(`  ${formatCountOf(rowsRead, 'line')} read → ${kept}`);
    const reasons = new Map<string, { readonly counts: number[]; lines: readonly number[] }>();
    for (const [place, { report }] of columns.entries()) {
      for (const { reason, count, lines: numbers } of report.dropped) {
        if (count === 0) continue;
        const entry = reasons.get(reason) ?? { counts: columns.map(() => 0), lines: numbers ?? [] };
        entry.counts[place] = count;
        reasons.set(reason, entry);
      }
    }
    if (reasons.size === 0) continue;
    const largest = (entry: { readonly counts: readonly number[] }): number => Math.max(...entry.counts);
    lines.push(
      '',
      ...renderTable(
        [
          ...columns.map(({ kinds }) => ({ header: columns.length === 1 ? 'dropped' : kinds.join(', '), align: 'right' as const })),
          { header: columns.length === 1 ? 'why' : 'dropped because', narrow: 'cut' },
          { header: 'from line', align: 'right', paint: style.dim },
        ],
        [...reasons]
          .sort(([, left], [, right]) => largest(right) - largest(left))
          .map(([reason, entry]) => [
            ...entry.counts.map((count) => (count === 0 ? '–' : formatCount(count))),
            printable(reason),
            entry.lines[0] === undefined ? '' : formatCount(entry.lines[0]),
          ]),
        { style, indent: '    ' },
      ),
    );
  }
  return lines;
}

function readGroups(reports: BuildReport['data']): readonly ReadGroup[] {
  const groups: ReadGroup[] = [];
  for (const kind of ['events', 'items', 'users'] as const) {
    const report = reports[kind];
    if (report === undefined) continue;
    let group = groups.find((entry) => entry.rowsRead === report.rowsRead);
    if (group === undefined) {
      group = { rowsRead: report.rowsRead, columns: [] };
      groups.push(group);
    }
    const dropped = JSON.stringify(report.dropped);
    const column = group.columns.find((entry) => JSON.stringify(entry.report.dropped) === dropped);
    if (column === undefined) group.columns.push({ kinds: [kind], report });
    else column.kinds.push(kind);
  }
  return groups;
}

/** A finished build for a person. */
export function buildReportLines(report: BuildReport, style: Style): string[] {
  const total = report.components.reduce((sum, component) => sum + component.milliseconds, 0);
  return [
    ...dataReportLines(report.data, report.counts, style),
    ...heading('Components', style, `${formatCountOf(report.components.length, 'component')}, ${formatDuration(total)}`),
    ...renderTable(
      [{ header: 'name', paint: style.cyan }, { header: 'component', narrow: 'cut' }, { header: 'time', align: 'right' }, { header: '' }],
      report.components.map((component) => [
        component.name,
        component.reference,
        formatDuration(component.milliseconds),
        component.reused ? 'unchanged, kept from an earlier build' : '',
      ]),
      { style },
    ),
    ...heading('Snapshot', style),
    `  ${style.green(report.snapshotId)}  ${report.changed ? 'published' : 'published already: nothing changed'}`,
    `  ${style.dim(report.directory)}`,
    `  ${formatCountOf(report.counts.items, 'item')}, ${formatCountOf(report.counts.users, 'user')}, ${formatCountOf(report.counts.events, 'event')} in ${formatDuration(report.milliseconds)}`,
  ];
}
