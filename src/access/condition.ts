import { STRENGTHS, type Strength } from '#kernel/principal.ts';
import { covers, parseWindow, type WeekMinute } from './time-window.ts';

/** What conditions look at. Of the context null means that it can't be told. */
export interface Facts {
  readonly department: string;
  readonly clearance: number;
  readonly branch: string;
  readonly certifications: readonly string[];
  /** Department that owns the resource; empty where none does. */
  readonly owner: string;
  readonly classification: number;
  readonly time: WeekMinute | null;
  readonly zones: ReadonlySet<string> | null;
  readonly strength: Strength | null;
}

/** `unknown` never lets anybody in: an allowing rule then does not apply, a denying one does. */
export type Truth = 'yes' | 'no' | 'unknown';

export type ContextKind = 'time' | 'network' | 'strength';

export interface Condition {
  readonly text: string;
  readonly subject: string;
  readonly operator: string;
  readonly values: readonly string[];
  /** Part of the context class; null where it looks at the subject or the resource. */
  readonly context: ContextKind | null;
  readonly test: (facts: Facts) => Truth;
  /** What it found instead, for people. */
  readonly found: (facts: Facts) => string;
}

/** The department of the caller, where `owner in own-department` compares it with the resource's. */
const OWN_DEPARTMENT = 'own-department';
/** A star would look like a pattern, and there are none. */
const VALUE = /^[^\s|*"][^|*"]{0,63}$/u;
/** A value in which these stand is a condition that was written wrongly: taken for a name it would match nobody. */
const MISREAD = / (?:or|in|at least|below)(?: |$)| and$/;
/** Between two conditions; “Sales and Trading” is one department. */
const AND = / and (?=\S+ (?:in|not in|at least|below) )/;
const RANKS: readonly (string | null)[] = STRENGTHS;
export const MAX_WHEN = 400;

const truth = (value: boolean): Truth => (value ? 'yes' : 'no');
const not = (value: Truth): Truth => (value === 'unknown' ? value : truth(value === 'no'));

interface Sort {
  readonly context: ContextKind | null;
  readonly operators: readonly string[];
  /** @throws RangeError for a value that it does not know */
  readonly compile: (values: readonly string[], zones: ReadonlySet<string>) => (facts: Facts) => Truth;
  readonly found: (facts: Facts) => string;
}

const IN = ['in', 'not in'] as const;
const LEVEL = ['at least', 'below'] as const;

const among = (of: (facts: Facts) => string): Sort => ({
  context: null,
  operators: IN,
  compile: (values) => (facts) => truth(values.includes(of(facts))),
  found: (facts) => of(facts) || 'none',
});
const level = (of: (facts: Facts) => number): Sort => ({
  context: null,
  operators: LEVEL,
  compile: ([value = '']) => {
    if (!/^[0-4]$/.test(value)) throw new RangeError('a level is a number from 0 to 4');
    return (facts) => truth(of(facts) >= Number(value));
  },
  found: (facts) => String(of(facts)),
});

const SORTS: Readonly<Record<string, Sort>> = {
  department: among((facts) => facts.department),
  branch: among((facts) => facts.branch),
  owner: {
    ...among((facts) => facts.owner),
    compile: (values) => (facts) =>
      truth(
        values.some((value) =>
          value === OWN_DEPARTMENT ? facts.owner !== '' && facts.owner === facts.department : facts.owner === value,
        ),
      ),
  },
  certification: {
    context: null,
    operators: IN,
    compile: (values) => (facts) => truth(values.some((value) => facts.certifications.includes(value))),
    found: (facts) => facts.certifications.join(', ') || 'none',
  },
  clearance: level((facts) => facts.clearance),
  classification: level((facts) => facts.classification),
  time: {
    context: 'time',
    operators: IN,
    compile: (values) => {
      const spans = values.flatMap(parseWindow);
      return ({ time }) => (time === null ? 'unknown' : truth(covers(spans, time.minute)));
    },
    found: ({ time }) => time?.text ?? 'unknown',
  },
  network: {
    context: 'network',
    operators: IN,
    compile: (values, known) => {
      const unknown = values.find((value) => !known.has(value));
      if (unknown !== undefined) throw new RangeError(`there is no network zone “${unknown}” in the configuration`);
      return ({ zones }) => (zones === null ? 'unknown' : truth(values.some((value) => zones.has(value))));
    },
    found: ({ zones }) => (zones === null ? 'unknown' : [...zones].join(', ') || 'in no zone'),
  },
  strength: {
    context: 'strength',
    operators: LEVEL,
    compile: ([value = '']) => {
      const needed = RANKS.indexOf(value);
      if (needed < 0) throw new RangeError(`a strength is one of ${STRENGTHS.join(', ')}`);
      return ({ strength }) => {
        const has = RANKS.indexOf(strength);
        return has < 0 ? 'unknown' : truth(has >= needed);
      };
    },
    found: ({ strength }) => strength ?? 'unknown',
  },
};

/**
 * The conditions of a rule, all of which must hold: `time in Mon-Fri 08:00-18:00 and network in branch|head-office`.
 * An unknown attribute, operator, zone or strength is an error and never "no condition".
 *
 * @throws RangeError with a sentence
 */
export function parseWhen(text: string, zones: ReadonlySet<string>): readonly Condition[] {
  if (text === '') return [];
  if (text.length > MAX_WHEN) throw new RangeError(`conditions hold at most ${MAX_WHEN} characters`);
  return text.split(AND).map((part) => parseCondition(part.trim(), zones));
}

function parseCondition(text: string, zones: ReadonlySet<string>): Condition {
  const [, subject = '', operator = '', list = ''] = /^(\S+) (in|not in|at least|below) (.+)$/.exec(text) ?? [];
  const sort = Object.hasOwn(SORTS, subject) ? SORTS[subject] : undefined;
  if (operator === '') throw new RangeError(`“${text}” is no condition like network in branch`);
  if (sort === undefined)
    throw new RangeError(`there is no attribute “${subject}”; there are ${Object.keys(SORTS).join(', ')}`);
  if (!sort.operators.includes(operator)) throw new RangeError(`${subject} goes with ${sort.operators.join(' or ')}`);
  const values = list.split('|').map((value) => value.trim());
  const malformed = subject === 'time' ? undefined : values.find((value) => !VALUE.test(value) || MISREAD.test(value));
  if (malformed !== undefined) throw new RangeError(`“${malformed}” is no value of ${subject}`);
  if (operator !== 'in' && operator !== 'not in' && values.length > 1)
    throw new RangeError(`${subject} ${operator} takes one value`);
  const test = sort.compile(values, zones);
  const isNegated = operator === 'not in' || operator === 'below';
  return {
    text: `${subject} ${operator} ${values.join('|')}`,
    subject,
    operator,
    values,
    context: sort.context,
    test: isNegated ? (facts) => not(test(facts)) : test,
    found: sort.found,
  };
}

/** Whether a condition lets a rule of this effect apply. */
export const isMet = (value: Truth, effect: string): boolean =>
  value === 'yes' || (value === 'unknown' && effect === 'deny');
