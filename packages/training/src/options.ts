import type { BuildObserver, Dataset, HostOptions } from '@recloom/core';
import type { ContextValue } from '@recloom/plugin-api';

/** Instants that rows are made at: given one by one, or counted back from the end of the data. */
export type Cuts = readonly (Date | number)[] | { readonly count: number; readonly everyDays: number };

/** What `exportTraining` is told. Times are `Date`s or milliseconds since the epoch. */
export interface ExportTrainingOptions extends HostOptions {
  /** Folder to write; made when it is missing. An earlier export in it is replaced, anything else is refused. */
  readonly out: string;
  /** Surface whose candidates are exported. Default: `home`, or the config's only one. */
  readonly surface?: string;
  /**
   * Each cut fits the pipeline on everything before it and asks it at that instant. Default: 4 cuts, `windowDays` apart, the last
   * one window before the end.
   */
  readonly cuts?: Cuts;
  /** Days after a cut within which taking an item makes it a positive. Default 30. */
  readonly windowDays?: number;
  /** Nothing at or after this instant is used, not even as a label: keeps a test window unseen. Default: the end of the data. */
  readonly until?: Date | number;
  /** How many of the last cuts are for validation. No label window of a training cut may reach into them. Default 1. */
  readonly validationCuts?: number;
  /**
   * Candidates that were not taken, kept per group of a training cut: `all` (default) or a seeded sample of so many. Groups of
   * validation cuts keep all, so that figures on them are figures of whole lists.
   */
  readonly negatives?: 'all' | number;
  /** Components to leave out, above all the model that is to be trained; what depends on them goes too. */
  readonly without?: readonly string[];
  /** Newest events of a history that `groups.parquet` keeps. Default 50. */
  readonly history?: number;
  /** Item features (names of extractors) to write as safetensors. Default none. */
  readonly features?: readonly string[];
  /** CEL number expressions to export as columns of their own, e.g. `zscore(score.habits)`: worked out over all candidates of a request, as in serving. */
  readonly expressions?: readonly string[];
  /** Event types whose taking makes a positive. Default: all. */
  readonly eventTypes?: readonly string[];
  /** Label = the largest weight of the events that took it, instead of 1. Default false. */
  readonly graded?: boolean;
  /** Adds the positives that are new to the user and that nothing proposed, with `proposed` false and no columns but the item's. Default false. */
  readonly allPositives?: boolean;
  /** Asks for users without an event before the cut, too. Default false. */
  readonly newUsers?: boolean;
  /** Keeps items without an event before the cut in the catalogue. Default false: that an item is there at all may be knowledge of later. */
  readonly coldItems?: boolean;
  /** Items with fewer users before the cut are left out, as in `recloom evaluate`. Default 1. */
  readonly minimumItemUsers?: number;
  /** Users with fewer of those items before the cut are left out. Default 1. */
  readonly minimumUserItems?: number;
  /** Asks sources for the whole catalogue, as `recloom evaluate` does. Default false: the candidates are those of serving. */
  readonly unlimited?: boolean;
  /** What the users agreed to; what the gate does not grant is in no row. Default `['personalisation']`. */
  readonly purposes?: readonly string[];
  /** Values every request carries, e.g. `{ device: 'phone' }`; exported as `request.<name>`. */
  readonly context?: Readonly<Record<string, ContextValue>>;
  /** Adds the users' ids to `groups.parquet`. Default false: users are numbers. */
  readonly withIds?: boolean;
  /** Seed of the sample of negatives. Default: the config's. */
  readonly seed?: number;
  /** Requests that run together. Default 64. */
  readonly batch?: number;
  /** Data that were read before; default: the config's are read. */
  readonly dataset?: Dataset;
  readonly signal?: AbortSignal;
  readonly observer?: BuildObserver;
}
