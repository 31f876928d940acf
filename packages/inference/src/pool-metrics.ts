import type { Metrics } from '@recloom/plugin-api';
import type { PoolModel } from './pool-model.js';

/** What a pool tells the metrics; the names are documented in the README. */
export interface PoolMetrics {
  queued(depth: number): void;
  refused(): void;
  /** Calls of one run, when it is handed to a worker. */
  handed(waitsMs: readonly number[]): void;
  ran(model: PoolModel, milliseconds: number, rows: number, calls: number): void;
  fellBack(provider: string): void;
  workers(count: number): void;
  died(): void;
}

/** Writes to `metrics`. */
export function createPoolMetrics(metrics: Metrics, isolation: string): PoolMetrics {
  const labels = { isolation };
  return {
    queued: (depth) => metrics.observe('recloom.inference.queue.calls', depth, labels),
    refused: () => metrics.count('recloom.inference.refused', 1, labels),
    handed: (waitsMs) => {
      for (const waitMs of waitsMs) metrics.observe('recloom.inference.wait.milliseconds', waitMs, labels);
    },
    ran: (model, milliseconds, rows, calls) => {
      const provider = model.opened?.provider ?? 'unknown';
      metrics.count('recloom.inference.runs', 1, { ...labels, provider });
      metrics.observe('recloom.inference.run.milliseconds', milliseconds, { ...labels, provider });
      metrics.observe('recloom.inference.run.rows', rows, { ...labels, provider });
      metrics.observe('recloom.inference.run.calls', calls, { ...labels, provider });
    },
    fellBack: (provider) => metrics.count('recloom.inference.fallbacks', 1, { ...labels, provider }),
    workers: (count) => metrics.observe('recloom.inference.workers', count, labels),
    died: () => metrics.count('recloom.inference.deaths', 1, labels),
  };
}
