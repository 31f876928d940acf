import { require } from './row-steps.js';

/** Changes the scores of `rows` rows of `width` values in place. */
export type Transform = (values: Float32Array, rows: number, width: number) => void;

/** 1 / (1 + e^−x) as onnxruntime's operators of ai.onnx.ml compute it: symmetric around 0. */
export function logistic(x: number): number {
  const half = 1 / (1 + Math.exp(-Math.abs(x)));
  return x < 0 ? 1 - half : half;
}

/** Softmax of each row. */
export const softmax: Transform = (values, rows, width) => {
  for (let row = 0; row < rows; row++) {
    const start = row * width;
    let highest = Number.NEGATIVE_INFINITY;
    for (let index = 0; index < width; index++) highest = Math.max(highest, values[start + index] as number);
    let sum = 0;
    for (let index = 0; index < width; index++) {
      const value = Math.exp((values[start + index] as number) - highest);
      values[start + index] = value;
      sum += value;
    }
    for (let index = 0; index < width; index++) values[start + index] = (values[start + index] as number) / sum;
  }
};

/** The logistic function of each value. */
export const logistics: Transform = (values, rows, width) => {
  for (let place = 0; place < rows * width; place++) values[place] = logistic(values[place] as number);
};

/** The `post_transform` of an operator of ai.onnx.ml over two or more scores; undefined for NONE. @throws NotUnderstood */
export function transformOf(name: string): Transform | undefined {
  require(name === 'NONE' || name === 'LOGISTIC' || name === 'SOFTMAX', () => `the post-transform ${name}`);
  return name === 'NONE' ? undefined : name === 'LOGISTIC' ? logistics : softmax;
}
