import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { datasetFromArrays, openPipeline } from '@recloom/core';
import { defineCandidateSource, definePlugin, type OptionsSchema, perRequest } from '@recloom/plugin-api';
import { describe, expect, it } from 'vitest';

/**
 * The models of examples/online-retail against those who trained them: LightGBM's and PyTorch's own predictions (float64 and
 * float32) on rows of the export, written by examples/train-ranker/train.py --fixture before the model became ONNX.
 */
const root = join(import.meta.dirname, '..', '..');
const modelFolder = join(root, 'examples/online-retail/models');
const day = 86_400_000;
const asOf = Date.UTC(2011, 9, 9);

interface List {
  readonly items: readonly string[];
  readonly features: readonly (readonly number[])[];
  readonly expected: readonly number[];
  /** 1 + index in the vocabulary; 0 is padding or an item that the model does not know. */
  readonly history?: readonly number[];
  readonly age_days?: readonly number[];
  readonly mask?: readonly number[];
}
interface Fixture {
  readonly columns: readonly string[];
  readonly sha256: string;
  readonly lists: readonly List[];
}
interface Manifest {
  readonly inputs: Readonly<Record<string, Readonly<Record<string, unknown>>>>;
  readonly outputs: Readonly<Record<string, { readonly calibration?: { readonly a: number; readonly b: number } }>>;
  readonly main: string;
  readonly training: { readonly sha256: string };
}

const readJson = <Value>(...parts: string[]): Value => JSON.parse(readFileSync(join(root, ...parts), 'utf8')) as Value;

const anything: OptionsSchema<Record<string, never>> = {
  '~standard': {
    version: 1,
    vendor: 'test',
    validate: (value) => ({ value: value as Record<string, never> }),
    jsonSchema: { input: () => ({ type: 'object' }) },
    types: { input: {}, output: {} },
  },
};
const everything = definePlugin({
  apiVersion: 1,
  id: 'everything',
  components: [
    defineCandidateSource({
      id: 'items',
      summary: 'Proposes every item.',
      options: anything,
      capabilities: {},
      stateVersion: 1,
      create: ({ items }) => ({
        propose: perRequest(() => {
          const rows = Array.from({ length: items.rowCount }, (_, row) => row);
          return { rows, scores: rows.map(() => 1) };
        }),
      }),
    }),
  ],
});

/** Scores of a list as `scorer-onnx/model` gives them when the columns are the fixture's numbers. */
async function scoresOf(list: List, name: string, manifest: Manifest, engine: string): Promise<ReadonlyMap<string, readonly number[]>> {
  const vocabulary = existsSync(join(modelFolder, `${name}.items.json`))
    ? readJson<string[]>('examples/online-retail/models', `${name}.items.json`)
    : [];
  const width = list.features[0]?.length ?? 0;
  const fields = (values: readonly number[]) => Object.fromEntries(values.map((value, index) => [`f${index}`, value]));
  const events = (list.history ?? []).flatMap((number, place) =>
    list.mask?.[place] === 1
      ? [{ user: 'u', item: vocabulary[number - 1] ?? 'nobody knows it', timeMs: asOf - (list.age_days?.[place] ?? 0) * day }]
      : [],
  );
  const known = new Set(list.items);
  const others = [...new Set(events.map(({ item }) => item))].filter((item) => !known.has(item));
  const dataset = datasetFromArrays({
    items: [
      ...list.items.map((id, index) => ({ id, ...fields(list.features[index] ?? []) })),
      ...others.map((id) => ({ id, ...fields(Array.from({ length: width }, () => 0)) })),
    ],
    events: [{ user: 'somebody', item: list.items[0] as string, timeMs: asOf - 400 * day }, ...events],
  });
  const inputs = Object.fromEntries(
    Object.entries(manifest.inputs).map(([input, description]) => [
      input,
      'columns' in description
        ? { ...description, columns: Array.from({ length: width }, (_, index) => `item.f${index}`) }
        : 'vocabulary' in description
          ? { ...description, vocabulary }
          : description,
    ]),
  );
  const pipeline = await openPipeline(
    {
      format: '1.0',
      name: 'truth',
      data: {},
      components: {
        all: { use: 'everything/items' },
        model: {
          use: 'scorer-onnx/model',
          with: {
            model: join(modelFolder, `${name}.onnx`),
            sha256: manifest.training.sha256,
            engine,
            device: 'cpu',
            inputs,
            outputs: manifest.outputs,
            main: manifest.main,
          },
        },
      },
      surfaces: { home: { sources: { all: 10_000 }, scorers: ['model'], value: 'score.model', limits: { candidates: 10_000 } } },
    },
    { dataset, plugins: [everything], directory: root },
  );
  const scores = new Map<string, readonly number[]>();
  try {
    for await (const { candidates, error } of pipeline.scoreCandidates([{ user: 'u', asOf }], {
      columns: ['score.model', 'score.model.taken'],
    })) {
      if (error !== undefined) throw error;
      expect(candidates.warnings.filter(({ code }) => code !== 'RECLOOM_PRV_NO_GATE')).toEqual([]);
      for (const [place, id] of candidates.ids.entries())
        scores.set(id, [
          candidates.columns['score.model']?.[place] ?? Number.NaN,
          candidates.columns['score.model.taken']?.[place] ?? Number.NaN,
        ]);
    }
  } finally {
    await pipeline.close();
  }
  return scores;
}

describe.each([
  // float32 sums of up to a few hundred leaves of either sign.
  { name: 'ranker', engine: 'kernels', tolerance: 2e-6 },
  { name: 'ranker', engine: 'onnx', tolerance: 2e-6 },
  // float32 in other orders of addition, and ages that went through milliseconds.
  { name: 'attention', engine: 'onnx', tolerance: 2e-4 },
] as const)('$name on $engine', ({ name, engine, tolerance }) => {
  const manifest = readJson<Manifest>('examples/online-retail/models', `${name}.json`);
  const fixture = readJson<Fixture>('examples/train-ranker/fixtures', `${name}.json`);

  it('is the model that the fixture was written for', () => {
    expect(fixture.sha256).toBe(manifest.training.sha256);
    expect(fixture.columns).toEqual(manifest.inputs['features']?.['columns']);
    expect(fixture.lists.flatMap(({ expected }) => expected).length).toBeGreaterThan(200);
  });

  it(`scores as its trainer does, within ${tolerance}`, async () => {
    let largest = 0;
    const seen = new Set<number>();
    for (const list of fixture.lists) {
      const scores = await scoresOf(list, name, manifest, engine);
      for (const [index, item] of list.items.entries()) {
        const [raw = Number.NaN, taken = Number.NaN] = scores.get(item) ?? [];
        const expected = list.expected[index] as number;
        largest = Math.max(largest, Math.abs(raw - expected));
        expect(Math.abs(raw - expected)).toBeLessThanOrEqual(tolerance);
        const { a, b } = manifest.outputs['taken']?.calibration ?? { a: Number.NaN, b: Number.NaN };
        expect(taken).toBeCloseTo(1 / (1 + Math.exp(-(a * expected + b))), 4);
        seen.add(expected);
      }
    }
    // Many different scores: a constant would pass for nothing.
    expect(seen.size).toBeGreaterThan(100);
    expect(largest).toBeGreaterThanOrEqual(0);
  });
});
