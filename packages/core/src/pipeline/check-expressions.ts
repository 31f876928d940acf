import { type ContractName, expressionsToken, isRecloomError, type RecloomError, type Table } from '@recloom/plugin-api';
import { ProblemCollector } from '../config/problems.js';
import type { ServiceContainer } from '../di/container.js';
import { createExpressions } from '../expressions/create-expressions.js';
import { createNode, expressionProblems, expressionsFor, stampError } from './assemble.js';
import { findOption } from './find-option.js';
import type { Plan, PlannedNode } from './plan.js';

/** The tables that expressions are checked against. */
export interface ExpressionTables {
  readonly items: Table;
  readonly users: Table;
}

/**
 * Compiles the value of every surface and makes, for a moment, every unfitted component that compiles expressions of its own
 * (`rules/where`), so that a build does not publish what a pipeline could not open.
 *
 * @throws RECLOOM_CFG_INVALID with every expression that is wrong, each at its character in the config
 */
export async function checkExpressions(
  plan: Plan,
  tables: ExpressionTables,
  services: ServiceContainer,
  signal: AbortSignal,
): Promise<void> {
  const expressions = expressionsFor(plan, tables.items);
  const collector = new ProblemCollector(plan.loaded);
  for (const [name, surface] of plan.surfaces) {
    if (surface.config.value === undefined) continue;
    try {
      expressions.compile(surface.config.value, 'number');
    } catch (error) {
      for (const problem of expressionProblems(error, plan, name)) collector.addFound(problem);
    }
  }
  const container = services.assembly([[expressionsToken, expressions]]);
  const options = { plan, ...tables, states: new Map(), features: new Map(), signal, warn: () => undefined };
  try {
    for (const node of plan.nodes) {
      if (!compilesExpressions(node)) continue;
      try {
        await createNode(node, container, options);
      } catch (error) {
        signal.throwIfAborted();
        addOptionProblem(collector, error, node, plan);
      }
    }
  } finally {
    await container.close();
  }
  collector.throwIfAny();
}

/**
 * What is wrong with the values of the surfaces as far as that can be told before the data are read: those that read an item's
 * field wait for them. A component that could not be planned, or is in `broken`, counts as giving every column of its name.
 */
export function earlyExpressionProblems(plan: Plan, broken: ReadonlySet<string>): readonly RecloomError[] {
  const planned = new Map(plan.nodes.map((node) => [node.name, node]));
  const unplanned = [
    ...Object.keys(plan.loaded.config.components).filter((name) => !planned.has(name)),
    ...broken,
    // That they are missed is said where they were taken out.
    ...(plan.loaded.takenOut?.keys() ?? []),
  ];
  const giving = (contract: ContractName): string[] => [
    ...[...planned.values()].filter((node) => node.definition.provides.includes(contract)).map((node) => node.name),
    ...unplanned,
  ];
  const expressions = createExpressions({
    items: noItems,
    sources: giving('source'),
    scores: giving('scorer'),
    features: giving('extractor'),
    // Only instances know their further columns.
    furtherScores: () => undefined,
    featureWidth: () => undefined,
  });
  const problems: RecloomError[] = [];
  for (const [name, surface] of plan.surfaces) {
    const { value } = surface.config;
    if (value === undefined || /\bitem\b/.test(value)) continue;
    try {
      expressions.compile(value, 'number');
    } catch (error) {
      problems.push(...expressionProblems(error, plan, name));
    }
  }
  return problems;
}

const noItems: Table = {
  rowCount: 0,
  fields: [],
  version: 0,
  idOf: () => '',
  rowOf: () => -1,
  column: () => undefined,
};

function compilesExpressions({ definition, inputs }: PlannedNode): boolean {
  // A component that reads features can only be made once they are there.
  const readsFeatures = [...inputs.values()].some(({ entries }) => entries.some((entry) => entry.kind === 'feature'));
  return (
    definition.fit === undefined && !readsFeatures && Object.values(definition.needs).some((token) => token.id === expressionsToken.id)
  );
}

function addOptionProblem(collector: ProblemCollector, error: unknown, node: PlannedNode, plan: Plan): void {
  const text = isRecloomError(error) ? (error.cause as { readonly text?: unknown } | undefined)?.text : undefined;
  const path = typeof text === 'string' ? findOption(plan.loaded, node.path, (option) => option === text) : undefined;
  if (path === undefined) collector.addFound(stampError(error, node, plan, 'create()'));
  else collector.addError(error, path);
}
