/** The parts of a JSON Schema property the laws look at. */
export interface PropertySchema {
  readonly type?: string;
  readonly description?: string;
  readonly default?: unknown;
  readonly enum?: readonly unknown[];
  readonly minimum?: number;
  readonly maximum?: number;
  readonly exclusiveMinimum?: number;
  readonly exclusiveMaximum?: number;
  readonly minLength?: number;
  readonly minItems?: number;
}

/** The part of JSON Schema that the laws of options read. */
export interface ObjectSchema {
  readonly type?: string;
  readonly properties?: Readonly<Record<string, PropertySchema>>;
  readonly required?: readonly string[];
  readonly additionalProperties?: unknown;
}

const wrongType: Readonly<Record<string, unknown>> = {
  number: 'not a number',
  integer: 'not a number',
  string: 12,
  boolean: 'not a boolean',
  array: 'not a list',
  object: 'not a mapping',
};

/** Values that the property's schema does not allow. */
export function violations(schema: PropertySchema): readonly unknown[] {
  const values: unknown[] = [];
  if (schema.enum !== undefined) values.push('zz-not-listed');
  const wrong = schema.type === undefined ? undefined : wrongType[schema.type];
  if (wrong !== undefined) values.push(wrong);
  if (schema.type === 'integer') values.push((schema.minimum ?? 1) + 0.5);
  if (schema.minimum !== undefined) values.push(schema.minimum - 1);
  if (schema.maximum !== undefined) values.push(schema.maximum + 1);
  if (schema.exclusiveMinimum !== undefined) values.push(schema.exclusiveMinimum);
  if (schema.exclusiveMaximum !== undefined) values.push(schema.exclusiveMaximum);
  if ((schema.minLength ?? 0) > 0) values.push('');
  if ((schema.minItems ?? 0) > 0) values.push([]);
  return values;
}

/** Values that the property's schema allows for certain. */
export function allowedValues(schema: PropertySchema): readonly unknown[] {
  return [...(schema.enum ?? []), ...(schema.default === undefined ? [] : [schema.default])];
}
