import type { RequestView } from '../request/request-view.js';

/** Why an item is there, in parts that core turns into a sentence a shopper can read. */
export interface Reason {
  /** Stable key for texts in other languages, e.g. `because-you-bought`. */
  readonly code: string;
  /** English sentence; `{item}` stands for the title of `items[0]`, `{name}` for `values.name`. Never names a person. */
  readonly text: string;
  /** Item rows the reason rests on, strongest first. */
  readonly items?: readonly number[];
  readonly values?: Readonly<Record<string, string | number>>;
  /** How much this reason weighs against those of other components, in [0, 1]; default 0.5. */
  readonly strength?: number;
}

/** A facet of sources and scorers: reasons for items they proposed or scored. */
export interface Explainer {
  /** One reason (or undefined) for each of `rows`. Called only when an explanation is asked for, with the same request the component answered. */
  reasons(request: RequestView, rows: Int32Array): readonly (Reason | undefined)[];
}

/** A facet of components whose state can be looked into: `recloom inspect --component NAME --item ID`. */
export interface Inspectable {
  /** What the component knows about an item, as JSON. */
  inspectItem(row: number): Readonly<Record<string, unknown>>;
}
