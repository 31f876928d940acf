import { kernelsOf, perform, type WorkOptions } from './compute.js';
import { requireShape } from './kernel-error.js';
import type { Kernels } from './kernels.js';
import { type Plan, splitRows, type Task } from './plan.js';
import { requireSparseMatrix, type SparseMatrix, transposeSparseMatrix } from './sparse-matrix.js';
import { Staging } from './staging.js';

export interface HistoryNetworkOptions {
  readonly itemCount: number;
  /** Values per vector, a multiple of 8. */
  readonly width: number;
  /** Events of a history that count, the newest. */
  readonly positions: number;
  /** Items x attributes: what an item's vector takes from each attribute's. Absent: items have nothing in common. */
  readonly attributes?: SparseMatrix | undefined;
  /** Items each example is told from; of a pool of no more, all are taken. */
  readonly negatives: number;
  /** Rows that have a vector of their own and may be drawn as negatives, each once. Absent: all. */
  readonly pool?: Int32Array | undefined;
  /** Examples per step. */
  readonly batchSize: number;
  readonly learningRate: number;
  /** Share of a history's events, and of the hidden values, that each example does without; in [0, 1). */
  readonly eventDropout: number;
  readonly dropout: number;
  /** Share of an item's first vector (by squared length) that comes from its attributes, in [0, 1]; 0 without attributes. Default 0.8. */
  readonly attributeShare?: number | undefined;
  /** First weight of an event of age a (the newest: 0), `initialDecay`^a, and first factor of the cosines. */
  readonly initialDecay: number;
  readonly initialScale: number;
  /** Draws the first vectors, the order of the examples, the negatives and what is dropped. */
  readonly random: { next(): number; integer(bound: number): number };
}

/** What to learn from: the item at each of `places` follows the `lengths[i]` items before it. */
export interface HistoryExamples {
  /** Sequences one after the other. */
  readonly items: Int32Array;
  readonly places: Int32Array;
  /** Events before each place that belong to its sequence, at least 1; only the newest `positions` count. */
  readonly lengths: Int32Array;
}

/** Adam's usual constants (Kingma and Ba 2015). */
const beta1 = 0.9;
const beta2 = 0.999;
const epsilon = 1e-8;
/** Examples of one task. */
const examplesPerTask = 128;
const negativesPerTask = 128;
/** Floats added to each row of logits, so that rows do not compete for the same part of the cache. */
const rowPadding = 16;

/** Words of the block that the kernels read; `networkItemRows` and its siblings count on this order. */
const wordCount = 49;

/**
 * A network that turns a history into a vector of length 1 and ranks items by the cosine with theirs: v_i = E_i + sum of the
 * vectors of its attributes, to length 1; h = sum over the events of filter[age] * v (by value), to length 1; logit = scale *
 * (h . v_j). Trained by a softmax loss over negatives that a batch shares, drawn without replacement and corrected by
 * log(pool / negatives); the target is never its own negative. Adam, on the rows that a step used. One consistent space for
 * histories and items as in CORE (Hou et al. 2022); softmax in place of binary losses: Klenitskiy and Vasilev 2023.
 *
 * The same options, examples and random numbers give the same bits for any number of threads. Free it with `dispose`.
 */
export class HistoryNetwork {
  readonly #kernels: Kernels;
  readonly #options: HistoryNetworkOptions;
  readonly #staging: Staging;
  readonly #pool: Int32Array;
  readonly #negativeCount: number;
  readonly #columns: number;
  readonly #embeddings: Float32Array;
  readonly #attributeVectors: Float32Array;
  readonly #attributeCount: number;
  readonly #filter: Float32Array;
  readonly #block: { readonly address: number; readonly whole: Int32Array; readonly real: Float32Array };
  readonly #touched: Int32Array;
  readonly #locals: Int32Array;
  readonly #targets: Int32Array;
  readonly #historyOffsets: Int32Array;
  readonly #historyItems: Int32Array;
  readonly #useOffsets: Int32Array;
  readonly #uses: Int32Array;
  readonly #losses: Float32Array;
  readonly #scaleGradients: Float32Array;
  readonly #filterGradients: Float32Array;
  readonly #gradients: Float32Array;
  readonly #attributeWorkspace: number;
  readonly #filterFirst: Float64Array;
  readonly #filterSecond: Float64Array;
  /** Logarithm of the scale, its last slope and its moments. */
  #logScale: number;
  #scaleSlope = 0;
  #scaleFirst = 0;
  #scaleSecond = 0;
  #steps = 0;
  #disposed = false;

  /** @throws RECLOOM_KRN_SHAPE, RECLOOM_KRN_OUT_OF_MEMORY */
  constructor(kernels: Kernels, options: HistoryNetworkOptions) {
    const { itemCount, width, positions, attributes, random } = options;
    requireOptions(options);
    this.#kernels = kernels;
    this.#options = options;
    this.#logScale = Math.log(options.initialScale);
    this.#pool = options.pool?.slice() ?? Int32Array.from({ length: itemCount }, (_, row) => row);
    this.#negativeCount = Math.min(options.negatives, this.#pool.length);
    this.#columns = Math.ceil(this.#negativeCount / 8) * 8;
    this.#attributeCount = attributes?.columnCount ?? 0;
    this.#filterFirst = new Float64Array(positions * width);
    this.#filterSecond = new Float64Array(positions * width);
    this.#staging = new Staging(kernels);
    const batch = options.batchSize;
    const mostTouched = Math.min(itemCount, this.#negativeCount + batch * (1 + positions));
    // The memory may grow with every piece: ask for the buffer afterwards.
    const float32 = (length: number): Float32Array => {
      const address = this.#staging.take(length * 4, true);
      return new Float32Array(kernels.memory.buffer, address, length);
    };
    const int32 = (length: number): Int32Array => {
      const address = this.#staging.take(length * 4, true);
      return new Int32Array(kernels.memory.buffer, address, length);
    };
    try {
      const address = this.#staging.take(wordCount * 4, true);
      const { buffer } = kernels.memory;
      this.#block = { address, whole: new Int32Array(buffer, address, wordCount), real: new Float32Array(buffer, address, wordCount) };
      this.#embeddings = float32(itemCount * width);
      this.#attributeVectors = float32(this.#attributeCount * width);
      this.#filter = float32(positions * width);
      this.#touched = int32(mostTouched);
      this.#locals = int32(itemCount).fill(-1);
      this.#targets = int32(batch);
      this.#historyOffsets = int32(batch + 1);
      this.#historyItems = int32(batch * positions);
      this.#useOffsets = int32(mostTouched + 1);
      this.#uses = int32(2 * batch * (1 + positions));
      this.#losses = float32(batch);
      this.#scaleGradients = float32(batch);
      this.#filterGradients = float32(Math.ceil(batch / examplesPerTask) * positions * width);
      this.#gradients = float32(mostTouched * width);
      this.#attributeWorkspace = this.#staging.take(width * 4 * attributeTasks);
      const share = attributes === undefined ? 0 : (options.attributeShare ?? 0.8);
      // Rows outside the pool start, and stay, at what their attributes give them.
      for (const row of this.#pool)
        fillRandomly(this.#embeddings.subarray(row * width, (row + 1) * width), Math.sqrt((1 - share) / width), random);
      fillRandomly(this.#attributeVectors, Math.sqrt(share / width), random);
      for (let index = 0; index < this.#filter.length; index++) this.#filter[index] = options.initialDecay ** Math.floor(index / width);
      this.#writeBlock(mostTouched);
    } catch (error) {
      this.#staging.free();
      throw error;
    }
  }

  /** The factor of the cosines. */
  get scale(): number {
    return Math.exp(this.#logScale);
  }

  /** Weight of each event by age and value (positions x width), newest first; a copy. */
  get filter(): Float32Array {
    return this.#filter.slice();
  }

  /** The learned vectors of the attributes (attributes x width); a copy. */
  get attributeVectors(): Float32Array {
    return this.#attributeVectors.slice();
  }

  /** What the last step's gradients were. @internal for tests */
  get lastGradients(): { readonly rows: Int32Array; readonly items: Float32Array; readonly filter: Float32Array; readonly scale: number } {
    const count = this.#block.whole[5] as number;
    const width = this.#options.width;
    const tasks = Math.ceil((this.#block.whole[4] as number) / examplesPerTask);
    const rows = this.#touched.slice(0, count);
    return {
      rows,
      items: this.#gradients.slice(0, count * width),
      filter: Float32Array.from(this.#filterSum(tasks)),
      scale: this.#scaleSlope,
    };
  }

  /** Replaces what the network has learned, e.g. by what is known to be good. @throws RECLOOM_KRN_SHAPE */
  restore(state: HistoryNetworkWeights): void {
    this.#requireOpen();
    requireShape(state.embeddings.length === this.#embeddings.length, 'The embeddings are of another network.');
    requireShape(state.attributeVectors.length === this.#attributeVectors.length, 'The attribute vectors are of another network.');
    requireShape(state.filter.length === this.#filter.length, 'The filter is of another network.');
    this.#embeddings.set(state.embeddings);
    this.#attributeVectors.set(state.attributeVectors);
    this.#filter.set(state.filter);
    this.#logScale = Math.log(state.scale);
  }

  /** A copy of all that is learned (without the moments of the optimiser). */
  save(): HistoryNetworkWeights {
    this.#requireOpen();
    return {
      embeddings: this.#embeddings.slice(),
      attributeVectors: this.#attributeVectors.slice(),
      filter: this.filter,
      scale: this.scale,
    };
  }

  /**
   * One pass over the examples in a fresh order. Resolves to the mean loss. `onStep` hears the share done after each step.
   * After a rejection (an abort, a lost worker) the weights are those of a half-done step: dispose, or restore.
   * @throws RECLOOM_KRN_SHAPE
   */
  epoch(
    examples: HistoryExamples,
    work: Pick<WorkOptions, 'compute' | 'signal'> & { readonly onStep?: ((share: number) => void) | undefined } = {},
  ): Promise<number> {
    this.#requireOpen();
    requireShape(
      work.compute === undefined || kernelsOf(work.compute) === this.#kernels,
      'The network lives in the memory of another compute pool.',
    );
    requireExamples(examples, this.#options.itemCount);
    return perform({ compute: work.compute, kernels: this.#kernels, signal: work.signal }, () => this.#epochPlan(examples, work.onStep));
  }

  /** The vector of length 1 of every item (itemCount x width); a zero vector where an item has none. */
  vectors(): Float32Array {
    this.#requireOpen();
    const { itemCount, width, attributes } = this.#options;
    const vectors = this.#embeddings.slice();
    if (attributes !== undefined) {
      for (let item = 0; item < itemCount; item++) {
        const end = attributes.rowOffsets[item + 1] as number;
        for (let entry = attributes.rowOffsets[item] as number; entry < end; entry++) {
          const from = (attributes.columnIndices[entry] as number) * width;
          const weight = attributes.values?.[entry] ?? 1;
          for (let column = 0; column < width; column++) {
            const to = item * width + column;
            vectors[to] = (vectors[to] as number) + weight * (this.#attributeVectors[from + column] as number);
          }
        }
      }
    }
    return this.#kernels.normalizeRows(vectors, width);
  }

  /** Frees the memory. May be repeated. */
  dispose(): void {
    if (this.#disposed) return;
    this.#disposed = true;
    this.#staging.free();
  }

  #requireOpen(): void {
    requireShape(!this.#disposed, 'The network was disposed.');
  }

  *#epochPlan(examples: HistoryExamples, onStep: ((share: number) => void) | undefined): Plan<number> {
    const count = examples.places.length;
    if (count === 0) return 0;
    const { random } = this.#options;
    const order = Int32Array.from({ length: count }, (_, index) => index);
    for (let index = count - 1; index > 0; index--) swap(order, index, random.integer(index + 1));
    const batches = Math.ceil(count / this.#options.batchSize);
    let loss = 0;
    for (let batch = 0; batch < batches; batch++) {
      const begin = Math.floor((count * batch) / batches);
      const end = Math.floor((count * (batch + 1)) / batches);
      const touched = this.#stage(examples, order.subarray(begin, end));
      yield* this.#step(touched, end - begin);
      loss += this.#sumOf(this.#losses);
      for (let place = 0; place < touched; place++) this.#locals[this.#touched[place] as number] = -1;
      onStep?.((batch + 1) / batches);
    }
    return loss / count;
  }

  /** Draws the negatives and lists rows, histories and uses of a batch; returns how many rows take part. */
  #stage({ items, places, lengths }: HistoryExamples, batch: Int32Array): number {
    const { positions, random, eventDropout, dropout } = this.#options;
    const { whole, real } = this.#block;
    const negatives = this.#negativeCount;
    const pool = this.#pool;
    for (let index = 0; index < negatives; index++) {
      if (negatives < pool.length) swap(pool, index, index + random.integer(pool.length - index));
      const row = pool[index] as number;
      this.#touched[index] = row;
      this.#locals[row] = index;
    }
    let touched = negatives;
    const placeOf = (row: number): number => {
      const known = this.#locals[row] as number;
      if (known >= 0) return known;
      this.#touched[touched] = row;
      this.#locals[row] = touched;
      return touched++;
    };
    let entries = 0;
    batch.forEach((index, example) => {
      const place = places[index] as number;
      this.#targets[example] = placeOf(items[place] as number);
      const length = Math.min(positions, lengths[index] as number);
      for (let age = 0; age < length; age++) this.#historyItems[entries++] = placeOf(items[place - 1 - age] as number);
      this.#historyOffsets[example + 1] = entries;
    });
    this.#listUses(batch.length, touched);
    whole[4] = batch.length;
    whole[5] = touched;
    whole[38] = random.integer(0x1_0000_0000);
    whole[39] = Math.floor(eventDropout * 0x1_0000_0000);
    whole[40] = Math.floor(dropout * 0x1_0000_0000);
    real[41] = this.scale;
    real[42] = negatives === 0 ? 0 : Math.log(pool.length / negatives);
    real[47] = 1 / batch.length;
    const step = ++this.#steps;
    real[43] = this.#options.learningRate / (1 - beta1 ** step);
    real[48] = 1 / Math.sqrt(1 - beta2 ** step);
    return touched;
  }

  /** For each row, where it is used as a target (slot -1) or in a history (slot = age): sums then run in a fixed order. */
  #listUses(count: number, touched: number): void {
    const offsets = this.#useOffsets.fill(0, 0, touched + 1);
    const add = (place: number): void => {
      offsets[place + 1] = (offsets[place + 1] as number) + 1;
    };
    const entries = this.#historyOffsets[count] as number;
    for (let example = 0; example < count; example++) add(this.#targets[example] as number);
    for (let entry = 0; entry < entries; entry++) add(this.#historyItems[entry] as number);
    for (let place = 0; place < touched; place++) offsets[place + 1] = (offsets[place + 1] as number) + (offsets[place] as number);
    const next = offsets.slice(0, touched);
    const put = (place: number, example: number, slot: number): void => {
      const use = next[place] as number;
      next[place] = use + 1;
      this.#uses[use * 2] = example;
      this.#uses[use * 2 + 1] = slot;
    };
    for (let example = 0; example < count; example++) {
      put(this.#targets[example] as number, example, -1);
      const first = this.#historyOffsets[example] as number;
      for (let entry = first; entry < (this.#historyOffsets[example + 1] as number); entry++) {
        put(this.#historyItems[entry] as number, example, entry - first);
      }
    }
  }

  *#step(touched: number, count: number): Plan<void> {
    const { width, positions } = this.#options;
    const { address } = this.#block;
    const negatives = this.#negativeCount;
    yield splitRows(touched, 8, 8, (row) => row).map(
      ([begin, end]): Task => ({ kernel: 'networkItemRows', parameters: [address, begin, end] }),
    );
    const tasks = Math.ceil(count / examplesPerTask);
    yield Array.from({ length: tasks }, (_, task): Task => {
      const gradient = this.#filterGradients.byteOffset + task * positions * width * 4;
      const end = Math.min(count, (task + 1) * examplesPerTask);
      return { kernel: 'networkExampleRows', parameters: [address, task * examplesPerTask, end, gradient] };
    });
    const itemTasks: Task[] = [];
    const addTask = (begin: number, end: number): void => {
      if (end > begin) itemTasks.push({ kernel: 'networkItemGradients', parameters: [address, begin, end] });
    };
    for (let begin = 0; begin < negatives; begin += negativesPerTask) addTask(begin, Math.min(negatives, begin + negativesPerTask));
    for (const [begin, end] of splitRows(touched - negatives, 8, 1, (row) => row)) addTask(negatives + begin, negatives + end);
    yield itemTasks;
    if (this.#attributeCount > 0) {
      const offsets = new Int32Array(this.#kernels.memory.buffer, (this.#block.whole[34] as number) >>> 0, this.#attributeCount + 1);
      yield splitRows(this.#attributeCount, attributeTasks, 1, (row) => (offsets[row] as number) + row).map(
        ([begin, end], task): Task => ({
          kernel: 'networkAttributeRows',
          parameters: [address, begin, end, this.#attributeWorkspace + task * width * 4],
        }),
      );
    }
    this.#stepFilter(tasks);
  }

  /** Adam on the filter and on the logarithm of the scale: too little for the threads. */
  #stepFilter(tasks: number): void {
    const step = this.#options.learningRate / (1 - beta1 ** this.#steps);
    const correction = 1 / Math.sqrt(1 - beta2 ** this.#steps);
    const gradient = this.#filterSum(tasks);
    for (let index = 0; index < gradient.length; index++) {
      const slope = gradient[index] as number;
      const first = beta1 * (this.#filterFirst[index] as number) + (1 - beta1) * slope;
      const second = beta2 * (this.#filterSecond[index] as number) + (1 - beta2) * slope * slope;
      this.#filterFirst[index] = first;
      this.#filterSecond[index] = second;
      this.#filter[index] = (this.#filter[index] as number) - (step * first) / (Math.sqrt(second) * correction + epsilon);
    }
    const slope = this.#sumOf(this.#scaleGradients) * this.scale;
    this.#scaleSlope = slope;
    this.#scaleFirst = beta1 * this.#scaleFirst + (1 - beta1) * slope;
    this.#scaleSecond = beta2 * this.#scaleSecond + (1 - beta2) * slope * slope;
    this.#logScale -= (step * this.#scaleFirst) / (Math.sqrt(this.#scaleSecond) * correction + epsilon);
  }

  #filterSum(tasks: number): Float64Array {
    const size = this.#filter.length;
    const sum = new Float64Array(size);
    for (let task = 0; task < tasks; task++) {
      for (let index = 0; index < size; index++)
        sum[index] = (sum[index] as number) + (this.#filterGradients[task * size + index] as number);
    }
    return sum;
  }

  /** Over the examples of the batch. */
  #sumOf(values: Float32Array): number {
    let sum = 0;
    for (let example = 0; example < (this.#block.whole[4] as number); example++) sum += values[example] as number;
    return sum;
  }

  #writeBlock(mostTouched: number): void {
    const { itemCount, width, positions, attributes, batchSize } = this.#options;
    const { whole, real } = this.#block;
    const take = (floats: number): number => this.#staging.take(floats * 4, true);
    whole.set([width, positions, this.#negativeCount, this.#columns], 0);
    whole.set([this.#touched.byteOffset, this.#embeddings.byteOffset, take(itemCount * width), take(itemCount * width)], 6);
    if (attributes !== undefined) {
      // Every entry needs its weight, so that the kernels need not ask.
      const values = attributes.values ?? new Float32Array(attributes.columnIndices.length).fill(1);
      const weighted = { ...attributes, values };
      const byItem = this.#staging.sparse(weighted);
      const byAttribute = this.#staging.sparse(transposeSparseMatrix(weighted));
      const size = this.#attributeCount * width;
      whole.set([byItem.rowOffsets, byItem.columnIndices, byItem.values], 10);
      whole.set([this.#attributeVectors.byteOffset, take(size), take(size)], 13);
      whole.set([byAttribute.rowOffsets, byAttribute.columnIndices, byAttribute.values], 34);
    }
    whole.set([take(mostTouched * width), take(mostTouched), take(this.#columns * width), this.#filter.byteOffset], 16);
    whole.set([this.#targets.byteOffset, this.#historyOffsets.byteOffset, this.#historyItems.byteOffset, take(batchSize * positions)], 20);
    whole.set([take(batchSize * width), take(batchSize * width), take(batchSize * (this.#columns + rowPadding)), take(batchSize)], 24);
    whole.set([this.#losses.byteOffset, this.#scaleGradients.byteOffset, this.#useOffsets.byteOffset, this.#uses.byteOffset], 28);
    whole.set([this.#gradients.byteOffset, take(batchSize)], 32);
    whole[37] = this.#locals.byteOffset;
    real.set([beta1, beta2, epsilon], 44);
  }
}

/** All that a network has learned. */
export interface HistoryNetworkWeights {
  readonly embeddings: Float32Array;
  readonly attributeVectors: Float32Array;
  readonly filter: Float32Array;
  readonly scale: number;
}

/** Tasks that share the attributes. */
const attributeTasks = 8;

/** Uniform, of the given standard deviation. */
function fillRandomly(values: Float32Array, deviation: number, random: HistoryNetworkOptions['random']): void {
  const width = 2 * Math.sqrt(3) * deviation;
  for (let index = 0; index < values.length; index++) values[index] = width * (random.next() - 0.5);
}

function swap(values: Int32Array, one: number, other: number): void {
  const kept = values[one] as number;
  values[one] = values[other] as number;
  values[other] = kept;
}

function requireOptions(options: HistoryNetworkOptions): void {
  const { itemCount, width, positions, attributes, negatives, pool, batchSize, initialScale, learningRate } = options;
  const counts = { itemCount, width, positions, negatives, batchSize };
  for (const [name, count] of Object.entries(counts)) {
    requireShape(Number.isInteger(count) && count > 0, () => `${name} is ${count}, not a positive whole number.`);
  }
  requireShape(width % 8 === 0, () => `The width ${width} is not a multiple of 8.`);
  requireShape(initialScale > 0 && learningRate > 0, 'The scale and the learning rate must be positive.');
  const { attributeShare = 0 } = options;
  requireShape(attributeShare >= 0 && attributeShare <= 1, () => `A share of ${attributeShare} is not in [0, 1].`);
  for (const share of [options.eventDropout, options.dropout]) {
    requireShape(share >= 0 && share < 1, () => `A dropout of ${share} is not in [0, 1).`);
  }
  if (attributes !== undefined) {
    requireSparseMatrix(attributes, 'The attributes');
    requireShape(attributes.rowCount === itemCount, () => `The attributes have ${attributes.rowCount} rows, not ${itemCount}.`);
  }
  const drawn = new Uint8Array(itemCount);
  for (const row of pool ?? []) {
    requireShape(row >= 0 && row < itemCount && drawn[row] === 0, 'The pool holds a row twice, or one that is no item.');
    drawn[row] = 1;
  }
}

function requireExamples({ items, places, lengths }: HistoryExamples, itemCount: number): void {
  requireShape(places.length === lengths.length, () => `There are ${lengths.length} lengths for ${places.length} places.`);
  for (const item of items) requireShape(item >= 0 && item < itemCount, () => `Item ${item} is not below ${itemCount}.`);
  for (let index = 0; index < places.length; index++) {
    const place = places[index] as number;
    const length = lengths[index] as number;
    requireShape(place < items.length && length >= 1 && length <= place, () => `Example ${index} reaches beyond the items.`);
  }
}
