/** What a figure is held against. */
export type Bound = { readonly atMost: number } | { readonly atLeast: number };

/** A limit kernel or peer, measured in the same run in turns with the contender. */
export interface Limit {
  readonly name: string;
  readonly value: number;
  readonly unit: string;
}

/** One measured figure. */
export interface GoalResult {
  /** The goal it belongs to, e.g. `G11`. */
  readonly goal: string;
  readonly name: string;
  readonly figure: number;
  readonly unit: string;
  /** Absent for a figure that only explains another. */
  readonly bound?: Bound;
  readonly limit?: Limit;
  /** How it was measured, and what else was seen. */
  readonly note: string;
}

/** A goal that could not be measured here, and why. It says so aloud; it never passes. */
export interface SkippedGoal {
  readonly goal: string;
  readonly name: string;
  readonly skipped: string;
}

export type Outcome = GoalResult | SkippedGoal;

export type Verdict = 'met' | 'missed' | 'far off' | 'for information' | 'not measured';

/** A goal missed by more than this share fails `--gate`: measurements on shared machines waver. */
export const gateMargin = 0.15;

export function isSkipped(outcome: Outcome): outcome is SkippedGoal {
  return 'skipped' in outcome;
}

/** Whether a figure meets its bound, misses it within the margin of `--gate`, or is far off. */
export function verdictOf(outcome: Outcome): Verdict {
  if (isSkipped(outcome)) return 'not measured';
  const { bound, figure } = outcome;
  if (bound === undefined) return 'for information';
  // Written so that NaN, which compares false with everything, is never "met".
  if ('atMost' in bound) return figure <= bound.atMost ? 'met' : figure <= bound.atMost * (1 + gateMargin) ? 'missed' : 'far off';
  return figure >= bound.atLeast ? 'met' : figure >= bound.atLeast * (1 - gateMargin) ? 'missed' : 'far off';
}

/** `≤ 10`, `≥ 0.9`, or a dash. */
export function showBound(bound: Bound | undefined): string {
  if (bound === undefined) return '–';
  return 'atMost' in bound ? `≤ ${bound.atMost}` : `≥ ${bound.atLeast}`;
}

/** Three significant digits, whole numbers from 100 on with their thousands marked. */
export function showNumber(value: number): string {
  if (!Number.isFinite(value)) return '?';
  if (value === 0) return '0';
  if (Math.abs(value) >= 100) return Math.round(value).toLocaleString('en-GB');
  return String(Number(value.toPrecision(3)));
}
