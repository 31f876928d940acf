import type { InferenceElementType, InferenceTensor, InferenceTensorInfo } from '@recloom/plugin-api';
import { emptyData, isElementType } from './feeds.js';

/** A warm-up must never be what makes a load large or slow. */
const mostValues = 1 << 22;

/**
 * Zeros for every input: dynamic first dimensions and those of the same name get `rows`, other dynamic ones 1.
 * Undefined when an input is of a type that cannot be fed, or would be larger than 4 M values.
 */
export function zeroFeeds(inputs: readonly InferenceTensorInfo[], rows: number): Record<string, InferenceTensor> | undefined {
  const rowNames = new Set(inputs.map((input) => input.dims[0]).filter((size) => typeof size === 'string' && size !== ''));
  const feeds: Record<string, InferenceTensor> = {};
  for (const { name, type, dims } of inputs) {
    const sizes = dims.map((size, place) => {
      if (typeof size === 'number' && size >= 0) return size;
      return place === 0 || (typeof size === 'string' && rowNames.has(size)) ? rows : 1;
    });
    const count = sizes.reduce((product, size) => product * size, 1);
    if (!isElementType(type) || count > mostValues) return undefined;
    feeds[name] = { type: type as InferenceElementType, dims: sizes, data: emptyData(type, count) };
  }
  return feeds;
}
