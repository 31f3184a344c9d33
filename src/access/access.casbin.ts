import { newEnforcer, newModelFromString, StringAdapter } from 'casbin';
import type { AccessDecision, AccessQuestion, PolicyEngine, PolicyText } from './access.ts';

/** Decisions that are remembered for one policy version. */
const MAX_CACHED = 20_000;
const RULE = 0;

/**
 * Compiles a policy with Casbin.
 *
 * @throws Error when the model or a rule does not parse: a gateway without a policy does not start.
 */
export async function compilePolicy(text: PolicyText): Promise<PolicyEngine> {
  const enforcer = await newEnforcer(newModelFromString(text.model), new StringAdapter(text.policy));
  await enforcer.addFunction('holds', holds);
  await enforcer.addFunction('same', same);
  await enforcer.addFunction('covers', covers);
  await enforcer.addFunction('atLeast', atLeast);
  const cache = new Map<string, AccessDecision>();
  const denied: AccessDecision = { allowed: false, policyVersion: text.version, rule: null };
  const decide = (question: AccessQuestion): AccessDecision => {
    const { subjects, department, clearance, type, id, classification, action } = question;
    if (!isSound(question)) return denied;
    const key = JSON.stringify([subjects, department, clearance, type, id, classification, action]);
    const known = cache.get(key);
    if (known) return known;
    const [allowed, rule] = enforcer.enforceExSync(subjects, department, clearance, type, id, classification, action);
    const decision = { allowed: allowed === true, policyVersion: text.version, rule: rule[RULE] ?? null };
    if (cache.size >= MAX_CACHED) cache.clear();
    cache.set(key, decision);
    return decision;
  };
  return {
    version: text.version,
    decide: (question) => {
      try {
        return decide(question);
      } catch {
        // A matcher that throws has not allowed anything.
        return denied;
      }
    },
  };
}

/** Only plain strings and safe integers reach the matcher: an object with `toString` would equal anything. */
function isSound({ subjects, department, clearance, type, id, classification, action }: AccessQuestion): boolean {
  return (
    [subjects, department, type, id, action].every((text) => typeof text === 'string') &&
    Number.isSafeInteger(clearance) &&
    Number.isSafeInteger(classification)
  );
}

const holds = (subjects: unknown, name: unknown): boolean =>
  typeof subjects === 'string' &&
  typeof name === 'string' &&
  name !== '' &&
  !name.includes('|') &&
  subjects.includes(`|${name}|`);

const same = (asked: unknown, ruled: unknown): boolean => typeof asked === 'string' && asked === ruled;

const covers = (ruled: unknown, asked: unknown): boolean => ruled === '*' || same(asked, ruled);

/** The second argument may be a rule's text: decimal digits and nothing else. */
function atLeast(has: unknown, needs: unknown): boolean {
  const level = typeof needs === 'string' && /^\d{1,3}$/.test(needs) ? Number(needs) : needs;
  return typeof has === 'number' && typeof level === 'number' && has >= level;
}
