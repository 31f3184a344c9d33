import { ROLES } from '#kernel/principal.ts';
import { type Bound, parseBound } from './bounds.ts';
import { type Condition, MAX_WHEN, parseWhen } from './condition.ts';
import { contradicts, implies, isEmpty } from './implication.ts';
import { modelFaults } from './model-text.ts';
import { type Fault, parsePolicy, type Rule } from './policy-text.ts';
import { ACTIONS, OTHER_SUBJECTS, RESOURCE_TYPES } from './vocabulary.ts';

/** What a policy may refer to. */
export interface Surroundings {
  readonly zones: ReadonlySet<string>;
  /** Null where the catalogue is not known. */
  readonly models: ReadonlySet<string> | null;
}

const NAME = /^[a-z0-9][a-z0-9-]{0,63}$/;
const MAX_EXPLANATION = 200;
const SUBJECTS: ReadonlySet<string> = new Set([...OTHER_SUBJECTS, ...ROLES.map((role) => `role:${role}`)]);

interface ReadRule extends Rule {
  readonly conditions: readonly Condition[];
}

/**
 * Everything that is wrong with a policy. With an error it is not taken; a warning is what may be meant but looks like a
 * mistake: a rule that a deny leaves nothing of, a model that is not in the configuration.
 */
export function checkPolicy(
  { model, policy }: { readonly model: string; readonly policy: string },
  surroundings: Surroundings,
): Fault[] {
  const { rules, bounds, faults: unread } = parsePolicy(policy);
  const faults = [...unread];
  const say = (severity: Fault['severity'], line: number | null, rule: string | null, message: string): void => {
    faults.push({ severity, line, rule, message });
  };
  for (const message of modelFaults(model)) say('error', null, null, `model.conf: ${message}`);
  if (rules.length === 0) say('error', null, null, 'there is no rule: nobody could do anything');

  const names = new Set<string>();
  for (const { line, name, explanation } of [...rules, ...bounds]) {
    if (!NAME.test(name)) say('error', line, name, 'a name is lower-case letters, digits and -, at most 64');
    if (names.has(name)) say('error', line, name, 'there is another one of this name');
    names.add(name);
    if (explanation === '') say('error', line, name, 'has no explanation: say in one sentence what it is for');
    if (explanation.length > MAX_EXPLANATION)
      say('error', line, name, `explains in over ${MAX_EXPLANATION} characters`);
  }

  const read: ReadRule[] = [];
  for (const rule of rules) {
    for (const message of ruleFaults(rule)) say('error', rule.line, rule.name, message);
    try {
      const conditions = parseWhen(rule.when, surroundings.zones);
      read.push({ ...rule, conditions });
      const never = neverOf(rule, conditions);
      if (never !== null) say('error', rule.line, rule.name, `can never match: ${never}`);
    } catch (thrown) {
      say('error', rule.line, rule.name, (thrown as RangeError).message);
    }
    if (isUnknownModel(rule.type === 'model' || rule.type === 'service' ? rule.id : '*', surroundings))
      say('warning', rule.line, rule.name, `no model “${rule.id}” is in the configuration`);
  }
  for (const [rule, deny] of shadowed(read))
    say('warning', rule.line, rule.name, `allows nothing: ${deny.name} denies all of it`);

  const held: Bound[] = [];
  for (const bound of bounds) {
    if (!isSubject(bound.subject)) say('error', bound.line, bound.name, `there is no subject “${bound.subject}”`);
    try {
      held.push(parseBound(bound));
    } catch (thrown) {
      say('error', bound.line, bound.name, (thrown as RangeError).message);
    }
    if (isUnknownModel(bound.model, surroundings))
      say('warning', bound.line, bound.name, `no model “${bound.model}” is in the configuration`);
  }
  for (const [a, b] of apart(held)) say('error', null, b, `and ${a} leave nothing between them`);
  return faults.sort((a, b) => (a.line ?? 0) - (b.line ?? 0));
}

export const hasErrors = (faults: readonly Fault[]): boolean => faults.some(({ severity }) => severity === 'error');

const isSubject = (subject: string): boolean => SUBJECTS.has(subject) || /^user:usr_[0-9a-f]{1,64}$/.test(subject);

const isUnknownModel = (id: string, { models }: Surroundings): boolean =>
  id !== '*' && models !== null && !models.has(id);

function ruleFaults({ subject, type, id, action, department, clearance, effect, when }: Rule): string[] {
  const faults: string[] = [];
  if (!isSubject(subject)) {
    const known = [...SUBJECTS, 'user:ID'].join(', ');
    faults.push(`there is no subject “${subject}”; there are ${known}`);
  }
  if (!RESOURCE_TYPES.has(type)) faults.push(`there is no resource type “${type}”`);
  if (!Object.hasOwn(ACTIONS, action)) faults.push(`there is no action “${action}”`);
  else if (ACTIONS[action] !== type) faults.push(`can never match: ${action} is done to a ${ACTIONS[action]}`);
  // A star is any id; a star within one is a letter, and whoever writes it means something else.
  if (id === '' || (id !== '*' && id.includes('*'))) faults.push('an id is * or one exact id');
  if (department === '' || (department !== '*' && department.includes('*')))
    faults.push('a department is * or one exact department');
  if (!/^[0-4]$/.test(clearance)) faults.push('the least clearance is 0 to 4');
  if (effect !== 'allow' && effect !== 'deny') faults.push(`the effect is allow or deny, not “${effect}”`);
  if (when.length > MAX_WHEN) faults.push(`conditions hold at most ${MAX_WHEN} characters`);
  return faults;
}

function neverOf(rule: Rule, conditions: readonly Condition[]): string | null {
  for (const [at, condition] of conditions.entries()) {
    if (isEmpty(condition)) return `nothing is ${condition.text}`;
    if (condition.subject === 'department' && rule.department !== '*') {
      const isIn = condition.values.includes(rule.department);
      if (isIn !== (condition.operator === 'in')) return `its department is ${rule.department}`;
    }
    const other = conditions.slice(at + 1).find((one) => contradicts(condition, one));
    if (other !== undefined) return `${condition.text} and ${other.text} exclude each other`;
  }
  return null;
}

/** Allowing rules of which a denying one leaves nothing. */
function shadowed(rules: readonly ReadRule[]): [ReadRule, ReadRule][] {
  const denies = Map.groupBy(
    rules.filter(({ effect }) => effect === 'deny'),
    ({ action }) => action,
  );
  return rules.flatMap((rule): [ReadRule, ReadRule][] => {
    if (rule.effect !== 'allow') return [];
    const deny = denies.get(rule.action)?.find((one) => coversAll(one, rule));
    return deny === undefined ? [] : [[rule, deny]];
  });
}

const coversAll = (deny: ReadRule, rule: ReadRule): boolean =>
  deny.type === rule.type &&
  (deny.subject === rule.subject ||
    (deny.subject === 'authenticated' && rule.subject !== 'restricted' && rule.subject !== 'expired')) &&
  (deny.id === '*' || deny.id === rule.id) &&
  (deny.department === '*' || deny.department === rule.department) &&
  Number(deny.clearance) <= Number(rule.clearance) &&
  deny.conditions.every((wanted) => rule.conditions.some((given) => implies(given, wanted)));

/** Bounds of one subject, model and parameter that have no value in common. */
function apart(bounds: readonly Bound[]): [string, string][] {
  const groups = Map.groupBy(bounds, ({ subject, model, parameter }) => `${subject} ${model} ${parameter}`);
  return [...groups.values()].flatMap((group): [string, string][] => {
    const ranges = group.filter((bound) => 'least' in bound);
    const highest = ranges.toSorted((a, b) => b.least - a.least)[0];
    const lowest = ranges.toSorted((a, b) => a.most - b.most)[0];
    return highest && lowest && highest.least > lowest.most ? [[highest.name, lowest.name]] : [];
  });
}
