import type { TextColumn } from '@recloom/plugin-api';
import { isThenable } from '../deadline.js';
import { reportFailure } from './report-failure.js';
import type { RunContext } from './run-context.js';

export async function extractQueries(run: RunContext): Promise<void> {
  const { queryFeatures } = run.surface;
  if (queryFeatures.length === 0) return;
  for (const feature of queryFeatures) {
    const { definition } = feature.node.planned;
    const modality = definition.capabilities.modality;
    const asked = run.states.filter((state) => (modality === 'image' ? state.image !== undefined : state.text !== undefined));
    if (asked.length === 0) continue;
    const started = run.engine.services.monotonic();
    try {
      const columns: Record<string, readonly TextColumn[]> = {};
      const values = asked.map((state) => (modality === 'image' ? (state.image as string) : (state.text ?? null)));
      for (const [input, spec] of Object.entries(definition.inputs))
        if (spec.kind === 'item-field') columns[input] = [{ type: 'text', values }];
      const out = { values: new Float32Array(asked.length * feature.instance.width), presence: new Uint8Array(asked.length) };
      const pending = feature.instance.extract(
        { scope: 'query', count: asked.length, columns, rows: new Int32Array(0), candidates: undefined, signal: run.deadline.signal },
        out,
      );
      if (isThenable(pending)) await run.deadline.wait(pending, feature.name, undefined);
      for (const [index, state] of asked.entries()) {
        if (out.presence[index] === 1)
          state.setQueryVector(feature.name, out.values.slice(index * feature.instance.width, (index + 1) * feature.instance.width));
      }
    } catch (error) {
      run.throwIfFinal(error);
      for (const state of asked) reportFailure(run.engine, state, feature.node, error, 'RECLOOM_RUN_NODE_FAILED', 'encoding the query');
    }
    run.time(feature.name, started);
  }
}
