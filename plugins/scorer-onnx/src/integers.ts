import { endianness } from 'node:os';

/** Place of the low word of a 64-bit integer among its two. */
const low = endianness() === 'LE' ? 0 : 1;

/** Writes 32-bit integers as 64-bit ones, without a BigInt object for each. Gives `out` back; it is as long as `numbers`. */
export function writeIntegers(numbers: Int32Array, out: BigInt64Array): BigInt64Array {
  const words = new Int32Array(out.buffer, out.byteOffset, out.length * 2);
  for (let place = 0; place < numbers.length; place++) {
    const number = numbers[place] as number;
    words[2 * place + low] = number;
    words[2 * place + 1 - low] = number < 0 ? -1 : 0;
  }
  return out;
}
