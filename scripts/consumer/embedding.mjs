// What a host in plain JavaScript does. Run by scripts/check-packages.mjs in a project that knows our tarballs only.
import assert from 'node:assert/strict';
import { openPipeline } from '@recloom/core';

const pipeline = await openPipeline('shop.yaml');
const request = { user: 'user-3', purposes: ['personalisation'], limit: 5, explain: true };

const answer = await pipeline.recommend(request);
assert.equal(answer.items.length, 5);
assert.equal(answer.personalised, true);
assert.ok(answer.items.every((item) => item.attributes.title.length > 0 && typeof item.attributes.price === 'number'));
assert.ok(
  answer.items.some((item) => (item.reason ?? '').length > 0),
  'a reason a shopper can read',
);
assert.deepEqual(answer.warnings, []);

const found = await pipeline.search({ text: 'warm woollen gloves', limit: 3 });
assert.match(found.items[0].attributes.title, /gloves/i);

const similar = await pipeline.recommend({ item: answer.items[0].id, surface: 'similar', limit: 3 });
assert.ok(similar.items.length > 0 && similar.items.every((item) => item.id !== answer.items[0].id));

assert.deepEqual(pipeline.record([{ user: 'user-3', item: answer.items[0].id, type: 'purchase' }]), {
  recorded: 1,
  unknownItems: 0,
  unknownTypes: 0,
});
const next = await pipeline.recommend(request);
assert.ok(!next.items.some((item) => item.id === answer.items[0].id), 'what was just bought is not recommended again');

await pipeline.upsertItems([{ id: 'new-item', title: 'Purple velvet umbrella', price: 19 }]);
const umbrella = await pipeline.search({ text: 'velvet umbrella', limit: 1 });
assert.equal(umbrella.items[0].id, 'new-item');

const trace = await pipeline.explain({ ...request, target: answer.items[0].id });
assert.equal(trace.removedBy?.filter, 'seen');

assert.equal((await pipeline.reload()).changed, false);
await pipeline.close();
await assert.rejects(pipeline.recommend(request), { code: 'RECLOOM_RUN_CLOSED' });
console.log(`${answer.items.length} recommendations, a search, an overlay, an explanation`);
