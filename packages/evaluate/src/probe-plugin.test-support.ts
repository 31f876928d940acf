import { defineCandidateSource, definePlugin, defineRanker, perRequest, type RequestView } from '@recloom/plugin-api';

/** What a request brought to a source. */
export interface Asked {
  readonly known: boolean;
  readonly history: number;
  readonly asOfMs: number;
  readonly limit: number;
}

const anything = {
  '~standard': {
    version: 1 as const,
    vendor: 'test',
    validate: (value: unknown) => ({ value: value as object }),
    jsonSchema: { input: () => ({ type: 'object' }) },
  },
};

/**
 * Sources that propose the catalogue in its order (`up`) and against it (`down`), one that fails (`broken`), and a ranker that
 * turns its list around (`turn`). `asked` notes every request that a source sees.
 */
export function probePlugin(asked: Asked[] = []) {
  const source = (id: string, direction: 1 | -1) =>
    defineCandidateSource({
      id,
      summary: 'Everything, in one order or the other.',
      options: anything,
      reads: ['history'],
      capabilities: { coldItem: true, explains: true },
      stateVersion: 1,
      create: ({ items }) => ({
        propose: perRequest((request: RequestView, limit: number) => {
          asked.push({ known: request.userRow >= 0, history: request.history.length, asOfMs: request.asOfMs, limit });
          const all = Array.from({ length: items.rowCount }, (_, row) => (direction === 1 ? row : items.rowCount - 1 - row)).slice(
            0,
            limit,
          );
          return { rows: all, scores: all.map((_, place) => -place) };
        }),
        reasons: (_: RequestView, rows: Int32Array) =>
          Array.from(rows, () => ({ code: 'order', text: `it comes ${direction === 1 ? 'early' : 'late'}` })),
      }),
    });
  return definePlugin({
    apiVersion: 1,
    id: 'probe',
    components: [
      source('up', 1),
      source('down', -1),
      defineCandidateSource({
        id: 'broken',
        summary: 'Fails.',
        options: anything,
        capabilities: {},
        stateVersion: 1,
        create: () => ({
          propose: () => {
            throw new Error('broken');
          },
        }),
      }),
      defineRanker({
        id: 'turn',
        summary: 'Turns the list around.',
        options: anything,
        capabilities: {},
        stateVersion: 1,
        create: () => ({ rank: (list) => Int32Array.from(list.rows, (_, place) => list.rows.length - 1 - place) }),
      }),
    ],
  });
}
