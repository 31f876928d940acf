/**
 * One row per key of a JSON Schema (draft 2020-12, objects nested by dots, entries of lists as `[]`, of mappings as `*`):
 * `path`, `type` in words, `required`, `default` as JSON or undefined, and `description`.
 */
export function schemaRows(schema, prefix = '') {
  const rows = [];
  const properties = schema.properties ?? {};
  for (const [key, property] of Object.entries(properties)) {
    const path = prefix === '' ? key : `${prefix}.${key}`;
    rows.push({
      path,
      type: typeWords(property),
      required: schema.required?.includes(key) === true && property.default === undefined,
      default: property.default === undefined ? undefined : JSON.stringify(property.default),
      description: property.description ?? '',
    });
    rows.push(...nestedRows(property, path));
  }
  return rows;
}

/** The keys inside a value: of an object, of the entries of a list or mapping, of each alternative. */
function nestedRows(schema, path) {
  if (schema.anyOf !== undefined || schema.oneOf !== undefined) {
    const seen = new Set();
    return (schema.anyOf ?? schema.oneOf)
      .flatMap((alternative) => nestedRows(alternative, path))
      .filter((row) => !seen.has(row.path) && seen.add(row.path));
  }
  if (schema.properties !== undefined) return schemaRows(schema, path);
  if (schema.type === 'array' && schema.items !== undefined) return nestedRows(schema.items, `${path}[]`);
  if (typeof schema.additionalProperties === 'object') return nestedRows(schema.additionalProperties, `${path}.*`);
  return [];
}

const plainWords = { string: 'text', integer: 'whole number', number: 'number', boolean: 'true or false', null: 'null' };

/** The type of a value in words, with its bounds: `number above 0`, `list of text`. */
export function typeWords(schema) {
  if (schema.const !== undefined) return `\`${JSON.stringify(schema.const)}\``;
  if (schema.enum !== undefined) return schema.enum.map((value) => `\`${value}\``).join(', ');
  const alternatives = schema.anyOf ?? schema.oneOf;
  if (alternatives !== undefined) return [...new Set(alternatives.map(typeWords))].join(' or ');
  if (schema.type === 'array') return schema.items === undefined ? 'list' : `list of ${typeWords(schema.items)}`;
  if (schema.type === 'object') {
    if (schema.properties !== undefined) return 'mapping';
    return typeof schema.additionalProperties === 'object' && Object.keys(schema.additionalProperties).length > 0
      ? `mapping of name to ${typeWords(schema.additionalProperties)}`
      : 'mapping';
  }
  if (schema.type === undefined) return 'anything';
  return `${plainWords[schema.type] ?? schema.type}${bounds(schema)}`;
}

function bounds(schema) {
  const words = [];
  if (schema.exclusiveMinimum !== undefined) words.push(`above ${schema.exclusiveMinimum}`);
  if (schema.minimum !== undefined && schema.minimum > -Number.MAX_SAFE_INTEGER) words.push(`from ${schema.minimum}`);
  if (schema.exclusiveMaximum !== undefined) words.push(`below ${schema.exclusiveMaximum}`);
  if (schema.maximum !== undefined && schema.maximum < Number.MAX_SAFE_INTEGER) words.push(`to ${schema.maximum}`);
  return words.length === 0 ? '' : ` ${words.join(' ')}`;
}
