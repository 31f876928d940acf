export {
  buildInteractions,
  type InteractionLimits,
  type InteractionRule,
  type Interactions,
  mapValues,
  rowSums,
  usersCut,
} from './interactions.js';
export { InterestReader, type Interests, type InterestsRule, type RequestItemsUse, reasonFor } from './interests.js';
export { LinkedItems, type LinkedItemsOptions, type LinkScores } from './linked-items.js';
export { type RecencyRule, recencyAmounts, recencyWeight, typeMask, unknownEventType } from './recency.js';
export { SparseLinks } from './sparse-links.js';
