import type { TuneValue } from '@recloom/core';
import { type ConfigNote, writeConfigPatch } from '../config-patch.js';
import { valueText } from './patch.js';
import type { TuneChange, TuneReport } from './tune.js';

/**
 * The best of a search as a config a person can read: `base` (how the file beside it names the config that was tuned), the
 * changed values alone, and on each its old value and what it gains. YAML, ends with a newline.
 */
export function tunedConfig(report: TuneReport, base: string): string {
  const byPath = new Map<string, TuneChange[]>();
  for (const change of report.changes) {
    const key = pathOf(change.name).join('\n');
    byPath.set(key, [...(byPath.get(key) ?? []), change]);
  }
  const notes = Array.from(byPath, ([key, changes]): ConfigNote => {
    const path = key.split('\n');
    // Several numbers of one value are told one by one, by name.
    const named = path.at(-1) === 'value';
    return { path, lines: changes.map((change) => `${named ? `${change.name.split('.').at(-1)}: ` : ''}${changeText(change)}`) };
  });
  return writeConfigPatch({ base, comment: headerOf(report), changes: report.patch, notes });
}

/** The trials as comma-separated values with a line of names: number (from 1, as the command counts them), figure, cases, what became of it, and each option. */
export function trialsTable(report: TuneReport): string {
  const names = Object.keys(report.done[0]?.values ?? {});
  const lines = [['trial', `${report.metric}@${report.k}`, 'cases', 'outcome', ...names]];
  for (const trial of report.done) {
    const outcome = trial.failed ?? (trial.isBest ? 'best so far' : trial.stopped ? 'stopped: an estimate' : '');
    lines.push([
      String(trial.number + 1),
      trial.value === undefined ? '' : String(trial.value),
      String(trial.cases),
      outcome,
      ...names.map((name) => cellOf(trial.values[name])),
    ]);
  }
  return `${lines.map((cells) => cells.map(quoted).join(',')).join('\n')}\n`;
}

function headerOf(report: TuneReport): readonly string[] {
  const { metric, k, start, best, chosenOn, confirmed } = report;
  const lines = [
    'Written by `recloom tune`: only what it changed. Everything else is that of the base.',
    `${metric}@${k} ${figure(start)} → ${figure(best)} on the ${chosenOn?.cases ?? report.cases} cases it was chosen on${windowText(report.window)}.`,
  ];
  if (confirmed !== undefined)
    lines.push(
      `On cases it was not chosen on${windowText(report.confirm?.window)}: ${figure(confirmed.start)} → ${figure(confirmed.best)}, p ${confirmed.pValue.toPrecision(2)}: the gain ${confirmed.survives ? 'survives' : 'does NOT survive'}.`,
    );
  else lines.push('No second window was declared (tune.confirm): part of the gain may be luck.');
  if (report.testFrom !== undefined) lines.push(`The test, from ${report.testFrom.slice(0, 10)} on, was not used.`);
  return lines;
}

function windowText(window: { readonly from: string | undefined; readonly until: string | undefined } | undefined): string {
  if (window?.from === undefined) return '';
  return ` (${window.from.slice(0, 10)} to ${window.until?.slice(0, 10) ?? 'the end'})`;
}

function changeText({ from, to, gain }: TuneChange): string {
  const text = `was ${valueText(from)}, now ${valueText(to)}`;
  return gain === undefined ? `${text}; its gain was not measured` : `${text}; gains ${figure(gain)}`;
}

/** `habits.lambda` → where it stands in the config. */
function pathOf(name: string): readonly string[] {
  const [first = '', ...rest] = name.split('.');
  if (first !== 'surfaces') return ['components', first, 'with', ...rest];
  if (rest[1] === 'value') return [first, ...rest.slice(0, 2)];
  return rest[1] === 'sources' && rest.length === 3 ? [first, ...rest, 'limit'] : [first, ...rest];
}

function figure(value: number): string {
  return value.toFixed(4);
}

function cellOf(value: TuneValue | undefined): string {
  return value === undefined || value === null ? '' : String(value);
}

function quoted(cell: string): string {
  return /[",\n]/.test(cell) ? `"${cell.replaceAll('"', '""')}"` : cell;
}
