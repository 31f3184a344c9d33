import { STRENGTHS } from '#kernel/principal.ts';
import { type Condition, isMet } from './condition.ts';
import { parseWindow, WEEK } from './time-window.ts';

/** Attributes of which somebody may have several at once. */
const MANY: readonly string[] = ['certification', 'network'];

/** Whether `given` can not hold without `then` holding too. May say no where it is true, never yes where it is not. */
export function implies(given: Condition, then: Condition): boolean {
  if (given.text === then.text) return true;
  if (given.subject !== then.subject) return false;
  if (given.subject === 'time') return minutesOf([given, then]).every((at) => !holdsAt(given, at) || holdsAt(then, at));
  if (given.operator !== then.operator) return false;
  if (given.operator === 'in') return given.values.every((value) => then.values.includes(value));
  if (given.operator === 'not in') return then.values.every((value) => given.values.includes(value));
  const [has, needs] = [rankOf(given), rankOf(then)];
  return given.operator === 'at least' ? has >= needs : has <= needs;
}

/** Whether two conditions of one rule can never hold together. */
export function contradicts(a: Condition, b: Condition): boolean {
  if (a.subject !== b.subject) return false;
  if (a.subject === 'time') return minutesOf([a, b]).every((at) => !holdsAt(a, at) || !holdsAt(b, at));
  if (a.operator === 'in' && b.operator === 'in')
    return !MANY.includes(a.subject) && !a.values.some((value) => b.values.includes(value));
  if (a.operator === 'in' && b.operator === 'not in') return a.values.every((value) => b.values.includes(value));
  if (a.operator === 'at least' && b.operator === 'below') return rankOf(a) >= rankOf(b);
  if (a.operator === 'not in' || a.operator === 'below') return b.operator !== a.operator && contradicts(b, a);
  return false;
}

/** Strengths by their place, levels by their number. */
const RANKS: readonly string[] = STRENGTHS;
const rankOf = ({ subject, values: [value = ''] }: Condition): number =>
  subject === 'strength' ? RANKS.indexOf(value) : Number(value);

/** Below the least there is nothing. */
export const isEmpty = (condition: Condition): boolean => condition.operator === 'below' && rankOf(condition) <= 0;

/** Where anything changes: between two of these minutes every condition stays as it is. */
const minutesOf = (conditions: readonly Condition[]): number[] => [
  0,
  ...conditions
    .flatMap(({ values }) => values.flatMap(parseWindow))
    .flatMap(({ start, end }) => [start, end])
    .filter((minute) => minute < WEEK),
];

const holdsAt = (condition: Condition, minute: number): boolean =>
  isMet(
    condition.test({
      department: '',
      clearance: 0,
      branch: '',
      certifications: [],
      owner: '',
      classification: 0,
      time: { minute, text: '' },
      zones: null,
      strength: null,
    }),
    'allow',
  );
