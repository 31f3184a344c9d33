import type { AccessQuestion } from './access.ts';
import { cellsOf, type Rule } from './policy-text.ts';

/** What the matcher demands of every rule that applies; only where it does may rules be found by it. */
const DEMANDS = ['holds(r.subjects,p.sub)', 'same(r.act,p.act)', 'same(r.type,p.type)', 'covers(p.id,r.id)'] as const;

/** And what may be looked at beforehand, where the matcher demands that too. */
const LOOKED_AT = [
  'covers(p.department,r.department)',
  'atLeast(r.clearance,p.clearance)',
  'met(p.when,p.eft,r.branch,r.certifications,r.owner,r.department,r.clearance,r.classification,r.context)',
] as const;

/**
 * Finds the rules that can apply to a question, so that Casbin need not try the others: those of the same action, type
 * and subject whose id is the resource's or `*`. Sound only for a matcher that demands just this of every rule; for any
 * other all rules are tried.
 */
export class RuleIndex {
  readonly #all: readonly string[][];
  readonly #byKey: ReadonlyMap<string, readonly string[][]> | null;
  readonly #looksAhead: boolean;

  constructor(rules: readonly Rule[], matcher: string) {
    const conjuncts = conjunctsOf(matcher);
    this.#all = rules.map(cellsOf);
    const canIndex = conjuncts !== null && DEMANDS.every((demand) => conjuncts.includes(demand));
    this.#looksAhead = canIndex && LOOKED_AT.every((demand) => conjuncts.includes(demand));
    this.#byKey = canIndex ? Map.groupBy(this.#all, ([, sub, type, id, act]) => keyOf(act, type, sub, id)) : null;
  }

  /**
   * Subject by subject, each in the order of the policy. `applies` judges department, clearance and conditions as the
   * matcher will: whatever it lets through, Casbin judges again.
   */
  candidates(question: AccessQuestion, applies: (rule: readonly string[]) => boolean): string[][] {
    if (this.#byKey === null) return [...this.#all];
    const found = this.#named(question, this.#byKey);
    return this.#looksAhead ? found.filter(applies) : found;
  }

  #named({ subjects, action, type, id }: AccessQuestion, byKey: ReadonlyMap<string, readonly string[][]>): string[][] {
    const found: string[][] = [];
    for (const subject of subjects.split('|')) {
      if (subject === '') continue;
      for (const one of id === '*' ? ['*'] : ['*', id])
        found.push(...(byKey.get(keyOf(action, type, subject, one)) ?? []));
    }
    return found;
  }
}

const keyOf = (...parts: readonly (string | undefined)[]): string => JSON.stringify(parts);

/** `a(…) && b(…)` as its parts without blanks; null for a matcher that is anything but calls joined by `&&`. */
export function conjunctsOf(matcher: string): readonly string[] | null {
  const parts = matcher.split('&&').map((part) => part.replaceAll(/\s+/g, ''));
  return parts.every((part) => /^[A-Za-z]+\([a-zA-Z.,]*\)$/.test(part)) ? parts : null;
}
