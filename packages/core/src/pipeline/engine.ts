import type { CompiledExpression, Logger, Metrics, RandomSource, Tracer, Warning } from '@recloom/plugin-api';
import type { HistoryOverlay } from '../data/history-overlay.js';
import type { OverlayTable } from '../data/overlay-table.js';
import type { Assembly } from './assemble.js';
import { CandidateSet, MergeScratch } from './candidate-set.js';
import type { LiveFeature } from './live-feature.js';
import type { Plan } from './plan.js';

/** Services that requests use, resolved once. */
export interface RequestServices {
  readonly logger: Logger;
  readonly metrics: Metrics;
  readonly random: RandomSource;
  /** Undefined when the host provides no tracer: then no span is made. */
  readonly tracer: Tracer | undefined;
  /** Wall clock in milliseconds. */
  readonly now: () => number;
  /** Monotonic clock in milliseconds. */
  readonly monotonic: () => number;
}

/** Everything requests run on for one snapshot: frozen stages, live tables, scratch memory. Swapped whole by `reload`. */
export class Engine {
  readonly plan: Plan;
  readonly assembly: Assembly;
  readonly services: RequestServices;
  readonly snapshotId: string;
  readonly configHash: string;
  readonly items: OverlayTable;
  readonly users: OverlayTable;
  readonly history: HistoryOverlay;
  readonly features: ReadonlyMap<string, LiveFeature>;
  /** Warnings of opening, shown by `inspect`. */
  readonly warnings: readonly Warning[];
  /** Called with the label and column whenever a personal column is read. */
  readonly onRead: ((label: string, column: string) => void) | undefined;
  /** Time of the newest event, recorded ones included, in milliseconds. */
  newestEventMs: number;

  /** Abort controllers that were made but never aborted. */
  readonly spareControllers: AbortController[] = [];
  readonly #scratch: MergeScratch[] = [];
  readonly #sets: CandidateSet[] = [];
  readonly #eligible = new Map<string, { readonly version: number; readonly mask: Uint8Array }>();
  readonly #expressions = new Map<string, CompiledExpression>();
  #inFlight = 0;
  #retired: (() => void) | undefined;

  constructor(parts: {
    readonly plan: Plan;
    readonly assembly: Assembly;
    readonly services: RequestServices;
    readonly snapshotId: string;
    readonly configHash: string;
    readonly items: OverlayTable;
    readonly users: OverlayTable;
    readonly history: HistoryOverlay;
    readonly features: ReadonlyMap<string, LiveFeature>;
    readonly warnings: readonly Warning[];
    readonly lastEventMs: number;
    readonly onRead: ((label: string, column: string) => void) | undefined;
  }) {
    this.plan = parts.plan;
    this.assembly = parts.assembly;
    this.services = parts.services;
    this.snapshotId = parts.snapshotId;
    this.configHash = parts.configHash;
    this.items = parts.items;
    this.users = parts.users;
    this.history = parts.history;
    this.features = parts.features;
    this.warnings = parts.warnings;
    this.newestEventMs = parts.lastEventMs;
    this.onRead = parts.onRead;
  }

  enter(): void {
    this.#inFlight++;
  }

  leave(): void {
    this.#inFlight--;
    if (this.#inFlight === 0) this.#retired?.();
  }

  /** Resolves once no request runs on this engine any more, then disposes its components. */
  async retire(): Promise<void> {
    if (this.#inFlight > 0)
      await new Promise<void>((resolve) => {
        this.#retired = resolve;
      });
    for (const { name, error } of await this.assembly.container.close()) {
      this.services.logger.error('a component failed while it was disposed', { node: name, error: (error as Error).name });
    }
  }

  takeSet(sourceCount: number): CandidateSet {
    const set = this.#sets.pop() ?? new CandidateSet();
    set.reset(sourceCount);
    return set;
  }

  giveSet(set: CandidateSet): void {
    if (this.#sets.length < 16) this.#sets.push(set);
  }

  takeScratch(): MergeScratch {
    const scratch = this.#scratch.pop() ?? new MergeScratch();
    scratch.ensureItems(this.items.rowCount);
    return scratch;
  }

  giveScratch(scratch: MergeScratch): void {
    if (this.#scratch.length < 8) this.#scratch.push(scratch);
  }

  /** The items that a surface's item-only filters allow, worked out once per version of the catalogue. */
  eligibleItems(surface: string): Uint8Array {
    const cached = this.#eligible.get(surface);
    const { version, rowCount } = this.items;
    if (cached !== undefined && cached.version === version) return cached.mask;
    const mask = new Uint8Array(rowCount).fill(1);
    const removed = new Uint8Array(rowCount);
    for (const filter of this.assembly.surfaces.get(surface)?.filters ?? []) {
      if (filter.instance.filterItems === undefined) continue;
      removed.fill(0);
      filter.instance.filterItems(removed);
      for (let row = 0; row < rowCount; row++) if (removed[row] !== 0) mask[row] = 0;
    }
    this.#eligible.set(surface, { version, mask });
    return mask;
  }

  /** A request's own expression, compiled once; the newest 200 are kept. */
  compile(text: string, result: 'number' | 'boolean'): CompiledExpression {
    const key = `${result}:${text}`;
    let compiled = this.#expressions.get(key);
    if (compiled === undefined) {
      compiled = this.assembly.expressions.compile(text, result);
      if (this.#expressions.size >= 200) this.#expressions.delete(this.#expressions.keys().next().value as string);
      this.#expressions.set(key, compiled);
    }
    return compiled;
  }
}
