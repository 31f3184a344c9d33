import type { ModelAsk, ModelGrant } from '#kernel/gate.ts';
import type { BoundLine } from './policy-text.ts';

/** Outside of a bound that does not clamp. */
export interface OutOfBounds {
  readonly parameter: string;
  /** As a person reads it: `0.1 to 1.0`. */
  readonly allowed: string;
  readonly bound: string;
}

const NUMBERS = ['temperature', 'top_p', 'max_tokens'] as const;
const LISTS = ['tools', 'adapters'] as const;
type NumberName = (typeof NUMBERS)[number];
type ListName = (typeof LISTS)[number];

/** What the API itself allows; a bound may only be narrower. */
const LIMITS: Readonly<Record<string, readonly [least: number, most: number]>> = {
  temperature: [0, 2],
  top_p: [0, 1],
  max_tokens: [1, 2_147_483_647],
  context: [1, 2_147_483_647],
};

export type Bound = {
  readonly name: string;
  readonly subject: string;
  readonly model: string;
  readonly clamps: boolean;
} & (
  | { readonly parameter: NumberName | 'context'; readonly least: number; readonly most: number; readonly text: string }
  /** Names that are allowed; null: any. */
  | { readonly parameter: ListName; readonly names: readonly string[]; readonly text: string }
);

/** @throws RangeError with a sentence */
export function parseBound({ name, subject, model, parameter, allowed, otherwise }: BoundLine): Bound {
  if (otherwise !== 'clamp' && otherwise !== 'refuse')
    throw new RangeError(`what is outside is clamp or refuse, not “${otherwise}”`);
  const head = { name, subject, model, clamps: otherwise === 'clamp' };
  if (isList(parameter)) {
    if (!/^(none|[A-Za-z0-9_.:-]{1,64}(\|[A-Za-z0-9_.:-]{1,64})*)$/.test(allowed))
      throw new RangeError(`${parameter} are “none” or names like a|b`);
    return { ...head, parameter, names: allowed === 'none' ? [] : allowed.split('|'), text: allowed };
  }
  const [, low = '', high = ''] = /^(\d+(?:\.\d+)?) to (\d+(?:\.\d+)?)$/.exec(allowed) ?? [];
  const limit = LIMITS[parameter];
  if (limit === undefined || !Object.hasOwn(LIMITS, parameter))
    throw new RangeError(
      `there is no parameter “${parameter}”; there are ${[...Object.keys(LIMITS), ...LISTS].join(', ')}`,
    );
  const [least, most] = [Number(low), Number(high)];
  const whole = parameter === 'max_tokens' || parameter === 'context';
  if (low === '' || least > most || least < limit[0] || most > limit[1] || (whole && !Number.isInteger(least + most)))
    throw new RangeError(`${parameter} is a range like 0.1 to 1.0 within ${limit[0]} to ${limit[1]}`);
  if (parameter === 'top_p' && most === 0) throw new RangeError('top_p must allow more than 0');
  return { ...head, parameter: parameter as NumberName | 'context', least, most, text: allowed };
}

const isList = (parameter: string): parameter is ListName => LISTS.some((name) => name === parameter);

/** Bounds that apply together, sorted by what they bound. */
interface Sorted {
  /** Of a parameter that is bounded at all: what is left between its ranges. */
  readonly ranges: readonly {
    readonly name: NumberName;
    readonly least: number;
    readonly most: number;
    readonly bounds: readonly Range[];
  }[];
  readonly lists: readonly { readonly name: ListName; readonly bound: Bound }[];
  readonly context: number | null;
}
type Range = Extract<Bound, { least: number }>;

/** One policy gives everybody who may do the same the same list, for as long as it is in force. */
const SORTED = new WeakMap<readonly Bound[], Sorted>();

function sorted(bounds: readonly Bound[]): Sorted {
  const known = SORTED.get(bounds);
  if (known !== undefined) return known;
  const contexts = rangesOf(bounds, 'context');
  const made = {
    ranges: NUMBERS.map((name) => ({ name, bounds: rangesOf(bounds, name) }))
      .filter(({ bounds }) => bounds.length > 0)
      .map(({ name, bounds }) => ({
        name,
        least: Math.max(...bounds.map((one) => one.least)),
        most: Math.min(...bounds.map((one) => one.most)),
        bounds,
      })),
    lists: LISTS.flatMap((name) =>
      bounds.filter(({ parameter }) => parameter === name).map((bound) => ({ name, bound })),
    ),
    context: contexts.length === 0 ? null : Math.min(...contexts.map(({ most }) => most)),
  };
  SORTED.set(bounds, made);
  return made;
}

const rangesOf = (bounds: readonly Bound[], name: string): readonly Range[] =>
  bounds.filter((bound): bound is Range => bound.parameter === name && 'least' in bound);

/**
 * Holds a request within the bounds that apply to it, all of them: of two the narrower one decides, and where two leave
 * nothing between them it is refused. What the caller left unsaid is the model's default, held within bounds as well.
 */
export function holdWithin(bounds: readonly Bound[], asked: ModelAsk): ModelGrant | OutOfBounds {
  const { ranges, lists, context } = sorted(bounds);
  const changes: string[] = [];
  const granted: { -readonly [K in keyof ModelGrant]: ModelGrant[K] } = { ...asked, context, changes };
  for (const { name, least, most, bounds } of ranges) {
    const given = asked[name];
    const value = given ?? asked.defaults?.[name] ?? most;
    const broken = value < least || value > most ? bounds.filter((one) => value < one.least || value > one.most) : [];
    const refusing = broken.find(({ clamps }) => !clamps);
    if (least > most || (given !== undefined && refusing !== undefined))
      return {
        parameter: name,
        allowed: `${least} to ${most}`,
        bound: (refusing ?? broken[0] ?? bounds[0])?.name ?? '',
      };
    granted[name] = Math.min(Math.max(value, least), most);
    if (given === granted[name] || broken.length === 0) continue;
    changes.push(`${name} ${given ?? 'unset'} -> ${granted[name]} (${broken.map((range) => range.name).join(', ')})`);
  }
  for (const { name, bound } of lists) {
    const given = granted[name] ?? [];
    const kept = 'names' in bound ? given.filter((one) => bound.names.includes(one)) : [];
    if (kept.length === given.length) continue;
    // Whoever asks for a model with an adapter gets that or nothing: it is not left out in silence.
    if (!bound.clamps || name === 'adapters') return { parameter: name, allowed: bound.text, bound: bound.name };
    granted[name] = kept;
    changes.push(`${name} ${given.length} -> ${kept.length} (${bound.name})`);
  }
  return granted;
}
