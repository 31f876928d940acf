export { createInference, type InferenceOptions, type InferenceService } from './inference.js';
