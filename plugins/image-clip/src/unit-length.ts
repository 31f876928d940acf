/**
 * A row of a tensor scaled to length 1; undefined when it is not finite or has no direction. The caller owns it.
 *
 * @param values row-major rows × width
 */
export function unitRow(values: ArrayLike<number>, row: number, width: number): Float32Array | undefined {
  const start = row * width;
  let squares = 0;
  for (let place = 0; place < width; place++) squares += (values[start + place] as number) ** 2;
  if (!Number.isFinite(squares) || squares === 0) return undefined;
  const length = Math.sqrt(squares);
  const unit = new Float32Array(width);
  for (let place = 0; place < width; place++) unit[place] = (values[start + place] as number) / length;
  return unit;
}

/** The weighted sum of two vectors of length 1, scaled to length 1; undefined when they cancel out. */
export function mixUnits(left: Float32Array, leftWeight: number, right: Float32Array, rightWeight: number): Float32Array | undefined {
  const sum = new Float64Array(left.length);
  for (let place = 0; place < sum.length; place++) {
    sum[place] = leftWeight * (left[place] as number) + rightWeight * (right[place] as number);
  }
  return unitRow(sum, 0, sum.length);
}
