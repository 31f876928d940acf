import type { Comparison, Evaluation, PipelineEvaluation } from '../evaluation.js';
import { plain, shortened } from './html.js';
import { isNumber } from './numbers.js';

/** How a pipeline looks in every plot of the page. */
export interface Series {
  readonly pipeline: PipelineEvaluation;
  readonly isBaseline: boolean;
  /** The pipeline's name, cut where it is very long, or that of the bestseller list. */
  readonly label: string;
  /** A CSS colour, one of the page's variables. */
  readonly colour: string;
  /** SVG's `stroke-dasharray`; absent for a whole line. */
  readonly dash?: string;
  readonly symbol: (typeof symbols)[number];
}

/** An evaluation as the page looks at it. */
export interface ReportView {
  readonly evaluation: Evaluation;
  readonly k: number;
  /** All, in the order of the document. */
  readonly series: readonly Series[];
  /** All but the bestseller list; that list alone when there is nothing else. */
  readonly contenders: readonly Series[];
  readonly baseline?: Series;
  /** The contender with the highest NDCG; the first of several that are equal. */
  readonly lead: Series;
  /** At most `most`: the lead, the first, then by NDCG; the bestseller list always. In the order of the document. */
  few(most: number): readonly Series[];
  /** The pipeline as a text calls it. */
  labelOf(name: string): string;
  readonly showUsers: boolean;
  /** How to repeat it, as a person types it. */
  readonly command?: string;
}

const symbols = ['circle', 'square', 'triangle', 'diamond', 'star', 'wye', 'times'] as const;
const colourCount = 6;
const longestLabel = 48;

/** What the page calls popularity. */
export const baselineLabel = 'Bestseller list';

/** @throws TypeError when the document holds no pipeline */
export function viewOf(evaluation: Evaluation, options: { readonly showUsers?: boolean; readonly command?: string } = {}): ReportView {
  const { pipelines } = evaluation;
  const last = pipelines.length - 1;
  const series = pipelines.map((pipeline, place): Series => {
    const isBaseline = place === last && pipeline.name === 'popularity';
    const dash = isBaseline ? '2 3' : place >= colourCount ? '7 3' : undefined;
    return {
      pipeline,
      isBaseline,
      label: isBaseline ? baselineLabel : shortened(plain(pipeline.name), longestLabel) || `pipeline ${place + 1}`,
      colour: isBaseline ? 'var(--baseline)' : `var(--series-${place % colourCount})`,
      ...(dash === undefined ? {} : { dash }),
      symbol: symbols[isBaseline ? symbols.length - 1 : place % (symbols.length - 1)] as Series['symbol'],
    };
  });
  const others = series.filter(({ isBaseline }) => !isBaseline);
  const contenders = others.length === 0 ? series : others;
  const baseline = others.length === 0 ? undefined : series.find(({ isBaseline }) => isBaseline);
  const ndcgOf = ({ pipeline }: Series): number => (isNumber(pipeline.figures.ndcg.mean) ? pipeline.figures.ndcg.mean : -1);
  const byQuality = [...contenders].sort((left, right) => ndcgOf(right) - ndcgOf(left));
  const [lead] = byQuality;
  if (lead === undefined) throw new TypeError('an evaluation without pipelines has no report');
  return {
    evaluation,
    k: evaluation.k,
    series,
    contenders,
    ...(baseline === undefined ? {} : { baseline }),
    lead,
    few: (most) => {
      const first = contenders[0] as Series;
      const own = [...new Set([lead, first, ...byQuality])].slice(0, Math.max(1, most - (baseline === undefined ? 0 : 1)));
      const chosen = new Set([...own, baseline]);
      return series.filter((entry) => chosen.has(entry));
    },
    labelOf: (name) => series.find(({ pipeline }) => pipeline.name === name)?.label ?? shortened(plain(name), longestLabel),
    showUsers: options.showUsers ?? false,
    ...(options.command === undefined ? {} : { command: options.command }),
  };
}

/** `better`, `worse`, or `open` when the difference may be chance. */
export type Verdict = 'better' | 'worse' | 'open';

/** What a comparison comes to. */
export function verdictOf({ significant, difference }: Comparison): Verdict {
  if (!significant || !isNumber(difference.mean) || difference.mean === 0) return 'open';
  return difference.mean > 0 ? 'better' : 'worse';
}
