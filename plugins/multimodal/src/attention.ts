import { typeMask } from '@recloom/item-models';
import {
  type ComponentState,
  createRandomStream,
  type ExtractBatch,
  type FeatureBlock,
  type FeatureExtractor,
  type FeatureMatrix,
  type HistoryStore,
  type Inspectable,
  type RandomStream,
  readTensor,
  tensor,
  type Warning,
} from '@recloom/plugin-api';
import { unknownType } from './behaviour-factors.js';
import { turn } from './dense.js';
import { blocksOf, directionOf, lengthOf, type Modality, modalitiesOf, sharedWidth } from './modalities.js';
import type { AttentionOptions } from './options.js';
import { fuseRow } from './weighted.js';

/** What the fit needs of its context. */
export interface AttentionFit {
  readonly options: AttentionOptions;
  readonly features: readonly FeatureMatrix[];
  readonly history: HistoryStore;
  readonly random: RandomStream;
  readonly signal: AbortSignal;
  progress(fraction: number, note?: string): void;
  readonly warn: (warning: Warning) => void;
}

const stepsPerCheck = 50;
/** One item of so many is held out, to say when to stop. */
const heldOutShare = 5;
const heldOutPairs = 512;
const heldOutNegatives = 256;

/** Two items that one person chose. */
type Pair = readonly [anchor: number, other: number];

/**
 * The gates: a direction and a bias per feature. An item's weights are the softmax, over the features it has, of
 * log(weight) + bias + gate · direction of the item's feature.
 */
export class Gates {
  readonly #modalities: readonly Modality[];
  readonly #width: number;
  /** Modalities × (width + 1), the bias last. */
  readonly values: Float64Array;

  constructor(modalities: readonly Modality[], width: number, values = new Float64Array(modalities.length * (width + 1))) {
    this.#modalities = modalities;
    this.#width = width;
    this.values = values;
  }

  /** The weights of a row's features into `out`, 0 where it has none; false when it has no feature. `directions` holds a unit vector per modality. */
  weigh(directions: readonly Float32Array[], starts: number, present: ArrayLike<number>, out: Float64Array): boolean {
    const width = this.#width;
    let largest = Number.NEGATIVE_INFINITY;
    for (let place = 0; place < this.#modalities.length; place++) {
      if (present[place] !== 1) continue;
      const gate = place * (width + 1);
      const direction = directions[place] as Float32Array;
      let sum = Math.log((this.#modalities[place] as Modality).weight) + (this.values[gate + width] as number);
      for (let column = 0; column < width; column++) sum += (this.values[gate + column] as number) * (direction[starts + column] as number);
      out[place] = sum;
      if (sum > largest) largest = sum;
    }
    if (largest === Number.NEGATIVE_INFINITY) return false;
    let total = 0;
    for (let place = 0; place < this.#modalities.length; place++) {
      out[place] = present[place] === 1 ? Math.exp((out[place] as number) - largest) : 0;
      total += out[place] as number;
    }
    for (let place = 0; place < this.#modalities.length; place++) out[place] = (out[place] as number) / total;
    return true;
  }
}

/** Every item's directions, side by side. */
interface Catalogue {
  readonly modalities: readonly Modality[];
  readonly width: number;
  /** By modality: items × width, rows of length 1 or zero. */
  readonly directions: readonly Float32Array[];
  /** Items × modalities, 1 = has it. */
  readonly presence: Uint8Array;
}

/**
 * Learns the gates from pairs of items that one person chose against items drawn at random, by the softmax loss over
 * cosines (InfoNCE: van den Oord 2018) and Adam (Kingma and Ba 2015); ends when pairs of items it never saw say so. State:
 * `gates`, all zero when nothing was learned, which makes the weights those of the options.
 */
export async function fitAttention(context: AttentionFit): Promise<ComponentState> {
  const { options, features, history, random, signal, warn } = context;
  const modalities = modalitiesOf(features, options.weights);
  const width = sharedWidth(modalities);
  const catalogue = catalogueOf(modalities, width, features, history.itemCount);
  const { people, learning, heldOut } = peopleOf(history, catalogue, options, random, warn);
  const gates = new Gates(modalities, width);
  if (people < options.minimumPeople || learning.length === 0 || heldOut.length === 0 || modalities.length < 2) {
    if (modalities.length > 1) warn(littleBehaviour(people, options.minimumPeople));
    return stateOf(gates.values, width);
  }
  const items = itemsOf(learning);
  const heldOutItems = itemsOf(heldOut);
  const draws = createRandomStream(random.integer(2 ** 31));
  const checks = Array.from({ length: heldOutPairs }, () => pairOf(heldOut, draws));
  const checkNegatives = Array.from({ length: heldOutNegatives }, () => heldOutItems[draws.integer(heldOutItems.length)] as number);
  const loss = new ContrastiveLoss(catalogue, options.temperature);
  const start = loss.of(gates, checks, checkNegatives, undefined);
  let best = start;
  let bestValues = gates.values.slice();
  let waited = 0;
  const adam = new Adam(gates.values.length, options.learningRate);
  for (let step = 1; step <= options.steps; step++) {
    const pairs = Array.from({ length: options.batch }, () => pairOf(learning, draws));
    const negatives = Array.from({ length: options.negatives }, () => items[draws.integer(items.length)] as number);
    const gradient = new Float64Array(gates.values.length);
    loss.of(gates, pairs, negatives, gradient);
    for (let place = 0; place < gradient.length; place++) {
      gradient[place] = (gradient[place] as number) + options.decay * (gates.values[place] as number);
    }
    adam.step(gates.values, gradient);
    if (step % stepsPerCheck !== 0 && step !== options.steps) continue;
    const now = loss.of(gates, checks, checkNegatives, undefined);
    context.progress(step / options.steps, `held-out loss ${now.toFixed(4)}`);
    await turn(signal);
    if (now < best - 1e-6) {
      best = now;
      bestValues = gates.values.slice();
      waited = 0;
    } else if (++waited >= options.patience) break;
  }
  if (best === start) {
    warn({
      code: 'MULTIMODAL_NOTHING_LEARNED',
      message: 'No weights per item explained pairs of items that were held out better than the same weights for all; those are used.',
    });
  }
  return stateOf(bestValues, width, { people, before: start, after: best });
}

/** The softmax loss of pairs against shared negatives, with its gradient by the gates. */
export class ContrastiveLoss {
  readonly #catalogue: Catalogue;
  readonly #temperature: number;

  constructor(catalogue: Catalogue, temperature: number) {
    this.#catalogue = catalogue;
    this.#temperature = temperature;
  }

  /** Mean loss; its gradient is added to `gradient` when given. */
  of(gates: Gates, pairs: readonly Pair[], negatives: readonly number[], gradient: Float64Array | undefined): number {
    const { width, modalities } = this.#catalogue;
    const rows = [...new Set([...pairs.flat(), ...negatives])];
    const placeOf = new Map(rows.map((row, place) => [row, place]));
    const weights = rows.map((row) => this.#weigh(gates, row));
    const vectors = new Float64Array(rows.length * width);
    const lengths = rows.map((row, place) => this.#fuse(row, weights[place] as Float64Array, vectors, place * width));
    const slopes = new Float64Array(gradient === undefined ? 0 : vectors.length);
    let total = 0;
    const others = negatives.map((row) => placeOf.get(row) as number);
    const scores = new Float64Array(others.length + 1);
    for (const [anchor, other] of pairs) {
      const from = placeOf.get(anchor) as number;
      const targets = [placeOf.get(other) as number, ...others];
      let largest = Number.NEGATIVE_INFINITY;
      targets.forEach((to, place) => {
        // A negative that is one of the pair says nothing.
        const own = place > 0 && (to === from || to === targets[0]);
        scores[place] = own ? Number.NEGATIVE_INFINITY : dot(vectors, from * width, to * width, width) / this.#temperature;
        if ((scores[place] as number) > largest) largest = scores[place] as number;
      });
      let sum = 0;
      for (const score of scores) sum += Math.exp(score - largest);
      total += Math.log(sum) + largest - (scores[0] as number);
      if (gradient === undefined) continue;
      targets.forEach((to, place) => {
        const share = Math.exp((scores[place] as number) - largest) / sum - (place === 0 ? 1 : 0);
        const factor = share / this.#temperature / pairs.length;
        if (factor === 0) return;
        for (let column = 0; column < width; column++) {
          slopes[from * width + column] = (slopes[from * width + column] as number) + factor * (vectors[to * width + column] as number);
          slopes[to * width + column] = (slopes[to * width + column] as number) + factor * (vectors[from * width + column] as number);
        }
      });
    }
    if (gradient !== undefined) {
      rows.forEach((row, place) => {
        const own = weights[place] as Float64Array;
        const length = lengths[place] as number;
        if (length === 0) return;
        const start = place * width;
        // Through the normalisation: what points along the vector changes nothing.
        const along = dotOf(slopes, start, vectors, start, width);
        const perWeight = new Float64Array(modalities.length);
        let mean = 0;
        for (let modality = 0; modality < modalities.length; modality++) {
          if (own[modality] === 0) continue;
          const direction = this.#catalogue.directions[modality] as Float32Array;
          let slope = 0;
          for (let column = 0; column < width; column++) {
            const through = ((slopes[start + column] as number) - along * (vectors[start + column] as number)) / length;
            slope += through * (direction[row * width + column] as number);
          }
          perWeight[modality] = slope;
          mean += (own[modality] as number) * slope;
        }
        for (let modality = 0; modality < modalities.length; modality++) {
          const slope = (own[modality] as number) * ((perWeight[modality] as number) - mean);
          if (slope === 0) continue;
          const gate = modality * (width + 1);
          const direction = this.#catalogue.directions[modality] as Float32Array;
          for (let column = 0; column < width; column++) {
            gradient[gate + column] = (gradient[gate + column] as number) + slope * (direction[row * width + column] as number);
          }
          gradient[gate + width] = (gradient[gate + width] as number) + slope;
        }
      });
    }
    return total / pairs.length;
  }

  #weigh(gates: Gates, row: number): Float64Array {
    const { modalities, directions, presence, width } = this.#catalogue;
    const weights = new Float64Array(modalities.length);
    gates.weigh(directions, row * width, presence.subarray(row * modalities.length, (row + 1) * modalities.length), weights);
    return weights;
  }

  /** Writes the fused vector at length 1 and returns the length it had. */
  #fuse(row: number, weights: Float64Array, vectors: Float64Array, start: number): number {
    const { directions, width } = this.#catalogue;
    directions.forEach((direction, modality) => {
      const weight = weights[modality] as number;
      if (weight === 0) return;
      for (let column = 0; column < width; column++) {
        vectors[start + column] = (vectors[start + column] as number) + weight * (direction[row * width + column] as number);
      }
    });
    const length = Math.sqrt(dotOf(vectors, start, vectors, start, width));
    if (!(length > 1e-12)) {
      vectors.fill(0, start, start + width);
      return 0;
    }
    for (let column = 0; column < width; column++) vectors[start + column] = (vectors[start + column] as number) / length;
    return length;
  }
}

/** The mean of an item's directions, weighted by what the item's own features say. */
export class Attention implements FeatureExtractor, Inspectable {
  readonly width: number;
  readonly #modalities: readonly Modality[];
  readonly #features: readonly FeatureMatrix[];
  readonly #gates: Gates;

  /** Opens what `fitAttention` left. @throws MULTIMODAL_FEATURES, MULTIMODAL_WIDTHS, RECLOOM_DAT_STATE_TENSOR */
  constructor(options: AttentionOptions, features: readonly FeatureMatrix[], state: ComponentState) {
    this.#features = features;
    this.#modalities = modalitiesOf(features, options.weights);
    this.width = sharedWidth(this.#modalities);
    this.#gates = new Gates(this.#modalities, this.width, Float64Array.from(readTensor(state, 'gates', Float32Array)));
  }

  extract(batch: ExtractBatch, out: FeatureBlock): void {
    batch.signal.throwIfAborted();
    const blocks = blocksOf(batch, this.#modalities);
    const weights = new Float64Array(blocks.length);
    for (let row = 0; row < batch.count; row++) {
      const { directions, present } = unitsOf(blocks, row, this.width);
      if (!this.#gates.weigh(directions, 0, present, weights)) continue;
      out.presence[row] = fuseRow(blocks, row, weights, out.values, row * this.width);
    }
  }

  /** The weight of each feature the item has; they sum to 1. */
  inspectItem(row: number): Readonly<Record<string, unknown>> {
    const blocks = this.#modalities.map(({ place }) => this.#features[place] as FeatureMatrix).filter((feature) => row < feature.rowCount);
    if (blocks.length < this.#modalities.length) return { weights: {} };
    const { directions, present } = unitsOf(blocks, row, this.width);
    const weights = new Float64Array(blocks.length);
    this.#gates.weigh(directions, 0, present, weights);
    return {
      weights: Object.fromEntries(this.#modalities.flatMap(({ name }, place) => (present[place] === 1 ? [[name, weights[place]]] : []))),
    };
  }
}

/** Adam with the authors' constants. */
class Adam {
  readonly #rate: number;
  readonly #first: Float64Array;
  readonly #second: Float64Array;
  #steps = 0;

  constructor(length: number, rate: number) {
    this.#rate = rate;
    this.#first = new Float64Array(length);
    this.#second = new Float64Array(length);
  }

  step(values: Float64Array, gradient: Float64Array): void {
    this.#steps++;
    const firstScale = 1 - 0.9 ** this.#steps;
    const secondScale = 1 - 0.999 ** this.#steps;
    for (let place = 0; place < values.length; place++) {
      const slope = gradient[place] as number;
      const first = 0.9 * (this.#first[place] as number) + 0.1 * slope;
      const second = 0.999 * (this.#second[place] as number) + 0.001 * slope * slope;
      this.#first[place] = first;
      this.#second[place] = second;
      values[place] = (values[place] as number) - (this.#rate * first) / firstScale / (Math.sqrt(second / secondScale) + 1e-8);
    }
  }
}

function unitsOf(
  blocks: readonly { readonly name: string; readonly width: number; readonly values: Float32Array; readonly presence: Uint8Array }[],
  row: number,
  width: number,
): { readonly directions: readonly Float32Array[]; readonly present: Uint8Array } {
  const present = new Uint8Array(blocks.length);
  const directions = blocks.map((block, place) => {
    const length = directionOf(block, row);
    if (length === 0) return new Float32Array(width);
    present[place] = 1;
    return block.values.slice(row * width, (row + 1) * width).map((value) => value / length);
  });
  return { directions, present };
}

/** Every item's directions. */
export function catalogueOf(
  modalities: readonly Modality[],
  width: number,
  features: readonly FeatureMatrix[],
  itemCount: number,
): Catalogue {
  const presence = new Uint8Array(itemCount * modalities.length);
  const directions = modalities.map(({ place }, modality) => {
    const feature = features[place] as FeatureMatrix;
    const values = new Float32Array(itemCount * width);
    for (let row = 0; row < Math.min(itemCount, feature.rowCount); row++) {
      const length = feature.presence[row] === 1 ? lengthOf(feature.values, row * width, width) : 0;
      if (!(length > 1e-15 && length < Number.POSITIVE_INFINITY)) continue;
      presence[row * modalities.length + modality] = 1;
      for (let column = 0; column < width; column++) {
        values[row * width + column] = (feature.values[row * width + column] as number) / length;
      }
    }
    return values;
  });
  return { modalities, width, directions, presence };
}

/**
 * The different items of people, in two parts that share no item: what the gates learn from, and what says when to stop. Held
 * out are items and not people: gates that know items by heart explain other people's pairs of them too. People with fewer
 * than two items of a part are not in it.
 */
function peopleOf(
  history: HistoryStore,
  catalogue: Catalogue,
  options: AttentionOptions,
  random: RandomStream,
  warn: (warning: Warning) => void,
): { readonly people: number; readonly learning: readonly Int32Array[]; readonly heldOut: readonly Int32Array[] } {
  const counted = typeMask(history.typeNames, options.eventTypes, () => warn(unknownType()));
  const draws = createRandomStream(random.integer(2 ** 31));
  const isHeldOut = Uint8Array.from({ length: history.itemCount }, () => (draws.integer(heldOutShare) === 0 ? 1 : 0));
  const known = (row: number): boolean => {
    for (let place = 0; place < catalogue.modalities.length; place++) {
      if (catalogue.presence[row * catalogue.modalities.length + place] === 1) return true;
    }
    return false;
  };
  const learning: Int32Array[] = [];
  const heldOut: Int32Array[] = [];
  let people = 0;
  for (let user = 0; user < history.userCount; user++) {
    const items = new Set<number>();
    for (let event = history.offsets[user] as number; event < (history.offsets[user + 1] as number); event++) {
      const row = history.items[event] as number;
      if ((counted === undefined || counted[history.types[event] as number] === 1) && known(row)) items.add(row);
    }
    if (items.size < 2) continue;
    people++;
    const rows = Int32Array.from(items).sort();
    const apart = rows.filter((row) => isHeldOut[row] === 1);
    const kept = rows.filter((row) => isHeldOut[row] === 0);
    if (kept.length > 1) learning.push(kept);
    if (apart.length > 1) heldOut.push(apart);
  }
  return { people, learning, heldOut };
}

/** The different items of some people, ascending. */
function itemsOf(people: readonly Int32Array[]): readonly number[] {
  return [...new Set(people.flatMap((person) => [...person]))].sort((one, other) => one - other);
}

/** Two different items of one person, both drawn evenly. */
function pairOf(people: readonly Int32Array[], random: RandomStream): Pair {
  const items = people[random.integer(people.length)] as Int32Array;
  const one = random.integer(items.length);
  const other = (one + 1 + random.integer(items.length - 1)) % items.length;
  return [items[one] as number, items[other] as number];
}

function stateOf(values: Float64Array, width: number, report?: Readonly<Record<string, number>>): ComponentState {
  return {
    gates: tensor(Float32Array.from(values), [values.length / (width + 1), width + 1]),
    ...(report === undefined ? {} : { report: tensor(Float64Array.from(Object.values(report))) }),
  };
}

function littleBehaviour(found: number, needed: number): Warning {
  return {
    code: 'MULTIMODAL_LITTLE_BEHAVIOUR',
    message: `${found} people chose two items or more, and ${needed} are needed to learn weights per item; every item gets the weights of the options.`,
    count: found,
  };
}

function dot(values: Float64Array, one: number, other: number, width: number): number {
  return dotOf(values, one, values, other, width);
}

function dotOf(left: Float64Array, leftStart: number, right: Float64Array, rightStart: number, width: number): number {
  let sum = 0;
  for (let column = 0; column < width; column++) sum += (left[leftStart + column] as number) * (right[rightStart + column] as number);
  return sum;
}
