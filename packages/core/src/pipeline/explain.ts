import { columnValue, type Reason } from '@recloom/plugin-api';
import type { AssembledNode, AssembledSurface } from './assemble.js';
import type { Engine } from './engine.js';
import type { RunResult } from './run/run-types.js';
import type { ItemExplanation } from './types.js';

/** A reason with the component that gave it. */
interface GivenReason {
  readonly component: string;
  readonly reason: Reason;
  /** The reason's own strength, times how high its component placed the item: a good reason for rank 200 is not why it is here. */
  readonly weight: number;
}

/** The rank an item counts as having with a component that scored it and did not propose it. */
const scoredOnlyRank = 100;

/**
 * Why each item of a result is there: facts for the pipeline's author and one sentence for the shopper.
 * The sentence comes from the component whose reason weighs most; the config's `texts` replace it by reason code.
 */
export function explainResult(
  engine: Engine,
  surface: AssembledSurface,
  result: RunResult,
): { readonly sentence: string; readonly explanation: ItemExplanation }[] {
  const given = collectReasons(engine, surface, result);
  const expression = surface.value?.source ?? 'reciprocal rank fusion of the sources';
  return Array.from(result.rows, (_, place) => {
    const detail = result.details?.[place];
    const reasons = (given[place] ?? []).sort((left, right) => right.weight - left.weight);
    const sentences = reasons.map(({ component, reason }) => ({
      component,
      code: reason.code,
      sentence: sentenceOf(engine, reason),
      items: (reason.items ?? []).map((row) => engine.items.idOf(row)),
    }));
    return {
      sentence: sentences[0]?.sentence ?? engine.plan.loaded.config.texts['default'] ?? 'Selected for you',
      explanation: {
        sources: (detail?.sources ?? []).map(({ name, rank, score }) => ({ name, rank, score })),
        scores: detail?.scores ?? {},
        value: { expression, result: result.values[place] ?? Number.NaN, place: detail?.place ?? 0 },
        rankers: detail?.rankers ?? [],
        reasons: sentences,
      },
    };
  });
}

/** Asks every component that proposed or scored an item, and may run for this request, for its reason. */
function collectReasons(engine: Engine, surface: AssembledSurface, result: RunResult): GivenReason[][] {
  const { state, rows } = result;
  const collected: GivenReason[][] = Array.from(rows, () => []);
  const scorerNames = new Set(surface.scorers.map((scorer) => scorer.name));
  const nodes = new Map<string, AssembledNode>();
  for (const stage of [...surface.allSources, ...surface.scorers]) nodes.set(stage.name, stage.node);
  for (const [name, node] of nodes) {
    if (node.explainer === undefined || typeof node.explainer.reasons !== 'function' || !state.mayRead(node.planned.reads)) continue;
    try {
      const reasons = node.explainer.reasons(state, rows);
      for (let place = 0; place < rows.length; place++) {
        const reason = reasons[place];
        if (reason === undefined) continue;
        const proposal = result.details?.[place]?.sources.find((source) => source.name === name);
        if (proposal === undefined && !scorerNames.has(name)) continue;
        const rank = proposal?.rank ?? scoredOnlyRank;
        collected[place]?.push({ component: name, reason, weight: (reason.strength ?? 0.5) / Math.log2(1 + rank) });
      }
    } catch (error) {
      engine.services.logger.warn('a component failed while explaining', { node: name, error: (error as Error).name });
    }
  }
  return collected;
}

/** Fills the placeholders of a reason's text. */
function sentenceOf(engine: Engine, reason: Reason): string {
  const template = engine.plan.loaded.config.texts[reason.code] ?? reason.text;
  return template.replace(/\{(\w+)\}/g, (placeholder, name: string) => {
    if (name === 'item') {
      const row = reason.items?.[0];
      return row === undefined ? placeholder : titleOf(engine, row);
    }
    const value = reason.values !== undefined && Object.hasOwn(reason.values, name) ? reason.values[name] : undefined;
    return value === undefined ? placeholder : String(value);
  });
}

/** What a shopper calls an item: its title field, else its id. */
export function titleOf(engine: Engine, row: number): string {
  const column = engine.items.column(engine.plan.loaded.config.data.title);
  const value = column === undefined ? null : columnValue(column, row);
  return typeof value === 'string' && value.length > 0 ? value : engine.items.idOf(row);
}
