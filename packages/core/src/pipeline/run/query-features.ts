import type { ExtractBatch, FeatureExtractor, FeatureRows, ImageColumn, TextColumn, Warning } from '@recloom/plugin-api';
import { recloomError } from '@recloom/plugin-api';
import type { AssembledNode } from '../assemble.js';
import { isThenable } from '../deadline.js';
import { type Ask, asksOf, featureInputs, settleRows, takesImages } from '../extraction.js';
import type { RequestState } from '../request-state.js';
import { reportFailure } from './report-failure.js';
import type { RunContext } from './run-context.js';

type QueryFeature = RunContext['surface']['queryFeatures'][number];

/** What one extractor had to say about the requests it was asked for. */
interface Outcome {
  readonly asked: readonly RequestState[];
  /** What it warned of, by place in `asked`. */
  readonly warned: readonly (readonly [index: number, warning: Warning])[];
  /** Set when it failed. */
  readonly failure?: { readonly error: unknown };
}

/**
 * Works out the query vectors of the requests: each extractor once those it is made of are done, all others side by side.
 * One that fails leaves its requests without that vector and with a warning. False when no request brought anything to encode.
 */
export async function extractQueries(run: RunContext): Promise<boolean> {
  const running = new Map<string, Promise<Outcome>>();
  for (const feature of run.surface.queryFeatures) {
    const inputs = featureInputs(feature.node.planned).flatMap((input) => running.get(input.name) ?? []);
    running.set(
      feature.name,
      inputs.length === 0 ? extractQuery(run, feature) : Promise.all(inputs).then(() => extractQuery(run, feature)),
    );
  }
  // In the order of the config, so that the warnings do not depend on which was done first.
  const outcomes = await Promise.all(running.values());
  for (const [place, { asked, warned, failure }] of outcomes.entries()) {
    const { name, node } = run.surface.queryFeatures[place] as QueryFeature;
    for (const [index, { code, message, count }] of warned) asked[index]?.warn(code, message, count, { node: name });
    if (failure === undefined) continue;
    run.throwIfFinal(failure.error);
    for (const state of asked) reportFailure(run.engine, state, node, failure.error, 'RECLOOM_RUN_NODE_FAILED', 'encoding the query');
  }
  run.deadline.throwIfAborted();
  return outcomes.some(({ asked }) => asked.length > 0);
}

async function extractQuery(run: RunContext, feature: QueryFeature): Promise<Outcome> {
  const { node, instance } = feature;
  const asked = askedBy(run, node);
  const warned: [number, Warning][] = [];
  if (asked.length === 0) return { asked, warned };
  const started = run.engine.services.monotonic();
  let failure: Outcome['failure'];
  try {
    if (run.deadline.passedAt(started)) throw recloomError('RECLOOM_RUN_TIMEOUT', { name: feature.name, timeoutMs: 0 });
    const { width } = instance;
    const out = { values: new Float32Array(asked.length * width), presence: new Uint8Array(asked.length) };
    const pending = instance.extract(
      { ...queryBatch(run, node, asked), warn: (index, warning) => void warned.push([index, warning]) },
      out,
    );
    if (isThenable(pending)) await run.deadline.wait(pending, feature.name, undefined);
    for (const [index, state] of asked.entries()) {
      const vector = out.values.slice(index * width, (index + 1) * width);
      const presence = out.presence.subarray(index, index + 1);
      if (settleRows(vector, presence, width) > 0) {
        const { message } = recloomError('RECLOOM_LAW_NON_FINITE', { name: feature.name, count: 1 });
        state.warn('RECLOOM_LAW_NON_FINITE', message, 1, { node: feature.name });
      } else if (presence[0] === 1) state.setQueryVector(feature.name, vector);
    }
  } catch (error) {
    failure = { error };
  }
  run.time(feature, started);
  return { asked, warned, ...(failure === undefined ? {} : { failure }) };
}

/** The requests that bring something the extractor asks for, or a vector that it is made of. */
function askedBy(run: RunContext, node: AssembledNode): readonly RequestState[] {
  const asks = asksOf(node.planned);
  const inputs = featureInputs(node.planned);
  const asked = run.states.filter(
    (state) => asks.some((ask) => brings(state, ask)) || inputs.some((input) => state.queryVector(input.name) !== undefined),
  );
  return asked.length === 0 || run.allows(node, asked) ? asked : [];
}

function brings(state: RequestState, ask: Ask): boolean {
  switch (ask) {
    case 'text':
      return state.text !== undefined;
    case 'image':
      return state.image !== undefined;
    case 'item':
      return state.items.length > 0;
    case 'user':
      // Whether anything is known of them is for the extractor to see: looking here would already read it.
      return state.request.user !== undefined || state.session.length > 0;
  }
}

function queryBatch(run: RunContext, node: AssembledNode, asked: readonly RequestState[]): ExtractBatch {
  const { definition, inputs } = node.planned;
  const columns: Record<string, readonly (TextColumn | ImageColumn)[]> = {};
  const features: Record<string, readonly FeatureRows[]> = {};
  for (const [input, spec] of Object.entries(definition.inputs)) {
    if (spec.kind === 'item-field') {
      columns[input] = [
        takesImages(spec, definition.capabilities.modality)
          ? { type: 'image', values: asked.map(({ image }) => (typeof image === 'string' ? image : null)) }
          : { type: 'text', values: asked.map(({ text }) => text ?? null) },
      ];
    } else if (spec.kind === 'feature') {
      const entries = inputs.get(input)?.entries ?? [];
      features[input] = entries.flatMap((entry) => (entry.kind === 'feature' ? queryRows(run, entry.node.name, asked) : []));
    }
  }
  return {
    scope: 'query',
    count: asked.length,
    columns,
    features,
    requests: asked,
    rows: new Int32Array(0),
    candidates: undefined,
    signal: run.deadline.signal,
  };
}

/** The query vectors of a feature, one row per request; absent for a feature that has no query scope. */
function queryRows(run: RunContext, name: string, asked: readonly RequestState[]): FeatureRows {
  const { width } = (run.engine.assembly.nodes.get(name) as AssembledNode).instance as FeatureExtractor;
  const values = new Float32Array(asked.length * width);
  const presence = new Uint8Array(asked.length);
  for (const [index, state] of asked.entries()) {
    const vector = state.queryVector(name);
    if (vector === undefined) continue;
    presence[index] = 1;
    values.set(vector, index * width);
  }
  return { name, width, values, presence };
}
