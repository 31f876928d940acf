import { fieldsOf, readPipelineData } from './build/build-pipeline.js';
import type { Dataset } from './data/dataset.js';
import { checkExpressions } from './pipeline/check-expressions.js';
import type { Plan } from './pipeline/plan.js';
import { type ConfigSource, type HostOptions, openWorkspace } from './workspace.js';

export interface ValidateOptions extends HostOptions {
  /** Also reads the data, so that fields, their types and expressions are checked. Default true. */
  readonly data?: boolean;
  readonly signal?: AbortSignal;
}

/** What a valid config amounts to. */
export interface ValidationReport {
  readonly plan: Plan;
  /** Undefined when the data were not read. */
  readonly dataset: Dataset | undefined;
  readonly components: number;
  readonly surfaces: readonly string[];
}

/**
 * Checks a config as a build and an assembly would, without fitting anything.
 *
 * @throws RECLOOM_CFG_INVALID with all problems; RECLOOM_DAT_* when the data cannot be read
 */
export async function validatePipeline(source: ConfigSource, options: ValidateOptions = {}): Promise<ValidationReport> {
  const workspace = await openWorkspace(source, options);
  let plan = workspace.plan();
  let dataset: Dataset | undefined;
  if (options.data !== false) {
    dataset = await readPipelineData(source, options);
    plan = workspace.plan(fieldsOf(dataset));
    const services = await workspace.services();
    try {
      await checkExpressions(plan, dataset, services, options.signal ?? new AbortController().signal);
    } finally {
      await services.close();
    }
  }
  return { plan, dataset, components: plan.nodes.length, surfaces: [...plan.surfaces.keys()] };
}
