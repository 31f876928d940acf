export { createInference, type InferenceService } from './inference.js';
export type { InferenceLimits, InferenceOptions } from './inference-options.js';
export { createDirectoryKeyValueStore, createMemoryKeyValueStore } from './key-value-store.js';
export { createModelFiles, type ModelFilesOptions } from './model-files.js';
