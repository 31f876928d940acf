// A pipeline in a worker thread: opens, answers what it is asked, closes when told.
import { parentPort } from 'node:worker_threads';
import { openPipeline } from '@recloom/core';
import { config, options } from './shop.mjs';

const pipeline = await openPipeline(config, options());
parentPort.on('message', async (request) => {
  if (request === 'close') {
    await pipeline.close();
    parentPort.close();
    return;
  }
  try {
    // An answer is plain data: it crosses the threads as it is.
    parentPort.postMessage({ answer: await pipeline.recommend(request) });
  } catch (error) {
    parentPort.postMessage({ code: error.code });
  }
});
parentPort.postMessage('ready');
