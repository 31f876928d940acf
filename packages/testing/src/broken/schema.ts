import type { OptionsSchema } from '@recloom/plugin-api';

/** Options of the plugins that break a law on purpose. */
export interface SampleOptions {
  readonly boost: number;
  readonly mode: 'plain' | 'bold';
}

/** What is wrong with a schema, for the laws of options. */
export interface SchemaFaults {
  /** What validation fills in for `boost`; the JSON schema says 1. */
  readonly filledBoost?: number;
  /** Refuse `{}` although nothing is required. */
  readonly refuseEmpty?: boolean;
  /** Let unknown keys pass. */
  readonly lax?: boolean;
}

/** A strict schema written out by hand, so that each of its promises can be broken on its own. */
export function sampleSchema(faults: SchemaFaults = {}): OptionsSchema<unknown, SampleOptions> {
  return {
    '~standard': {
      version: 1,
      vendor: 'recloom-testing',
      validate: (value) => {
        if (typeof value !== 'object' || value === null) return { issues: [{ message: 'not a mapping', path: [] }] };
        const given = value as Record<string, unknown>;
        const unknown = Object.keys(given).find((key) => key !== 'boost' && key !== 'mode');
        if (unknown !== undefined && faults.lax !== true) return { issues: [{ message: 'unknown key', path: [unknown] }] };
        if (faults.refuseEmpty === true && given['boost'] === undefined) return { issues: [{ message: 'missing', path: ['boost'] }] };
        const { boost = faults.filledBoost ?? 1, mode = 'plain' } = given;
        if (typeof boost !== 'number' || boost < 0) return { issues: [{ message: 'not a number from 0', path: ['boost'] }] };
        if (mode !== 'plain' && mode !== 'bold') return { issues: [{ message: 'neither plain nor bold', path: ['mode'] }] };
        return { value: { boost, mode } };
      },
      jsonSchema: {
        input: () => ({
          type: 'object',
          properties: {
            boost: {
              type: 'number',
              minimum: 0,
              description: 'factor of every score',
              ...(faults.refuseEmpty === true ? {} : { default: 1 }),
            },
            mode: { type: 'string', enum: ['plain', 'bold'], default: 'plain', description: 'how loud it is' },
          },
          additionalProperties: false,
        }),
      },
    },
  };
}
