import { type RecloomError, recloomError } from '@recloom/plugin-api';
import { fieldsOf, readPipelineData } from './build/build-pipeline.js';
import type { Dataset } from './data/dataset.js';
import { expressionProblems, expressionsFor } from './pipeline/assemble.js';
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
    checkExpressions(plan, dataset);
  }
  return { plan, dataset, components: plan.nodes.length, surfaces: [...plan.surfaces.keys()] };
}

/** Compiles the value of every surface and reports all that are wrong. Expressions in options are checked when their component is made. */
function checkExpressions(plan: Plan, dataset: Dataset): void {
  const expressions = expressionsFor(plan, dataset.items);
  const problems: RecloomError[] = [];
  for (const [name, surface] of plan.surfaces) {
    if (surface.config.value === undefined) continue;
    try {
      expressions.compile(surface.config.value, 'number');
    } catch (error) {
      problems.push(...expressionProblems(error, plan, name));
    }
  }
  if (problems.length > 0) throw recloomError('RECLOOM_CFG_INVALID', { count: problems.length, file: plan.loaded.file }, { problems });
}
