import {
  type CompiledExpression,
  type Logger,
  type Metrics,
  type RandomSource,
  recloomError,
  type Tracer,
  type Warning,
} from '@recloom/plugin-api';
import type { HistoryOverlay } from '../data/history-overlay.js';
import type { OverlayTable } from '../data/overlay-table.js';
import type { AssembledNode, Assembly } from './assemble.js';
import { CandidateSet, MergeScratch } from './candidate-set.js';
import type { LiveFeature } from './live-feature.js';
import type { Plan } from './plan.js';
import type { RequestState } from './request-state.js';
import { RequestTurns } from './request-turns.js';

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
  /** Called with the label and column whenever a personal column is read. */
  readonly onRead: ((label: string, column: string) => void) | undefined;
  /** Time of the newest event, recorded ones included, in milliseconds. */
  newestEventMs: number;

  /** Abort controllers that were made but never aborted. */
  readonly spareControllers: AbortController[] = [];
  /** Of requests whose queries were encoded. */
  readonly encodedTurns = new RequestTurns();
  readonly #scratch: MergeScratch[] = [];
  readonly #sets: CandidateSet[] = [];
  readonly #eligible = new Map<string, { readonly version: number; readonly mask: Uint8Array }>();
  readonly #expressions = new Map<string, CompiledExpression>();
  /** By component: what ran its models when it was last asked. */
  readonly #devices = new Map<string, string>();
  readonly #warnings: Warning[];
  #inFlight = 0;
  #turn: Promise<void> = Promise.resolve();
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
    readonly warnings: Warning[];
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
    this.#warnings = parts.warnings;
    for (const node of parts.assembly.nodes.values()) this.deviceOf(node, []);
    this.newestEventMs = parts.lastEventMs;
    this.onRead = parts.onRead;
  }

  /** What went less than perfectly while opening, and what components told of later. */
  get warnings(): readonly Warning[] {
    return this.#warnings;
  }

  enter(): void {
    this.#inFlight++;
  }

  leave(): void {
    this.#inFlight--;
    if (this.#inFlight === 0) this.#retired?.();
  }

  /** Runs pieces of work that change the overlay one after the other, whatever came of those before. */
  inTurn(work: () => Promise<void>): Promise<void> {
    this.enter();
    const done = this.#turn.then(work).finally(() => this.leave());
    this.#turn = done.catch(() => undefined);
    return done;
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

  /**
   * What runs a component's models, e.g. `cuda`. When that has changed since it was last asked, a device has failed and its work
   * went elsewhere: the requests that met the change, the log and the pipeline's warnings say so.
   */
  deviceOf(node: AssembledNode, states: readonly RequestState[]): string | undefined {
    const { name, reference } = node.planned;
    let device: string;
    try {
      device = [...new Set(node.modelBacked?.models().map((model) => model.device))].join('+');
    } catch {
      // What is only told must not fail a request.
      return undefined;
    }
    if (device === '') return undefined;
    const before = this.#devices.get(name);
    this.#devices.set(name, device);
    if (before === undefined || before === device) return device;
    const at = { node: name, component: reference };
    const { code, message } = recloomError('RECLOOM_RUN_DEVICE_CHANGED', { name, before, device });
    for (const state of states) state.warn(code, message, undefined, at);
    this.services.logger.warn(message, at);
    this.#warnings.push({ code, message, at });
    return device;
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
