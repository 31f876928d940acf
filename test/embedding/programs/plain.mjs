// A host in plain JavaScript.
import { openPipeline } from '@recloom/core';
import { config, options } from './shop.mjs';

const pipeline = await openPipeline(config, options());
const answer = await pipeline.recommend({ limit: 3 });
await pipeline.close();
console.log(JSON.stringify(answer.items.map(({ id, attributes }) => [id, attributes.title])));
