import { totalmem } from 'node:os';
import type { FittedParts } from '@recloom/core';
import type { ComponentState, Tensor } from '@recloom/plugin-api';

/**
 * Fitted components in memory, so that a trial fits only what its options touch. The longest unused go when there are more
 * than `bytes`; what is larger than that by itself is not kept.
 */
export class PartCache implements FittedParts {
  readonly #bytes: number;
  readonly #parts = new Map<string, ComponentState>();
  #used = 0;

  /** Default: a quarter of the machine's memory, at most 2 GB. */
  constructor(bytes = Math.min(2e9, totalmem() / 4)) {
    this.#bytes = bytes;
  }

  async get(key: string): Promise<ComponentState | undefined> {
    const part = this.#parts.get(key);
    if (part === undefined) return undefined;
    this.#parts.delete(key);
    this.#parts.set(key, part);
    return copyOf(part);
  }

  async put(key: string, tensors: ComponentState): Promise<void> {
    const size = sizeOf(tensors);
    if (size > this.#bytes || this.#parts.has(key)) return;
    this.#parts.set(key, copyOf(tensors));
    this.#used += size;
    for (const [oldest, part] of this.#parts) {
      if (this.#used <= this.#bytes) break;
      this.#parts.delete(oldest);
      this.#used -= sizeOf(part);
    }
  }
}

/** A pipeline may hand its state over to a worker, which empties the arrays: nothing is shared. */
function copyOf(state: ComponentState): ComponentState {
  return Object.fromEntries(
    Object.entries(state).map(([name, { shape, data }]): [string, Tensor] => [
      name,
      { shape: [...shape], data: data.slice() as Tensor['data'] },
    ]),
  );
}

function sizeOf(state: ComponentState): number {
  return Object.values(state).reduce((sum, { data }) => sum + data.byteLength, 0);
}
