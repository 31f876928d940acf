// What a host in strict TypeScript writes: attributes, services and a component of its own are typed end to end.
import { strict as assert } from 'node:assert';
import { type Answer, openPipeline, type Pipeline } from '@recloom/core';
import { createToken, definePlugin, defineScorer, isRecloomError, type Logger, loggerToken, type Provided } from '@recloom/plugin-api';
import { z } from 'zod';

interface Shown {
  readonly title: string;
  readonly price: number;
  readonly [field: string]: string | number;
}

interface Margins {
  of(row: number): number;
}
const marginsToken = createToken<Margins>('host.margins', 'what an item earns');

const margin = defineScorer({
  id: 'margin',
  summary: 'What an item earns.',
  options: z.strictObject({ factor: z.number().default(1).describe('Multiplies the margin. Default 1.') }),
  needs: { margins: marginsToken, logger: loggerToken },
  capabilities: {},
  stateVersion: 1,
  create({ options, deps }) {
    const factor: number = options.factor;
    deps.logger.info('margins are ready', { factor });
    // @ts-expect-error a service has the type of its token
    assert.equal(deps.margins.nothing, undefined);
    return {
      score(batch, out) {
        for (let index = 0; index < batch.count; index++) out[index] = factor * deps.margins.of(batch.rows[index] ?? -1);
      },
    };
  },
});
const plugin = definePlugin({ apiVersion: 1, id: 'host', components: [margin] });

const lines: string[] = [];
const note = (message: string): void => {
  lines.push(message);
};
const logger: Logger = { debug: note, info: note, warn: note, error: note };
const provide: Provided = [
  [loggerToken, logger],
  [marginsToken, { of: (row) => (row === 7 ? 100 : 0) } satisfies Margins],
];

function titles(answer: Answer<Shown>): readonly string[] {
  // @ts-expect-error an attribute that nobody declared is not a number
  const stock: boolean = answer.items[0]?.attributes['stock'];
  assert.equal(stock, undefined);
  return answer.items.map((item) => item.attributes.title.toUpperCase());
}

async function main(): Promise<void> {
  const config = {
    format: '1.0',
    name: 'host-scorer',
    base: './shop.yaml',
    components: { margin: { use: 'host/margin', with: { factor: 2 } } },
    surfaces: { earning: { sources: { recent: 40 }, scorers: ['margin'], value: 'score.margin', attributes: ['title', 'price'] } },
  };
  const pipeline: Pipeline<Shown> = await openPipeline<Shown>(config, { provide, plugins: [plugin], build: 'if-missing' });
  const answer = await pipeline.recommend({ surface: 'earning', limit: 3 });
  assert.equal(answer.items[0]?.value, 200);
  assert.equal(titles(answer).length, 3);
  const total: number = answer.items.reduce((sum, item) => sum + item.attributes.price, 0);
  assert.ok(total > 0);
  // @ts-expect-error a request knows its own fields
  await assert.rejects(pipeline.recommend({ surface: 'earning', limt: 3 }), { code: 'RECLOOM_RUN_REQUEST' });
  let answered = 0;
  for await (const result of pipeline.recommendMany(['user-1', 'user-2', { user: 'user-3', limit: -1 }])) {
    if (result.error !== undefined) assert.equal(result.error.code, 'RECLOOM_RUN_LIMIT');
    else answered += result.answer.items.length > 0 ? 1 : 0;
  }
  assert.equal(answered, 2);
  try {
    await pipeline.recommend({ surface: 'nowhere' });
    assert.fail('an unknown surface is refused');
  } catch (error) {
    if (!isRecloomError(error)) throw error;
    assert.equal(error.code, 'RECLOOM_RUN_UNKNOWN_SURFACE');
  }
  assert.ok(lines.includes('margins are ready'));
  await pipeline.close();
  console.log('typed attributes, services and a component of the host');
}

main().catch((error: unknown) => {
  console.error(error);
  process.exitCode = 1;
});
