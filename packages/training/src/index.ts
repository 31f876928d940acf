export { exportTraining, type TrainingReport } from './export-training.js';
export type { Cuts, ExportTrainingOptions } from './options.js';
export { type CutCounts, type TrainingColumn, type TrainingSchema, trainingFormat } from './schema.js';
