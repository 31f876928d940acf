/** How often two things happened among `total` cases: `both` together, `left` and `right` each. */
export interface Counts {
  readonly both: number;
  readonly left: number;
  readonly right: number;
  readonly total: number;
}

/** P(right | left), from 0 to 1. */
export function confidence({ both, left }: Counts): number {
  return both / left;
}

/** How many times as often as by chance the two occur together (Brin et al. 1997); 1 = independent. */
export function lift({ both, left, right, total }: Counts): number {
  return (both * total) / (left * right);
}

/** Normalised pointwise mutual information, -1 (never together) to 1 (never apart), 0 = independent (Bouma 2009). */
export function npmi(counts: Counts): number {
  const { both, total } = counts;
  if (both === 0) return -1;
  // Always together in every case: independent and inseparable at once; Bouma's limit is 1, chance says 0.
  if (both === total) return 0;
  return Math.log(lift(counts)) / -Math.log(both / total);
}

/**
 * The log-likelihood ratio G² of the 2 × 2 table against independence (Dunning 1993, "Accurate methods for the statistics of
 * surprise and coincidence"); under independence about chi-squared with 1 degree of freedom, also for rare events.
 */
export function logLikelihoodRatio({ both, left, right, total }: Counts): number {
  const cells = term(both) + term(left - both) + term(right - both) + term(total - left - right + both);
  const margins = term(left) + term(total - left) + term(right) + term(total - right);
  return Math.max(0, 2 * (cells - margins + term(total)));
}

function term(count: number): number {
  return count > 0 ? count * Math.log(count) : 0;
}
