import { type Label, recloomError, requestLabels } from '@recloom/plugin-api';
import { suggest } from '../../config/suggest.js';
import type { AssembledSurface } from '../assemble.js';
import { type Deadline, isThenable } from '../deadline.js';
import type { Engine } from '../engine.js';
import type { RequestState } from '../request-state.js';
import { reportFailure } from './report-failure.js';

const allGranted: ReadonlySet<Label> = new Set<Label>([...requestLabels, 'history', 'profile', 'location']);

/** Part of the time left that a gate may take: when it hangs, the variant for a stranger must still be answered. */
const gateShare = 0.5;

/** Asks the surface's gates (at least one) what each request grants. A gate that fails or is late grants nothing beyond the request itself. */
export async function openGates(
  engine: Engine,
  surface: AssembledSurface,
  states: readonly RequestState[],
  deadline: Deadline,
): Promise<void> {
  // Batches have no deadline of their own; a gate that hangs must not hang them.
  const gateTimeMs = Math.min(deadline.remainingMs(), surface.planned.config.limits.timeoutMs) * gateShare;
  const known = knownPurposes(surface);
  for (const state of states) {
    if (known !== undefined && state.request.purposes !== undefined)
      warnUnknownPurposes(state, surface.name, state.request.purposes, known);
    let granted: Set<Label> | undefined;
    for (const gate of surface.gates) {
      let labels: readonly Label[] = [];
      try {
        const answer =
          gate.instance.gate?.({
            surface: surface.name,
            userId: state.request.user,
            purposes: state.request.purposes,
            signal: deadline.signal,
          }) ?? [];
        labels = isThenable(answer)
          ? await deadline.wait(answer as PromiseLike<readonly Label[]>, gate.name, gateTimeMs)
          : (answer as readonly Label[]);
        if (!Array.isArray(labels))
          throw recloomError('RECLOOM_LAW_SHAPE', { name: gate.name, expected: 'a list of labels', found: typeof labels });
      } catch (error) {
        deadline.throwIfAborted();
        labels = [];
        reportFailure(engine, state, gate.node, error, 'RECLOOM_PRV_FAILED_CLOSED', 'gate()');
      }
      const these = new Set(labels);
      granted = granted === undefined ? these : new Set([...granted].filter((label) => these.has(label)));
    }
    for (const label of requestLabels) granted?.add(label);
    state.grant(granted ?? new Set(requestLabels));
  }
}

/** The purposes that the gates of a surface know; undefined when one of them does not say. */
function knownPurposes(surface: AssembledSurface): readonly string[] | undefined {
  const known = new Set<string>();
  for (const { instance } of surface.gates) {
    if (instance.purposes === undefined) return undefined;
    for (const purpose of instance.purposes) known.add(purpose);
  }
  return [...known];
}

/**
 * A host may pass on everything that somebody agreed to, analytics for example: that the gates do not know all of it is nobody's
 * mistake. It is one when nothing that was sent is known, or when something looks like a known purpose misspelt.
 */
function warnUnknownPurposes(state: RequestState, surface: string, sent: readonly string[], known: readonly string[]): void {
  const unknown = [...new Set(sent)].filter((purpose) => !known.includes(purpose));
  if (unknown.length === 0) return;
  let suggestion: string | undefined;
  for (const purpose of unknown) suggestion ??= suggest(purpose, known);
  if (suggestion === undefined && unknown.length < new Set(sent).size) return;
  // What was sent is not repeated: nobody knows what it holds.
  const parameters = { count: unknown.length, surface, suggestion, available: known.join(', ') || 'none' };
  state.warn('RECLOOM_PRV_UNKNOWN_PURPOSE', recloomError('RECLOOM_PRV_UNKNOWN_PURPOSE', parameters).message, unknown.length);
}

/** Without a gate the config's author decided that everything may be read. */
export function grantUngated(engine: Engine, states: readonly RequestState[]): void {
  const extra = Object.values(engine.plan.loaded.config.data.labels);
  const granted = extra.length === 0 ? allGranted : new Set([...allGranted, ...extra]);
  for (const state of states) state.grant(granted);
}

/** Requests that grant the same run together; nearly always that is one group. */
export function groupByGrant(states: readonly RequestState[]): readonly (readonly RequestState[])[] {
  if (states.length === 1) return [states];
  const groups = new Map<string, RequestState[]>();
  for (const state of states) {
    const key = `${[...state.granted_].sort().join()}|${state.session.length > 0 || state.items.length > 0}|${state.text === undefined}|${state.request.image === undefined}`;
    const group = groups.get(key);
    if (group === undefined) groups.set(key, [state]);
    else group.push(state);
  }
  return [...groups.values()];
}
