import { basename } from 'node:path';
import { kernelsOf } from '@recloom/kernels';
import { type FeatureMatrix, isRecloomError } from '@recloom/plugin-api';
import type { Engine } from './engine.js';
import { isPerCandidate } from './graph-inputs.js';
import { openKernels } from './kernel-engine.js';
import type { Manifest } from './manifest.js';
import type { ModelContext } from './model-scorer.js';
import type { ModelOptions } from './options.js';
import { scorerError } from './plugin-error.js';
import { NotUnderstood } from './row-steps.js';
import { openSession } from './session-engine.js';

/**
 * What computes the model: the kernels where they know the whole graph and no other device is asked for, else onnxruntime.
 *
 * @throws SCORER_ONNX_ENGINE when `engine: kernels` cannot be had, and what `openSession` throws.
 */
export async function openEngine(options: ModelOptions, file: string, manifest: Manifest, context: ModelContext): Promise<Engine> {
  const { engine, device } = options;
  const mayUseKernels = engine === 'kernels' || (engine === 'auto' && (device === 'auto' || device === 'cpu'));
  if (mayUseKernels) {
    const request = { file, sha256: options.sha256, outputs: outputsOf(manifest), widths: widthsOf(manifest, context.features) };
    try {
      return await openKernels(request, kernelsOf(context.compute));
    } catch (error) {
      if (!leaveToOnnx(error)) throw error;
      if (engine === 'kernels') {
        if (isRecloomError(error)) throw error;
        throw scorerError('SCORER_ONNX_ENGINE', `The kernels do not know ${(error as Error).message} of ${basename(file)}.`, error);
      }
    }
  }
  // A request's own inputs must never stand beside the rows of another.
  const batching = options.batching && Object.values(manifest.inputs).every(isPerCandidate);
  return openSession(context.inference, file, { ...options, batching }, context.signal);
}

/** Also a file that cannot be read as a graph: what is wrong with it, onnxruntime's own checks say best. */
function leaveToOnnx(error: unknown): boolean {
  return error instanceof NotUnderstood || (isRecloomError(error) && error.code === 'RECLOOM_DAT_MODEL_INVALID');
}

function outputsOf(manifest: Manifest): readonly string[] | undefined {
  return manifest.outputs === undefined ? undefined : [...new Set(Object.values(manifest.outputs).map((output) => output.output))];
}

function widthsOf(manifest: Manifest, features: readonly FeatureMatrix[]): ReadonlyMap<string, number> {
  const widths = new Map<string, number>();
  for (const [name, description] of Object.entries(manifest.inputs)) {
    if ('columns' in description) widths.set(name, description.columns.length);
    if ('embedding' in description) {
      const width = features.find((feature) => feature.name === description.embedding)?.width;
      if (width !== undefined) widths.set(name, width);
    }
  }
  return widths;
}
