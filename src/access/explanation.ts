import type { AccessDecision, AccessQuestion } from './access.ts';
import { holdsName } from './access.ts';
import { isMet, parseWhen } from './condition.ts';
import type { ContextFacts } from './context-class.ts';
import { parsePolicy, type Rule } from './policy-text.ts';

/** One condition of a rule, in words: what it asks, what there is, and whether that is enough. */
export interface Checked {
  readonly asks: string;
  readonly found: string;
  readonly met: boolean;
}
export interface ExplainedRule {
  readonly rule: string;
  readonly effect: string;
  readonly explanation: string;
  readonly applies: boolean;
  readonly conditions: readonly Checked[];
}
export interface Explanation {
  readonly allowed: boolean;
  readonly policyVersion: number;
  /** The rule that decided; null where none applied. */
  readonly rule: string | null;
  /** The answer as a sentence. */
  readonly because: string;
  /** Rules about this action and type, those first that apply or fail least. */
  readonly rules: readonly ExplainedRule[];
}

const MAX_RULES = 20;

/** Explains a decision: every rule about this action, condition by condition. */
export function explain(
  policy: string,
  question: AccessQuestion,
  context: ContextFacts,
  decision: AccessDecision,
  zones: ReadonlySet<string>,
): Explanation {
  const rules = parsePolicy(policy)
    .rules.filter(({ action, type }) => action === question.action && type === question.type)
    .map((rule) => explainRule(rule, question, context, zones))
    .sort((a, b) => rank(a, decision.rule) - rank(b, decision.rule))
    .slice(0, MAX_RULES);
  const { allowed, policyVersion, rule } = decision;
  return { allowed, policyVersion, rule, because: sentenceOf(rules, decision), rules };
}

function sentenceOf(rules: readonly ExplainedRule[], { allowed, rule }: AccessDecision): string {
  const decided = rules.find((one) => one.rule === rule);
  if (decided !== undefined) {
    const why = decided.explanation === '' ? '' : `: ${decided.explanation}`;
    return `${allowed ? 'Allowed' : 'Denied'} by the rule ${decided.rule}${why}`;
  }
  const [nearest] = rules.filter(({ effect }) => effect === 'allow');
  if (nearest === undefined) return 'Denied: no rule allows this action on such a resource to anybody.';
  const missing = nearest.conditions.filter(({ met }) => !met).map(({ asks, found }) => `${asks} (it is ${found})`);
  return `Denied: no rule allows it. Nearest is ${nearest.rule}, which asks ${missing.join(' and ')}.`;
}

/** Fewer failed conditions first; what decided before everything. */
const rank = (rule: ExplainedRule, decided: string | null): number =>
  rule.rule === decided ? -1 : rule.conditions.filter(({ met }) => !met).length;

function explainRule(
  rule: Rule,
  question: AccessQuestion,
  context: ContextFacts,
  zones: ReadonlySet<string>,
): ExplainedRule {
  const facts = { ...question, ...context, certifications: question.certifications.split('|').filter(Boolean) };
  const level = /^\d{1,3}$/.test(rule.clearance) ? Number(rule.clearance) : Number.POSITIVE_INFINITY;
  const whole: Checked[] = [
    {
      asks: `subject ${rule.subject}`,
      found: question.subjects.split('|').filter(Boolean).join(', '),
      met: holdsName(question.subjects, rule.subject),
    },
    {
      asks: `resource ${rule.type}:${rule.id}`,
      found: `${question.type}:${question.id}`,
      met: rule.id === '*' || rule.id === question.id,
    },
    {
      asks: `department ${rule.department}`,
      found: question.department || 'none',
      met: rule.department === '*' || rule.department === question.department,
    },
    {
      asks: `clearance at least ${rule.clearance}`,
      found: String(question.clearance),
      met: question.clearance >= level,
    },
    {
      asks: `clearance for classification ${question.classification}`,
      found: String(question.clearance),
      met: question.clearance >= question.classification,
    },
  ];
  const stated = parseWhen(rule.when, zones).map((condition) => ({
    asks: condition.text,
    found: condition.found(facts),
    met: isMet(condition.test(facts), rule.effect),
  }));
  const conditions = [...whole.filter(({ asks, met }) => !met || !asks.endsWith(' *')), ...stated];
  const { name, effect, explanation } = rule;
  return { rule: name, effect, explanation, applies: conditions.every(({ met }) => met), conditions };
}
