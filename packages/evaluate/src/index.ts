export {
  type EvaluateOptions,
  evaluatePipeline,
  evaluateRecommender,
  pipelineRecommender,
  popularityRecommender,
  type QualityReport,
  type Recommender,
} from './evaluate-pipeline.js';
export { type ListMetrics, type Mean, meanOf, scoreList } from './metrics.js';
export { type TemporalSplit, type TemporalSplitOptions, type TestCase, temporalSplit } from './temporal-split.js';
