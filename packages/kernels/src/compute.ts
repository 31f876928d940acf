import { KernelError } from './kernel-error.js';
import { asKernelError, createKernels, type Kernels } from './kernels.js';
import type { Plan, Task } from './plan.js';

/** Where kernels run off the calling thread; the same shape as the plugin interface's `Compute`. */
export interface Compute {
  readonly threads: number;
  /** Runs one kernel with its numeric parameters and resolves to its answer. */
  run(kernel: string, parameters: readonly number[], signal?: AbortSignal): Promise<number>;
}

export interface WorkOptions {
  /** Where to work: a pool of `createComputePool` computes off this thread, over all its threads. */
  readonly compute?: Compute | undefined;
  /** The instance to work in when there is no pool; else a private one is made for the call. */
  readonly kernels?: Kernels | undefined;
  /** Rejects with the signal's reason; kernels that already run are waited for. */
  readonly signal?: AbortSignal | undefined;
}

/** The mark under which a pool carries its kernels; global, so that package copies understand it. */
export const poolKernels = Symbol.for('recloom.kernels.pool');

const yieldAfterMs = 4;

const standAlone = new WeakMap<Compute, Kernels>();

/**
 * The kernels whose memory a compute works in. For a compute that is not a pool of this package: a
 * stand-alone instance, the same one for the same object.
 */
export function kernelsOf(compute: Compute): Kernels {
  const own = (compute as { [poolKernels]?: Kernels })[poolKernels];
  if (own !== undefined) return own;
  let kernels = standAlone.get(compute);
  if (kernels === undefined) {
    kernels = createKernels();
    standAlone.set(compute, kernels);
  }
  return kernels;
}

function isPool(compute: Compute | undefined): compute is Compute {
  return compute !== undefined && poolKernels in compute;
}

/** How many tasks of a plan may run at once: twice the threads, so that none waits for the next. */
function slotsOf(options: WorkOptions): number {
  return isPool(options.compute) ? options.compute.threads * 2 : 1;
}

/**
 * Runs a plan over a pool without blocking this thread; without a pool on this thread, which yields
 * to the event loop between kernels. When a task fails or the signal aborts, it waits for the
 * kernels in flight (they still use the plan's memory), lets the plan free it, and rejects.
 */
export async function perform<Result>(options: WorkOptions, makePlan: (kernels: Kernels, slots: number) => Plan<Result>): Promise<Result> {
  const { compute, signal } = options;
  signal?.throwIfAborted();
  const kernels = compute === undefined ? (options.kernels ?? createKernels()) : kernelsOf(compute);
  const slots = slotsOf(options);
  const plan = makePlan(kernels, slots);
  const runOne = isPool(compute)
    ? (task: Task, slot: number) => compute.run(task.kernel, parametersOf(task, slot), signal)
    : inlineRunner(kernels, signal);
  let step = plan.next();
  while (step.done !== true) {
    let answers: readonly number[];
    try {
      answers = await runPhase(step.value, slots, runOne);
      signal?.throwIfAborted();
    } catch (error) {
      // The plan's `finally` blocks free its memory; then the error comes out again.
      plan.throw(error);
      throw error;
    }
    step = plan.next(answers);
  }
  return step.value;
}

function parametersOf(task: Task, slot: number): readonly number[] {
  return typeof task.parameters === 'function' ? task.parameters(slot) : task.parameters;
}

/** Runs tasks on this thread and lets the event loop turn when some milliseconds were spent. */
function inlineRunner(kernels: Kernels, signal: AbortSignal | undefined): (task: Task) => Promise<number> {
  let lastYield = performance.now();
  return async (task) => {
    signal?.throwIfAborted();
    if (performance.now() - lastYield > yieldAfterMs) {
      await new Promise((resolve) => setImmediate(resolve));
      signal?.throwIfAborted();
      lastYield = performance.now();
    }
    try {
      return (kernels.table[task.kernel] as (...parameters: readonly number[]) => number)(...parametersOf(task, 0));
    } catch (error) {
      throw asKernelError(error);
    }
  };
}

async function runPhase(
  tasks: readonly Task[],
  slots: number,
  runOne: (task: Task, slot: number) => Promise<number>,
): Promise<readonly number[]> {
  const answers = new Array<number>(tasks.length).fill(0);
  let next = 0;
  let failure: { readonly error: unknown } | undefined;
  async function lane(slot: number): Promise<void> {
    while (next < tasks.length && failure === undefined) {
      const index = next++;
      try {
        answers[index] = await runOne(tasks[index] as Task, slot);
      } catch (error) {
        failure ??= { error };
      }
    }
  }
  await Promise.all(Array.from({ length: Math.min(slots, tasks.length) }, (_, slot) => lane(slot)));
  if (failure !== undefined) {
    const { error } = failure as { readonly error: unknown };
    throw error instanceof Error ? error : new KernelError('RECLOOM_KRN_TRAP', String(error));
  }
  return answers;
}
