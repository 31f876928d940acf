import {
  defineCandidateFilter,
  defineCandidateSource,
  defineComponent,
  definePlugin,
  definePrivacyFilter,
  defineRanker,
  defineScorer,
  defineSideEffect,
  jsonTensor,
  type PluginDefinition,
  perRequest,
  readJsonTensor,
  tensor,
} from '@recloom/plugin-api';
import { z } from 'zod';

/** What a test's components do when they are called: set by the test, shared by nobody else. */
export interface TestBehaviour {
  propose?: (limit: number) => unknown;
  score?: (out: Float32Array) => unknown;
  rank?: (count: number) => unknown;
  gate?: () => unknown;
  purposes?: readonly string[];
  filter?: (removed: Uint8Array) => unknown;
  effects?: string[];
  disposed?: string[];
}

/** A plugin of small components for tests of the pipeline itself. Every call gives one of its own, driven by `behaviour`. */
export function testPlugin(behaviour: TestBehaviour = {}): PluginDefinition {
  const dispose = (name: string) => () => {
    behaviour.disposed?.push(name);
  };
  return definePlugin({
    apiVersion: 1,
    id: 'test',
    components: [
      defineComponent({
        id: 'counts',
        summary: 'Items by number of events; scores them too.',
        provides: ['source', 'scorer'],
        options: z.strictObject({ sign: z.number().default(1) }),
        capabilities: { explains: true, coldUser: true },
        stateVersion: 1,
        fit({ history }) {
          const counts = new Float32Array(history.itemCount);
          for (const row of history.items) counts[row] = (counts[row] as number) + 1;
          return { counts: tensor(counts), note: jsonTensor({ events: history.eventCount }) };
        },
        create({ options, state }) {
          const counts = state['counts']?.data as Float32Array;
          readJsonTensor(state['note']);
          return {
            propose: perRequest((_request, limit) => {
              const rows = Array.from(counts.keys()).sort(
                (left, right) => options.sign * ((counts[right] as number) - (counts[left] as number)) || left - right,
              );
              return { rows: rows.slice(0, limit), scores: rows.slice(0, limit).map((row) => counts[row] as number) };
            }),
            score(batch, out) {
              for (let index = 0; index < batch.count; index++) out[index] = counts[batch.rows[index] as number] ?? 0;
            },
            reasons: (_request, rows) =>
              Array.from(rows, (row) => ({ code: 'bought-often', text: 'Bought {times} times', values: { times: counts[row] ?? 0 } })),
            dispose: dispose('counts'),
          };
        },
      }),
      defineCandidateSource({
        id: 'custom',
        summary: 'Proposes what the test says.',
        options: z.strictObject({}),
        capabilities: {},
        stateVersion: 1,
        create: () => ({ propose: (_batch, limit) => behaviour.propose?.(limit) as never }),
      }),
      defineCandidateSource({
        id: 'history',
        summary: 'Proposes what the user has, newest first.',
        options: z.strictObject({}),
        reads: ['history'],
        capabilities: { personal: true, coldUser: true },
        stateVersion: 1,
        create: () => ({
          propose: perRequest((request) => {
            const rows = [...new Set(Array.from(request.history.items).reverse())];
            return { rows, scores: rows.map((_, index) => 1 / (index + 1)) };
          }),
        }),
      }),
      defineScorer({
        id: 'custom-score',
        summary: 'Scores as the test says.',
        options: z.strictObject({}),
        capabilities: {},
        stateVersion: 1,
        create: () => ({ score: (_batch, out) => behaviour.score?.(out) as never }),
      }),
      defineCandidateFilter({
        id: 'seen',
        summary: 'Removes the history.',
        options: z.strictObject({}),
        reads: ['history'],
        capabilities: {},
        stateVersion: 1,
        create: () => ({
          removalReasons: ['seen'],
          filter(batch, removed) {
            if (behaviour.filter !== undefined) return behaviour.filter(removed) as never;
            for (const [index, request] of batch.requests.entries()) {
              const seen = new Set(request.history.items);
              for (let at = batch.offsets[index] as number; at < (batch.offsets[index + 1] as number); at++)
                if (seen.has(batch.rows[at] as number)) removed[at] = 1;
            }
          },
        }),
      }),
      defineRanker({
        id: 'custom-rank',
        summary: 'Ranks as the test says.',
        options: z.strictObject({}),
        capabilities: {},
        stateVersion: 1,
        create: () => ({ rank: (list) => behaviour.rank?.(list.count) as never }),
      }),
      definePrivacyFilter({
        id: 'gate',
        summary: 'Grants the history with the purpose personalisation.',
        options: z.strictObject({}),
        capabilities: {},
        stateVersion: 1,
        create: () => ({
          ...(behaviour.purposes === undefined ? {} : { purposes: behaviour.purposes }),
          gate: (context) =>
            behaviour.gate === undefined ? (context.purposes?.includes('personalisation') ? ['history'] : []) : (behaviour.gate() as never),
        }),
      }),
      defineSideEffect({
        id: 'log',
        summary: 'Notes what was answered.',
        options: z.strictObject({}),
        capabilities: {},
        stateVersion: 1,
        create: () => ({ onAnswer: (event) => void behaviour.effects?.push(event.items.join()) }),
      }),
    ],
  });
}
