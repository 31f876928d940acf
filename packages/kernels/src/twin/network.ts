import type { KernelTable } from '../kernel-table.js';
import type { MemoryViews } from './memory-views.js';

type NetworkKernels = Pick<KernelTable, 'networkItemRows' | 'networkExampleRows' | 'networkItemGradients' | 'networkAttributeRows'>;

/** Below this a vector has no direction. */
const shortest = 1e-12;

/** 32 well-mixed bits of a counter (MurmurHash3's finaliser, Appleby). */
function mixed(seed: number, counter: number): number {
  let bits = seed ^ Math.imul(counter, 0x9e3779b1);
  bits = Math.imul(bits ^ (bits >>> 16), 0x85ebca6b);
  bits = Math.imul(bits ^ (bits >>> 13), 0xc2b2ae35);
  return (bits ^ (bits >>> 16)) >>> 0;
}

export function networkTwin(memory: MemoryViews): NetworkKernels {
  /** Word `index` of the layout: a count; `at`: an address as a place among the words of the memory. */
  const word = (layout: number, index: number): number => memory.int32[(layout >>> 2) + index] as number;
  const at = (layout: number, index: number): number => (memory.uint32[(layout >>> 2) + index] as number) >>> 2;
  const real = (layout: number, index: number): number => memory.float32[(layout >>> 2) + index] as number;
  const value = (place: number): number => memory.float32[place] as number;
  const whole = (place: number): number => memory.int32[place] as number;

  function dot(left: number, right: number, width: number): number {
    let sum = 0;
    for (let column = 0; column < width; column++) sum += value(left + column) * value(right + column);
    return sum;
  }

  function addScaled(to: number, from: number, factor: number, width: number): void {
    for (let column = 0; column < width; column++) memory.float32[to + column] = value(to + column) + factor * value(from + column);
  }

  /** Takes out of a gradient what points along `unit`, and divides by the length that was taken out of the vector. */
  function throughLength(gradient: number, unit: number, length: number, width: number): void {
    const along = dot(unit, gradient, width);
    const factor = length > shortest ? 1 / length : 0;
    for (let column = 0; column < width; column++) {
      memory.float32[gradient + column] = (value(gradient + column) - along * value(unit + column)) * factor;
    }
  }

  function toUnit(vector: number, width: number): number {
    const length = Math.sqrt(dot(vector, vector, width));
    const factor = length > shortest ? 1 / length : 0;
    for (let column = 0; column < width; column++) memory.float32[vector + column] = value(vector + column) * factor;
    return length;
  }

  function adamRow(layout: number, values: number, first: number, second: number, gradient: number): void {
    const { float32 } = memory;
    const [stepSize, beta1, beta2] = [real(layout, 43), real(layout, 44), real(layout, 45)];
    const [epsilon, correction] = [real(layout, 46), real(layout, 48)];
    for (let column = 0; column < word(layout, 0); column++) {
      const slope = value(gradient + column);
      float32[first + column] = beta1 * value(first + column) + (1 - beta1) * slope;
      float32[second + column] = beta2 * value(second + column) + (1 - beta2) * slope * slope;
      float32[values + column] =
        value(values + column) - (stepSize * value(first + column)) / (Math.sqrt(value(second + column)) * correction + epsilon);
    }
  }

  /** Hidden values of an example that dropout leaves out are 0, and so are their gradients. */
  function dropHidden(layout: number, example: number, vector: number): void {
    const width = word(layout, 0);
    const drop = word(layout, 40) >>> 0;
    if (drop === 0) return;
    const counter = Math.imul(example, width);
    for (let column = 0; column < width; column++) {
      if (mixed(~word(layout, 38), (counter + column) | 0) < drop) memory.float32[vector + column] = 0;
    }
  }

  function readExample(layout: number, example: number): void {
    const { float32 } = memory;
    const width = word(layout, 0);
    const to = at(layout, 24) + example * width;
    float32.fill(0, to, to + width);
    const first = whole(at(layout, 21) + example);
    const last = whole(at(layout, 21) + example + 1);
    const eventDrop = word(layout, 39) >>> 0;
    let kept = 0;
    for (let entry = first; entry < last; entry++) {
      // The newest event (entry `first`) comes last, so that one event is always left.
      const place = entry + 1 < last ? entry + 1 : first;
      const keep = eventDrop === 0 || (place === first && kept === 0) || mixed(word(layout, 38), place) >= eventDrop;
      if (keep) kept++;
      float32[at(layout, 23) + place] = keep ? 1 : 0;
    }
    for (let entry = first; entry < last; entry++) {
      if (value(at(layout, 23) + entry) === 0) continue;
      const unit = at(layout, 16) + whole(at(layout, 22) + entry) * width;
      const weights = at(layout, 19) + (entry - first) * width;
      for (let column = 0; column < width; column++) {
        float32[to + column] = value(to + column) + value(unit + column) * value(weights + column);
      }
    }
    dropHidden(layout, example, to);
    float32[at(layout, 33) + example] = toUnit(to, width);
  }

  function softmaxRow(layout: number, example: number): void {
    const { float32 } = memory;
    const width = word(layout, 0);
    const negatives = word(layout, 2);
    const columns = word(layout, 3);
    const row = at(layout, 26) + example * (columns + 16);
    const unit = at(layout, 24) + example * width;
    const target = whole(at(layout, 20) + example);
    const scale = real(layout, 41);
    const factor = real(layout, 47);
    float32.fill(0, row, row + columns);
    float32[at(layout, 27) + example] = 0;
    float32[at(layout, 28) + example] = 0;
    float32[at(layout, 29) + example] = 0;
    if (!(value(at(layout, 33) + example) > shortest)) return;
    const cosine = dot(unit, at(layout, 16) + target * width, width);
    let highest = cosine * scale;
    for (let column = 0; column < negatives; column++) {
      if (column === target) continue;
      float32[row + column] = dot(unit, at(layout, 16) + column * width, width);
      highest = Math.max(highest, value(row + column) * scale + real(layout, 42));
    }
    const own = Math.exp(cosine * scale - highest);
    let total = own;
    let cosines = 0;
    for (let column = 0; column < negatives; column++) {
      if (column === target) continue;
      const part = Math.exp(value(row + column) * scale + real(layout, 42) - highest);
      total += part;
      cosines += part * value(row + column);
      float32[row + column] = part;
    }
    const ownGradient = own / total - 1;
    for (let column = 0; column < negatives; column++) float32[row + column] = (value(row + column) / total) * scale * factor;
    float32[at(layout, 28) + example] = Math.log(total) + highest - cosine * scale;
    float32[at(layout, 29) + example] = (cosines / total + ownGradient * cosine) * factor;
    float32[at(layout, 27) + example] = ownGradient * scale * factor;
  }

  function exampleGradient(layout: number, example: number, filterGradient: number): void {
    const { float32 } = memory;
    const width = word(layout, 0);
    const negatives = word(layout, 2);
    const units = at(layout, 16);
    const row = at(layout, 26) + example * (word(layout, 3) + 16);
    const gradient = at(layout, 25) + example * width;
    float32.fill(0, gradient, gradient + width);
    for (let column = 0; column < negatives; column++) addScaled(gradient, units + column * width, value(row + column), width);
    addScaled(gradient, units + whole(at(layout, 20) + example) * width, value(at(layout, 27) + example), width);
    throughLength(gradient, at(layout, 24) + example * width, value(at(layout, 33) + example), width);
    dropHidden(layout, example, gradient);
    const first = whole(at(layout, 21) + example);
    const last = whole(at(layout, 21) + example + 1);
    for (let entry = first; entry < last; entry++) {
      if (value(at(layout, 23) + entry) === 0) continue;
      const item = units + whole(at(layout, 22) + entry) * width;
      const sums = filterGradient + (entry - first) * width;
      for (let column = 0; column < width; column++) {
        float32[sums + column] = value(sums + column) + value(item + column) * value(gradient + column);
      }
    }
  }

  function itemGradient(layout: number, place: number, gradient: number): void {
    const { float32 } = memory;
    const width = word(layout, 0);
    const hidden = at(layout, 24);
    if (place < word(layout, 2)) {
      const rowLength = word(layout, 3) + 16;
      for (let example = 0; example < word(layout, 4); example++) {
        addScaled(gradient, hidden + example * width, value(at(layout, 26) + example * rowLength + place), width);
      }
    }
    for (let use = whole(at(layout, 30) + place); use < whole(at(layout, 30) + place + 1); use++) {
      const example = whole(at(layout, 31) + use * 2);
      const slot = whole(at(layout, 31) + use * 2 + 1);
      if (slot < 0) {
        addScaled(gradient, hidden + example * width, value(at(layout, 27) + example), width);
        continue;
      }
      if (value(at(layout, 23) + whole(at(layout, 21) + example) + slot) === 0) continue;
      const weights = at(layout, 19) + slot * width;
      const from = at(layout, 25) + example * width;
      for (let column = 0; column < width; column++) {
        float32[gradient + column] = value(gradient + column) + value(weights + column) * value(from + column);
      }
    }
    throughLength(gradient, at(layout, 16) + place * width, value(at(layout, 17) + place), width);
  }

  return {
    networkItemRows(layout, begin, end) {
      const { float32 } = memory.refresh();
      const width = word(layout, 0);
      for (let place = begin; place < end; place++) {
        const row = whole(at(layout, 6) + place);
        const unit = at(layout, 16) + place * width;
        float32.copyWithin(unit, at(layout, 7) + row * width, at(layout, 7) + (row + 1) * width);
        if (at(layout, 10) !== 0) {
          const last = whole(at(layout, 10) + row + 1);
          for (let entry = whole(at(layout, 10) + row); entry < last; entry++) {
            addScaled(unit, at(layout, 13) + whole(at(layout, 11) + entry) * width, value(at(layout, 12) + entry), width);
          }
        }
        float32[at(layout, 17) + place] = toUnit(unit, width);
      }
      return end - begin;
    },

    networkExampleRows(layout, begin, end, filterGradient) {
      const { float32 } = memory.refresh();
      float32.fill(0, filterGradient >>> 2, (filterGradient >>> 2) + word(layout, 1) * word(layout, 0));
      for (let example = begin; example < end; example++) {
        readExample(layout, example);
        softmaxRow(layout, example);
        exampleGradient(layout, example, filterGradient >>> 2);
      }
      return end - begin;
    },

    networkItemGradients(layout, begin, end) {
      const { float32 } = memory.refresh();
      const width = word(layout, 0);
      for (let place = begin; place < end; place++) {
        const gradient = at(layout, 32) + place * width;
        float32.fill(0, gradient, gradient + width);
        itemGradient(layout, place, gradient);
        const row = whole(at(layout, 6) + place) * width;
        adamRow(layout, at(layout, 7) + row, at(layout, 8) + row, at(layout, 9) + row, gradient);
      }
      return end - begin;
    },

    networkAttributeRows(layout, begin, end, workspace) {
      const { float32 } = memory.refresh();
      const width = word(layout, 0);
      const gradient = workspace >>> 2;
      let changed = 0;
      for (let attribute = begin; attribute < end; attribute++) {
        let touched = false;
        for (let entry = whole(at(layout, 34) + attribute); entry < whole(at(layout, 34) + attribute + 1); entry++) {
          const place = whole(at(layout, 37) + whole(at(layout, 35) + entry));
          if (place < 0) continue;
          if (!touched) float32.fill(0, gradient, gradient + width);
          touched = true;
          addScaled(gradient, at(layout, 32) + place * width, value(at(layout, 36) + entry), width);
        }
        if (!touched) continue;
        changed++;
        const row = attribute * width;
        adamRow(layout, at(layout, 13) + row, at(layout, 14) + row, at(layout, 15) + row, gradient);
      }
      return changed;
    },
  };
}
