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

export interface BuildRendererOptions {
  /** JSON lines of step start, progress, end and warnings on stdout. */
  readonly json?: boolean;
  /** Before every line of text. Default two blanks. */
  readonly indent?: string;
}

const labelWidth = 26;

/**
 * On a terminal a bar for the step at work and a line for each that is done; elsewhere one line per step; with `json`, JSON
 * lines. Text goes to stderr, so that stdout holds the result alone.
 */
export function createBuildRenderer(io: CliIo, options: BuildRendererOptions = {}): BuildRenderer {
  if (options.json === true) return jsonRenderer(io);
  const style = styleOf(io.stderr, io.env);
  const steps = new StepLines(style, options.indent ?? '  ', (line) => void io.stderr.write(`${line}\n`));
  return style.isTerminal ? barRenderer(io, style, steps) : { observer: steps.observer(), stop: () => steps.stop() };
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
  if (/^(clean$|write |sync$|rename$)/.test(step)) return 'write snapshot';
  const labels: Readonly<Record<string, string>> = {
    config: 'check config',
    verify: 'verify snapshot',
    publish: 'publish',
    prune: 'remove old snapshots',
  };
  return labels[step] ?? step;
}

/** One line per step that ended, with its time and what came out. */
class StepLines {
  readonly #style: Style;
  readonly #indent: string;
  readonly #write: (line: string) => void;
  #current: string | undefined;
  #startedMs = 0;
  #detail: Readonly<Record<string, unknown>> | undefined;
  readonly #warned: Warning[] = [];

  constructor(style: Style, indent: string, write: (line: string) => void) {
    this.#style = style;
    this.#indent = indent;
    this.#write = write;
  }

  get current(): string | undefined {
    return this.#current;
  }

  start(step: string): void {
    const label = stepOf(step);
    if (label === this.#current) return;
    this.flush();
    this.#current = label;
    this.#detail = undefined;
    this.#startedMs = performance.now();
  }

  end(detail: Readonly<Record<string, unknown>> | undefined): void {
    this.#detail = detail;
    // The files of a snapshot are many steps of core: they end together when the next step begins.
    if (this.#current !== 'write snapshot') this.flush();
  }

  warn(warning: Warning): void {
    this.#warned.push(warning);
  }

  /** Writes the line of the step that ended. */
  flush(): void {
    if (this.#current === undefined) return;
    const { green, dim } = this.#style;
    const label = pad(truncate(this.#current, labelWidth), labelWidth);
    const time = pad(formatDuration(performance.now() - this.#startedMs), 11, 'right');
    const note = noteOf(this.#detail);
    this.#current = undefined;
    this.#write(`${this.#indent}${green('✓')} ${label}${time}${note === '' ? '' : `  ${dim(note)}`}`);
    for (const line of warningLines(this.#warned.splice(0), this.#style)) this.#write(line);
  }

  stop(): void {
    if (this.#current === 'write snapshot') this.flush();
    this.#current = undefined;
  }

  observer(): BuildObserver {
    return {
      step: (step, phase, detail) => (phase === 'start' ? this.start(step) : this.end(detail)),
      progress: () => {},
      warn: (warning) => this.warn(warning),
    };
  }
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

function barRenderer(io: CliIo, style: Style, steps: StepLines): BuildRenderer {
  let bar: cliProgress.SingleBar | undefined;
  const hide = (): void => {
    bar?.stop();
    bar = undefined;
  };
  const show = (): void => {
    const created = new cliProgress.SingleBar(
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
    created.start(100, 0, { label: pad(truncate(steps.current ?? '', labelWidth), labelWidth), note: '' });
    bar = created;
  };
  return {
    observer: {
      step: (step, phase, detail) => {
        if (phase === 'start' && stepOf(step) === steps.current) return;
        if (phase === 'end' && steps.current === 'write snapshot') return;
        hide();
        if (phase === 'start') {
          steps.start(step);
          show();
        } else {
          steps.end(detail);
        }
      },
      progress: (_step, fraction, note) =>
        bar?.update(Math.floor(Math.min(1, Math.max(0, fraction)) * 100), { note: truncate(printable(note ?? ''), 20) }),
      warn: (warning) => steps.warn(warning),
    },
    stop: () => {
      hide();
      steps.stop();
    },
  };
}

/** What was read, and what was dropped and why; sources with the same losses are told together. */
export function dataReportLines(reports: BuildReport['data'], counts: BuildReport['counts'], style: Style): string[] {
  const groups = new Map<string, { readonly kinds: ('items' | 'users' | 'events')[]; readonly report: DataReport }>();
  for (const kind of ['events', 'items', 'users'] as const) {
    const report = reports[kind];
    if (report === undefined) continue;
    const key = JSON.stringify([report.rowsRead, report.dropped]);
    const known = groups.get(key);
    if (known === undefined) groups.set(key, { kinds: [kind], report });
    else known.kinds.push(kind);
  }
  const lines = [...heading('Data', style)];
  for (const { kinds, report } of groups.values()) {
    const kept = kinds.map((kind) => formatCountOf(counts[kind], kind.slice(0, -1))).join(', ');
    lines.push(`  ${formatCountOf(report.rowsRead, 'line')} read for ${kinds.join(', ')} → ${kept}`);
    if (report.dropped.length === 0) continue;
    lines.push(
      ...renderTable(
        [
          { header: 'dropped', align: 'right' },
          { header: 'why', narrow: 'cut' },
          { header: 'first lines', paint: style.dim },
        ],
        [...report.dropped]
          .filter((entry) => entry.count > 0)
          .sort((left, right) => right.count - left.count)
          .map((entry) => [formatCount(entry.count), printable(entry.reason), (entry.lines ?? []).join(', ')]),
        { style, indent: '    ' },
      ),
    );
  }
  return lines;
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
