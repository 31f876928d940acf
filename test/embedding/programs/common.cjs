// A host in CommonJS: every package loads with require, and none of them twice.
'use strict';
const { openPipeline } = require('@recloom/core');
const { isRecloomError, RecloomError } = require('@recloom/plugin-api');
const { config, options } = require('./shop.mjs');

const loaded = JSON.parse(process.argv[2]).map((name) => [name, Object.keys(require(name)).length]);

async function main() {
  const pipeline = await openPipeline(config, options());
  const answer = await pipeline.recommend({ limit: 3 });
  const refused = await pipeline.recommend({ limit: 0 }).catch((error) => error);
  await pipeline.close();
  // The same class by require and by import: there is one copy of the contracts.
  const imported = await import('@recloom/plugin-api');
  console.log(
    JSON.stringify({
      ids: answer.items.map(({ id }) => id),
      refused: isRecloomError(refused) && refused instanceof RecloomError && refused.code,
      oneCopy: imported.RecloomError === RecloomError,
      empty: loaded.filter(([, count]) => count === 0).map(([name]) => name),
    }),
  );
}
main().catch((error) => {
  console.error(error);
  process.exitCode = 1;
});
