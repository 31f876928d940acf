import { fieldsOf, readData } from './build/build-pipeline.js';
import { silentObserver } from './build/build-report.js';
import { resolveTune } from './config/resolve-tune.js';
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
  const early = workspace.tryPlan();
  // Only a person who looks at the config is told of `tune:`; what serves does not read it.
  const { problems: tuneProblems } = resolveTune(early.plan);
  for (const problem of tuneProblems) early.problems.addFound(problem);
  if (options.data === false || !dataCanBeRead(early.plan)) {
    early.problems.throwIfAny();
    return reportOf(early.plan, undefined);
  }
  const signal = options.signal ?? new AbortController().signal;
  const services = await workspace.services();
  try {
    // A mistake in one component does not hide what only the data can tell about another.
    const dataset = await readData(early.plan, services, silentObserver, signal).catch((error: unknown) => {
      early.problems.throwIfAny();
      throw error;
    });
    const { plan, problems } = workspace.tryPlan(fieldsOf(dataset));
    for (const problem of tuneProblems) problems.addFound(problem);
    problems.throwIfAny();
    await checkExpressions(plan, dataset, services, signal);
    return reportOf(plan, dataset);
  } finally {
    await services.close();
  }
}

/** True when every data source of the config could be planned. */
function dataCanBeRead(plan: Plan): boolean {
  const { data } = plan.loaded.config;
  return (['items', 'events', 'users'] as const).every((kind) => data[kind] === undefined || plan.data[kind] !== undefined);
}

function reportOf(plan: Plan, dataset: Dataset | undefined): ValidationReport {
  return { plan, dataset, components: plan.nodes.length, surfaces: [...plan.surfaces.keys()] };
}
