import { resolve } from 'node:path';
import { type Dataset, loadConfig, readPipelineData } from '@recloom/core';
import { temporalSplit } from '@recloom/evaluate';

/** The repository. */
export const root = resolve(import.meta.dirname, '../..');

/** The raw export that the example ships. */
export const transactions = resolve(root, 'examples/online-retail/data/transactions.csv.gz');

const example = resolve(root, 'examples/online-retail/shop.yaml');

/**
 * The cleaned data of the example, by its own rules: invoice lines as events, and the catalogue and customers where wanted.
 * Nothing is fitted.
 */
export async function readOnlineRetail(kinds: readonly ('items' | 'events' | 'users')[]): Promise<Dataset> {
  const { config, directory } = await loadConfig(example);
  const data = Object.fromEntries(
    kinds.map((kind) => {
      const node = config.data[kind];
      if (node === undefined) throw new Error(`The example has no data.${kind}.`);
      return [kind, { use: node.use, with: node.with }];
    }),
  );
  return readPipelineData({ format: '1.0', name: 'bench-online-retail', data, components: {}, surfaces: {} }, { directory });
}

/** The training part of protocol Q1: 3,818 customers, 3,066 items. @throws Error when it has become something else. */
export async function readTraining(): Promise<Dataset> {
  const { train, report } = temporalSplit(await readOnlineRetail(['events']), {
    cutMs: Date.UTC(2011, 10, 9),
    minimumItemUsers: 5,
    minimumUserItems: 5,
  });
  if (report.trainItems !== 3_066 || report.trainUsers !== 3_818)
    throw new Error(`Protocol Q1 has 3,818 × 3,066; this is ${report.trainUsers} × ${report.trainItems}.`);
  return train;
}
