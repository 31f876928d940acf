// Random walks with restart. The walkers of a chunk take turns, so that the processor overlaps the
// cache misses of several walks. The generator is xoroshiro64** (Blackman and Vigna 2018).

const CHUNK_STEPS: i32 = 16384;
const WALKERS: i32 = 8;

// @ts-ignore: decorator
@inline
function mix(bits: u32): u32 {
  bits = (bits ^ (bits >> 16)) * 0x85ebca6b;
  bits = (bits ^ (bits >> 13)) * 0xc2b2ae35;
  return bits ^ (bits >> 16);
}

// @ts-ignore: decorator
@inline
function scaleToBound(random: u32, bound: u32): u32 {
  return <u32>((<u64>random * <u64>bound) >> 32);
}

export function randomWalks(
  rowOffsets: usize,
  edges: usize,
  weighted: i32,
  starts: usize,
  weightedStarts: i32,
  startCount: i32,
  restartThreshold: u32,
  seedLow: u32,
  seedHigh: u32,
  chunkBegin: i32,
  chunkEnd: i32,
  stepCount: i32,
  visits: usize,
  workspace: usize,
): i32 {
  let steps = 0;
  for (let chunk = chunkBegin; chunk < chunkEnd; chunk++) {
    for (let walker = 0; walker < WALKERS; walker++) {
      const stream = <u32>(chunk * WALKERS + walker);
      const first = mix(seedLow ^ mix(stream + 0x9e3779b9));
      const second = mix(seedHigh ^ mix(first + 0x7f4a7c15));
      const state = workspace + <usize>walker * 12;
      store<u32>(state, first);
      store<u32>(state, (first | second) == 0 ? 1 : second, 4);
      store<i32>(state, -1, 8);
    }
    const end = min(CHUNK_STEPS, stepCount - chunk * CHUNK_STEPS);
    for (let step = 0; step < end; step++) {
      const state = workspace + <usize>(step & (WALKERS - 1)) * 12;
      let first = load<u32>(state);
      let second = load<u32>(state, 4);
      let node = load<i32>(state, 8);

      const decision = rotl<u32>(first * 0x9e3779bb, 5) * 5;
      second ^= first;
      first = rotl<u32>(first, 26) ^ second ^ (second << 9);
      second = rotl<u32>(second, 13);
      const choice = rotl<u32>(first * 0x9e3779bb, 5) * 5;
      second ^= first;
      first = rotl<u32>(first, 26) ^ second ^ (second << 9);
      second = rotl<u32>(second, 13);

      let begin: u32 = 0;
      let degree: u32 = 0;
      if (node >= 0) {
        const row = rowOffsets + (<usize>node << 2);
        begin = load<u32>(row);
        degree = load<u32>(row, 4) - begin;
      }
      const restarts = degree == 0 || decision < restartThreshold;
      const table = restarts ? starts : edges;
      const entry = <usize>(restarts ? scaleToBound(choice, startCount) : begin + scaleToBound(choice, degree));
      if (restarts ? weightedStarts : weighted) {
        const draw = rotl<u32>(first * 0x9e3779bb, 5) * 5;
        second ^= first;
        first = rotl<u32>(first, 26) ^ second ^ (second << 9);
        second = rotl<u32>(second, 13);
        // Threshold, node and alias lie side by side: one cache miss instead of two. The choice
        // between the two nodes is an address, because a branch would be mispredicted half the time.
        const record = table + entry * 12;
        node = load<i32>(record + (<usize>(draw > load<u32>(record)) << 2), 4);
      } else {
        node = load<i32>(table + (entry << 2));
      }
      store<u32>(state, first);
      store<u32>(state, second, 4);
      store<i32>(state, node, 8);
      const counter = visits + (<usize>node << 2);
      store<u32>(counter, load<u32>(counter) + 1);
    }
    steps += max(0, end);
  }
  return steps;
}
