import { isOfType, isSchema, refuse, type Schema, TYPES, type TypeName, typesOf } from './json-schema.ts';

const LARGER = ['minimum', 'exclusiveMinimum', 'minLength', 'minItems'];
const SMALLER = ['maximum', 'exclusiveMaximum', 'maxLength', 'maxItems'];

/**
 * One schema for what several demand together (`allOf`), where that can be said exactly.
 *
 * @param resolve what a `$ref` stands for
 */
export function mergedSchema(schema: Schema, resolve: (reference: unknown) => unknown, depth = 0): Schema {
  if (depth > 16) throw refuse('allOf', 'refers to itself');
  const { allOf, $ref: reference, ...own } = schema;
  const parts: unknown[] = [];
  if (allOf !== undefined) {
    if (!Array.isArray(allOf) || allOf.length === 0 || allOf.length > 32)
      throw refuse('allOf', 'must list 1 to 32 schemas');
    parts.push(...allOf);
  }
  if (reference !== undefined) parts.push(resolve(reference));
  return parts.reduce<Schema>((all, part) => {
    if (part === true) return all;
    if (!isSchema(part)) throw refuse('allOf', 'holds what is no schema');
    return both(all, mergedSchema(part, resolve, depth + 1));
  }, own);
}

function both(a: Schema, b: Schema): Schema {
  const merged: Record<string, unknown> = { ...a };
  for (const [keyword, value] of Object.entries(b)) {
    const other = a[keyword];
    merged[keyword] = other === undefined ? value : together(keyword, other, value);
  }
  closeBoth(a, b, merged);
  return merged;
}

function together(keyword: string, a: unknown, b: unknown): unknown {
  if (JSON.stringify(a) === JSON.stringify(b)) return a;
  if (LARGER.includes(keyword)) return Math.max(a as number, b as number);
  if (SMALLER.includes(keyword)) return Math.min(a as number, b as number);
  switch (keyword) {
    case 'type':
      return commonTypes(typesOf({ type: a }), typesOf({ type: b }));
    case 'required':
      if (Array.isArray(a) && Array.isArray(b)) return [...new Set([...a, ...b])];
      break;
    case 'enum':
      if (Array.isArray(a) && Array.isArray(b)) return a.filter((one) => b.some((other) => isSame(one, other)));
      break;
    case 'properties':
      if (isSchema(a) && isSchema(b)) return mergedProperties(a, b);
      break;
    case 'items':
    case 'additionalProperties':
      return a === false || b === false ? false : { allOf: [a, b] };
    case 'title':
    case 'description':
    case 'default':
    case 'examples':
    case '$comment':
      return a;
  }
  throw refuse(keyword, "can't be joined in 'allOf'");
}

const isSame = (a: unknown, b: unknown): boolean => JSON.stringify(a) === JSON.stringify(b);

function commonTypes(a: readonly TypeName[], b: readonly TypeName[]): TypeName[] {
  const has = (types: readonly TypeName[], type: TypeName) =>
    types.includes(type) || (type === 'integer' && types.includes('number'));
  const common = TYPES.filter((type) => has(a, type) && has(b, type));
  if (common.length === 0) throw refuse('allOf', 'leaves no type');
  return common.includes('number') ? common.filter((type) => type !== 'integer') : common;
}

function mergedProperties(a: Schema, b: Schema): Schema {
  const merged: Record<string, unknown> = { ...a };
  for (const [name, value] of Object.entries(b)) {
    merged[name] = Object.hasOwn(a, name) && !isSame(a[name], value) ? { allOf: [a[name], value] } : value;
  }
  return merged;
}

/** What one side does not declare, its `additionalProperties` speaks for. */
function closeBoth(a: Schema, b: Schema, merged: Record<string, unknown>): void {
  const properties = merged['properties'];
  if (!isSchema(properties)) return;
  const kept: Record<string, unknown> = { ...properties };
  for (const side of [a, b]) {
    const extra = side['additionalProperties'];
    if (extra === undefined || extra === true) continue;
    const declared = isSchema(side['properties']) ? side['properties'] : {};
    for (const name of Object.keys(kept)) {
      if (Object.hasOwn(declared, name)) continue;
      if (extra === false) delete kept[name];
      else kept[name] = { allOf: [kept[name], extra] };
    }
  }
  merged['properties'] = kept;
}

/** Whether values of both could be mistaken for each other while they are read. */
export function mayOverlap(a: unknown, b: unknown, resolve: (reference: unknown) => unknown): boolean {
  const [one, other] = [a, b].map((schema) => (isSchema(schema) ? mergedSchema(schema, resolve) : {}));
  const kinds = (schema: Schema | undefined): string[] => {
    const given = schema ?? {};
    const values = given['const'] !== undefined ? [given['const']] : given['enum'];
    const types = Array.isArray(values)
      ? TYPES.filter((type) => values.some((value) => isOfType(value, type)))
      : given['anyOf'] !== undefined || given['oneOf'] !== undefined
        ? TYPES
        : typesOf(given);
    return types.map((type) => (type === 'integer' ? 'number' : type));
  };
  const second = new Set(kinds(other));
  const shared = kinds(one).filter((kind) => second.has(kind));
  if (shared.length === 0) return false;
  return !(shared.every((kind) => kind === 'object') && areTagged(one ?? {}, other ?? {}));
}

/** Objects told apart by a member that both must have, with different fixed values. */
function areTagged(a: Schema, b: Schema): boolean {
  const tags = (schema: Schema): Map<string, unknown> => {
    const required: unknown = schema['required'];
    const properties = isSchema(schema['properties']) ? schema['properties'] : {};
    const names = Array.isArray(required) ? (required as string[]) : [];
    return new Map(
      names.flatMap((name) => {
        const member = properties[name];
        return isSchema(member) && member['const'] !== undefined ? [[name, member['const']] as const] : [];
      }),
    );
  };
  const others = tags(b);
  return [...tags(a)].some(([name, value]) => others.has(name) && !isSame(others.get(name), value));
}
