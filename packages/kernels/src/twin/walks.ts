import { type KernelTable, walkChunkSteps, walkersPerChunk } from '../kernel-table.js';
import type { MemoryViews } from './memory-views.js';

/** Finaliser of MurmurHash3 (Appleby 2011): mixes 32 bits. */
function mix(value: number): number {
  let bits = value;
  bits = Math.imul(bits ^ (bits >>> 16), 0x85ebca6b);
  bits = Math.imul(bits ^ (bits >>> 13), 0xc2b2ae35);
  return bits ^ (bits >>> 16);
}

function rotateLeft(value: number, bits: number): number {
  return (value << bits) | (value >>> (32 - bits));
}

/** floor(random * bound / 2^32), exactly, for unsigned 32-bit arguments. */
function scaleToBound(random: number, bound: number): number {
  const high = (random >>> 16) * bound;
  const low = (random & 0xffff) * bound;
  return Math.floor((high + Math.floor(low / 65_536)) / 65_536);
}

/** One walker's state: xoroshiro64** (Blackman and Vigna 2018) and where it stands. */
class Walker {
  node = -1;
  #first: number;
  #second: number;

  constructor(seedLow: number, seedHigh: number, stream: number) {
    this.#first = mix((seedLow ^ mix((stream + 0x9e3779b9) | 0)) | 0);
    this.#second = mix((seedHigh ^ mix((this.#first + 0x7f4a7c15) | 0)) | 0);
    if ((this.#first | this.#second) === 0) this.#second = 1;
  }

  next(): number {
    const result = Math.imul(rotateLeft(Math.imul(this.#first, 0x9e3779bb), 5), 5);
    const mixed = this.#second ^ this.#first;
    this.#first = rotateLeft(this.#first, 26) ^ mixed ^ (mixed << 9);
    this.#second = rotateLeft(mixed, 13);
    return result >>> 0;
  }
}

export function walksTwin(memory: MemoryViews): Pick<KernelTable, 'randomWalks'> {
  return {
    randomWalks(
      rowOffsets,
      edges,
      weighted,
      starts,
      weightedStarts,
      startCount,
      restartThreshold,
      seedLow,
      seedHigh,
      chunkBegin,
      chunkEnd,
      stepCount,
      visits,
    ) {
      const { int32, uint32 } = memory.refresh();
      const restart = restartThreshold >>> 0;
      let steps = 0;
      for (let chunk = chunkBegin; chunk < chunkEnd; chunk++) {
        const walkers = Array.from(
          { length: walkersPerChunk },
          (_, index) => new Walker(seedLow, seedHigh, chunk * walkersPerChunk + index),
        );
        const end = Math.min(walkChunkSteps, stepCount - chunk * walkChunkSteps);
        for (let step = 0; step < end; step++) {
          const walker = walkers[step % walkersPerChunk] as Walker;
          const decision = walker.next();
          const choice = walker.next();
          const first = walker.node < 0 ? 0 : (int32[(rowOffsets >>> 2) + walker.node] as number);
          const degree = walker.node < 0 ? 0 : (int32[(rowOffsets >>> 2) + walker.node + 1] as number) - first;
          const restarts = degree === 0 || decision < restart;
          const table = (restarts ? starts : edges) >>> 2;
          const entry = restarts ? scaleToBound(choice, startCount) : first + scaleToBound(choice, degree);
          if (restarts ? weightedStarts : weighted) {
            const aliased = walker.next() > (uint32[table + entry * 3] as number);
            walker.node = int32[table + entry * 3 + (aliased ? 2 : 1)] as number;
          } else {
            walker.node = int32[table + entry] as number;
          }
          const position = (visits >>> 2) + walker.node;
          uint32[position] = (uint32[position] as number) + 1;
        }
        steps += Math.max(0, end);
      }
      return steps;
    },
  };
}
