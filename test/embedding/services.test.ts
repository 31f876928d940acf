import { datasetFromArrays, openPipeline } from '@recloom/core';
import {
  type Clock,
  type Compute,
  type Consent,
  clockToken,
  computeToken,
  consentToken,
  createToken,
  defineCandidateSource,
  definePlugin,
  type Inference,
  inferenceToken,
  type KeyValueStore,
  keyValueStoreToken,
  type Logger,
  loggerToken,
  type Metrics,
  type ModelFiles,
  metricsToken,
  modelFilesToken,
  type PluginDefinition,
  type Provided,
  type RandomSource,
  randomToken,
  type Tracer,
  tracerToken,
} from '@recloom/plugin-api';
import {
  consentFrom,
  fixedClock,
  memoryKeyValueStore,
  recordingLogger,
  recordingMetrics,
  seededRandom,
  singleThreadCompute,
} from '@recloom/testing';
import { describe, expect, expectTypeOf, it } from 'vitest';
import { z } from 'zod';
import { dayMs, firstDayMs, itemIds, purchases } from './small-shop.js';

/** A service of the host that Recloom knows nothing about. */
interface Stock {
  left(item: string): number;
}
const stockToken = createToken<Stock>('host.stock', 'how many are left');

interface Received {
  readonly logger: Logger;
  readonly clock: Clock;
  readonly random: RandomSource;
  readonly metrics: Metrics;
  readonly tracer: Tracer;
  readonly modelFiles: ModelFiles;
  readonly inference: Inference;
  readonly compute: Compute;
  readonly consent: Consent;
  readonly keyValueStore: KeyValueStore;
  readonly stock: Stock;
}

/** A plugin that needs every service and hands what it got to `receive`. */
function needy(receive: (deps: Received) => void): PluginDefinition {
  return definePlugin({
    apiVersion: 1,
    id: 'needy',
    components: [
      defineCandidateSource({
        id: 'everything',
        summary: 'Needs every service.',
        options: z.strictObject({}),
        needs: {
          logger: loggerToken,
          clock: clockToken,
          random: randomToken,
          metrics: metricsToken,
          tracer: tracerToken,
          modelFiles: modelFilesToken,
          inference: inferenceToken,
          compute: computeToken,
          consent: consentToken,
          keyValueStore: keyValueStoreToken,
          stock: stockToken,
        },
        capabilities: { coldUser: true },
        stateVersion: 1,
        create({ deps }) {
          // Checked by `npm run types`: what a plugin receives has the type of its token.
          expectTypeOf(deps).toEqualTypeOf<Received>();
          receive(deps);
          return {
            propose: (batch) => ({
              offsets: Int32Array.from({ length: batch.requests.length + 1 }, (_, index) => index),
              rows: new Int32Array(batch.requests.length),
              scores: new Float32Array(batch.requests.length),
            }),
            dispose() {
              throw new TypeError('not now');
            },
          };
        },
      }),
    ],
  });
}

const dataset = () =>
  datasetFromArrays({
    items: itemIds.map((id) => ({ id, title: id })),
    events: purchases.map(([user, item], index) => ({ user, item, timeMs: firstDayMs + index * dayMs })),
  });

const config = {
  format: '1.0',
  name: 'services',
  data: { now: 'clock' },
  components: { all: { use: 'needy/everything' }, consent: { use: 'privacy-consent/purpose' } },
  surfaces: { home: { sources: { all: 1 }, privacy: ['consent'] } },
};

function hostServices() {
  const spans: { name: string; ended: boolean }[] = [];
  const askedConsent: (string | undefined)[] = [];
  const granted = consentFrom({ u1: ['personalisation'] });
  const closed: string[] = [];
  // Services of ours have a close() that core calls; the host's have one too, which nobody but the host may call.
  const closable = <Service extends object>(name: string, service: Service): Service =>
    Object.assign(service, { close: () => void closed.push(name) });
  const services: Received = {
    logger: recordingLogger(),
    clock: fixedClock(Date.UTC(2031, 4, 5)),
    random: seededRandom(7),
    metrics: recordingMetrics(),
    tracer: {
      startSpan(name) {
        const span = { name, ended: false };
        spans.push(span);
        return { setAttribute: () => undefined, recordError: () => undefined, end: () => void (span.ended = true) };
      },
    },
    modelFiles: { resolve: async (reference) => ({ directory: '/host/models', origin: 'path', reference }) },
    inference: closable('inference', {
      load: async () => {
        throw new Error('no model in this test');
      },
    }),
    compute: closable('compute', { ...singleThreadCompute() }),
    consent: {
      purposes: (userId) => {
        askedConsent.push(userId);
        return granted.purposes(userId);
      },
    },
    keyValueStore: memoryKeyValueStore(),
    stock: { left: (item) => item.length },
  };
  const provide: Provided = [
    [loggerToken, services.logger],
    [clockToken, services.clock],
    [randomToken, services.random],
    [metricsToken, services.metrics],
    [tracerToken, services.tracer],
    [modelFilesToken, services.modelFiles],
    [inferenceToken, services.inference],
    [computeToken, services.compute],
    [consentToken, services.consent],
    [keyValueStoreToken, services.keyValueStore],
    [stockToken, services.stock],
  ];
  return { services, provide, spans, askedConsent, closed };
}

const names = [
  'logger',
  'clock',
  'random',
  'metrics',
  'tracer',
  'modelFiles',
  'inference',
  'compute',
  'consent',
  'keyValueStore',
  'stock',
] as const satisfies readonly (keyof Received)[];

describe('provide', () => {
  it.each(names)('a plugin receives the %s of the host, the others stay as they were', async (name) => {
    const host = hostServices();
    const token = name === 'stock' ? stockToken.id : `recloom.${name}`;
    // The host's own service has no default: it comes along with each of the others.
    const provide = host.provide.filter(([{ id }]) => id === token || id === stockToken.id);
    expect(provide).toHaveLength(name === 'stock' ? 1 : 2);
    let received: Received | undefined;
    const pipeline = await openPipeline(config, { provide, plugins: [needy((deps) => (received = deps))], dataset: dataset() });
    for (const each of names) {
      const given = host.services[each];
      if (each === name || each === 'stock') expect(received?.[each], each).toBe(given);
      else expect(received?.[each], each).not.toBe(given);
    }
    await pipeline.close();
  });

  it('core itself works with what the host provides', async () => {
    const host = hostServices();
    const pipeline = await openPipeline(config, { provide: host.provide, plugins: [needy(() => undefined)], dataset: dataset() });
    const expectedId = seededRandom(7).id();
    const answer = await pipeline.recommend({ user: 'u1', limit: 1 });
    expect(answer.asOfMs).toBe(Date.UTC(2031, 4, 5));
    expect(answer.attributionId).toBe(expectedId);
    expect(host.askedConsent).toEqual(['u1']);
    expect(host.spans).toEqual([{ name: 'recloom.request', ended: true }]);
    expect((host.services.metrics as ReturnType<typeof recordingMetrics>).records).toContainEqual(
      expect.objectContaining({ kind: 'observe', name: 'recloom.request.milliseconds' }),
    );
    await pipeline.close();
    expect((host.services.logger as ReturnType<typeof recordingLogger>).records).toContainEqual(
      expect.objectContaining({ level: 'error', fields: expect.objectContaining({ node: 'all' }) }),
    );
  });

  it("leaves the host's services open when the pipeline closes", async () => {
    const host = hostServices();
    const pipeline = await openPipeline(config, { provide: host.provide, plugins: [needy(() => undefined)], dataset: dataset() });
    await pipeline.close();
    expect(host.closed).toEqual([]);
    await host.services.keyValueStore.set('still', Uint8Array.of(1));
    expect(await host.services.keyValueStore.get('still')).toEqual(Uint8Array.of(1));
  });

  it('a service that nobody provides is named, with the component that needs it', async () => {
    const plugins = [needy(() => undefined)];
    await expect(openPipeline(config, { plugins, dataset: dataset() })).rejects.toMatchObject({
      code: 'RECLOOM_CFG_INVALID',
      problems: [
        expect.objectContaining({
          code: 'RECLOOM_DI_MISSING',
          message: expect.stringContaining('host.stock'),
          at: expect.objectContaining({ node: 'all' }),
        }),
      ],
    });
  });

  it('a service provided twice is refused', async () => {
    const { provide } = hostServices();
    await expect(
      openPipeline(config, {
        provide: [...provide, [stockToken, { left: () => 0 }]],
        plugins: [needy(() => undefined)],
        dataset: dataset(),
      }),
    ).rejects.toMatchObject({ code: 'RECLOOM_DI_DUPLICATE' });
  });
});
