import {
  type ContextValue,
  columnValue,
  emptyHistory,
  type HistoryView,
  type Label,
  type RequestView,
  recloomError,
  requestLabels,
  type Warning,
} from '@recloom/plugin-api';
import { suggest } from '../config/suggest.js';
import type { SurfaceNeed } from '../config/types.js';
import type { SessionEvent } from '../data/history-overlay.js';
import type { AssembledSurface } from './assemble.js';
import { checkRequest } from './check-request.js';
import type { Engine } from './engine.js';
import type { RecommendRequest } from './types.js';

const noContext: Readonly<Record<string, ContextValue>> = Object.freeze(Object.create(null) as Record<string, ContextValue>);
const noRows = new Int32Array(0);
const nothingGranted: ReadonlySet<Label> = new Set(requestLabels);

/** Longest text a request may carry; what a person types is shorter. */
export const maximumTextLength = 2_000;

/** One request on its way: what was asked, what was granted, what went wrong. */
export class RequestState implements RequestView {
  index = 0;
  readonly engine: Engine;
  readonly request: RecommendRequest;
  readonly #surface: AssembledSurface;
  readonly limit: number;
  readonly asOfMs: number;
  readonly seed: number;
  readonly text: string | undefined;
  readonly items: Int32Array;
  readonly excluded: Int32Array;
  readonly session: readonly SessionEvent[];
  readonly warnings: Warning[] = [];
  granted_: ReadonlySet<Label> = nothingGranted;
  #history: HistoryView | undefined;
  #userRow: number | undefined;
  #queryVectors: Map<string, Float32Array> | undefined;
  /** True once stored personal data were handed out. */
  personalised = false;

  constructor(engine: Engine, surface: AssembledSurface, request: RecommendRequest) {
    this.engine = engine;
    this.#surface = surface;
    this.request = request;
    const { config } = surface.planned;
    this.limit = checkLimit(request.limit ?? config.limit, config.limits.items);
    this.asOfMs = timeOf(request.asOf) ?? (engine.plan.loaded.config.data.now === 'data' ? engine.newestEventMs : engine.services.now());
    this.seed = request.seed ?? engine.plan.loaded.config.seed;
    if (request.attributes !== undefined) checkAttributes(request.attributes, engine.items.fields);
    this.text = this.#checkText(request.text);
    let unknown = 0;
    const lookUp = (ids: readonly string[]): Int32Array => {
      const rows: number[] = [];
      for (const id of ids) {
        const row = engine.items.rowOf(String(id));
        if (row >= 0) rows.push(row);
        else unknown++;
      }
      return rows.length === 0 ? noRows : Int32Array.from(rows);
    };
    this.items =
      request.items !== undefined
        ? lookUp(request.item === undefined ? request.items : [request.item, ...request.items])
        : request.item !== undefined
          ? lookUp([request.item])
          : noRows;
    this.session =
      request.session === undefined || request.session.length === 0 ? [] : this.#sessionEvents(request.session, () => unknown++);
    const unknownBefore = unknown;
    this.excluded = request.exclude === undefined ? noRows : lookUp(request.exclude);
    // An unknown id in `exclude` excludes nothing and is no news to anybody.
    unknown = unknownBefore;
    if (unknown > 0) this.warn('RECLOOM_RUN_UNKNOWN_ITEMS', recloomError('RECLOOM_RUN_UNKNOWN_ITEMS', { count: unknown }).message, unknown);
  }

  /** The same request as if it had just come in. */
  again(): RequestState {
    return new RequestState(this.engine, this.#surface, this.request);
  }

  get image(): Uint8Array | string | undefined {
    return this.request.image;
  }

  get queryWeights(): RequestView['queryWeights'] {
    return this.request.queryWeights;
  }

  get context(): Readonly<Record<string, ContextValue>> {
    return this.request.context ?? noContext;
  }

  get diversity(): number | undefined {
    return this.request.diversity;
  }

  granted(label: Label): boolean {
    return this.granted_.has(label);
  }

  grant(labels: ReadonlySet<Label>): void {
    this.granted_ = labels;
    this.#history = undefined;
    this.#userRow = undefined;
  }

  get userRow(): number {
    if (this.#userRow === undefined) {
      const { user } = this.request;
      const visible = user !== undefined && (this.granted_.has('history') || this.granted_.has('profile'));
      this.#userRow = visible ? this.engine.users.rowOf(user) : -1;
    }
    return this.#userRow;
  }

  get history(): HistoryView {
    if (this.#history === undefined) {
      const stored = this.granted_.has('history') ? this.userRow : -1;
      if (stored >= 0) this.personalised = true;
      this.#history =
        stored < 0 && this.session.length === 0
          ? emptyHistory
          : this.engine.history.view(stored, { asOfMs: this.asOfMs, session: this.session });
    }
    return this.#history;
  }

  userField(field: string): ContextValue | undefined {
    const label = this.engine.plan.loaded.config.data.labels[field] ?? 'profile';
    if (!this.granted_.has(label) || this.request.user === undefined) return undefined;
    const column = this.engine.users.column(field);
    const row = this.engine.users.rowOf(this.request.user);
    if (column === undefined || row < 0) return undefined;
    this.engine.onRead?.(label, `user.${field}`);
    this.personalised = true;
    const value = columnValue(column, row);
    return typeof value === 'object' && value !== null ? value.join(',') : value;
  }

  queryVector(feature: string): Float32Array | undefined {
    return this.#queryVectors?.get(feature);
  }

  setQueryVector(feature: string, vector: Float32Array): void {
    this.#queryVectors ??= new Map();
    this.#queryVectors.set(feature, vector);
  }

  /** Adds a warning; a component that stands in two stages says the same thing once. */
  warn(code: string, message: string, count?: number, at?: Warning['at'], detail?: Warning['detail']): void {
    if (this.warnings.some((known) => known.code === code && known.message === message)) return;
    this.warnings.push({
      code,
      message,
      ...(count === undefined ? {} : { count }),
      ...(at === undefined ? {} : { at }),
      ...(detail === undefined ? {} : { detail }),
    });
  }

  /** Whether a component that reads these labels may run for this request; session events stand in for a stored history. */
  mayRead(labels: readonly Label[]): boolean {
    for (const label of labels) {
      if (this.granted_.has(label)) continue;
      if (label === 'history' && (this.session.length > 0 || this.items.length > 0)) continue;
      return false;
    }
    return true;
  }

  #checkText(text: string | undefined): string | undefined {
    if (text === undefined) return undefined;
    if (typeof text !== 'string') throw recloomError('RECLOOM_RUN_REQUEST', { why: '"text" must be a string' });
    const trimmed = text.trim();
    if (trimmed.length === 0) return undefined;
    if (trimmed.length <= maximumTextLength) return trimmed;
    this.warn(
      'RECLOOM_RUN_TEXT_TOO_LONG',
      recloomError('RECLOOM_RUN_TEXT_TOO_LONG', { length: trimmed.length, maximum: maximumTextLength }).message,
    );
    return trimmed.slice(0, maximumTextLength);
  }

  #sessionEvents(events: NonNullable<RecommendRequest['session']>, unknown: () => void): SessionEvent[] {
    const known: SessionEvent[] = [];
    for (const event of events) {
      if (typeof event?.item !== 'string') throw recloomError('RECLOOM_RUN_REQUEST', { why: 'every session event needs an "item"' });
      const itemRow = this.engine.items.rowOf(event.item);
      if (itemRow < 0) unknown();
      else {
        const timeMs = timeOf(event.time);
        // The clock of a guest's browser may run ahead of ours; what they just did is not the future.
        known.push({ itemRow, type: event.type, timeMs: timeMs === undefined ? undefined : Math.min(timeMs, this.asOfMs) });
      }
    }
    return known;
  }
}

function checkLimit(limit: unknown, maximum: number): number {
  if (typeof limit !== 'number' || !Number.isInteger(limit) || limit < 1 || limit > maximum) {
    const found =
      typeof limit === 'number' ? String(limit) : limit === null ? 'null' : typeof limit === 'object' ? 'an object' : `a ${typeof limit}`;
    throw recloomError('RECLOOM_RUN_LIMIT', { found, maximum });
  }
  return limit;
}

/** An attribute that no item has would come out empty and look like missing data. */
function checkAttributes(attributes: readonly string[], fields: readonly string[]): void {
  for (const attribute of attributes) {
    if (fields.includes(attribute)) continue;
    const near = suggest(attribute, fields);
    throw recloomError('RECLOOM_RUN_REQUEST', {
      why: `"attributes" names a field that items do not have${near === undefined ? '' : `; did you mean "${near}"?`} (fields: ${fields.join(', ')})`,
    });
  }
}

/** A date or a number of milliseconds as milliseconds. @throws RECLOOM_RUN_REQUEST when it is neither. */
export function timeOf(time: Date | number | undefined): number | undefined {
  if (time === undefined) return undefined;
  const milliseconds = time instanceof Date ? time.getTime() : time;
  if (typeof milliseconds !== 'number' || !Number.isFinite(milliseconds))
    throw recloomError('RECLOOM_RUN_REQUEST', { why: 'a time is neither a valid Date nor a number of milliseconds' });
  return milliseconds;
}

/**
 * The surface a request means.
 *
 * @throws RECLOOM_RUN_UNKNOWN_SURFACE, RECLOOM_RUN_NEEDS
 */
export function surfaceOf(engine: Engine, request: RecommendRequest): AssembledSurface {
  const { surfaces } = engine.assembly;
  checkRequest(request);
  let surface: AssembledSurface | undefined;
  let name = request.surface;
  if (name === undefined) {
    const guess =
      request.text !== undefined || request.image !== undefined
        ? 'search'
        : request.item !== undefined || request.items !== undefined
          ? 'product'
          : 'home';
    surface = surfaces.get(guess) ?? (surfaces.size === 1 ? surfaces.values().next().value : undefined);
    name = guess;
  } else {
    surface = surfaces.get(name);
  }
  if (surface === undefined) {
    const available = [...surfaces.keys()];
    throw recloomError('RECLOOM_RUN_UNKNOWN_SURFACE', {
      surface: String(name),
      suggestion: suggest(String(name), available),
      available: available.join(', '),
    });
  }
  const { needs } = surface.planned.config;
  if (needs.length > 0) {
    const missing = missingNeeds(needs, request);
    if (missing !== undefined) throw recloomError('RECLOOM_RUN_NEEDS', { surface: surface.name, needs: missing });
  }
  return surface;
}

/** `user` and `session` are alternatives, and so are `text` and `image`; everything else is asked for as listed. */
function missingNeeds(needs: readonly SurfaceNeed[], request: RecommendRequest): string | undefined {
  const groups: readonly (readonly SurfaceNeed[])[] = [
    needs.filter((need) => need === 'user' || need === 'session'),
    needs.filter((need) => need === 'text' || need === 'image'),
    needs.filter((need) => need === 'item'),
  ];
  const has = (need: SurfaceNeed): boolean => {
    switch (need) {
      case 'user':
        return request.user !== undefined;
      case 'session':
        return request.session !== undefined;
      case 'item':
        return request.item !== undefined || (request.items !== undefined && request.items.length > 0);
      case 'text':
        return request.text !== undefined;
      case 'image':
        return request.image !== undefined;
    }
  };
  for (const group of groups) if (group.length > 0 && !group.some(has)) return group.join(' or ');
  return undefined;
}
