export type { Recommender } from './ask-cases.js';
export type { BlendNormalisation } from './blend/blend-config.js';
export {
  type BlendComparison,
  type BlendSettings,
  type BlendStep,
  type BlendVerdict,
  type LearnBlendOptions,
  type LearnedBlend,
  learnBlend,
} from './blend/learn-blend.js';
export type { SegmentBounds } from './blend/learn-weights.js';
export { baseReference, type ConfigChanges, type ConfigNote, type ConfigPatch, writeConfigPatch } from './config-patch.js';
export { type ClickEvaluation, type EvaluateClicksOptions, evaluateClicks } from './evaluate-clicks.js';
export {
  type EvaluateOptions,
  evaluatePipeline,
  evaluateRecommender,
  pipelineRecommender,
  popularityRecommender,
  type QualityReport,
} from './evaluate-pipeline.js';
export { type EvaluatedPipeline, type EvaluationOptions, evaluatePipelines } from './evaluate-pipelines.js';
export {
  type CatalogueFigures,
  type Comparison,
  type Evaluation,
  type EvaluationWarning,
  type ExampleCase,
  type ExampleItem,
  evaluationFormat,
  type Figure,
  type FunnelStage,
  type MetricCurves,
  type PipelineEvaluation,
  type RankingFigures,
  type SegmentFigures,
  type SplitDescription,
} from './evaluation.js';
export {
  catalogueCoverage,
  exposureGini,
  intraListDiversity,
  type Lists,
  novelty,
  popularityLift,
  serendipity,
  shareOf,
} from './metrics/catalogue.js';
export { areaUnderCurve, type ClickMetrics, clickMetrics } from './metrics/clicks.js';
export { type RankingMetrics, type RankingOptions, rankingMetrics } from './metrics/ranking.js';
export {
  bootstrapMeans,
  holmCorrection,
  type Interval,
  pairedBootstrap,
  pairedRandomisationTest,
  type ResampleOptions,
} from './metrics/significance.js';
export { type ListMetrics, type Mean, meanOf, scoreList } from './metrics.js';
export { type RenderReportOptions, renderReport } from './report/render-report.js';
export { type ColdItemsOptions, coldItems } from './splits/cold-items.js';
export { type DescribedSplits, makeSplits, type SplitKind, type SplitRequest, splitKinds, splitOptionsOf } from './splits/make-splits.js';
export {
  kFold,
  type LeaveLastOutOptions,
  leaveLastOut,
  type RandomSplitOptions,
  randomSplit,
  type UserHoldoutOptions,
  userHoldout,
} from './splits/per-user.js';
export { predefinedSplit } from './splits/predefined.js';
export { readKeptBack } from './splits/read-kept-back.js';
export type { RelevantTypesOptions } from './splits/relevant-types.js';
export type { DroppedPart, Split, SplitReport, TestCase } from './splits/split.js';
export { type TemporalSplit, type TemporalSplitOptions, temporalSplit } from './splits/temporal.js';
export type { ParameterImportance } from './tune/importance.js';
export {
  type TuneChange,
  type TuneComparison,
  type TuneOptions,
  type TuneReport,
  type TuneSearch,
  type TuneTrial,
  type TuneWindow,
  tune,
  tuneFormat,
} from './tune/tune.js';
export { trialsTable, tunedConfig } from './tune/tuned-config.js';
