/**
 * Pools the token vectors of one text into one vector, written to `out` (width numbers): the mean over all its tokens
 * (Reimers and Gurevych 2019, Sentence-BERT) or the first token's vector; then scaled to length 1 when asked.
 * Sums are taken in double precision, in token order.
 *
 * @param hidden row-major tokens × width, beginning at `start`
 * @returns false, with `out` left as zeros, when the result is not finite or has no direction
 */
export function pool(
  hidden: Float32Array,
  start: number,
  tokens: number,
  width: number,
  pooling: 'mean' | 'cls',
  normalize: boolean,
  out: Float32Array,
): boolean {
  const sums = new Float64Array(width);
  const used = pooling === 'cls' ? 1 : tokens;
  for (let token = 0; token < used; token++) {
    const base = start + token * width;
    for (let place = 0; place < width; place++) sums[place] = (sums[place] as number) + (hidden[base + place] as number);
  }
  let squares = 0;
  for (let place = 0; place < width; place++) {
    const mean = (sums[place] as number) / used;
    sums[place] = mean;
    squares += mean * mean;
  }
  if (!Number.isFinite(squares) || squares === 0) return false;
  const scale = normalize ? 1 / Math.sqrt(squares) : 1;
  for (let place = 0; place < width; place++) out[place] = (sums[place] as number) * scale;
  return true;
}
