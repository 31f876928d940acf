export {
  CandidateFilter,
  CandidateSource,
  type ClassSpec,
  Component,
  type ComponentClass,
  type ComponentDecorator,
  componentOf,
  DataSource,
  FeatureExtractor,
  PrivacyFilter,
  Ranker,
  Scorer,
  SideEffect,
} from './components.js';
export { contextToken, inject, inputsToken, itemsToken, optionsToken, stateToken } from './injections.js';
