import { z } from 'zod';

/** Of so many members that may be missing it pays to look at those alone that are there. */
const LEAST_OPTIONAL = 8;
/** Combinations of members that are remembered, of one schema. */
const MOST_KNOWN = 500;

interface Sparse {
  /** Of each member that may be missing its bit. A number holds 52 of them exactly. */
  readonly bits: ReadonlyMap<string, number>;
  readonly known: Map<number, z.ZodObject>;
}

const SPARSE = new WeakMap<z.ZodType, Sparse | null>();

/**
 * The same schema without the members that `value` does not have and need not have: Zod looks at each member that there
 * could be, and of a chat's thirty a caller sends three. What it says of `value` is the same.
 */
export function sparseSchema<T>(schema: z.ZodType<T>, value: unknown): z.ZodType<T> {
  const object: z.ZodType = schema;
  if (typeof value !== 'object' || value === null || !(object instanceof z.ZodObject)) return schema;
  return partFor(object, value) as z.ZodType as z.ZodType<T>;
}

function partFor(schema: z.ZodObject, value: object): z.ZodObject {
  let sparse = SPARSE.get(schema);
  if (sparse === undefined) {
    sparse = sparseOf(schema);
    SPARSE.set(schema, sparse);
  }
  if (sparse === null) return schema;
  const { bits, known } = sparse;
  let sum = 0;
  for (const name of Object.keys(value)) sum += bits.get(name) ?? 0;
  const part = known.get(sum);
  if (part !== undefined || known.size >= MOST_KNOWN) return part ?? schema;
  const made = without(schema, (name) => bits.has(name) && !Object.hasOwn(value, name));
  known.set(sum, made);
  return made;
}

function sparseOf({ shape }: z.ZodObject): Sparse | null {
  // As Zod itself has it: what is missing of these adds nothing and is no fault.
  const optional = Object.entries(shape)
    .filter(([, { _zod: type }]) => type.optin === 'optional' && type.optout === 'optional')
    .map(([name]) => name);
  const isPlain = optional.every((name) => !(name in Object.prototype));
  if (!isPlain || optional.length < LEAST_OPTIONAL || optional.length > 52) return null;
  return { bits: new Map(optional.map((name, at) => [name, 2 ** at])), known: new Map() };
}

/** With the same checks, and with the same word on members that it does not name. */
function without(schema: z.ZodObject, isLeftOut: (name: string) => boolean): z.ZodObject {
  const shape = Object.fromEntries(Object.entries(schema.shape).filter(([name]) => !isLeftOut(name)));
  return z.core.clone(schema, { ...schema.def, shape });
}
