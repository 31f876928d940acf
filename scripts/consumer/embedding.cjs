// What a host in CommonJS does: every package of ours loads with require, from Node 20.19 on.
'use strict';
const assert = require('node:assert/strict');
const { openPipeline } = require('@recloom/core');
const { isRecloomError } = require('@recloom/plugin-api');

for (const name of process.argv.slice(2)) assert.equal(typeof require(name), 'object', name);

async function main() {
  const pipeline = await openPipeline('shop.yaml');
  const answer = await pipeline.recommend({ user: 'user-1', limit: 3 });
  assert.equal(answer.items.length, 3);
  assert.equal(answer.personalised, false, 'no consent, no personal data');
  await assert.rejects(pipeline.recommend({ limit: 0 }), (error) => isRecloomError(error) && error.code === 'RECLOOM_RUN_LIMIT');
  await pipeline.close();
  console.log(`${process.argv.length - 2} packages required, ${answer.items.length} recommendations`);
}
main().catch((error) => {
  console.error(error);
  process.exitCode = 1;
});
