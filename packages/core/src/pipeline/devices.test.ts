import { type Logger, loggerToken, type Metrics, metricsToken } from '@recloom/plugin-api';
import { describe, expect, it } from 'vitest';
import { datasetFromArrays } from '../data/dataset-from-arrays.js';
import { openPipeline } from '../open-pipeline.js';
import { type FeatureBehaviour, featurePlugin } from './feature-plugin.test-support.js';
import { testPlugin } from './test-plugin.test-support.js';

async function open(behaviour: FeatureBehaviour) {
  const counted: { readonly name: string; readonly labels: unknown }[] = [];
  const logged: string[] = [];
  const nothing = (): void => undefined;
  const metrics: Metrics = { count: (name, _value, labels) => void counted.push({ name, labels }), observe: nothing };
  const logger: Logger = { debug: nothing, info: nothing, warn: (message) => void logged.push(message), error: nothing };
  const pipeline = await openPipeline(
    {
      format: '1.0',
      name: 'unit',
      data: {},
      components: { popular: { use: 'test/counts' }, click: { use: 'features/model' } },
      surfaces: { home: { sources: ['popular'], scorers: ['popular', 'click'] } },
    },
    {
      plugins: [testPlugin(), featurePlugin(behaviour)],
      dataset: datasetFromArrays({ events: [{ user: 'u', item: 'a', timeMs: Date.UTC(2024, 0, 1) }] }),
      provide: [
        [metricsToken, metrics],
        [loggerToken, logger],
      ],
    },
  );
  return { pipeline, counted, logged };
}

describe('components that run models', () => {
  it('tell what runs them in the pipeline, the timings and the metrics', async () => {
    const { pipeline, counted } = await open({ calls: [], device: () => 'cuda' });
    expect(pipeline.models).toEqual([
      { component: 'click', reference: 'features/model', file: 'click.onnx', sha256: 'ab'.repeat(32), device: 'cuda' },
    ]);
    const { timings } = await pipeline.recommend({ limit: 1 });
    expect(timings.map(({ node, device }) => [node, device])).toEqual([
      ['popular', undefined],
      ['popular', undefined],
      ['click', 'cuda'],
    ]);
    expect(timings[0]).not.toHaveProperty('device');
    expect(counted.filter(({ name }) => name === 'recloom.model.runs')).toEqual([
      { name: 'recloom.model.runs', labels: { node: 'click', device: 'cuda' } },
    ]);
    await pipeline.close();
  });

  it('that fall back while they run are reported once: in the answer, the log and the pipeline’s warnings', async () => {
    let device = 'cuda';
    const { pipeline, logged } = await open({ calls: [], device: () => device });
    expect((await pipeline.recommend({ limit: 1 })).warnings).toEqual([]);
    device = 'cpu';
    const warning = {
      code: 'RECLOOM_RUN_DEVICE_CHANGED',
      message: 'The model of "click" no longer runs on cuda but on cpu.',
      at: { node: 'click', component: 'features/model' },
    };
    expect((await pipeline.recommend({ limit: 1 })).warnings).toEqual([warning]);
    expect(pipeline.warnings).toEqual([warning]);
    expect(logged).toEqual([warning.message]);
    expect((await pipeline.recommend({ limit: 1 })).warnings).toEqual([]);
    expect(pipeline.models[0]?.device).toBe('cpu');
    await pipeline.close();
  });

  it('that cannot say what runs them still answer', async () => {
    const { pipeline } = await open({
      calls: [],
      device: () => {
        throw new Error('closed');
      },
    });
    const { items, timings } = await pipeline.recommend({ limit: 1 });
    expect(items).toHaveLength(1);
    expect(timings.every((timing) => timing.device === undefined)).toBe(true);
    await pipeline.close();
  });
});
