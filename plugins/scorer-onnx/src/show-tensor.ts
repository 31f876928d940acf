import type { InferenceTensorInfo } from '@recloom/plugin-api';

/** A shape as messages show it, e.g. `[rows, 50]`; a size that is not known is `?`. */
export function showShape(dims: InferenceTensorInfo['dims']): string {
  return `[${dims.map((size) => (size === '' || (typeof size === 'number' && size < 0) ? '?' : size)).join(', ')}]`;
}

/** Name, type and shape of an input or output of a graph. */
export function showTensor({ name, type, dims }: InferenceTensorInfo): string {
  return type === 'not a tensor' ? `"${name}" (${type})` : `"${name}" (${type} ${showShape(dims)})`;
}
