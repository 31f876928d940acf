import type { InferenceTensor } from '@recloom/plugin-api';
import type { Call } from './call.js';
import type { ModelHost } from './model-host.js';
import { type PoolModel, windowOf } from './pool-model.js';
import type { OpenedModel } from './protocol.js';

/** A place for one worker, which may be running or not. */
export interface Slot {
  host: ModelHost | undefined;
  /** Models this worker has or was told to open. */
  readonly models: Map<PoolModel, 'opening' | 'open'>;
  /** What it was handed and has not answered, in the order it does it. */
  readonly inFlight: Map<number, Task>;
}

interface TaskBase {
  readonly id: number;
  readonly slot: Slot;
  readonly model: PoolModel;
  readonly handedMs: number;
  /** Kills the worker when the task, which nobody waits for, does not end. */
  overdue: NodeJS.Timeout | undefined;
}

/** What a worker was told to do and has not answered. */
export type Task = OpenTask | RunTask;

export interface OpenTask extends TaskBase {
  readonly kind: 'open';
  /** Who asked; absent when another worker is given the model for its waiting calls. */
  settle: { resolve(opened: OpenedModel): void; reject(error: unknown): void } | undefined;
  timer: NodeJS.Timeout | undefined;
  /** It took too long, and whoever asked was told. */
  abandoned: boolean;
}

export interface RunTask extends TaskBase {
  readonly kind: 'run';
  readonly calls: readonly Call[];
  /** The inputs of all of them. */
  readonly feeds: Readonly<Record<string, InferenceTensor>>;
}

/** A place without a worker. */
export function createSlot(): Slot {
  return { host: undefined, models: new Map(), inFlight: new Map() };
}

/** Whether a worker may be handed one run more of a model. Nothing waits behind a model that is being loaded, or behind long runs. */
function hasRoom(slot: Slot, model: PoolModel): boolean {
  let window = windowOf(model);
  for (const task of slot.inFlight.values()) window = Math.min(window, task.kind === 'open' ? 1 : windowOf(task.model));
  return slot.inFlight.size < window;
}

/** Nobody waits for it: its calls have their answers, or its loading took too long. */
export function isAbandoned(task: Task): boolean {
  return task.kind === 'open' ? task.abandoned : task.calls.every((call) => call.answered);
}

/** The worker that has the model and least to do, if it may be handed more. */
export function slotFor(slots: readonly Slot[], model: PoolModel): Slot | undefined {
  let best: Slot | undefined;
  for (const slot of slots) {
    if (slot.models.get(model) !== 'open' || !hasRoom(slot, model)) continue;
    if (best === undefined || slot.inFlight.size < best.inFlight.size) best = slot;
  }
  return best;
}

/** Where a model is opened next: an idle worker, then a place for a new one, then the worker with the least to do. */
export function slotToOpen(slots: readonly Slot[], model: PoolModel): Slot | undefined {
  const cost = (slot: Slot): number => (slot.host === undefined ? 0.5 : slot.inFlight.size);
  let best: Slot | undefined;
  for (const slot of slots) {
    if (!slot.models.has(model) && (best === undefined || cost(slot) < cost(best))) best = slot;
  }
  return best;
}
