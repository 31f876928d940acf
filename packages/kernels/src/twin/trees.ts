import type { KernelTable } from '../kernel-table.js';
import { rankRows, walkRows } from '../tree-plan.js';
import type { MemoryViews } from './memory-views.js';

/** Index of the lowest set bit of a byte that is not 0. */
function lowestBit(byte: number): number {
  return 31 - Math.clz32(byte & -byte);
}

/** What one tree's leaf does to a sum, by the number of the aggregate. */
function combine(before: number, value: number, aggregate: number): number {
  return aggregate === 0 ? before + value : aggregate === 1 ? Math.min(before, value) : Math.max(before, value);
}

export function treesTwin(memory: MemoryViews): Pick<KernelTable, 'rankFeatures' | 'maskedTrees' | 'spreadFeatures' | 'walkedTrees'> {
  return {
    rankFeatures(features, rowCount, featureCount, slots, slotCount, thresholds, ranks) {
      const { float32, int32, uint8 } = memory.refresh();
      for (let row = 0; row < Math.ceil(rowCount / rankRows) * rankRows; row++) {
        const block = Math.floor(row / rankRows);
        for (let slot = 0; slot < slotCount; slot++) {
          const record = (slots >>> 2) + slot * 4;
          const to = ranks + (block * slotCount + slot) * rankRows + (row % rankRows);
          if (row >= rowCount) {
            uint8[to] = 0;
            continue;
          }
          const value = float32[(features >>> 2) + row * featureCount + (int32[record] as number)] as number;
          const first = (thresholds >>> 2) + (int32[record + 1] as number);
          let rank = Number.isNaN(value) ? (int32[record + 3] as number) : 0;
          // Linear, where the kernel searches by halves.
          if (!Number.isNaN(value)) {
            const count = 2 ** (int32[record + 2] as number) - 1;
            while (rank < count && (float32[first + rank] as number) < value) rank++;
          }
          uint8[to] = rank - 128;
        }
      }
      return rowCount;
    },

    maskedTrees(ranks, blockCount, slotCount, trees, treeCount, entries, weights, aggregate, sums, sumStride) {
      const { float32, int32, int8, uint8 } = memory.refresh();
      let at = trees >>> 2;
      let entry = entries;
      for (let tree = 0; tree < treeCount; tree++) {
        const byteCount = int32[at] as number;
        const outputCount = int32[at + 1] as number;
        const outputs = at + 2 + byteCount;
        let last = entry;
        for (let row = 0; row < blockCount * rankRows; row++) {
          const from = ranks + Math.floor(row / rankRows) * slotCount * rankRows + (row % rankRows);
          let leaf = 0;
          last = entry;
          for (let byte = 0; byte < byteCount; byte++) {
            let left = 0xff;
            for (let rest = int32[at + 2 + byte] as number; rest > 0; rest--) {
              if ((int8[from + (int32[last >>> 2] as number)] as number) > (int8[last + 4] as number)) left &= ~(uint8[last + 5] as number);
              last += 8;
            }
            if (left !== 0) leaf = (byteCount - 1 - byte) * 8 + lowestBit(left);
          }
          for (let output = outputs; output < outputs + outputCount * 2; output += 2) {
            const to = (sums >>> 2) + (int32[output] as number) * sumStride + row;
            const value = float32[(weights >>> 2) + (int32[output + 1] as number) + leaf] as number;
            float32[to] = combine(float32[to] as number, value, aggregate);
          }
        }
        entry = last;
        at = outputs + outputCount * 2;
      }
      return treeCount;
    },

    spreadFeatures(features, rowCount, featureCount, slots, slotCount, output) {
      const { float32, int32 } = memory.refresh();
      for (let row = 0; row < Math.ceil(rowCount / walkRows) * walkRows; row++) {
        const block = Math.floor(row / walkRows);
        for (let slot = 0; slot < slotCount; slot++) {
          const record = (slots >>> 2) + slot * 2;
          const to = (output >>> 2) + (block * slotCount + slot) * walkRows + (row % walkRows);
          const value = row >= rowCount ? 0 : (float32[(features >>> 2) + row * featureCount + (int32[record] as number)] as number);
          float32[to] = int32[record + 1] !== 0 && Number.isNaN(value) ? Number.NEGATIVE_INFINITY : value;
        }
      }
      return rowCount;
    },

    walkedTrees(values, blockCount, slotCount, trees, treeCount, nodes, weights, aggregate, sums, sumStride) {
      const { float32, int32 } = memory.refresh();
      let at = trees >>> 2;
      for (let tree = 0; tree < treeCount; tree++) {
        const root = nodes + (int32[at] as number);
        const outputCount = int32[at + 2] as number;
        for (let row = 0; row < blockCount * walkRows; row++) {
          const from = values + Math.floor(row / walkRows) * slotCount * walkRows * 4 + (row % walkRows) * 4;
          let node = root;
          while ((int32[(node >>> 2) + 3] as number) < 0) {
            const value = float32[(from + (int32[(node >>> 2) + 1] as number)) >>> 2] as number;
            const holds = value <= (float32[node >>> 2] as number);
            node = nodes + (int32[(node >>> 2) + 2] as number) + (holds ? 16 : 0);
          }
          const leaf = int32[(node >>> 2) + 3] as number;
          for (let output = at + 3; output < at + 3 + outputCount * 2; output += 2) {
            const to = (sums >>> 2) + (int32[output] as number) * sumStride + row;
            const value = float32[(weights >>> 2) + (int32[output + 1] as number) + leaf] as number;
            float32[to] = combine(float32[to] as number, value, aggregate);
          }
        }
        at += 3 + outputCount * 2;
      }
      return treeCount;
    },
  };
}
