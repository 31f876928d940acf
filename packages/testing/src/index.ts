export { type BoundLaw, type BrokenLaw, type ConformanceReport, conformanceLaws, laws, runLaws } from './conformance/kit.js';
export { type Law, LawBroken } from './conformance/law.js';
export { lightPackages } from './conformance/package-check.js';
export { type ComponentFixture, type ConformanceOptions, madeUpFeature, type RequestFixture, type Subject } from './conformance/subject.js';
export {
  booleanColumn,
  categoryColumn,
  imageColumn,
  listColumn,
  numberColumn,
  type TestTable,
  tableFrom,
  textColumn,
} from './host/columns.js';
export { simpleExpressions } from './host/expressions.js';
export {
  type HistoryShape,
  historyFrom,
  historyViewFrom,
  historyViewOf,
  type TestEvent,
  type TestUserEvent,
} from './host/history.js';
export {
  type AnyInstance,
  type ComponentSetup,
  copyState,
  createTestHost,
  deepFreeze,
  fitComponent,
  openComponent,
  type TestHost,
  type TestHostOptions,
  type TestInput,
  type TestInputs,
  validateOptions,
} from './host/host.js';
export {
  type FakeModel,
  fakeInference,
  type InterceptedRun,
  type Tensors,
  type WatchedInference,
  watchInference,
} from './host/inference.js';
export { brokenPictures, type PictureSize, pictureReader, testPicture } from './host/pictures.js';
export {
  allLabels,
  type CandidateParts,
  candidateBatch,
  featureMatrix,
  type RequestParts,
  rankedList,
  requestBatch,
  requestView,
  resultList,
} from './host/requests.js';
export {
  consentFrom,
  fixedClock,
  type LogRecord,
  type MetricRecord,
  memoryKeyValueStore,
  recordingLogger,
  recordingMetrics,
  seededRandom,
  silentTracer,
  singleThreadCompute,
} from './host/services.js';
export { type Shop, type ShopSize, type SyntheticShop, shopFrom, syntheticShop } from './host/shop.js';
