import { KernelError, requireShape } from './kernel-error.js';
import { asKernelError, type Kernels } from './kernels.js';
import type { KernelArray } from './memory.js';
import { normalizeTrees, type TreeAggregate, type TreeEnsembleDescription } from './tree-description.js';
import { mostLeaves, mostMaskedLeaves, planMasks, planWalks, rankRows, walkRows } from './tree-plan.js';

/** How leaves are found: by masks over all conditions at once, or by walking down. Both find the same. */
export type TreeMethod = 'masks' | 'walks';

export interface TreeEnsembleOptions {
  /** `auto` (the default): masks where no tree has more than 256 leaves (always less work as measured), else walks. */
  readonly method?: 'auto' | TreeMethod | undefined;
}

/** Bytes of prepared features that are scored before the next rows are prepared: they stay in the first-level cache. */
const preparedBytes = 24 * 1024;
const aggregates: readonly TreeAggregate[] = ['SUM', 'MIN', 'MAX', 'AVERAGE'];

/**
 * A tree ensemble (gradient boosting, random forest) over one kernels memory, equal to onnxruntime's `TreeEnsemble*` to the
 * bit: comparisons are those of float32, a NaN goes where `missingTracksTrue` sends it, and each target is summed in
 * float32 in the order of the trees, the base value last (as onnxruntime does on one thread; a target that no leaf of a row
 * names is its base value, as the operator is defined, where onnxruntime says 0). No post-transform is applied. Free it
 * with `dispose`.
 */
export class TreeEnsemble {
  /** Features per row. */
  readonly featureCount: number;
  /** Numbers per row that come out. */
  readonly targetCount: number;
  readonly treeCount: number;
  /** Leaves of the largest tree; a leaf that branches share counts once per path. */
  readonly leafCount: number;
  readonly method: TreeMethod;
  readonly #kernels: Kernels;
  readonly #aggregate: TreeAggregate;
  readonly #baseValues: Float32Array;
  readonly #slots: Int32Array;
  /** Thresholds (masks) or nodes (walks). */
  readonly #conditions: Float32Array | Int32Array;
  readonly #trees: Int32Array;
  /** Entries (masks); absent for walks. */
  readonly #entries: Int32Array | undefined;
  readonly #weights: Float32Array;
  #disposed = false;

  private constructor(kernels: Kernels, description: TreeEnsembleDescription, method: 'auto' | TreeMethod) {
    const { featureCount, targetCount, baseValues, aggregate = 'SUM' } = description;
    requireShape(Number.isInteger(featureCount) && featureCount >= 0, () => `A count of ${featureCount} features is impossible.`);
    requireShape(Number.isInteger(targetCount) && targetCount > 0, () => `A count of ${targetCount} targets is impossible.`);
    requireShape(aggregates.includes(aggregate), () => `The aggregate "${aggregate}" is unknown.`);
    requireShape(
      baseValues === undefined || baseValues.length === targetCount,
      () => `There are ${baseValues?.length} base values for ${targetCount} targets.`,
    );
    const normal = normalizeTrees(description);
    const leafCount = mostLeaves(normal);
    requireShape(['auto', 'masks', 'walks'].includes(method), () => `The method "${method}" is unknown.`);
    requireShape(method !== 'masks' || leafCount <= mostMaskedLeaves, () => `A tree of ${leafCount} leaves is too large for masks.`);
    this.featureCount = featureCount;
    this.targetCount = targetCount;
    this.treeCount = normal.roots.length;
    this.leafCount = leafCount;
    this.method = method === 'auto' ? (leafCount <= mostMaskedLeaves ? 'masks' : 'walks') : method;
    this.#kernels = kernels;
    this.#aggregate = aggregate;
    this.#baseValues = Float32Array.from({ length: targetCount }, (_, target) => baseValues?.[target] ?? 0);
    const neutral = neutralOf(aggregate);
    if (this.method === 'masks') {
      const plan = planMasks(normal, neutral);
      this.#slots = kernels.keepInt32(plan.slots);
      this.#conditions = kernels.keepFloat32(plan.thresholds);
      this.#trees = kernels.keepInt32(plan.trees);
      this.#entries = kernels.keepInt32(plan.entries);
      this.#weights = kernels.keepFloat32(plan.weights);
    } else {
      const plan = planWalks(normal, neutral);
      this.#slots = kernels.keepInt32(plan.slots);
      this.#conditions = kernels.keepInt32(plan.nodes);
      this.#trees = kernels.keepInt32(plan.trees);
      this.#entries = undefined;
      this.#weights = kernels.keepFloat32(plan.weights);
    }
  }

  /**
   * Checks a description and compiles it; the description is not kept.
   * @throws RECLOOM_KRN_SHAPE when lengths, features, targets, nodes or modes do not fit, a tree has no root or a cycle, a
   *   leaf weight is not finite, or masks were demanded for trees of more than 256 leaves.
   * @throws RECLOOM_KRN_OUT_OF_MEMORY
   */
  static from(kernels: Kernels, description: TreeEnsembleDescription, options: TreeEnsembleOptions = {}): TreeEnsemble {
    return new TreeEnsemble(kernels, description, options.method ?? 'auto');
  }

  /** Bytes of kernels memory this holds. */
  get bytes(): number {
    const arrays = [this.#slots, this.#conditions, this.#trees, this.#entries, this.#weights];
    return arrays.reduce((sum, array) => sum + (array?.byteLength ?? 0), 0);
  }

  /**
   * Scores `rows` consecutive rows of `features` (rows × featureCount, row-major) into `out` (rows × targetCount,
   * row-major), which it overwrites and returns. A row's result does not depend on the others: long work may be cut
   * into calls of some hundred rows, best a multiple of 32.
   * @throws RECLOOM_KRN_SHAPE, RECLOOM_KRN_CLOSED
   */
  score(features: Float32Array, rows: number, out: Float32Array): Float32Array {
    if (this.#disposed) throw new KernelError('RECLOOM_KRN_CLOSED', 'The tree ensemble was disposed.');
    const { featureCount, targetCount } = this;
    requireShape(Number.isInteger(rows) && rows >= 0, () => `A count of ${rows} rows is impossible.`);
    requireShape(features.length === rows * featureCount, () => `${features.length} features are not ${rows} rows of ${featureCount}.`);
    requireShape(out.length === rows * targetCount, () => `The output has ${out.length} values, not ${rows} rows of ${targetCount}.`);
    const pass = this.#rowsPerPass();
    const { memory } = this.#kernels;
    const mark = memory.markScratch();
    try {
      const stride = Math.min(pass, Math.ceil(rows / rankRows) * rankRows);
      const prepared = memory.takeScratch(stride * this.#bytesPerRow());
      const workspace = memory.takeScratch(rankRows * 4);
      const sums = memory.takeScratch(stride * targetCount * 4);
      const resident = this.#kernels.isResident(features);
      const staged = resident ? 0 : memory.takeScratch(stride * featureCount * 4);
      const view = new Float32Array(memory.buffer, sums, stride * targetCount);
      const neutral = neutralOf(this.#aggregate);
      for (let row = 0; row < rows; row += pass) {
        const count = Math.min(pass, rows - row);
        let from = features.byteOffset + row * featureCount * 4;
        if (!resident) {
          const part = features.subarray(row * featureCount, (row + count) * featureCount);
          new Float32Array(memory.buffer, staged, part.length).set(part);
          from = staged;
        }
        view.fill(neutral);
        this.#sum(from, count, prepared, sums, stride, workspace);
        this.#finish(view, stride, count, out, row * targetCount);
      }
      return out;
    } catch (error) {
      throw asKernelError(error);
    } finally {
      memory.resetScratch(mark);
    }
  }

  /** Frees the memory; later calls throw RECLOOM_KRN_CLOSED. May be repeated. */
  dispose(): void {
    if (this.#disposed) return;
    this.#disposed = true;
    const arrays: (KernelArray | undefined)[] = [this.#slots, this.#conditions, this.#trees, this.#entries, this.#weights];
    for (const array of arrays) this.#kernels.free(array);
  }

  get #slotCount(): number {
    return this.#slots.length / (this.method === 'masks' ? 4 : 2);
  }

  #bytesPerRow(): number {
    return this.#slotCount * (this.method === 'masks' ? 1 : 4);
  }

  #rowsPerPass(): number {
    const fitting = Math.floor(preparedBytes / Math.max(1, this.#bytesPerRow()) / rankRows) * rankRows;
    return Math.min(512, Math.max(rankRows, fitting));
  }

  #sum(features: number, rows: number, prepared: number, sums: number, stride: number, workspace: number): void {
    const { table } = this.#kernels;
    const { featureCount, treeCount } = this;
    const slots = this.#slots.byteOffset;
    const slotCount = this.#slotCount;
    const trees = this.#trees.byteOffset;
    const conditions = this.#conditions.byteOffset;
    const weights = this.#weights.byteOffset;
    const aggregate = this.#aggregate === 'MIN' ? 1 : this.#aggregate === 'MAX' ? 2 : 0;
    if (this.#entries !== undefined) {
      table.rankFeatures(features, rows, featureCount, slots, slotCount, conditions, prepared);
      const blocks = Math.ceil(rows / rankRows);
      const entries = this.#entries.byteOffset;
      table.maskedTrees(prepared, blocks, slotCount, trees, treeCount, entries, weights, aggregate, sums, stride, workspace);
      return;
    }
    table.spreadFeatures(features, rows, featureCount, slots, slotCount, prepared);
    const blocks = Math.ceil(rows / walkRows);
    table.walkedTrees(prepared, blocks, slotCount, trees, treeCount, conditions, weights, aggregate, sums, stride, workspace);
  }

  #finish(sums: Float32Array, stride: number, rows: number, out: Float32Array, first: number): void {
    const { targetCount, treeCount } = this;
    const divisor = this.#aggregate === 'AVERAGE' ? Math.max(1, treeCount) : 1;
    for (let target = 0; target < targetCount; target++) {
      const base = this.#baseValues[target] as number;
      let to = first + target;
      for (let row = target * stride; row < target * stride + rows; row++) {
        const sum = sums[row] as number;
        // Infinite: no leaf of any tree named the target (weights are finite), and nothing is the same as 0.
        out[to] = Math.fround((Number.isFinite(sum) ? sum : absent(sum, this.#aggregate)) / divisor) + base;
        to += targetCount;
      }
    }
  }
}

function neutralOf(aggregate: TreeAggregate): number {
  return aggregate === 'MIN' ? Number.POSITIVE_INFINITY : aggregate === 'MAX' ? Number.NEGATIVE_INFINITY : 0;
}

/** A sum may overflow to infinity and then stays it; a smallest or largest of nothing is 0. */
function absent(sum: number, aggregate: TreeAggregate): number {
  return aggregate === 'MIN' || aggregate === 'MAX' ? 0 : sum;
}
