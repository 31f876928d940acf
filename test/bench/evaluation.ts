// EVALUATION: every customer of Amazon Beauty asked through the whole pipeline, all of its 12,101 items ranked. Options of the
// components do not matter here: the part that is asked for is `valid`, and its figure is shown only to tell that the lists are right.
import { datasetFromArrays, openPipeline, type Pipeline } from '@recloom/core';
import { evaluateRecommender, pipelineRecommender, predefinedSplit, type Split } from '@recloom/evaluate';
import { missingBeauty, readBeauty, readBeautyPairs } from './comparison-data.js';
import type { Outcome } from './goal.js';
import { summarise, type Timing, timed } from './measure.js';
import { root } from './online-retail.js';
import type { SuiteOptions } from './suites.js';

/** Three models, two of them sources, and everything that is popular: as a shop's start page has it. */
const config = {
  format: '1.0',
  name: 'bench-evaluation',
  data: {},
  components: {
    everything: { use: 'popularity/popular' },
    next: {
      use: 'sequence/transitions',
      with: { gamma: 0.8, window: 10, back: 0.25, sourcePower: 0.5, targetPower: 0.1, historyDecay: 0.5, neighbours: 10_000 },
    },
    neighbours: { use: 'collaborative-neighbours/item-knn', with: { neighbours: 500, shrinkage: 50, userWeight: 0.5 } },
    factors: { use: 'collaborative-factors/ials', with: { factors: 64, epochs: 8 } },
  },
  surfaces: {
    home: {
      sources: { everything: 300, neighbours: 300 },
      scorers: ['next', 'neighbours', 'factors'],
      value: 'zscore(score.next) + 0.5 * zscore(score.neighbours) + 0.3 * zscore(score.factors)',
    },
  },
};

/** The time of asking and scoring 22,363 cases, fits left out. */
export async function benchEvaluation({ quick }: SuiteOptions): Promise<Outcome[]> {
  const name = 'evaluation of 22,363 users through the full pipeline, full catalogue ranked';
  const missing = missingBeauty();
  if (missing !== undefined) return [{ goal: 'EVALUATION', name, skipped: missing }];
  const train = readBeauty();
  const whole = predefinedSplit(train, datasetFromArrays({ events: [...readBeautyPairs('valid')] }));
  const split: Split = quick ? { ...whole, cases: whole.cases.filter((_, index) => index % 10 === 0) } : whole;
  const beforeFit = performance.now();
  const pipeline = (await openPipeline(config, { dataset: train, directory: root })) as unknown as Pipeline;
  const fitSeconds = (performance.now() - beforeFit) / 1e3;
  try {
    let found = { ndcg: Number.NaN, cases: 0 };
    const timings: Timing[] = [];
    for (let round = 0; round < (quick ? 1 : 3); round++) {
      timings.push(
        await timed(async () => {
          const report = await evaluateRecommender(pipelineRecommender(pipeline, split, {}), split, { k: 10 });
          found = { ndcg: report.ndcg.mean, cases: report.cases };
        }),
      );
    }
    const { cpuMs, wallMs } = summarise(timings);
    const scale = whole.cases.length / found.cases / 1e3;
    return [
      {
        goal: 'EVALUATION',
        name,
        figure: cpuMs.median * scale,
        unit: 's CPU',
        bound: { atMost: 60 },
        note: `${found.cases.toLocaleString('en-GB')} cases${quick ? ', scaled up' : ''}, 12,068 items each, four components, requests in batches of 128: ${(wallMs.median * scale).toFixed(1)} s on the clock, ${((1000 * cpuMs.median) / found.cases).toFixed(0)} µs of CPU a case; before it the fits took ${fitSeconds.toFixed(1)} s; NDCG@10 on valid ${found.ndcg.toFixed(4)}`,
      },
    ];
  } finally {
    await pipeline.close();
  }
}
