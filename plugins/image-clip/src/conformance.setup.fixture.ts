import { createInference, createModelFiles } from '@recloom/inference';
import { inferenceToken, modelFilesToken, type Provided } from '@recloom/plugin-api';

/** Real services for the conformance kit, here and in its child processes. */
const provide: Provided = [
  [inferenceToken, createInference()],
  [modelFilesToken, createModelFiles({ directory: import.meta.dirname })],
];

export default { provide };
