import type { InputsSpec } from '@recloom/plugin-api';
import { z } from 'zod';
import { configSchema, namePattern } from './config-schema.js';

type JsonSchema = Record<string, unknown>;

/** What an editor needs to know of a component. */
export interface ConfigSchemaComponent {
  /** `<plugin-id>/<component-id>`. */
  readonly reference: string;
  readonly summary?: string;
  readonly inputs: InputsSpec;
  /** JSON Schema (draft 2020-12) of `with:`, as the component's options give it. */
  readonly schema: Readonly<Record<string, unknown>>;
}

/**
 * JSON Schema (draft 2020-12) of the config file for editors: every key with its description, the installed components
 * to choose from under `use`, and for each of them its options under `with` and its inputs under `in`. What a base may
 * supply is required only in a file without `base`, and there `null` takes an entry out. References lead to `$defs` only.
 */
export function configJsonSchema(components: readonly ConfigSchemaComponent[]): JsonSchema {
  const schema = z.toJSONSchema(configSchema, { io: 'input', target: 'draft-2020-12' }) as JsonSchema;
  const definitions: JsonSchema = {};
  for (const component of components) definitions[definitionName(component.reference)] = embed(component);
  const node = componentSchema(components);
  definitions.component = node;
  const properties = schema.properties as Record<string, JsonSchema>;
  const data = (properties.data as JsonSchema).properties as Record<string, JsonSchema>;
  for (const name of ['items', 'events', 'users']) data[name] = referTo('component', data[name]?.description);
  const names = { pattern: namePattern.source };
  properties.components = {
    ...properties.components,
    propertyNames: names,
    additionalProperties: orNull({ $ref: '#/$defs/component' }),
  };
  const surfaces = properties.surfaces as JsonSchema;
  const surface = surfaces.additionalProperties as JsonSchema;
  definitions.surface = allowNullEntries(surface);
  properties.surfaces = { ...surfaces, propertyNames: names, additionalProperties: orNull({ $ref: '#/$defs/surface' }) };
  const { required: _required, ...rest } = schema;
  const withUse = { type: ['object', 'null'], required: ['use'] };
  return {
    ...rest,
    title: 'Recloom pipeline',
    if: { not: { required: ['base'] } },
    // biome-ignore lint/suspicious/noThenProperty: a keyword of JSON Schema
    then: {
      required: ['format', 'name', 'data', 'components', 'surfaces'],
      properties: {
        components: { additionalProperties: withUse },
        surfaces: { additionalProperties: { required: ['sources'] } },
      },
    },
    $defs: definitions,
  };
}

function componentSchema(components: readonly ConfigSchemaComponent[]): JsonSchema {
  const known = components.map(({ reference, summary }) => ({
    const: reference,
    ...(summary === undefined ? {} : { description: summary }),
  }));
  return {
    type: 'object',
    description: 'One component: defined and fitted once, used by name in the surfaces.',
    properties: {
      use: {
        description: 'Which component of which plugin: <plugin>/<component>.',
        anyOf: [...known, { type: 'string', pattern: '^[a-zA-Z0-9_][a-zA-Z0-9_-]*/[a-zA-Z0-9_][a-zA-Z0-9_-]*$' }],
      },
      in: {
        description: 'Inputs by name: item.<field>, user.<field>, the name of another component, or a list of these.',
        type: ['object', 'null'],
        additionalProperties: orNull(inputValue),
      },
      with: { description: 'Options of the component.', type: ['object', 'null'] },
    },
    additionalProperties: false,
    allOf: components.map(({ reference, inputs, schema }) => ({
      if: { properties: { use: { const: reference } }, required: ['use'] },
      // biome-ignore lint/suspicious/noThenProperty: a keyword of JSON Schema
      then: {
        properties: { with: orNull({ $ref: `#/$defs/${definitionName(reference)}` }), in: inputsSchema(inputs) },
        required: [
          ...(Array.isArray(schema.required) && schema.required.length > 0 ? ['with'] : []),
          ...(Object.values(inputs).some((input) => !input.optional) ? ['in'] : []),
        ],
      },
    })),
  };
}

const inputValue: JsonSchema = { anyOf: [{ type: 'string' }, { type: 'array', items: { type: 'string' } }] };

function inputsSchema(inputs: InputsSpec): JsonSchema {
  const properties: JsonSchema = {};
  for (const [name, input] of Object.entries(inputs)) {
    properties[name] = {
      description: `${input.description} (${inputWords[input.kind]})`,
      ...(input.many ? inputValue : { type: 'string' }),
    };
  }
  const required = Object.keys(inputs).filter((name) => !inputs[name]?.optional);
  return { type: ['object', 'null'], properties, required, additionalProperties: false };
}

const inputWords = {
  'item-field': 'item.<field>',
  'user-field': 'user.<field>',
  feature: 'the name of a component that gives vectors',
} as const;

/** A component's schema as a definition of ours: its own references are led to where it now stands. */
function embed({ reference, schema, summary }: ConfigSchemaComponent): JsonSchema {
  const root = `#/$defs/${definitionName(reference)}`;
  const lead = (value: unknown): unknown => {
    if (Array.isArray(value)) return value.map(lead);
    if (typeof value !== 'object' || value === null) return value;
    const result: JsonSchema = {};
    for (const [key, entry] of Object.entries(value)) {
      result[key] = key === '$ref' && typeof entry === 'string' && entry.startsWith('#') ? `${root}${entry.slice(1)}` : lead(entry);
    }
    return result;
  };
  const { $schema: _schema, $id: _id, ...own } = schema;
  return { title: reference, ...(summary === undefined ? {} : { description: summary }), ...(lead(own) as JsonSchema) };
}

/** A slash would part a JSON pointer. */
function definitionName(reference: string): string {
  return reference.replaceAll('/', '.');
}

function referTo(definition: string, description: unknown): JsonSchema {
  return { ...orNull({ $ref: `#/$defs/${definition}` }), ...(typeof description === 'string' ? { description } : {}) };
}

function orNull(schema: JsonSchema): JsonSchema {
  return { anyOf: [schema, { type: 'null' }] };
}

function allowNullEntries(surface: JsonSchema): JsonSchema {
  const properties = Object.entries(surface.properties as Record<string, JsonSchema>).map(([key, property]) => {
    const { description, ...rest } = property;
    return [key, { ...orNull(key === 'sources' ? sourcesWithNull(rest) : rest), ...(description === undefined ? {} : { description }) }];
  });
  return { ...surface, properties: Object.fromEntries(properties) };
}

function sourcesWithNull(sources: JsonSchema): JsonSchema {
  const branches = sources.anyOf as readonly JsonSchema[];
  return {
    anyOf: branches.map((branch) =>
      branch.type === 'object' ? { ...branch, additionalProperties: orNull(branch.additionalProperties as JsonSchema) } : branch,
    ),
  };
}
