import type { KernelTable } from '../kernel-table.js';
import type { MemoryViews } from './memory-views.js';

export function evidenceTwin(memory: MemoryViews): Pick<KernelTable, 'neighbourEvidence' | 'historySimilarity'> {
  return {
    neighbourEvidence(offsets, neighbours, rarities, rows, count, history, weights, historyCount, _slots, _workspace, output) {
      const { float32, int32 } = memory.refresh();
      const listOf = (row: number): Int32Array =>
        int32.subarray(
          (neighbours >>> 2) + (int32[(offsets >>> 2) + row] as number),
          (neighbours >>> 2) + (int32[(offsets >>> 2) + row + 1] as number),
        );
      const own = Array.from({ length: historyCount }, (_, place) => int32[(history >>> 2) + place] as number);
      const sets = own.map((row) => new Set(listOf(row)));
      for (let index = 0; index < count; index++) {
        const row = int32[(rows >>> 2) + index] as number;
        const to = (output >>> 2) + index * 4;
        float32.fill(0, to, to + 4);
        if (row < 0) continue;
        const list = listOf(row);
        let [rest, linked, common, rarity, union] = [0, 0, 0, 0, 0];
        for (const [place, set] of sets.entries()) {
          if (own[place] === row) continue;
          const weight = float32[(weights >>> 2) + place] as number;
          let shared = 0;
          for (const neighbour of list) {
            if (!set.has(neighbour)) continue;
            shared++;
            rarity += weight * (float32[(rarities >>> 2) + neighbour] as number);
          }
          rest += weight;
          if (set.has(row)) linked += weight;
          common += weight * shared;
          union += (weight * shared) / Math.max(1, set.size + list.length - shared);
        }
        if (!(rest > 0)) continue;
        float32[to] = linked / rest;
        float32[to + 1] = common / rest;
        float32[to + 2] = rarity / rest;
        float32[to + 3] = union / rest;
      }
      return count;
    },

    historySimilarity(vectors, width, rows, count, history, weights, historyCount, _workspace, output) {
      const { float32, int32 } = memory.refresh();
      for (let index = 0; index < count; index++) {
        const row = int32[(rows >>> 2) + index] as number;
        const to = (output >>> 2) + index * 2;
        float32.fill(0, to, to + 2);
        if (row < 0) continue;
        let [rest, mean, largest] = [0, 0, Number.NEGATIVE_INFINITY];
        for (let place = 0; place < historyCount; place++) {
          const other = int32[(history >>> 2) + place] as number;
          if (other === row) continue;
          let product = 0;
          for (let column = 0; column < width; column++) {
            product +=
              (float32[(vectors >>> 2) + row * width + column] as number) * (float32[(vectors >>> 2) + other * width + column] as number);
          }
          const weight = float32[(weights >>> 2) + place] as number;
          rest += weight;
          mean += weight * product;
          largest = Math.max(largest, product);
        }
        if (!(rest > 0)) continue;
        float32[to] = largest;
        float32[to + 1] = mean / rest;
      }
      return count;
    },
  };
}
