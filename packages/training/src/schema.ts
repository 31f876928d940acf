import type { Cut } from './cuts.js';

/** Version of the format of an export. */
export const trainingFormat = 'recloom-training/1';

/** A column of `rows.parquet`. */
export interface TrainingColumn {
  readonly name: string;
  /** `number`: float32, NaN = missing. `category`: text, null = missing. */
  readonly type: 'number' | 'category' | 'boolean';
  readonly role: 'feature' | 'label' | 'group' | 'time' | 'id';
  /** What a scorer's manifest says to have this column in serving: CEL for numbers, a field for categories. */
  readonly expression?: string;
  /** What an extractor calls this component of its feature, e.g. `degree`. */
  readonly component?: string;
  /** True for fields of the item table, which are as the data have them today, not as they were at the cut. */
  readonly current?: boolean;
}

/** What one cut gave. */
export interface CutCounts {
  readonly cut: number;
  /** Items, users and events that the pipeline was fitted on. */
  readonly items: number;
  readonly users: number;
  readonly events: number;
  /** Users who took something in the window and were asked for. */
  readonly requests: number;
  readonly groups: number;
  readonly rows: number;
  readonly positives: number;
  readonly negatives: number;
  /** Candidates that were not taken and not kept. */
  readonly negativesLeftOut: number;
  /** Requests none of whose candidates was taken: no group. */
  readonly requestsWithoutPositive: number;
  /** Taken pairs that are new to the user and were no candidates; with `allPositives` those that were added. */
  readonly positivesNotProposed: number;
  readonly positivesAdded: number;
  /** Taken pairs that were no candidates and that the user had before: a filter of seen items takes them out. */
  readonly positivesRepeated: number;
  /** Taken pairs whose item was not in the catalogue of the cut. */
  readonly positivesOfUnknownItems: number;
  /** Users who took something and were left out for what they had before the cut. */
  readonly usersLeftOut: number;
}

/** `schema.json` of an export: everything a trainer needs to read the other files, and where they came from. */
export interface TrainingSchema {
  readonly format: typeof trainingFormat;
  readonly pipeline: string;
  readonly surface: string;
  /** Of the config as it was given. */
  readonly configHash: string;
  /** Of the data as they were read. */
  readonly dataHash: string;
  readonly cuts: readonly {
    readonly index: number;
    /** ISO 8601, UTC. */
    readonly at: string;
    /** End (exclusive) of the label window. */
    readonly until: string;
    readonly split: Cut['split'];
    readonly complete: boolean;
  }[];
  readonly columns: readonly TrainingColumn[];
  readonly counts: { readonly rows: number; readonly groups: number; readonly positives: number; readonly byCut: readonly CutCounts[] };
  /** Of training cuts; groups of validation cuts keep all. */
  readonly negatives: { readonly sampled: boolean; readonly perGroup: number | 'all'; readonly seed: number };
  /** Files with item vectors, by extractor. */
  readonly features: readonly { readonly component: string; readonly file: string; readonly cut: number; readonly width: number }[];
  readonly leftOut: { readonly without: readonly string[]; readonly implied: readonly string[] };
  readonly options: Readonly<Record<string, unknown>>;
}
