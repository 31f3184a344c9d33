/** What the words of a schema mean, before any grammar. */
export type Schema = Readonly<Record<string, unknown>>;

export const TYPES = ['object', 'array', 'string', 'integer', 'number', 'boolean', 'null'] as const;
export type TypeName = (typeof TYPES)[number];

/** What is wrong with a schema; where it stands in the request, whoever asks knows. */
export class SchemaFault extends Error {}

export const refuse = (keyword: string, why: string) => new SchemaFault(`The schema keyword '${keyword}' ${why}.`);

export const isSchema = (value: unknown): value is Schema =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/** Where no type is said, that of which a keyword speaks: others would be valid as well, and are not made. */
const IMPLIED: Readonly<Record<string, TypeName>> = {
  ...{ properties: 'object', required: 'object', additionalProperties: 'object' },
  ...{ items: 'array', minItems: 'array', maxItems: 'array' },
  ...{ minLength: 'string', maxLength: 'string', pattern: 'string', format: 'string' },
  ...{
    minimum: 'number',
    maximum: 'number',
    exclusiveMinimum: 'number',
    exclusiveMaximum: 'number',
    multipleOf: 'number',
  },
};

export function typesOf(schema: Schema): readonly TypeName[] {
  const type = schema['type'];
  if (type === undefined) {
    const implied = Object.keys(schema).map((keyword) => IMPLIED[keyword]);
    const first = implied.find((one) => one !== undefined);
    return first === undefined ? TYPES : [first];
  }
  const types = Array.isArray(type) ? type : [type];
  if (types.length === 0 || types.some((name) => !TYPES.includes(name as TypeName))) {
    throw refuse('type', `must be one or more of ${TYPES.join(', ')}`);
  }
  return [...new Set(types as TypeName[])];
}

export function isOfType(value: unknown, type: TypeName): boolean {
  switch (type) {
    case 'array':
      return Array.isArray(value);
    case 'object':
      return isSchema(value);
    case 'null':
      return value === null;
    case 'integer':
      return Number.isSafeInteger(value);
    case 'string':
      return typeof value === 'string';
    case 'number':
      return typeof value === 'number';
    case 'boolean':
      return typeof value === 'boolean';
  }
}
