import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { availableParallelism, cpus, loadavg, totalmem } from 'node:os';
import { dirname } from 'node:path';
import type { Outcome } from './goal.js';
import type { Growth } from './growth.js';
import { suites } from './suites.js';

/** Where something was measured. */
export interface Machine {
  readonly processor: string;
  readonly cores: number;
  readonly memoryGb: number;
  readonly platform: string;
  readonly node: string;
}

/** How busy the machine was: processes that ran or waited, averaged over a minute. */
export interface Load {
  readonly before: number;
  readonly after: number;
}

/** What one suite found, when, and on how busy a machine. */
export interface Measurement {
  readonly suite: string;
  readonly measuredAt: string;
  readonly load: Load;
  readonly quick: boolean;
  readonly seconds: number;
  readonly outcomes: readonly Outcome[];
}

/** `bench/results.json`. */
export interface Results {
  readonly format: 1;
  readonly machine: Machine;
  /** In the order of the suites. */
  readonly measurements: readonly Measurement[];
  readonly growth?: Growth & { readonly measuredAt: string; readonly load: Load; readonly quick: boolean };
}

/** This machine. */
export function describeMachine(): Machine {
  return {
    processor: cpus()[0]?.model.trim() ?? 'unknown',
    cores: availableParallelism(),
    memoryGb: Math.round(totalmem() / 2 ** 30),
    platform: `${process.platform} ${process.arch}`,
    node: process.version,
  };
}

/** The load of the last minute. */
export function loadNow(): number {
  return Number((loadavg()[0] ?? 0).toFixed(1));
}

/** What was written before, or undefined when there is nothing that can be read. */
export function readResults(file: string): Results | undefined {
  try {
    const found = JSON.parse(readFileSync(file, 'utf8')) as Results;
    return found.format === 1 ? found : undefined;
  } catch {
    return undefined;
  }
}

/**
 * Puts new measurements in the place of older ones of the same suites and goals. Figures of another machine are not kept: they cannot
 * stand beside these.
 */
export function mergeResults(before: Results | undefined, now: Results): Results {
  const kept = before !== undefined && sameMachine(before.machine, now.machine) ? before : undefined;
  const measurements = suites.flatMap(({ id }) => {
    const old = kept?.measurements.find((entry) => entry.suite === id);
    const fresh = now.measurements.find((entry) => entry.suite === id);
    if (fresh === undefined) return old === undefined ? [] : [old];
    const measured = new Set(fresh.outcomes.map((outcome) => outcome.goal));
    const rest = old?.outcomes.filter((outcome) => !measured.has(outcome.goal)) ?? [];
    return [{ ...fresh, outcomes: [...rest, ...fresh.outcomes] }];
  });
  const growth = now.growth ?? kept?.growth;
  return { format: 1, machine: now.machine, measurements, ...(growth === undefined ? {} : { growth }) };
}

function sameMachine(one: Machine, other: Machine): boolean {
  return JSON.stringify(one) === JSON.stringify(other);
}

export function writeResults(file: string, results: Results): void {
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, `${JSON.stringify(results, rounded, 2)}\n`);
}

/** Six significant digits are more than any of this is good for. */
function rounded(_key: string, value: unknown): unknown {
  return typeof value === 'number' && !Number.isInteger(value) ? Number(value.toPrecision(6)) : value;
}
