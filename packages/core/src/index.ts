export { type BuildOptions, buildPipeline, readPipelineData } from './build/build-pipeline.js';
export { type BuildObserver, type BuildReport, type ComponentReport, silentObserver } from './build/build-report.js';
export type { FittedParts } from './build/fit-components.js';
export { formatProblems } from './config/format-problems.js';
export { configJsonSchema } from './config/json-schema.js';
export { loadConfig } from './config/load-config.js';
export {
  fillExpression,
  type ResolvedTune,
  type ResolvedTuneSplit,
  type ResolveTuneOptions,
  resolveTune,
  type TuneDomain,
  type TuneParameter,
} from './config/resolve-tune.js';
export { suggest } from './config/suggest.js';
export type {
  ComponentNode,
  ConfigPath,
  DataConfig,
  LoadedConfig,
  PipelineConfig,
  SourcePosition,
  SourceUse,
  StageUse,
  SurfaceConfig,
  SurfaceNeed,
  TuneConfig,
  TuneMetric,
  TuneSplitKind,
  TuneValue,
} from './config/types.js';
export type { ColumnarTable, Dataset } from './data/dataset.js';
export { datasetFromArrays } from './data/dataset-from-arrays.js';
export { filterDataset } from './data/filter-dataset.js';
export { type OpenPipelineOptions, openPipeline } from './open-pipeline.js';
export { diagramPipeline } from './pipeline/diagram.js';
export {
  type ManyOptions,
  type ManyResult,
  type ModelOfComponent,
  Pipeline,
  type RecordResult,
  type ScoreCandidatesOptions,
} from './pipeline/pipeline.js';
export type { Plan, PlannedNode, PlannedSurface } from './pipeline/plan.js';
export type { ScoredCandidates, ScoredResult } from './pipeline/score-candidates.js';
export type {
  Answer,
  AnswerItem,
  Attributes,
  AttributeValue,
  EventInput,
  ItemExplanation,
  ItemInput,
  Ledger,
  NodeTiming,
  RecommendRequest,
  SessionEventInput,
  Trace,
} from './pipeline/types.js';
export { checkPlugin } from './plugins/load-plugins.js';
export { diffSnapshots, inspectSnapshot } from './snapshot/inspect.js';
export { SnapshotStore } from './snapshot/snapshot-store.js';
export type { Manifest, OpenedSnapshot } from './snapshot/types.js';
export { type ValidateOptions, type ValidationReport, validatePipeline } from './validate-pipeline.js';
export { type ConfigSource, type HostOptions, openWorkspace, type Workspace } from './workspace.js';
