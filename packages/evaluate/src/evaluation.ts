import type { Interval } from './metrics/significance.js';
import type { SplitReport } from './splits/split.js';

/** Version of the document that `recloom evaluate --json` and `recloom compare --json` print and the report page shows. */
export const evaluationFormat = 'recloom-evaluation/1';

/**
 * What an evaluation measured, as one plain JSON document: several pipelines (popularity always among them) asked the
 * same questions about the same data kept back.
 */
export interface Evaluation {
  readonly format: typeof evaluationFormat;
  /** When it was measured, ISO 8601. */
  readonly createdAt: string;
  /** What measured: versions by name (`@recloom/core`, `@recloom/evaluate`, `node`); absent in documents made before it was told. */
  readonly software?: Readonly<Record<string, string>>;
  /** Name of the shop: the `name` of the first config. */
  readonly shop: string;
  /** Length of the lists that the figures without a length of their own are about. */
  readonly k: number;
  readonly split: SplitDescription;
  /** In the order asked; the last is the baseline `popularity`. */
  readonly pipelines: readonly PipelineEvaluation[];
  /** Every pipeline against popularity, and every later pipeline against the first; p-values Holm-corrected over the whole list. */
  readonly comparisons: readonly Comparison[];
  /** A few customers as examples, the same for all pipelines. */
  readonly examples: readonly ExampleCase[];
  /** What went less than perfectly, e.g. a component that failed while it was asked, with how often; absent when nothing did. */
  readonly warnings?: readonly EvaluationWarning[];
}

/** A warning of one pipeline, or of the evaluation itself. */
export interface EvaluationWarning {
  readonly code: string;
  readonly message: string;
  /** Absent when it concerns all. */
  readonly pipeline?: string;
  /** Name of the component in the config. */
  readonly node?: string;
  /** How many answers carried it; 1 for what happened once. */
  readonly times: number;
}

/** How the data were split, in words for people and in counts. */
export interface SplitDescription {
  /** `temporal`, `leave-last-out`, `random`, `k-fold`, `user-holdout`, `cold-items` or `predefined`. */
  readonly kind: string;
  /** One sentence. */
  readonly summary: string;
  /** First instant of the test, ISO 8601, where the split has one. */
  readonly cut?: string;
  /** One per repetition (folds, or seeds of a random split); one otherwise. */
  readonly reports: readonly SplitReport[];
  /** Seeds of the repetitions, where anything is random. */
  readonly seeds?: readonly number[];
}

/** A mean over cases, with an interval by bootstrap over cases. */
export interface Figure {
  readonly mean: number;
  readonly standardError: number;
  /** 95 % interval of the mean. */
  readonly low: number;
  readonly high: number;
  /** Standard deviation of the repetitions' means, where there are several. */
  readonly spread?: number;
}

/** Means over cases at the evaluation's k. */
export interface RankingFigures {
  readonly ndcg: Figure;
  readonly recall: Figure;
  readonly precision: Figure;
  readonly f1: Figure;
  readonly hitRate: Figure;
  /** Mean average precision. */
  readonly map: Figure;
  /** Mean reciprocal rank. */
  readonly mrr: Figure;
  /** NDCG by the summed weights of the events kept back, where they differ. */
  readonly gradedNdcg?: Figure;
  /** Sum of the prices of the hits in a list, where the catalogue names a price. */
  readonly revenue?: Figure;
}

/** What the lists as a whole look like; shares in [0, 1]. */
export interface CatalogueFigures {
  readonly coverage: number;
  readonly gini: number;
  readonly novelty: number;
  readonly popularityLift: number;
  /** Share of proposals from the most bought items that make up a fifth of all purchases (head), the next three fifths, the rest. */
  readonly popularityShares: { readonly head: number; readonly middle: number; readonly tail: number };
  readonly serendipity: number;
  /** Mean share of proposals that first appeared in the last 30 days of training; absent when nobody can tell. */
  readonly newItemShare?: number;
  /** Mean distance of two items of a list by their `category` field (0 the same, 1 different); absent without such a field. */
  readonly intraListDiversity?: number;
}

/** A curve's figures at each length of `at`. */
export interface MetricCurves {
  readonly at: readonly number[];
  readonly ndcg: readonly number[];
  readonly recall: readonly number[];
  readonly precision: readonly number[];
  readonly hitRate: readonly number[];
}

/** Figures over a part of the cases. */
export interface SegmentFigures {
  /** What divides the cases: `history` (cold, warm, heavy), or a user or item field such as `country`, `category`. */
  readonly by: string;
  readonly name: string;
  readonly cases: number;
  readonly ndcg: Figure;
  readonly recall: Figure;
  readonly hitRate: Figure;
}

/** How many candidates and right answers are left after a stage, as means over cases. */
export interface FunnelStage {
  /** `source <name>`, `candidates`, `filters`, `ranked` (the list as served). */
  readonly stage: string;
  readonly candidates: number;
  /** Mean share of a case's right answers that are still there. */
  readonly recall: number;
  /** Cases that were followed: a sample, evenly spaced, when there are many. */
  readonly cases?: number;
}

/** All that was measured of one pipeline, or of the baseline. */
export interface PipelineEvaluation {
  /** As on the command line: the config's name, made unique; `popularity` for the baseline. */
  readonly name: string;
  readonly file?: string;
  readonly configHash?: string;
  readonly surface?: string;
  /** Questions asked, over all repetitions. */
  readonly cases: number;
  /** Users behind them: what the figures are means over; absent when each was asked once. */
  readonly users?: number;
  readonly figures: RankingFigures;
  readonly catalogue: CatalogueFigures;
  readonly curves: MetricCurves;
  readonly segments: readonly SegmentFigures[];
  /** With the limits of serving; empty for the baseline. */
  readonly funnel: readonly FunnelStage[];
  /** Over all repetitions. */
  readonly milliseconds: { readonly fit: number; readonly ask: number };
}

/** Two pipelines on the same cases. */
export interface Comparison {
  readonly metric: keyof RankingFigures;
  readonly baseline: string;
  readonly challenger: string;
  /** challenger − baseline, 95 % by paired bootstrap. */
  readonly difference: Interval;
  /** Two-sided paired randomisation test. */
  readonly pValue: number;
  /** The same after Holm's correction over all comparisons of the document. */
  readonly adjustedPValue: number;
  /** adjustedPValue < .05. */
  readonly significant: boolean;
  /** Cases in which the challenger did better, worse, the same. */
  readonly wins: number;
  readonly losses: number;
  readonly ties: number;
}

/** One item of an example, as a reader is shown it. */
export interface ExampleItem {
  readonly id: string;
  /** The item's field that names it (`data.title` of the config), where there is one. */
  readonly title?: string;
}

/** One customer: what they had, what they took, what each pipeline proposed and why. */
export interface ExampleCase {
  readonly user: string;
  /** Why this case is shown: `typical` (NDCG near the median of those with a hit), `best`, `missed`. */
  readonly why: string;
  /** Newest first, at most 12. */
  readonly history: readonly ExampleItem[];
  readonly took: readonly ExampleItem[];
  readonly lists: readonly {
    readonly pipeline: string;
    readonly items: readonly (ExampleItem & { readonly hit: boolean; readonly reason?: string })[];
  }[];
}
