import { definePlugin, defineScorer, type HistoryView, type OptionsSchema, type PluginDefinition, type Scorer } from '@recloom/plugin-api';

/** What the probe saw of the requests that ran: histories as the gate handed them out, by user row of the cut's table. */
export interface ProbeRecord {
  readonly histories: Map<number, HistoryView>;
}

/**
 * A plugin made for one export. Its scorer stands behind all others and keeps the histories that the gate granted: what a request
 * may not read is in no file.
 */
export function probePlugin(record: ProbeRecord): PluginDefinition {
  const probe = defineScorer({
    id: 'probe',
    summary: 'Keeps the histories of a training export.',
    options: noOptions,
    capabilities: { coldUser: true, coldItem: true },
    stateVersion: 1,
    create: (): Scorer => ({
      score(batch, out) {
        out.fill(0);
        for (const { userRow, history } of batch.requests) if (userRow >= 0) record.histories.set(userRow, history);
      },
    }),
  });
  return definePlugin({ apiVersion: 1, id: 'recloom-training', components: [probe] });
}

const noOptions: OptionsSchema<Record<string, never>> = {
  '~standard': {
    version: 1,
    vendor: 'recloom',
    validate: (value) => ({ value: value as Record<string, never> }),
    jsonSchema: { input: () => ({ type: 'object', properties: {}, additionalProperties: false }) },
    types: { input: {}, output: {} },
  },
};
