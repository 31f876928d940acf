// What the programs in this folder open: a plugin of the host's own and a shop in memory. No compiler, no test runner.
import { datasetFromArrays } from '@recloom/core';
import { computeToken, defineCandidateSource, definePlugin, perRequest, tensor } from '@recloom/plugin-api';
import { z } from 'zod';

const plugin = definePlugin({
  apiVersion: 1,
  id: 'host',
  components: [
    defineCandidateSource({
      id: 'popular',
      summary: 'Items by number of events.',
      options: z.strictObject({}),
      // Asked for so that a pool of threads exists that closing must end.
      needs: { compute: computeToken },
      capabilities: { coldUser: true },
      stateVersion: 1,
      fit({ history }) {
        const counts = new Float32Array(history.itemCount);
        for (const row of history.items) counts[row] += 1;
        return { counts: tensor(counts) };
      },
      create({ state }) {
        const counts = state.counts.data;
        const order = [...counts.keys()].sort((left, right) => counts[right] - counts[left] || left - right);
        return {
          propose: perRequest((_request, limit) => ({
            rows: order.slice(0, limit),
            scores: order.slice(0, limit).map((row) => counts[row]),
          })),
        };
      },
    }),
  ],
});

export const config = {
  format: '1.0',
  name: 'program',
  data: { now: 'data' },
  compute: { threads: 2 },
  components: { popular: { use: 'host/popular' } },
  surfaces: { home: { sources: { popular: 10 }, attributes: ['title'] } },
};

/** Options of `openPipeline`: `items` items, of which item 1 sells best, then 2, then 3. */
export function options(items = 5) {
  const events = [];
  for (let item = 1; item <= 3; item++)
    for (let user = 0; user <= 3 - item; user++)
      events.push({ user: `u${user}`, item: `i${item}`, timeMs: 1_700_000_000_000 + events.length });
  return {
    plugins: [plugin],
    dataset: datasetFromArrays({
      items: Array.from({ length: items }, (_, index) => ({ id: `i${index}`, title: `Item ${index}` })),
      events,
    }),
  };
}
