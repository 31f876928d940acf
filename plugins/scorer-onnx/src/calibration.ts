import type { Calibration, OutputDescription } from './manifest-schema.js';

/** 1 / (1 + e^−x) without overflow; NaN stays NaN. */
export function sigmoid(x: number): number {
  if (x >= 0) return 1 / (1 + Math.exp(-x));
  const small = Math.exp(x);
  return small / (1 + small);
}

/** Platt scaling (Platt 1999): sigmoid(a·x + b). The sign is that of scikit-learn's `LogisticRegression`, not of its `_SigmoidCalibration`. */
export function platt(x: number, a: number, b: number): number {
  return sigmoid(a * x + b);
}

/**
 * Isotonic calibration (Zadrozny and Elkan 2002) applied: piecewise linear between the knots, constant outside, as
 * scikit-learn's `IsotonicRegression(out_of_bounds="clip")` predicts. `knots` ascend strictly and are as many as `values`.
 */
export function isotonic(x: number, knots: ArrayLike<number>, values: ArrayLike<number>): number {
  if (Number.isNaN(x)) return Number.NaN;
  let low = 0;
  let high = knots.length - 1;
  if (x <= (knots[low] as number)) return values[low] as number;
  if (x >= (knots[high] as number)) return values[high] as number;
  while (high - low > 1) {
    const middle = (low + high) >> 1;
    if ((knots[middle] as number) <= x) low = middle;
    else high = middle;
  }
  const left = knots[low] as number;
  const from = values[low] as number;
  return from + ((x - left) / ((knots[high] as number) - left)) * ((values[high] as number) - from);
}

/** Turns raw outputs into what the manifest says they are, in place. */
export type Finish = (values: Float32Array) => void;

/** The finishing touch of one output: sigmoid of a logit, or its calibration; nothing for the rest. */
export function finisherOf({ kind, calibration }: Pick<OutputDescription, 'kind' | 'calibration'>): Finish | undefined {
  if (calibration === undefined && kind !== 'logit') return undefined;
  const apply = calibration === undefined ? sigmoid : calibrator(calibration);
  return (values) => {
    for (let place = 0; place < values.length; place++) values[place] = apply(values[place] as number);
  };
}

function calibrator(calibration: Calibration): (x: number) => number {
  if (calibration.method === 'platt') {
    const { a, b } = calibration;
    return (x) => platt(x, a, b);
  }
  const knots = Float64Array.from(calibration.x);
  const values = Float64Array.from(calibration.y);
  return (x) => isotonic(x, knots, values);
}
