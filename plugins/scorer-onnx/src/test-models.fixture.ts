/** What the tests of this folder share: services, opening a model, scoring. Not part of the package. */
import { createInference, createModelFiles, type InferenceService } from '@recloom/inference';
import { type CandidateBatch, inferenceToken, modelFilesToken, type Provided } from '@recloom/plugin-api';
import { createTestHost, numberColumn, shopFrom, type TestInputs, tableFrom } from '@recloom/testing';
import { model } from './index.js';
import type { ModelScorer } from './model-scorer.js';
import { makeFolder, type TestFolder } from './onnx-model.fixture.js';

/** A host with real inference on two workers, and a folder for its models. */
export interface Workshop {
  readonly folder: TestFolder;
  readonly inference: InferenceService;
  readonly provide: Provided;
  open(
    options: object,
    setup?: { readonly inputs?: TestInputs; readonly shop?: ReturnType<typeof shopFrom>; readonly directory?: string },
  ): Promise<ModelScorer>;
  close(): Promise<void>;
}

export const smallShop = shopFrom({ items: tableFrom(['a', 'b', 'c', 'd'], { price: numberColumn([1, 2.5, null, 40]) }) });

export async function openWorkshop(): Promise<Workshop> {
  const folder = await makeFolder();
  const inference = createInference();
  const provide: Provided = [
    [inferenceToken, inference],
    [modelFilesToken, createModelFiles({ directory: folder.path })],
  ];
  const opened: ModelScorer[] = [];
  return {
    folder,
    inference,
    provide,
    async open(options, { inputs = {}, shop = smallShop, directory = folder.path } = {}) {
      const scorer = (await createTestHost({ shop, provide }).open(model, { options, inputs, directory })) as unknown as ModelScorer;
      opened.push(scorer);
      return scorer;
    },
    async close() {
      for (const scorer of opened) await scorer.dispose();
      await inference.close();
      await folder.remove();
    },
  };
}

/** The main scores of a batch, and those of the further outputs. */
export async function scored(scorer: ModelScorer, batch: CandidateBatch, signal = new AbortController().signal): Promise<Float32Array[]> {
  const columns = [undefined, ...scorer.furtherColumns].map(() => new Float32Array(batch.count).fill(Number.NaN));
  const [main, ...further] = columns as [Float32Array, ...Float32Array[]];
  await scorer.score(batch, main, signal, further);
  return columns;
}

/** Largest absolute difference of two lists of numbers; infinite when they differ in length or one is not a number. */
export function largestDifference(found: ArrayLike<number>, expected: ArrayLike<number>): number {
  if (found.length !== expected.length) return Number.POSITIVE_INFINITY;
  let largest = 0;
  for (let place = 0; place < found.length; place++) {
    const difference = Math.abs((found[place] as number) - (expected[place] as number));
    largest = Number.isNaN(difference) ? Number.POSITIVE_INFINITY : Math.max(largest, difference);
  }
  return largest;
}
