import type { KernelTable } from '../kernel-table.js';
import { alsTwin } from './als.js';
import { batchTwin } from './batch.js';
import { denseTwin } from './dense.js';
import { evidenceTwin } from './evidence.js';
import { factorizationTwin } from './factorization.js';
import { MemoryViews } from './memory-views.js';
import { networkTwin } from './network.js';
import { selectionTwin } from './selection.js';
import { sparseTwin } from './sparse.js';
import { treesTwin } from './trees.js';
import { walksTwin } from './walks.js';

/** The plain TypeScript implementation over one memory: fallback, and oracle of the tests. */
export function createTwin(buffer: () => SharedArrayBuffer): KernelTable {
  const memory = new MemoryViews(buffer);
  return {
    ...denseTwin(memory),
    ...batchTwin(memory),
    ...selectionTwin(memory),
    ...sparseTwin(memory),
    ...factorizationTwin(memory),
    ...treesTwin(memory),
    ...walksTwin(memory),
    ...evidenceTwin(memory),
    ...networkTwin(memory),
    ...alsTwin(memory),
  };
}
