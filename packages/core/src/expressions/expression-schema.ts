import type { Table } from '@recloom/plugin-api';

/** The type of a field of `request`. */
export type RequestFieldType = 'number' | 'text' | 'boolean';

/** The columns that expressions may read. */
export interface ExpressionSchema {
  /** Live item table: its fields give `item.<field>` and their types. */
  readonly items: Table;
  /** Components that give `source.<name>.score` and `source.<name>.rank`. */
  readonly sources: readonly string[];
  /** Components that give `score.<name>`. */
  readonly scores: readonly string[];
  /** Components that give `feature.<name>`. */
  readonly features: readonly string[];
  /**
   * The further columns of a scorer, which become `score.<name>.<further>`; undefined while they are not known: then any name is
   * taken, and `undecidedProblems` finds the wrong ones later. Absent: no scorer has any.
   */
  readonly furtherScores?: (name: string) => readonly string[] | undefined;
  /** How many columns `feature.<name>.<index>` a feature has, by the same rule. Absent: one. */
  readonly featureWidth?: (name: string) => number | undefined;
  /** The component that is being made, and so asks for what is compiled now: for messages about it later. */
  readonly owner?: () => string | undefined;
  /** Types of context keys, when they are known; any other key takes the type that its use asks for. */
  readonly requestFields?: Readonly<Record<string, RequestFieldType>>;
}

/**
 * Fields that every request has. They go before context keys of the same name. Times are UTC; the week begins with
 * Monday = 1.
 */
export const requestBuiltins: Readonly<Record<string, RequestFieldType>> = Object.freeze({
  limit: 'number',
  asOfMs: 'number',
  hour: 'number',
  weekday: 'number',
  text: 'text',
});
