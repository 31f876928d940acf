import {
  type Consent,
  columnValue,
  type FieldInput,
  type GateContext,
  type Label,
  type Logger,
  type PrivacyFilter,
  RecloomError,
  type ResultList,
  recloomError,
} from '@recloom/plugin-api';
import type { PurposeOptions } from './options.js';

/** The services the gate asks and tells. */
export interface PurposeServices {
  readonly consent: Consent;
  readonly logger: Logger;
}

/**
 * Opens the gate, and the result filter when there is something to withhold.
 *
 * @throws RECLOOM_CFG_INPUT when categories are to be withheld and no field says what they are.
 */
export function openPurpose(
  name: string,
  options: PurposeOptions,
  category: FieldInput | undefined,
  services: PurposeServices,
): PrivacyFilter {
  const gate = new PurposeGate(options, services);
  const withheld = new Set(options.withhold);
  const purposes = Object.keys(options.grants);
  if (withheld.size === 0) return { purposes, gate: (context) => gate.grant(context) };
  if (category === undefined) {
    throw recloomError('RECLOOM_CFG_INPUT', { name, input: 'category', why: '`withhold` needs the field that says what an item is' });
  }
  return {
    purposes,
    gate: (context) => gate.grant(context),
    filterResult: (list, removed) => withhold(list, removed, category, withheld, options.withholdUnless),
  };
}

class PurposeGate {
  // A map, so that a purpose called `constructor` finds nothing.
  readonly #grants: ReadonlyMap<string, readonly Label[]>;
  readonly #services: PurposeServices;

  constructor(options: PurposeOptions, services: PurposeServices) {
    this.#grants = new Map(Object.entries(options.grants));
    this.#services = services;
  }

  /** The request's own purposes decide; without them the consent service is asked. Whoever is silent has not agreed. */
  grant({ purposes, userId, signal }: GateContext): readonly Label[] | Promise<readonly Label[]> {
    signal.throwIfAborted();
    if (purposes !== undefined) return this.#labelsOf(purposes);
    let answer: readonly string[] | PromiseLike<readonly string[]>;
    try {
      answer = this.#services.consent.purposes(userId);
    } catch (error) {
      throw this.#failed(error);
    }
    if (!isThenable(answer)) return this.#labelsOf(answer);
    return Promise.resolve(answer).then(
      (agreed) => this.#labelsOf(agreed),
      (error: unknown) => {
        throw this.#failed(error);
      },
    );
  }

  #labelsOf(purposes: unknown): readonly Label[] {
    if (!Array.isArray(purposes)) throw this.#failed(undefined);
    const labels = new Set<Label>();
    for (const purpose of purposes as readonly unknown[]) {
      for (const label of this.#grants.get(String(purpose)) ?? []) labels.add(label);
    }
    return [...labels];
  }

  /** Neither the message nor the cause goes on: a service's error may quote the user it was asked about. */
  #failed(error: unknown): RecloomError {
    const kind = error instanceof Error ? error.constructor.name : 'no list of purposes';
    this.#services.logger.error('The consent service failed; nothing personal was granted.', { kind });
    return new RecloomError({
      code: 'CONSENT_SERVICE_FAILED',
      message: `The consent service failed (${kind}); nothing personal was granted.`,
      hint: "Look at the service's own log: its message is not repeated here, since it may name a person.",
      retryable: true,
    });
  }
}

/** A host's service may bring promises of its own kind. */
function isThenable(answer: unknown): answer is PromiseLike<readonly string[]> {
  return typeof (answer as { then?: unknown } | null | undefined)?.then === 'function';
}

function withhold(list: ResultList, removed: Uint8Array, category: FieldInput, withheld: ReadonlySet<string>, unless: Label): void {
  if (list.request.granted(unless)) return;
  const column = category.column();
  if (column === undefined) {
    // Thrown, not ignored: a privacy filter that fails lets nothing pass.
    throw new RecloomError({
      code: 'CONSENT_FIELD_MISSING',
      message: 'The field that `withhold` looks at is not there; everything was withheld.',
      hint: 'Give the items the field that `in: category` names.',
    });
  }
  for (let place = 0; place < list.count; place++) {
    const value = columnValue(column, list.rows[place] as number);
    const found = Array.isArray(value) ? value.some((one) => withheld.has(one)) : value !== null && withheld.has(String(value));
    if (found) removed[place] = 1;
  }
}
