import { type CompiledExpression, type FeatureExtractor, type RecloomError, recloomError, type Warning } from '@recloom/plugin-api';
import { reasonOf } from '../expressions/expression-fault.js';
import type { AssembledSurface } from './assemble.js';
import type { CandidateSet } from './candidate-set.js';
import type { Engine } from './engine.js';
import type { RequestState } from './request-state.js';
import type { RunContext } from './run/run-context.js';
import type { NodeTiming } from './types.js';

/**
 * All candidates of one request as columns: after filters and scorers, before rankers, in the order in which they were merged.
 * The arrays belong to the receiver; each has one number per candidate.
 */
export interface ScoredCandidates {
  readonly surface: string;
  readonly snapshotId: string;
  /** "Now" of the request, in milliseconds since the epoch. */
  readonly asOfMs: number;
  /** Item rows, unique. */
  readonly rows: Int32Array;
  /** Item ids. */
  readonly ids: readonly string[];
  /** The surface's `value`; minus infinity where it is missing. */
  readonly values: Float32Array;
  /**
   * By name, in the order asked for: what the name gives as an expression. A missing number is NaN: score and rank of a source
   * that did not propose the item, a field that is empty (`coalesce(source.habits.rank, 0)` makes it 0). True and false are 1 and 0.
   */
  readonly columns: Readonly<Record<string, Float32Array>>;
  /** True when stored personal data were granted and used. */
  readonly personalised: boolean;
  readonly warnings: readonly Warning[];
  readonly timings: readonly NodeTiming[];
}

/** What `scoreCandidates` yields, in the order of the requests: candidates, or the error of that request alone. */
export type ScoredResult =
  | { readonly index: number; readonly candidates: ScoredCandidates; readonly error?: undefined }
  | { readonly index: number; readonly candidates?: undefined; readonly error: RecloomError };

/** The columns that a surface gives: of its sources, candidate features and scorers, in config order. */
export function columnNames(surface: AssembledSurface): readonly string[] {
  return [
    ...surface.allSources.flatMap(({ name }) => [`source.${name}.score`, `source.${name}.rank`]),
    ...surface.features.flatMap(({ name, instance }) => featureColumns(name, instance)),
    ...surface.scorers.flatMap(({ name, further }) => [`score.${name}`, ...further.map((part) => `score.${name}.${part}`)]),
  ];
}

function featureColumns(name: string, { width }: FeatureExtractor): readonly string[] {
  return Array.from({ length: width }, (_, index) => (index === 0 ? `feature.${name}` : `feature.${name}.${index}`));
}

/** A column asked for: a number or a truth value of CEL over the pipeline's columns. */
interface WantedColumn {
  readonly name: string;
  readonly expression: CompiledExpression;
}

/** @throws RECLOOM_RUN_REQUEST for a column that does not exist or is neither a number nor true or false */
export function compileColumns(engine: Engine, names: readonly string[]): readonly WantedColumn[] {
  return [...new Set(names)].map((name) => {
    try {
      return { name, expression: engine.compile(name, 'number') };
    } catch (error) {
      try {
        return { name, expression: engine.compile(name, 'boolean') };
      } catch {
        throw recloomError('RECLOOM_RUN_REQUEST', { why: `a column of "columns" is wrong: ${reasonOf(error)}` }, { cause: error });
      }
    }
  });
}

/** Takes the candidates of each request out of a set, with the columns wanted. */
export function takeCandidates(run: RunContext, set: CandidateSet, wanted: readonly WantedColumn[]): readonly ScoredCandidates[] {
  const { engine, surface } = run;
  const view = run.view(set, run.states);
  const all = wanted.map(({ name, expression }): [string, Float32Array] => {
    const values = new Float32Array(set.count);
    expression.evaluate(view, values);
    return [name, values];
  });
  return run.states.map((state: RequestState, index): ScoredCandidates => {
    const start = set.offsets[index] as number;
    const end = set.offsets[index + 1] as number;
    const rows = set.rows.slice(start, end);
    return {
      surface: surface.name,
      snapshotId: engine.snapshotId,
      asOfMs: state.asOfMs,
      rows,
      ids: Array.from(rows, (row) => engine.items.idOf(row)),
      values: set.value.slice(start, end),
      columns: Object.fromEntries(all.map(([name, values]) => [name, values.slice(start, end)])),
      personalised: state.personalised,
      warnings: state.warnings,
      timings: run.timings,
    };
  });
}
