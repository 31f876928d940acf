import {
  type ComponentDefinition,
  defineFeatureExtractor,
  defineScorer,
  type ExtractBatch,
  type FeatureBlock,
  type FeatureExtractor,
  type FeatureMatrix,
  feature,
  type ImageReader,
  type Inference,
  type InferenceSession,
  imageReaderToken,
  inferenceToken,
  isRecloomError,
  itemField,
  type ModelBacked,
  recloomError,
  type Scorer,
  type Warning,
} from '@recloom/plugin-api';
import type { ComponentFixture } from '../conformance/subject.js';
import { fakeInference } from '../host/inference.js';
import { sampleSchema } from './schema.js';

/** Mean, spread and first bytes of whatever bytes come in: four numbers, none of them always 0. */
function summary(bytes: Float32Array): number[] {
  let sum = 0;
  let weighted = 0;
  bytes.forEach((value, place) => {
    sum += value;
    weighted += value * ((place % 7) - 3);
  });
  return [
    1 + sum / Math.max(1, bytes.length),
    weighted / Math.max(1, bytes.length),
    (bytes[bytes.length >> 1] ?? 0) + 1,
    bytes.length % 13,
  ];
}

/** An inference whose one model summarises rows of numbers: `rows` [1, n] gives `summary` [1, 4]. */
export function summaryInference(): Inference {
  return fakeInference({
    inputs: [{ name: 'rows', type: 'float32', dims: [1, -1] }],
    outputs: [{ name: 'summary', type: 'float32', dims: [1, 4] }],
    run: ({ rows }) => ({ summary: { type: 'float32', dims: [1, 4], data: Float32Array.from(summary(rows?.data as Float32Array)) } }),
  });
}

/** What model-backed twins are run with. */
export const modelFixture = (more: ComponentFixture = {}): ComponentFixture => ({
  provide: [[inferenceToken, summaryInference()]],
  ...more,
});

/** What a fault of a model-backed component is made with. */
export interface ModelPatient<Instance> {
  readonly healthy: Instance & Required<Pick<Instance & { dispose?(): void | Promise<void> }, 'dispose'>> & ModelBacked;
  readonly session: InferenceSession;
  readonly reader: ImageReader;
  readonly items: number;
  readonly warn: (warning: Warning) => void;
}

type Alter<Instance> = (patient: ModelPatient<Instance>) => Partial<Instance & ModelBacked>;
const unaltered = (): Record<string, never> => ({});

/** How the twins open their model; a fault may do it in another way. */
export type Load = (inference: Inference, signal: AbortSignal) => Promise<InferenceSession>;
const carefulLoad: Load = async (inference, signal) => {
  const session = await inference.load({ file: '/models/summary.onnx' }, signal);
  if (!signal.aborted) return session;
  await session.close();
  throw recloomError('RECLOOM_RUN_ABORTED', {}, { cause: signal.reason });
};

function modelsOf(session: InferenceSession): ModelBacked {
  return { models: () => [{ file: 'summary.onnx', sha256: session.sha256 ?? '', device: session.provider }] };
}

async function summarise(session: InferenceSession, values: Float32Array, signal: AbortSignal): Promise<Float32Array> {
  const { summary: found } = await session.run({ rows: { type: 'float32', dims: [1, values.length], data: values } }, { signal });
  return found?.data as Float32Array;
}

const pngMagic = [0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a];

/** A whole PNG of the kit's: right at both ends. */
function isPicture(bytes: Uint8Array): boolean {
  const end = String.fromCharCode(...bytes.subarray(-8, -4));
  return pngMagic.every((value, place) => bytes[place] === value) && end === 'IEND';
}

/** Embeds pictures of items, and searches by words, by a picture or by both, with a model behind inference. */
export function pictureExtractorWith(alter: Alter<FeatureExtractor> = unaltered, load: Load = carefulLoad): ComponentDefinition {
  return defineFeatureExtractor({
    id: 'picture-extractor',
    summary: 'Four numbers of a picture.',
    options: sampleSchema(),
    needs: { inference: inferenceToken, images: imageReaderToken },
    inputs: { image: itemField({ description: 'pictures', types: ['image', 'text'] }) },
    capabilities: { scopes: ['item', 'query'], modality: 'image', asks: ['text', 'image'], devices: ['cpu'] },
    stateVersion: 1,
    async create({ deps, items, signal, warn }) {
      const session = await load(deps.inference, signal);
      const embed = async (bytes: Uint8Array, stop: AbortSignal): Promise<Float32Array | undefined> => {
        const vector = await summarise(session, Float32Array.from(bytes), stop);
        if (vector.every(Number.isFinite)) return vector.map((value) => value / Math.hypot(...vector));
        warn({ code: 'SAMPLE_NOT_FINITE', message: 'The model gave numbers that are not finite.' });
        return undefined;
      };
      const picture = async (image: Uint8Array | string, stop: AbortSignal): Promise<Float32Array | undefined> => {
        let bytes: Uint8Array | undefined;
        try {
          bytes = typeof image === 'string' ? await deps.images.read(image, { maximumBytes: 1_000_000 }, stop) : image;
        } catch {
          stop.throwIfAborted();
        }
        if (bytes !== undefined && isPicture(bytes)) return embed(bytes, stop);
        warn({ code: 'SAMPLE_PICTURE', message: 'A picture could not be read.', count: 1 });
        return undefined;
      };
      const query = async (batch: ExtractBatch, row: number): Promise<Float32Array | undefined> => {
        const { text, image, queryWeights: weights = { text: 0.5, image: 0.5 } } = batch.requests?.[row] ?? {};
        const words = text === undefined ? undefined : await embed(new TextEncoder().encode(text), batch.signal);
        const seen = image === undefined ? undefined : await picture(image, batch.signal);
        if (words === undefined || seen === undefined) return words ?? seen;
        return words.map((value, place) => value * (weights?.text ?? 0.5) + (seen[place] ?? 0) * (weights?.image ?? 0.5));
      };
      const healthy: FeatureExtractor & ModelBacked & { dispose(): Promise<void> } = {
        width: 4,
        async extract(batch, out) {
          batch.signal.throwIfAborted();
          const column = batch.columns['image']?.[0];
          for (let row = 0; row < batch.count; row++) {
            const reference = column?.type === 'image' ? column.values[row] : undefined;
            const vector =
              batch.scope === 'query'
                ? await query(batch, row)
                : typeof reference === 'string'
                  ? await picture(reference, batch.signal)
                  : undefined;
            if (vector === undefined) continue;
            out.presence[row] = 1;
            out.values.set(vector, row * 4);
          }
        },
        ...modelsOf(session),
        dispose: () => session.close(),
      };
      return { ...healthy, ...alter({ healthy, session, reader: deps.images, items: items.rowCount, warn }) };
    },
  });
}

/** What a fault of a fused extractor is made with. */
export interface FusedPatient {
  readonly healthy: FeatureExtractor;
  readonly features: readonly FeatureMatrix[];
}

/** The mean of several features that share a width, over those present. */
export function fusedExtractorWith(alter: (patient: FusedPatient) => Partial<FeatureExtractor> = unaltered): ComponentDefinition {
  return defineFeatureExtractor({
    id: 'fused-extractor',
    summary: 'Mean of the features that are there.',
    options: sampleSchema(),
    inputs: { parts: feature({ description: 'features of one width', many: true }) },
    capabilities: { scopes: ['item', 'query'], modality: 'mixed', coldItem: true },
    stateVersion: 1,
    create({ inputs }) {
      const width = inputs.parts[0]?.width ?? 1;
      const healthy: FeatureExtractor = {
        width,
        extract(batch, out) {
          batch.signal.throwIfAborted();
          for (let row = 0; row < batch.count; row++) meanOf(batch, row, width, out);
        },
      };
      return { ...healthy, ...alter({ healthy, features: inputs.parts }) };
    },
  });
}

function meanOf(batch: ExtractBatch, row: number, width: number, out: FeatureBlock): void {
  const present = (batch.features?.['parts'] ?? []).filter(({ presence }) => presence[row] === 1);
  for (const { values } of present) {
    for (let at = 0; at < width; at++) {
      out.values[row * width + at] = (out.values[row * width + at] ?? 0) + (values[row * width + at] ?? 0) / present.length;
    }
  }
  if (present.length > 0) out.presence[row] = 1;
}

/** Two scores of a model over a column of another scorer. */
export function modelScorerWith(alter: Alter<Scorer> = unaltered): ComponentDefinition {
  return defineScorer({
    id: 'model-scorer',
    summary: 'Two scores of a model.',
    options: sampleSchema(),
    needs: { inference: inferenceToken, images: imageReaderToken },
    capabilities: { devices: ['cpu'] },
    stateVersion: 1,
    async create({ deps, items, signal, warn }) {
      const session = await carefulLoad(deps.inference, signal);
      const healthy: Scorer & ModelBacked & { dispose(): Promise<void> } = {
        furtherColumns: ['doubt'],
        readsColumns: ['score.second'],
        async score(batch, out, stop, further) {
          stop.throwIfAborted();
          const column = batch.column('score.second');
          for (let place = 0; place < batch.count; place++) {
            const value = column?.[place] ?? Number.NaN;
            if (Number.isNaN(value)) continue;
            const found = await summarise(session, Float32Array.of(value, batch.rows[place] ?? 0), stop);
            // A model that cannot say leaves the candidate without a score.
            if (!found.every(Number.isFinite)) continue;
            out[place] = found[0] ?? Number.NaN;
            if (further?.[0] !== undefined) further[0][place] = found[1] ?? Number.NaN;
          }
        },
        ...modelsOf(session),
        dispose: () => session.close(),
      };
      return { ...healthy, ...alter({ healthy, session, reader: deps.images, items: items.rowCount, warn }) };
    },
  });
}

/** True for what an aborted call ends with. */
export function isAbort(error: unknown): boolean {
  return (isRecloomError(error) && error.code === 'RECLOOM_RUN_ABORTED') || (error as { name?: unknown }).name === 'AbortError';
}
