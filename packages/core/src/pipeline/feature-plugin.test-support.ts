import {
  defineCandidateSource,
  defineFeatureExtractor,
  definePlugin,
  defineScorer,
  type ExtractBatch,
  expressionsToken,
  type FeatureBlock,
  type FeatureRows,
  feature,
  itemField,
  type PluginDefinition,
  perRequest,
  tensor,
} from '@recloom/plugin-api';
import { z } from 'zod';

/** What a test sees of its extractors and scorers, and how it drives them. */
export interface FeatureBehaviour {
  /** Every call of an extractor, by component. */
  readonly calls: { readonly name: string; readonly batch: ExtractBatch }[];
  /** What runs the model of `features/model`; a function may throw. */
  device?: () => string;
  words?: (batch: ExtractBatch, out: FeatureBlock) => void | Promise<void>;
}

/** The first numbers of each row of a block, absent rows as null. */
export function rowsOf(block: FeatureRows): (readonly number[] | null)[] {
  return Array.from(block.presence, (present, row) =>
    present === 1 ? Array.from(block.values.subarray(row * block.width, (row + 1) * block.width)) : null,
  );
}

/**
 * Extractors of words, pictures and of both, a source that compares with them, and scorers with several columns:
 * a text is [its length, 1], a picture [0, its length], fused is the sum of what is there.
 */
export function featurePlugin(behaviour: FeatureBehaviour): PluginDefinition {
  const record = (name: string, batch: ExtractBatch): void => {
    behaviour.calls.push({ name, batch });
  };
  const fuse = (batch: ExtractBatch, out: FeatureBlock): void => {
    for (const block of batch.features?.['vectors'] ?? []) {
      for (let row = 0; row < batch.count; row++) {
        if (block.presence[row] !== 1) continue;
        out.presence[row] = 1;
        for (let at = 0; at < 2; at++)
          out.values[row * 2 + at] = (out.values[row * 2 + at] as number) + (block.values[row * 2 + at] as number);
      }
    }
  };
  return definePlugin({
    apiVersion: 1,
    id: 'features',
    components: [
      defineFeatureExtractor({
        id: 'words',
        summary: 'Length of a text.',
        options: z.strictObject({}),
        inputs: { text: itemField({ types: ['text'], many: true, description: 'texts' }) },
        capabilities: { modality: 'text', scopes: ['item', 'query'] },
        stateVersion: 1,
        create: ({ name }) => ({
          width: 2,
          extract(batch, out) {
            record(name, batch);
            if (behaviour.words !== undefined) return behaviour.words(batch, out);
            const column = batch.columns['text']?.[0];
            for (let row = 0; row < batch.count; row++) {
              const text = column?.type === 'text' ? column.values[row] : undefined;
              if (text == null) continue;
              out.presence[row] = 1;
              out.values.set([text.length, 1], row * 2);
            }
          },
        }),
      }),
      defineFeatureExtractor({
        id: 'picture',
        summary: 'Length of a picture.',
        options: z.strictObject({}),
        inputs: { image: itemField({ types: ['image'], description: 'a picture' }) },
        capabilities: { modality: 'image', scopes: ['item', 'query'] },
        stateVersion: 1,
        create: ({ name }) => ({
          width: 2,
          extract(batch, out) {
            record(name, batch);
            const column = batch.columns['image']?.[0];
            for (let row = 0; row < batch.count; row++) {
              const image = batch.requests?.[row]?.image ?? (column?.type === 'image' ? column.values[row] : undefined);
              if (image == null) continue;
              out.presence[row] = 1;
              out.values.set([0, image.length], row * 2);
            }
          },
        }),
      }),
      defineFeatureExtractor({
        id: 'fused',
        summary: 'The sum of features.',
        options: z.strictObject({ cold: z.boolean().default(true) }),
        inputs: { vectors: feature({ many: true, description: 'features' }) },
        capabilities: { modality: 'mixed', scopes: ['item', 'query'], coldItem: true },
        stateVersion: 1,
        fit: ({ inputs }) => ({ rows: tensor(Float32Array.of(...inputs.vectors.map((matrix) => matrix.rowCount))) }),
        create: ({ name }) => ({
          width: 2,
          extract(batch, out) {
            record(name, batch);
            fuse(batch, out);
          },
        }),
      }),
      defineFeatureExtractor({
        id: 'known',
        summary: 'A fitted feature that new items do not have.',
        options: z.strictObject({}),
        inputs: { vectors: feature({ many: true, description: 'features' }) },
        capabilities: { modality: 'mixed', scopes: ['item'], coldItem: false },
        stateVersion: 1,
        fit: () => ({}),
        create: ({ name }) => ({
          width: 2,
          extract(batch, out) {
            record(name, batch);
            fuse(batch, out);
          },
        }),
      }),
      defineCandidateSource({
        id: 'compare',
        summary: 'The items whose vector has the largest product with that of the query.',
        options: z.strictObject({}),
        inputs: { vectors: feature({ description: 'a feature' }) },
        capabilities: { coldItem: true },
        stateVersion: 1,
        create: ({ inputs, items }) => ({
          propose: perRequest((request, limit) => {
            const query = request.queryVector(inputs.vectors.name);
            if (query === undefined) return undefined;
            const { values, presence } = inputs.vectors;
            const scored = Array.from({ length: items.rowCount }, (_, row) => row)
              .filter((row) => presence[row] === 1)
              .map((row) => ({ row, score: query.reduce((sum, value, at) => sum + value * (values[row * 2 + at] as number), 0) }))
              .sort((left, right) => right.score - left.score || left.row - right.row)
              .slice(0, limit);
            return { rows: scored.map(({ row }) => row), scores: scored.map(({ score }) => score) };
          }),
        }),
      }),
      defineFeatureExtractor({
        id: 'place',
        summary: 'Candidate scope: row number and its square.',
        options: z.strictObject({}),
        capabilities: { modality: 'behaviour', scopes: ['candidate'] },
        stateVersion: 1,
        create: () => ({
          width: 2,
          componentNames: ['row', 'square'],
          extract(batch, out) {
            for (let at = 0; at < batch.count; at++) {
              const row = batch.candidates?.rows[at] as number;
              out.presence[at] = 1;
              out.values.set([row, row * row], at * 2);
            }
          },
        }),
      }),
      defineScorer({
        id: 'constant',
        summary: 'Scores every candidate with a number, after a while.',
        options: z.strictObject({
          value: z.number().default(0),
          delayMs: z.number().default(0),
          further: z.record(z.string(), z.number()).default({}),
        }),
        capabilities: {},
        stateVersion: 1,
        create: ({ options }) => ({
          furtherColumns: Object.keys(options.further),
          score(_batch, out, signal, further) {
            const write = (): void => {
              out.fill(options.value);
              for (const [index, value] of Object.values(options.further).entries()) further?.[index]?.fill(value);
            };
            if (options.delayMs === 0) {
              write();
              return;
            }
            return new Promise<void>((resolve) => {
              const timer = setTimeout(() => {
                write();
                resolve();
              }, options.delayMs);
              signal.addEventListener('abort', () => clearTimeout(timer), { once: true });
            });
          },
        }),
      }),
      defineScorer({
        id: 'model',
        summary: 'Scores nothing with a model that is not there.',
        options: z.strictObject({}),
        capabilities: { devices: ['cpu', 'cuda'] },
        stateVersion: 1,
        create: () => ({
          score(_batch, out) {
            out.fill(1);
          },
          models: () => [{ file: 'click.onnx', sha256: 'ab'.repeat(32), device: behaviour.device?.() ?? 'cpu' }],
        }),
      }),
      defineScorer({
        id: 'hidden',
        summary: 'Reads a column that its options do not name, as from a file of its own.',
        options: z.strictObject({}),
        needs: { expressions: expressionsToken },
        capabilities: {},
        stateVersion: 1,
        create: ({ deps }) => {
          const expression = deps.expressions.compile('score.click.secret + 1', 'number');
          return { score: (batch, out) => expression.evaluate(batch, out) };
        },
      }),
      defineScorer({
        id: 'sum',
        summary: 'The sum of other columns.',
        options: z.strictObject({ of: z.array(z.string()) }),
        capabilities: {},
        stateVersion: 1,
        create: ({ options }) => ({
          readsColumns: options.of,
          score(batch, out) {
            for (let at = 0; at < batch.count; at++)
              out[at] = options.of.reduce((sum, name) => sum + (batch.column(name)?.[at] ?? Number.NaN), 0);
          },
        }),
      }),
    ],
  });
}
