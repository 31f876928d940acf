import type { Turns } from './turns.js';

/** Lobes of the kernel on either side. */
const lobes = 3;
/** Rows of one turn of the event loop: well below a millisecond of work. */
const rowsPerTurn = 32;

interface Taps {
  /** First source index of each output. */
  readonly starts: Int32Array;
  readonly counts: Int32Array;
  /** Weights of each output, `stride` apart, summing to 1. */
  readonly weights: Float64Array;
  readonly stride: number;
}

/**
 * The part `[left, left + width) × [top, top + height)` of an RGB picture scaled up to `toWidth` × `toHeight` with
 * Lanczos-3 (Turkowski 1990), rows after columns, as PIL's `Image.LANCZOS` does. libvips takes a bicubic kernel whenever
 * it enlarges, which moves the embeddings of small pictures (cosine .995 to PIL's, .9999 with this).
 * Other work of the host gets its turns in between.
 *
 * @param pixels RGB bytes, row by row
 */
export async function enlarge(
  pixels: Uint8Array,
  fromWidth: number,
  fromHeight: number,
  toWidth: number,
  toHeight: number,
  part: { readonly left: number; readonly top: number; readonly width: number; readonly height: number },
  turns: Turns,
): Promise<Uint8Array> {
  const columns = tapsOf(fromWidth, toWidth, part.left, part.width);
  const rows = tapsOf(fromHeight, toHeight, part.top, part.height);
  const firstRow = rows.starts[0] as number;
  const lastRow = (rows.starts[part.height - 1] as number) + (rows.counts[part.height - 1] as number);
  // 8 bits between the passes, as PIL keeps them.
  const wide = new Uint8ClampedArray((lastRow - firstRow) * part.width * 3);
  for (let y = firstRow; y < lastRow; y++) {
    if ((y - firstRow) % rowsPerTurn === 0) await turns.next();
    for (let x = 0; x < part.width; x++) {
      const from = (y * fromWidth + (columns.starts[x] as number)) * 3;
      blend(pixels, from, 3, columns, x, wide, ((y - firstRow) * part.width + x) * 3);
    }
  }
  const result = new Uint8ClampedArray(part.height * part.width * 3);
  for (let y = 0; y < part.height; y++) {
    if (y % rowsPerTurn === 0) await turns.next();
    const row = ((rows.starts[y] as number) - firstRow) * part.width * 3;
    for (let x = 0; x < part.width; x++) blend(wide, row + x * 3, part.width * 3, rows, y, result, (y * part.width + x) * 3);
  }
  return new Uint8Array(result.buffer);
}

/** Writes one weighted sum of pixels; the target rounds and clamps. */
function blend(
  source: Uint8Array | Uint8ClampedArray,
  from: number,
  step: number,
  taps: Taps,
  index: number,
  target: Uint8ClampedArray,
  to: number,
): void {
  const count = taps.counts[index] as number;
  const base = index * taps.stride;
  let red = 0;
  let green = 0;
  let blue = 0;
  for (let tap = 0, at = from; tap < count; tap++, at += step) {
    const weight = taps.weights[base + tap] as number;
    red += weight * (source[at] as number);
    green += weight * (source[at + 1] as number);
    blue += weight * (source[at + 2] as number);
  }
  // Half goes up, as in PIL; a clamped array alone rounds half to even.
  target[to] = Math.floor(red + 0.5);
  target[to + 1] = Math.floor(green + 0.5);
  target[to + 2] = Math.floor(blue + 0.5);
}

/** Source ranges and weights of the outputs `[first, first + count)`; beyond the edges there is nothing, and the rest weighs more. */
function tapsOf(from: number, to: number, first: number, count: number): Taps {
  const scale = from / to;
  const spread = Math.max(scale, 1);
  const support = lobes * spread;
  const stride = Math.ceil(support) * 2 + 1;
  const taps = { starts: new Int32Array(count), counts: new Int32Array(count), weights: new Float64Array(count * stride), stride };
  for (let index = 0; index < count; index++) {
    const center = (first + index + 0.5) * scale;
    const start = Math.max(0, Math.floor(center - support + 0.5));
    const end = Math.min(from, Math.floor(center + support + 0.5));
    let sum = 0;
    for (let source = start; source < end; source++) {
      const weight = lanczos((source - center + 0.5) / spread);
      taps.weights[index * stride + source - start] = weight;
      sum += weight;
    }
    for (let tap = 0; tap < end - start; tap++) taps.weights[index * stride + tap] = (taps.weights[index * stride + tap] as number) / sum;
    taps.starts[index] = start;
    taps.counts[index] = end - start;
  }
  return taps;
}

function lanczos(x: number): number {
  return Math.abs(x) < lobes ? sinc(x) * sinc(x / lobes) : 0;
}

function sinc(x: number): number {
  return x === 0 ? 1 : Math.sin(Math.PI * x) / (Math.PI * x);
}
