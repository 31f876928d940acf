import { AlsFoldIn, createKernels, diagonalizeFactorsNow } from '@recloom/kernels';
import { expect, it } from 'vitest';
import { contributions } from './contributions.js';

it('adds up to the score, whatever the options', () => {
  const kernels = createKernels();
  for (const width of [1, 3, 9]) {
    const factors = Float32Array.from({ length: 12 * width }, (_, index) => Math.sin(index * index + 1));
    for (const [unobservedWeight, regularizationExponent] of [
      [0.3, 1],
      [1, 0],
    ] as const) {
      const objective = { unobservedWeight, targetOffset: unobservedWeight, regularization: 0.1, regularizationExponent };
      const model = new AlsFoldIn(kernels, diagonalizeFactorsNow(kernels, factors, width), objective);
      const places = Int32Array.of(7, 2, 11, 0);
      const values = Float32Array.of(1, 0.25, 3, 0);
      expect(model.solve(places, values)).toBe(true);
      const targets = [0, 1, 2, 5, 11];
      const scores = model.scores(Int32Array.from(targets));
      const parts = contributions(model, unobservedWeight, places, values, [...targets, -1]);
      expect(parts[targets.length]).toBeUndefined();
      targets.forEach((_, index) => {
        const total = parts[index]?.reduce((sum, part) => sum + part, 0);
        expect(total).toBeCloseTo(scores[index] as number, 4);
      });
      model.dispose();
    }
  }
  expect(kernels.bytesInUse).toBe(0);
});

it('is what the paper says for two items and one factor, by hand', () => {
  // y = (2, 1), D = 1 x (4 + 1) = 5, lambda 1, history item 0 with value 1: A = 5 + 1 + 1 x 4 = 10; item 0 adds 1/10 x 2 x (1 + 1) x y_t.
  const kernels = createKernels();
  const objective = { unobservedWeight: 1, targetOffset: 1, regularization: 1, regularizationExponent: 0 };
  const model = new AlsFoldIn(kernels, { factors: Float32Array.of(2, 1), spectrum: Float32Array.of(5) }, objective);
  const parts = contributions(model, 1, Int32Array.of(0), Float32Array.of(1), [0, 1]);
  expect(parts.map((part) => [...(part ?? [])])).toEqual([[expect.closeTo(0.8, 12)], [expect.closeTo(0.4, 12)]]);
  expect(model.solve(Int32Array.of(0), Float32Array.of(1))).toBe(true);
  expect([...model.scores(Int32Array.of(0, 1))]).toEqual([expect.closeTo(0.8, 5), expect.closeTo(0.4, 5)]);
  model.dispose();
});
