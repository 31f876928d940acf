import { type Evaluation, type ExampleItem, evaluationFormat, type Figure, type PipelineEvaluation } from '../evaluation.js';

/** A mean with an interval around it. */
export function figure(mean: number): Figure {
  return { mean, standardError: 0.0061, low: mean - 0.0123, high: mean + 0.0131 };
}

/** A pipeline whose figures are all different, so that one in the wrong place is noticed. */
export function pipelineOf(name: string, base: number, further: Partial<PipelineEvaluation> = {}): PipelineEvaluation {
  return {
    name,
    cases: 1262,
    figures: {
      ndcg: figure(base),
      recall: figure(base * 0.61),
      precision: figure(base * 0.83),
      f1: figure(base * 0.57),
      hitRate: figure(base * 3.9),
      map: figure(base * 0.47),
      mrr: figure(base * 2.03),
      revenue: figure(base * 21.7),
    },
    catalogue: {
      coverage: base * 1.37,
      gini: 1 - base * 0.29,
      novelty: 3 + base,
      popularityLift: base * 7.1,
      popularityShares: { head: 0.6, middle: 0.3, tail: 0.1 },
      serendipity: base * 0.71,
      newItemShare: base * 0.93,
    },
    curves: {
      at: [1, 5, 10],
      ndcg: [base * 1.1, base * 1.05, base],
      recall: [base * 0.1, base * 0.3, base * 0.61],
      precision: [base * 1.2, base, base * 0.83],
      hitRate: [base, base * 2, base * 3.9],
    },
    segments: [
      {
        by: 'history',
        name: 'warm (5–19 items)',
        cases: 300,
        ndcg: figure(base * 0.91),
        recall: figure(base * 0.52),
        hitRate: figure(base * 3.1),
      },
      { by: 'country', name: 'Norway', cases: 12, ndcg: figure(base * 0.97), recall: figure(base * 0.53), hitRate: figure(base * 3.3) },
    ],
    funnel: [
      { stage: 'source habits', candidates: 300, recall: 0.447, cases: 500 },
      { stage: 'candidates', candidates: 461.6, recall: 0.582, cases: 500 },
      { stage: 'filters', candidates: 411.7, recall: 0.571, cases: 500 },
      { stage: 'ranked', candidates: 10, recall: 0.066, cases: 500 },
    ],
    milliseconds: { fit: 26_341, ask: 24_117 },
    ...further,
  };
}

/** `shop.yaml` beside popularity. */
export function evaluationOf(further: Partial<Evaluation> = {}): Evaluation {
  const item = (id: string): ExampleItem => ({ id, title: `The ${id}` });
  return {
    format: evaluationFormat,
    createdAt: '2026-11-23T07:16:52.486Z',
    software: { '@recloom/core': '0.1.0', node: '20.20.2' },
    shop: 'lamps',
    k: 10,
    split: {
      kind: 'temporal',
      summary: 'Everything before 2011-11-09 is for training.',
      cut: '2011-11-09T00:00:00.000Z',
      reports: [
        {
          trainUsers: 3462,
          trainItems: 2963,
          trainPairs: 194_628,
          testUsers: 1262,
          testPairs: 21_138,
          droppedItems: 696,
          droppedUsers: 0,
          dropped: [{ what: 'items', reason: 'fewer than 5 users in training', count: 696 }],
        },
      ],
    },
    pipelines: [
      pipelineOf('lamps', 0.1312, { file: 'shop.yaml', surface: 'home', configHash: 'ba4c145b5dcd96df' }),
      pipelineOf('popularity', 0.0341, { funnel: [] }),
    ],
    comparisons: [
      {
        metric: 'ndcg',
        baseline: 'popularity',
        challenger: 'lamps',
        difference: { mean: 0.0971, low: 0.0868, high: 0.1077, confidence: 0.95 },
        pValue: 0.0001,
        adjustedPValue: 0.0002,
        significant: true,
        wins: 468,
        losses: 120,
        ties: 674,
      },
    ],
    examples: [
      {
        user: 'user-17850',
        why: 'typical',
        history: [item('lamp'), item('shade')],
        took: [item('bulb'), item('cable')],
        lists: [
          {
            pipeline: 'lamps',
            items: [
              { ...item('plug'), hit: false },
              { ...item('cable'), hit: true, reason: 'Because you bought The lamp' },
            ],
          },
          { pipeline: 'popularity', items: [{ ...item('bell'), hit: false, reason: 'Taken by 751 users' }] },
        ],
      },
    ],
    ...further,
  };
}
