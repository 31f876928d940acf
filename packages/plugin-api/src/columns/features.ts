/** A feature of every item: `width` numbers per row, row-major, with a presence mask (0 = this item lacks the modality). */
export interface FeatureMatrix {
  readonly name: string;
  readonly width: number;
  /** Rows covered; items added later by the overlay may lie beyond until their features are computed. */
  readonly rowCount: number;
  /** rowCount × width. A live view: read it per request. */
  readonly values: Float32Array;
  /** One byte per row, 1 = present. */
  readonly presence: Uint8Array;
  /** Grows when the overlay adds or changes a row. */
  readonly version: number;
  /** Rows added or changed after `version`, ascending. */
  changedSince(version: number): Int32Array;
}

/** Rows of a feature, gathered for one call: `values` is count × width, row-major; absent rows (presence 0) are zeros. Read only, valid until the call returns. */
export interface FeatureRows {
  /** The component that made the feature. */
  readonly name: string;
  readonly width: number;
  readonly values: Float32Array;
  /** One byte per row, 1 = present. */
  readonly presence: Uint8Array;
}

/** Where an extractor writes: zeroed values and presence; write the rows you have and mark them 1. */
export interface FeatureBlock {
  /** count × width, row-major. */
  readonly values: Float32Array;
  /** One byte per row. */
  readonly presence: Uint8Array;
}
