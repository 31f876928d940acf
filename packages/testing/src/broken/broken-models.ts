import { type FeatureBlock, RecloomError } from '@recloom/plugin-api';
import { type ComponentFixture, madeUpFeature } from '../conformance/subject.js';
import { syntheticShop } from '../host/shop.js';
import type { BrokenTwin } from './broken-plugins.js';
import { fusedExtractorWith, isAbort, modelFixture, modelScorerWith, pictureExtractorWith } from './healthy-models.js';

/** Two made-up features of one width. */
export function fusedFixture(): ComponentFixture {
  const shop = syntheticShop({ users: 40, items: 48, events: 700 });
  const first = madeUpFeature('first', shop);
  // The other lacks other rows, so that rows of every kind occur.
  const presence = first.presence.map((_, row) => (row % 7 === 5 ? 0 : 1));
  const values = first.values.map((value, place) => (presence[Math.floor(place / first.width)] === 1 ? 0.5 - value : 0));
  return { shop, inputs: { parts: [first, { ...first, name: 'second', values, presence }] } };
}

const brokenFused: readonly BrokenTwin[] = [
  {
    law: 'EXT-06',
    fault: 'values are scaled by how many rows have a modality',
    // Whether a row is alone in its batch shows as well.
    implies: ['EXT-04'],
    component: fusedExtractorWith(({ healthy }) => ({
      async extract(batch, out) {
        await healthy.extract(batch, out);
        const marks = Object.values(batch.features ?? {}).flatMap((some) => some.flatMap(({ presence }) => [...presence]));
        const share = 1 + marks.reduce((sum, mark) => sum + mark, 0);
        out.values.forEach((value, place) => {
          out.values[place] = value * share;
        });
      },
    })),
    fixture: fusedFixture(),
  },
  {
    law: 'EXT-06',
    fault: 'a row that lacks one of two modalities is absent',
    message: 'a row that lacks one of 2 features is absent',
    component: fusedExtractorWith(({ healthy }) => ({
      async extract(batch, out) {
        await healthy.extract(batch, out);
        for (let row = 0; row < batch.count; row++) {
          if (Object.values(batch.features ?? {}).every((some) => some.every(({ presence }) => presence[row] === 1))) continue;
          clear(out, row, out.values.length / batch.count);
        }
      },
    })),
    fixture: fusedFixture(),
  },
  {
    law: 'EXT-06',
    fault: 'a new item of which nothing is known gets a vector',
    message: 'A new item of which nothing is known is marked as present',
    component: fusedExtractorWith(({ healthy, features }) => ({
      async extract(batch, out) {
        await healthy.extract(batch, out);
        const rowCount = features[0]?.rowCount ?? 0;
        batch.rows.forEach((row, place) => {
          if (row < rowCount || out.presence[place] === 1) return;
          out.presence[place] = 1;
          out.values[place * healthy.width] = 1;
        });
      },
    })),
    fixture: fusedFixture(),
  },
];

function clear(out: FeatureBlock, row: number, width: number): void {
  out.presence[row] = 0;
  out.values.fill(0, row * width, (row + 1) * width);
}

function brokenPictureExtractors(): BrokenTwin[] {
  const fixture = modelFixture();
  return [
    {
      law: 'EXT-07',
      fault: 'a search that brings nothing gets a vector',
      message: 'neither words nor a picture is marked as present',
      component: pictureExtractorWith(({ healthy }) => ({
        async extract(batch, out) {
          await healthy.extract(batch, out);
          batch.requests?.forEach(({ text, image }, row) => {
            if (text !== undefined || image !== undefined) return;
            out.presence[row] = 1;
            out.values[row * 4] = 1;
          });
        },
      })),
      fixture,
    },
    {
      law: 'EXT-07',
      fault: 'the weights of the request are ignored',
      message: 'With all weight on the words, the picture still counts',
      component: pictureExtractorWith(({ healthy }) => ({
        extract: (batch, out) =>
          healthy.extract(
            batch.requests === undefined
              ? batch
              : { ...batch, requests: batch.requests.map((request) => ({ ...request, queryWeights: undefined })) },
            out,
          ),
      })),
      fixture,
    },
    {
      law: 'EXT-08',
      fault: 'dark pictures are present as zeros',
      component: pictureExtractorWith(({ healthy }) => ({
        async extract(batch, out) {
          await healthy.extract(batch, out);
          for (let row = 0; row < batch.count; row++) if (batch.rows[row] === 4) out.values.fill(0, row * 4, row * 4 + 4);
        },
      })),
      fixture,
    },
    {
      law: 'EXT-09',
      fault: 'a picture that is not there fails the build',
      component: pictureExtractorWith(({ healthy, reader }) => ({
        async extract(batch, out) {
          const column = batch.columns['image']?.[0];
          if (batch.scope === 'item' && column?.type === 'image') {
            for (const reference of column.values)
              if (reference !== null) await reader.read(reference, { maximumBytes: 1e6 }, batch.signal);
          }
          await healthy.extract(batch, out);
        },
      })),
      fixture,
    },
    {
      law: 'EXT-09',
      fault: 'the warning quotes the reference',
      message: 'A warning quotes the reference of a picture',
      component: pictureExtractorWith(({ healthy, warn }) => ({
        async extract(batch, out) {
          await healthy.extract(batch, out);
          const column = batch.columns['image']?.[0];
          for (let row = 0; row < batch.count && batch.scope === 'item'; row++) {
            const reference = column?.type === 'image' ? column.values[row] : null;
            if (out.presence[row] === 0 && typeof reference === 'string') {
              warn({ code: 'SAMPLE_PICTURE', message: `The picture ${reference} could not be read.` });
            }
          }
        },
      })),
      fixture,
    },
    {
      law: 'EXT-10',
      fault: 'a picture of a search that cannot be read takes its words along',
      component: pictureExtractorWith(({ healthy }) => ({
        async extract(batch, out) {
          await healthy.extract(batch, out);
          if (batch.scope !== 'query') return;
          const bare = { values: new Float32Array(batch.count * 4), presence: new Uint8Array(batch.count) };
          await healthy.extract({ ...batch, requests: (batch.requests ?? []).map((request) => ({ ...request, text: undefined })) }, bare);
          batch.requests?.forEach(({ image }, row) => {
            if (image !== undefined && bare.presence[row] === 0) clear(out, row, 4);
          });
        },
      })),
      fixture,
    },
    {
      law: 'EXT-10',
      fault: 'the warning stands in the answer of another search',
      message: 'goes to another search',
      component: pictureExtractorWith(({ healthy }) => ({
        async extract(batch, out) {
          await healthy.extract(batch, out);
          out.presence.forEach((mark) => {
            if (mark === 0) batch.warn?.(0, { code: 'SAMPLE_PICTURE', message: 'A picture could not be read.' });
          });
        },
      })),
      fixture,
    },
  ];
}

function brokenModelScorers(): BrokenTwin[] {
  const fixture = modelFixture({ columns: ['score.third'] });
  return [
    {
      law: 'SCR-05',
      fault: 'the further column is never written',
      component: modelScorerWith(({ healthy }) => ({
        score: (batch, out, signal) => healthy.score(batch, out, signal, [new Float32Array(batch.count)]),
      })),
      fixture,
    },
    {
      law: 'SCR-02',
      fault: 'the further column keeps its order when the candidates change theirs',
      component: modelScorerWith(({ healthy }) => ({
        async score(batch, out, signal, further) {
          await healthy.score(batch, out, signal, further);
          further?.[0]?.sort();
        },
      })),
      // Sorting runs across requests.
      implies: ['SCR-04'],
      fixture,
    },
    {
      law: 'SCR-06',
      fault: 'a column is read that was not declared',
      component: modelScorerWith(({ healthy }) => ({
        async score(batch, out, signal, further) {
          await healthy.score(batch, out, signal, further);
          const column = batch.column('score.third');
          for (let place = 0; place < batch.count; place++) if ((column?.[place] ?? 0) > 2) out[place] = (out[place] ?? 0) + 1;
        },
      })),
      fixture,
    },
  ];
}

function brokenModels(): BrokenTwin[] {
  const fixture = modelFixture();
  return [
    {
      law: 'MOD-01',
      fault: 'the path of the model is told',
      message: 'which is no base name',
      component: modelScorerWith(({ healthy }) => ({
        models: () => healthy.models().map((model) => ({ ...model, file: `/home/somebody/${model.file}` })),
      })),
      fixture,
    },
    {
      law: 'MOD-01',
      fault: 'the device is the one that was asked for, not the one in use',
      message: 'which is neither one of',
      component: modelScorerWith(({ healthy }) => ({
        models: () => healthy.models().map((model) => ({ ...model, device: 'auto' })),
      })),
      fixture,
    },
    {
      law: 'MOD-02',
      fault: 'dispose keeps the session',
      message: 'After dispose 1 of 1 sessions are open',
      component: modelScorerWith(() => ({ dispose: () => Promise.resolve() })),
      fixture,
    },
    {
      law: 'MOD-02',
      fault: 'a session that comes after the abort is forgotten',
      message: 'leaves 1 sessions open',
      component: pictureExtractorWith(undefined, async (inference, signal) => {
        const session = await inference.load({ file: '/models/summary.onnx' }, signal);
        signal.throwIfAborted();
        return session;
      }),
      fixture,
    },
    {
      law: 'MOD-03',
      fault: 'a picture whose worker died counts as one that cannot be read',
      message: 'is answered although the worker of its model died every time',
      component: pictureExtractorWith(({ healthy, warn }) => ({
        async extract(batch, out) {
          try {
            await healthy.extract(batch, out);
          } catch (error) {
            if (isAbort(error)) throw error;
            warn({ code: 'SAMPLE_PICTURE', message: 'A picture could not be read.' });
          }
        },
      })),
      fixture,
    },
    {
      law: 'MOD-03',
      fault: 'a worker that died is an error for ever',
      message: 'which is not retryable',
      component: modelScorerWith(({ healthy }) => ({
        async score(batch, out, signal, further) {
          try {
            await healthy.score(batch, out, signal, further);
          } catch (error) {
            if (isAbort(error)) throw error;
            throw new RecloomError({ code: 'SAMPLE_FAILED', message: 'The model failed.', cause: error });
          }
        },
      })),
      fixture,
    },
    {
      law: 'MOD-04',
      fault: 'NaN counts as 0',
      message: 'makes scores of NaN',
      component: modelScorerWith(({ session }) => ({
        async score(batch, out, signal, further) {
          signal.throwIfAborted();
          const column = batch.column('score.second');
          for (let place = 0; place < batch.count; place++) {
            const values = Float32Array.of(column?.[place] ?? 0, batch.rows[place] ?? 0);
            const { summary } = await session.run({ rows: { type: 'float32', dims: [1, 2], data: values } }, { signal });
            const found = summary?.data as Float32Array;
            out[place] = Number.isFinite(found[0]) ? (found[0] ?? 0) : 0;
            if (further?.[0] !== undefined) further[0][place] = Number.isFinite(found[1]) ? (found[1] ?? 0) : 0;
          }
        },
      })),
      fixture,
    },
    {
      law: 'MOD-05',
      fault: 'the run is not told of the abort',
      message: 'hangs: the run of its model was never told',
      component: modelScorerWith(({ session }) => ({
        async score(batch, out, signal, further) {
          signal.throwIfAborted();
          const column = batch.column('score.second');
          for (let place = 0; place < batch.count; place++) {
            const values = Float32Array.of(column?.[place] ?? Number.NaN, batch.rows[place] ?? 0);
            const { summary } = await session.run({ rows: { type: 'float32', dims: [1, 2], data: values } });
            const found = summary?.data as Float32Array;
            if (!found.every(Number.isFinite)) continue;
            out[place] = found[0] ?? 0;
            if (further?.[0] !== undefined) further[0][place] = found[1] ?? 0;
          }
        },
      })),
      fixture,
    },
    {
      law: 'MOD-05',
      fault: 'the caller gets his abort while the run goes on',
      message: 'but the run of its model goes on',
      component: modelScorerWith(({ healthy }) => ({
        score(batch, out, signal, further) {
          signal.throwIfAborted();
          return new Promise((resolve, reject) => {
            signal.addEventListener('abort', () => reject(signal.reason as Error));
            Promise.resolve(healthy.score(batch, out, new AbortController().signal, further)).then(resolve, reject);
          });
        },
      })),
      fixture,
    },
  ];
}

/** Twins of components with models, pictures and several features. */
export function brokenModelTwins(): readonly BrokenTwin[] {
  return [...brokenFused, ...brokenPictureExtractors(), ...brokenModelScorers(), ...brokenModels()];
}
