import { type CandidateBatch, type CandidateFilter, type FieldInput, recloomError, type Table } from '@recloom/plugin-api';
import type { AvailabilityOptions } from './options.js';

/** The fields that say whether an item can be bought; each may be absent. */
export interface AvailabilityInputs {
  readonly stock: FieldInput | undefined;
  readonly available: FieldInput | undefined;
  readonly validFrom: FieldInput | undefined;
  readonly validTo: FieldInput | undefined;
}

const soldOut = 1;
const unavailable = 2;
const notYetOnSale = 3;
const noLongerOnSale = 4;

/**
 * Opens the filter. Without times it depends on the item alone and decides for the whole catalogue as well.
 *
 * @throws RECLOOM_CFG_INPUT when no field is plugged in.
 */
export function openAvailability(name: string, options: AvailabilityOptions, inputs: AvailabilityInputs, items: Table): CandidateFilter {
  const { stock, available, validFrom, validTo } = inputs;
  if (stock === undefined && available === undefined && validFrom === undefined && validTo === undefined) {
    throw recloomError('RECLOOM_CFG_INPUT', {
      name,
      input: 'stock',
      why: 'plug in at least one of stock, available, validFrom and validTo',
    });
  }
  const filter = new Availability(options, inputs);
  if (validFrom !== undefined || validTo !== undefined) return filter;
  return {
    removalReasons: filter.removalReasons,
    filter: (batch, removed, signal) => filter.filter(batch, removed, signal),
    filterItems: (removed) => filter.filterAllItems(removed, Math.min(removed.length, items.rowCount)),
  };
}

/** Columns as they are at this moment. */
interface Columns {
  readonly stock: Float64Array | undefined;
  readonly available: Uint8Array | undefined;
  readonly validFrom: Float64Array | undefined;
  readonly validTo: Float64Array | undefined;
}

class Availability implements CandidateFilter {
  readonly removalReasons = Object.freeze(['sold-out', 'unavailable', 'not-yet-on-sale', 'no-longer-on-sale']);
  readonly #minimumStock: number;
  readonly #removeUnknown: boolean;
  readonly #inputs: AvailabilityInputs;

  constructor(options: AvailabilityOptions, inputs: AvailabilityInputs) {
    this.#minimumStock = options.minimumStock;
    this.#removeUnknown = options.unknown === 'remove';
    this.#inputs = inputs;
  }

  filter(batch: CandidateBatch, removed: Uint8Array, signal: AbortSignal): void {
    signal.throwIfAborted();
    const columns = this.#columns();
    for (let request = 0; request < batch.requests.length; request++) {
      const asOfMs = batch.requests[request]?.asOfMs ?? 0;
      const end = batch.offsets[request + 1] as number;
      for (let place = batch.offsets[request] as number; place < end; place++) {
        removed[place] = this.#decide(columns, batch.rows[place] as number, asOfMs);
      }
    }
  }

  filterAllItems(removed: Uint8Array, rowCount: number): void {
    const columns = this.#columns();
    for (let row = 0; row < rowCount; row++) removed[row] = this.#decide(columns, row, 0);
  }

  #columns(): Columns {
    const numbers = (input: FieldInput | undefined): Float64Array | undefined => {
      const column = input?.column();
      return column?.type === 'number' ? column.values : undefined;
    };
    const flag = this.#inputs.available?.column();
    return {
      stock: numbers(this.#inputs.stock),
      available: flag?.type === 'boolean' ? flag.values : undefined,
      validFrom: numbers(this.#inputs.validFrom),
      validTo: numbers(this.#inputs.validTo),
    };
  }

  /** 0 to keep, else 1 + the index of the reason. */
  #decide({ stock, available, validFrom, validTo }: Columns, row: number, asOfMs: number): number {
    if (stock !== undefined) {
      const units = stock[row] ?? Number.NaN;
      if (units < this.#minimumStock || (this.#removeUnknown && Number.isNaN(units))) return soldOut;
    }
    if (available !== undefined) {
      const flag = available[row] ?? 255;
      if (flag === 0 || (this.#removeUnknown && flag !== 1)) return unavailable;
    }
    // NaN compares false: an unknown time is no limit. The sale has ended at validTo itself.
    if (validFrom !== undefined && (validFrom[row] ?? Number.NaN) > asOfMs) return notYetOnSale;
    if (validTo !== undefined && (validTo[row] ?? Number.NaN) <= asOfMs) return noLongerOnSale;
    return 0;
  }
}
