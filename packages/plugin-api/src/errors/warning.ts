import type { ErrorLocation } from './recloom-error.js';

/** Something that went less than perfectly and was handled; warnings travel in answers and build reports, never on the console. */
export interface Warning {
  readonly code: string;
  /** What happened and what it meant for the result; never contains item or user data. */
  readonly message: string;
  readonly at?: ErrorLocation;
  /** How often it happened, when it can happen many times. */
  readonly count?: number;
  /** Structured facts for machines, e.g. `{ lines: [12, 40, 41] }`. */
  readonly detail?: Readonly<Record<string, unknown>>;
}
