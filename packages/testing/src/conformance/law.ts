import type { ComponentDefinition } from '@recloom/plugin-api';
import type { Subject } from './subject.js';

/** One promise every component of a kind keeps, as data. */
export interface Law {
  /** Stable, e.g. `SCR-02`. */
  readonly id: string;
  /** A few words for a test's name. */
  readonly title: string;
  /** The promise in one sentence, and why it matters. */
  readonly law: string;
  /** Decided by what the component publishes (contracts, capabilities, inputs, schema), by nothing else. */
  appliesTo(definition: ComponentDefinition): boolean;
  /** Resolves when the law is kept; rejects with `LawBroken` (or whatever the component threw) when it is not. */
  run(subject: Subject): Promise<void>;
}

/** A component does not keep a law. */
export class LawBroken extends Error {
  constructor(message: string, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.name = 'LawBroken';
  }
}

/** Fails the law unless the condition holds. */
export function hold(condition: boolean, message: string | (() => string)): asserts condition {
  if (!condition) throw new LawBroken(typeof message === 'string' ? message : message());
}

/** True when the component declares the contract. */
export function provides(contract: ComponentDefinition['provides'][number]): (definition: ComponentDefinition) => boolean {
  return (definition) => definition.provides.includes(contract);
}
