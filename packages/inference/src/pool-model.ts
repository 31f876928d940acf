import type { OpenedModel, OpenModel } from './protocol.js';

/** A model as a pool knows it: what its workers are told, what they said of it, and how long it takes. */
export interface PoolModel {
  /** Replaced when its hash is known, and when its device was given up. */
  request: OpenModel;
  opened: OpenedModel | undefined;
  /** Its runs may hold the rows of several calls. */
  shareable: boolean;
  /** Moving mean of the time of a run; undefined before the first. */
  meanRunMs: number | undefined;
  /** Runs out when calls have waited long enough for another worker to be given the model. */
  spreading: NodeJS.Timeout | undefined;
  /** It could not be opened on a further worker; those that have it go on. */
  spreadFailed: boolean;
}

/** A model that no worker has yet. */
export function createPoolModel(request: OpenModel): PoolModel {
  return { request, opened: undefined, shareable: false, meanRunMs: undefined, spreading: undefined, spreadFailed: false };
}

/**
 * Runs of a model that a worker may be handed at once. The worker does them one by one; more than one waits in its inbox,
 * so that it does not idle while an answer and the next run cross between threads (0.1 ms). A run that was handed over can go
 * to no other worker, though one may be idle while the system keeps this one from its core: longer runs do not wait so.
 */
export function windowOf({ meanRunMs }: PoolModel): number {
  if (meanRunMs === undefined) return 1;
  if (meanRunMs < 0.5) return 4;
  return meanRunMs < 5 ? 2 : 1;
}

/** Takes the time of a run into the mean. */
export function noteRun(model: PoolModel, milliseconds: number): void {
  model.meanRunMs = model.meanRunMs === undefined ? milliseconds : model.meanRunMs * 0.8 + milliseconds * 0.2;
}
