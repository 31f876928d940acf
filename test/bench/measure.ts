// How everything here is timed. Contender and limit kernel run in turns within one process, so that a machine that is busy
// with other work slows both alike; what is compared are medians of CPU time, worker threads included.

/** Milliseconds of one call. */
export interface Timing {
  readonly cpuMs: number;
  readonly wallMs: number;
}

/** Median and range over the rounds. */
export interface Spread {
  readonly median: number;
  readonly lowest: number;
  readonly highest: number;
}

/** Milliseconds per call of one variant. */
export interface Measured {
  readonly cpuMs: Spread;
  readonly wallMs: Spread;
}

/** One way of doing the work. One that works in another process returns what that process measured. */
export type Variant = () => unknown;

export interface InterleaveOptions {
  readonly rounds: number;
  /** Rounds that are run first and not counted. Default 2. */
  readonly warmUpRounds?: number;
  /** Calls of each variant per round, by name or for all. Default 1. */
  readonly calls?: number | Readonly<Record<string, number>>;
}

/** Reproducible uniform numbers in [0, 1) (mulberry32). */
export function uniformSource(seed: number): () => number {
  let state = seed | 0;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let bits = Math.imul(state ^ (state >>> 15), 1 | state);
    bits = (bits + Math.imul(bits ^ (bits >>> 7), 61 | bits)) ^ bits;
    return ((bits ^ (bits >>> 14)) >>> 0) / 4_294_967_296;
  };
}

/** Standard normal numbers (Box and Muller). */
export function normalSource(uniform: () => number): () => number {
  return () => Math.sqrt(-2 * Math.log(1 - uniform())) * Math.cos(2 * Math.PI * uniform());
}

/** Median (the upper one of an even count), lowest and highest. @throws RangeError without values. */
export function spreadOf(values: readonly number[]): Spread {
  const sorted = [...values].sort((one, other) => one - other);
  const [lowest] = sorted;
  if (lowest === undefined) throw new RangeError('There is no median of nothing.');
  return { median: sorted[sorted.length >> 1] as number, lowest, highest: sorted[sorted.length - 1] as number };
}

/** CPU time (all threads of this process) and wall time of `work`, per call. */
export async function timed(work: Variant, calls = 1): Promise<Timing> {
  const begin = performance.now();
  const before = process.cpuUsage();
  let foreign: Timing | undefined;
  for (let call = 0; call < calls; call++) {
    let answer = work();
    if (answer instanceof Promise) answer = await answer;
    if (isTiming(answer)) foreign = answer;
  }
  const used = process.cpuUsage(before);
  return foreign ?? { cpuMs: (used.user + used.system) / 1000 / calls, wallMs: (performance.now() - begin) / calls };
}

/** Runs the variants in turns, round after round. */
export async function interleave<Name extends string>(
  variants: Readonly<Record<Name, Variant>>,
  options: InterleaveOptions,
): Promise<Readonly<Record<Name, Measured>>> {
  const names = Object.keys(variants) as Name[];
  const timings = new Map<Name, Timing[]>(names.map((name) => [name, []]));
  for (let round = -(options.warmUpRounds ?? 2); round < options.rounds; round++) {
    for (const name of names) {
      const calls = typeof options.calls === 'object' ? (options.calls[name] ?? 1) : (options.calls ?? 1);
      const timing = await timed(variants[name], calls);
      if (round >= 0) timings.get(name)?.push(timing);
    }
  }
  return Object.fromEntries(names.map((name) => [name, summarise(timings.get(name) ?? [])])) as unknown as Record<Name, Measured>;
}

/** Median and range of CPU and wall time. */
export function summarise(timings: readonly Timing[]): Measured {
  return { cpuMs: spreadOf(timings.map((timing) => timing.cpuMs)), wallMs: spreadOf(timings.map((timing) => timing.wallMs)) };
}

function isTiming(value: unknown): value is Timing {
  return typeof value === 'object' && value !== null && 'cpuMs' in value && 'wallMs' in value;
}
