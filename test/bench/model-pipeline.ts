// A pipeline that ranks 1,000 candidates by a network over 50 columns: what G1 holds against the bare run of the network, and what
// G3 puts under load, alone and behind the encoding of a query.
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { datasetFromArrays, openPipeline, type Pipeline } from '@recloom/core';
import { uniformSource } from './measure.js';
import { encodeNetwork, networkWidths } from './network.js';
import { root } from './online-retail.js';
import { itemCount, plugin } from './requests.js';

export const candidateCount = 1_000;
export const answerLength = 10;
const [width] = networkWidths;

/** A pipeline, and what its network computes with. */
export interface ModelPipeline {
  readonly pipeline: Pipeline;
  /** The network's file. */
  readonly file: string;
  /** 50 numbers per item. */
  readonly table: Float32Array;
  readonly ids: readonly string[];
}

/**
 * Opens it with one of `bench/lists` as the source: 50 number fields of each item are gathered, go through the network on a worker,
 * and the best ten are answered. With `titles`, the source is the search for what is near the encoded words of the request.
 *
 * @param directory where the network's file is written
 */
export async function openModelPipeline(directory: string, titles?: readonly string[]): Promise<ModelPipeline> {
  const file = join(directory, 'network.onnx');
  await writeFile(file, encodeNetwork());
  const count = titles?.length ?? itemCount;
  const uniform = uniformSource(21);
  const table = Float32Array.from({ length: count * width }, () => 2 * uniform() - 1);
  const ids = Array.from({ length: count }, (_, row) => `i${String(row).padStart(5, '0')}`);
  const fields = Array.from({ length: width }, (_, column) => `f${column}`);
  const items = ids.map((id, row) => ({
    id,
    title: titles?.[row] ?? `t${row}`,
    ...Object.fromEntries(fields.map((field, column) => [field, table[row * width + column] as number])),
  }));
  const model = {
    use: 'scorer-onnx/model',
    with: { model: file, device: 'cpu', inputs: { x: { columns: fields.map((field) => `item.${field}`) } } },
  };
  const surface = {
    sources: { near: candidateCount },
    scorers: ['model'],
    value: 'score.model',
    limits: { candidates: candidateCount, timeoutMs: 30_000 },
  };
  const pipeline = await openPipeline(
    {
      format: '1.0',
      name: 'bench-model',
      data: {},
      components:
        titles === undefined
          ? { near: { use: 'bench/lists', with: { candidates: candidateCount } }, model }
          : {
              // No embedding is kept: every request pays for its own, and so does every item.
              text: { use: 'text-bert/embedding', in: { text: 'item.title' }, with: { cacheSize: 0, storeEmbeddings: false } },
              near: { use: 'vector-search/nearest', in: { vectors: 'text' }, with: { mode: 'query' } },
              model,
            },
      surfaces: titles === undefined ? { home: surface } : { search: { needs: ['text'], ...surface } },
    },
    { plugins: [plugin], dataset: datasetFromArrays({ items }), directory: root },
  );
  return { pipeline, file, table, ids };
}
