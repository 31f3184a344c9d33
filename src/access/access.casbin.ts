import { FunctionMap, type Model, newEnforcer, newModelFromString } from 'casbin';
import { type AccessDecision, type AccessQuestion, holdsName, type PolicyEngine, type PolicyText } from './access.ts';
import { type Bound, parseBound } from './bounds.ts';
import { type Condition, isMet, parseWhen } from './condition.ts';
import { type AccessContext, ContextClasses, type Site } from './context-class.ts';
import { DecisionCache } from './decision-cache.ts';
import { modelPart } from './model-text.ts';
import { parsePolicy } from './policy-text.ts';
import { RuleIndex } from './rule-index.ts';

/** Places in a rule. */
const [RULE, DEPARTMENT, CLEARANCE, EFFECT, WHEN] = [0, 5, 6, 7, 8];

/** What model.conf may ask of a request, by the names of its `r`. */
const REQUEST: Readonly<Record<string, (question: AccessQuestion, itsClass: string) => string | number>> = {
  subjects: (question) => question.subjects,
  department: (question) => question.department,
  clearance: (question) => question.clearance,
  branch: (question) => question.branch,
  certifications: (question) => question.certifications,
  type: (question) => question.type,
  id: (question) => question.id,
  classification: (question) => question.classification,
  owner: (question) => question.owner,
  act: (question) => question.action,
  context: (_question, itsClass) => itsClass,
};
/** Subjects and models whose bounds are remembered. */
const MAX_BOUNDS_KNOWN = 10_000;
const TEXTS = ['subjects', 'department', 'branch', 'certifications', 'type', 'id', 'owner', 'action'] as const;

/**
 * Compiles a policy with Casbin.
 *
 * @throws Error when the model, a line or a condition is not understood: a gateway without a policy does not start.
 */
export async function compilePolicy(text: PolicyText, site: Site): Promise<PolicyEngine> {
  const { rules, bounds, faults } = parsePolicy(text.policy);
  const [fault] = faults;
  if (fault) throw new Error(`policy ${text.version}, line ${fault.line}: ${fault.message}`);
  if (rules.length === 0) throw new Error(`policy ${text.version} has no rules`);
  const zones = new Set(Object.keys(site.networkZones));
  const conditions = new Map(rules.map(({ when }) => [when, parseWhen(when, zones)]));
  const classes = new ContextClasses([...conditions.values()].flat(), site);
  const matcher = modelPart(text.model, 'matchers', 'm');
  if (conditions.size > Number(conditions.has('')) && !matcher.includes('met('))
    throw new Error(`policy ${text.version} has conditions that its model never looks at`);

  const model = newModelFromString(text.model);
  const enforcer = await newEnforcer(model);
  // What Casbin brings (keyMatch, regexMatch, ipMatch …) matches more than it says, and `addFunction` replaces nothing
  // that is there: a matcher finds our functions and no others.
  (enforcer as unknown as { fm: FunctionMap }).fm = new FunctionMap();
  const met = metBy(conditions, classes);
  const functions = { holds, same, covers, atLeast, met };
  for (const [name, run] of Object.entries(functions)) await enforcer.addFunction(name, run);
  const ask = requestOf(model);
  const tried = rulesOf(model);
  const index = new RuleIndex(rules, matcher);
  const cache = new DecisionCache();
  const denied: AccessDecision = { allowed: false, policyVersion: text.version, rule: null, conditions: null };

  const decide = (question: AccessQuestion, context: AccessContext): AccessDecision => {
    if (!isSound(question)) return denied;
    const itsClass = classes.classOf(context);
    const key = keyOf(question, itsClass);
    const known = cache.get(key);
    if (known) return known;
    // Without a rule to try, Casbin would ask its matcher about nothing at all, and take its word.
    const { department, clearance, branch, certifications, owner, classification } = question;
    tried.policy = index.candidates(
      question,
      (rule) =>
        covers(rule[DEPARTMENT], department) &&
        atLeast(clearance, rule[CLEARANCE]) &&
        met(rule[WHEN], rule[EFFECT], branch, certifications, owner, department, clearance, classification, itsClass),
    );
    const [allowed, rule] =
      tried.policy.length === 0 ? [false, []] : enforcer.enforceExSync(...ask(question, itsClass));
    const name = rule[RULE] ?? null;
    const decision = { ...denied, allowed: allowed === true, rule: name, conditions: rule[WHEN] || null };
    cache.set(key, decision);
    return decision;
  };
  const boundsKnown = new Map<string, readonly Bound[]>();
  const held = Map.groupBy(bounds.map(parseBound), ({ subject }) => subject);
  return {
    version: text.version,
    decide: (question, context) => {
      try {
        return decide(question, context);
      } catch {
        // A matcher that throws has not allowed anything.
        return denied;
      }
    },
    boundsOf: (subjects, id) => {
      const key = `${subjects}\0${id}`;
      const known = boundsKnown.get(key);
      if (known !== undefined) return known;
      const bounds = boundsFor(held, subjects, id);
      if (boundsKnown.size >= MAX_BOUNDS_KNOWN) boundsKnown.clear();
      boundsKnown.set(key, bounds);
      return bounds;
    },
  };
}

const boundsFor = (bounds: ReadonlyMap<string, readonly Bound[]>, subjects: string, model: string): readonly Bound[] =>
  subjects.split('|').flatMap((subject) => (bounds.get(subject) ?? []).filter((bound) => covers(bound.model, model)));

/** The rules that Casbin tries: set before each question, which it answers in the same turn. */
function rulesOf(model: Model): { policy: string[][] } {
  const rules = model.model.get('p')?.get('p');
  if (rules === undefined) throw new Error('the model defines no policy');
  return rules;
}

/** Puts a question in the order in which this model asks. @throws Error for a name that no request has */
function requestOf(model: Model): (question: AccessQuestion, itsClass: string) => (string | number)[] {
  const tokens = model.model.get('r')?.get('r')?.tokens ?? [];
  const readers = tokens.map((token) => {
    const name = token.replace(/^r_/, '');
    const reader = Object.hasOwn(REQUEST, name) ? REQUEST[name] : undefined;
    if (reader === undefined) throw new Error(`the model asks for r.${name}, which no request has`);
    return reader;
  });
  return (question, itsClass) => readers.map((reader) => reader(question, itsClass));
}

function keyOf(question: AccessQuestion, itsClass: string): string {
  const { subjects, department, clearance, branch, certifications, type, id, classification, owner, action } = question;
  // Nothing of it holds a NUL (see isSound), so that no two questions have one key.
  return `${subjects}\0${department}\0${clearance}\0${branch}\0${certifications}\0${type}\0${id}\0${classification}\0${owner}\0${action}\0${itsClass}`;
}

/** Only plain strings and safe integers reach the matcher: an object with `toString` would equal anything. */
function isSound(question: AccessQuestion): boolean {
  for (const name of TEXTS) {
    const text: unknown = question[name];
    if (typeof text !== 'string' || text.includes('\0')) return false;
  }
  return Number.isSafeInteger(question.clearance) && Number.isSafeInteger(question.classification);
}

const holds = (subjects: unknown, name: unknown): boolean =>
  typeof subjects === 'string' && typeof name === 'string' && holdsName(subjects, name);

const same = (asked: unknown, ruled: unknown): boolean => typeof asked === 'string' && asked === ruled;

const covers = (ruled: unknown, asked: unknown): boolean => ruled === '*' || same(asked, ruled);

/** The second argument may be a rule's text: decimal digits and nothing else. */
function atLeast(has: unknown, needs: unknown): boolean {
  const level = typeof needs === 'string' && /^\d{1,3}$/.test(needs) ? Number(needs) : needs;
  return typeof has === 'number' && typeof level === 'number' && has >= level;
}

const metBy =
  (conditions: ReadonlyMap<string, readonly Condition[]>, classes: ContextClasses) =>
  (...given: readonly unknown[]): boolean => {
    const [when, effect, branch, certifications, owner, department, clearance, classification, context] = given;
    const wanted = conditions.get(String(when));
    const texts = [effect, branch, certifications, owner, department, context];
    if (wanted === undefined || given.length !== 9 || !texts.every((text) => typeof text === 'string'))
      throw new TypeError('met() is asked about what it does not know');
    if (wanted.length === 0) return true;
    const facts = {
      branch: String(branch),
      certifications: String(certifications).split('|').filter(Boolean),
      owner: String(owner),
      department: String(department),
      clearance: Number(clearance),
      classification: Number(classification),
      time: null,
      zones: null,
      strength: null,
    };
    return wanted.every((condition) =>
      isMet(
        condition.context === null ? condition.test(facts) : classes.truthOf(condition, String(context)),
        String(effect),
      ),
    );
  };
