export { createInference, type InferenceOptions, type InferenceService } from './inference.js';
export { createDirectoryKeyValueStore, createMemoryKeyValueStore } from './key-value-store.js';
export { createModelFiles, type ModelFilesOptions } from './model-files.js';
