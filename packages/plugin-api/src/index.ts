export {
  type BooleanColumn,
  type CategoryColumn,
  type Column,
  type ColumnType,
  columnLength,
  columnValue,
  type ImageColumn,
  type ListColumn,
  type NumberColumn,
  type TextColumn,
} from './columns/column.js';
export type { FeatureBlock, FeatureMatrix, FeatureRows } from './columns/features.js';
export { emptyHistory, type HistoryStore, type HistoryView } from './columns/history.js';
export { createRandomStream, deriveSeed, type RandomStream } from './columns/random-stream.js';
export type { Table } from './columns/table.js';
export { type ComponentState, jsonTensor, readJsonTensor, readTensor, type Tensor, type TensorData, tensor } from './columns/tensor.js';
export type { CandidateFilter } from './contracts/candidate-filter.js';
export type { CandidateSource, Proposals } from './contracts/candidate-source.js';
export type { CandidateBatch, SourceColumns } from './contracts/candidates.js';
export type { DataBatch, DataReadContext, DataReport, DataSource, DroppedRows } from './contracts/data-source.js';
export type { Explainer, Inspectable, Reason } from './contracts/explainer.js';
export type { ExtractBatch, FeatureExtractor, FeatureScope } from './contracts/feature-extractor.js';
export type { ModelBacked, ModelInUse } from './contracts/model-backed.js';
export type { GateContext, PrivacyFilter, ResultList } from './contracts/privacy-filter.js';
export type { RankedList, Ranker } from './contracts/ranker.js';
export type { Scorer } from './contracts/scorer.js';
export type { AnswerEvent, SideEffect } from './contracts/side-effect.js';
export {
  type Capabilities,
  type ComponentDefinition,
  type ComponentSpec,
  type ContractName,
  type Contracts,
  type CreateContext,
  defineCandidateFilter,
  defineCandidateSource,
  defineComponent,
  defineDataSource,
  defineFeatureExtractor,
  definePrivacyFilter,
  defineRanker,
  defineScorer,
  defineSideEffect,
  type FitContext,
  type InstanceOf,
  type NeedsSpec,
  type ResolvedNeeds,
} from './define/component.js';
export { type FieldInput, feature, type InputSpec, type InputsSpec, itemField, type ResolvedInputs, userField } from './define/inputs.js';
export { definePlugin, type PluginDefinition, type PluginErrorCode, pluginApiVersion } from './define/plugin.js';
export type { OptionsSchema, SchemaIssue, SchemaOutput, SchemaResult } from './define/standard-schema.js';
export { type ErrorAudience, type ErrorCode, type ErrorEntry, type ErrorParameters, errorAnchor, errorCodes } from './errors/codes.js';
export { importLibrary } from './errors/library.js';
export { type ErrorLocation, isRecloomError, RecloomError, type RecloomErrorInit, recloomError } from './errors/recloom-error.js';
export type { Warning } from './errors/warning.js';
export { type Label, requestLabels } from './request/labels.js';
export { joinProposals, perRequest, type RequestProposals } from './request/proposals.js';
export type { ContextValue, RequestBatch, RequestView } from './request/request-view.js';
export { type CompiledExpression, type Expressions, expressionsToken } from './tokens/expressions.js';
export {
  type BackgroundRequest,
  type BackgroundWork,
  type BatchingOptions,
  type Inference,
  type InferenceDevice,
  type InferenceElementType,
  type InferenceIsolation,
  type InferenceRunOptions,
  type InferenceSession,
  type InferenceTensor,
  type InferenceTensorInfo,
  inferenceToken,
  type ModelRequest,
} from './tokens/inference.js';
export {
  type Clock,
  type Compute,
  type Consent,
  clockToken,
  computeToken,
  consentToken,
  type ImageReader,
  imageReaderToken,
  type KeyValueStore,
  keyValueStoreToken,
  type Logger,
  loggerToken,
  type Metrics,
  type ModelFiles,
  type ModelFolder,
  metricsToken,
  modelFilesToken,
  type RandomSource,
  randomToken,
  type Span,
  type Tracer,
  tracerToken,
} from './tokens/services.js';
export { createToken, type Provided, type Token, type TokenValue } from './tokens/token.js';
