import { ROLES, type Role, STRENGTHS, type Strength } from '#kernel/principal.ts';
import { type AccessDecision, type PolicyEngine, questionOf } from './access.ts';
import { splitCells } from './policy-text.ts';

/** A line of tests.csv that did not come out as it says. */
export interface FailedCase {
  readonly line: number;
  readonly message: string;
}
export interface CaseResult {
  readonly passed: number;
  readonly failed: readonly FailedCase[];
  /** Rules that no case expects: nothing shows that they do what they should. */
  readonly untested: readonly string[];
}

const WHO = ['department', 'clearance', 'branch', 'certification', 'user', 'restricted', 'expired'];
const WHAT = ['classification', 'owner'];
const WHERE = ['at', 'from', 'strength'];
/** A Wednesday noon, for cases that say nothing of the time. */
const NOON = '2026-01-07T12:00:00Z';

/**
 * Runs a table of who × what → allow or deny and by which rule:
 * `role:analyst department=treasury, infer, model:qwen classification=1, at=2026-01-07T09:00:00+08:00 from=10.1.2.3, allow, analyst-infer`
 */
export function runCases(text: string, engine: PolicyEngine, rules: readonly string[]): CaseResult {
  const failed: FailedCase[] = [];
  const seen = new Set<string>();
  let passed = 0;
  for (const [at, raw] of text.split(/\r?\n/).entries()) {
    const source = raw.trim();
    if (source === '' || source.startsWith('#')) continue;
    const line = at + 1;
    try {
      const cells = splitCells(source);
      if (cells === null || cells.length !== 6)
        throw new RangeError('a case has six cells: who, action, resource, circumstances, allow or deny, rule');
      const [who = '', action = '', resource = '', where = '', expected = '', rule = ''] = cells;
      if (expected !== 'allow' && expected !== 'deny') throw new RangeError('what is expected is allow or deny');
      if (rule !== '' && !rules.includes(rule)) throw new RangeError(`there is no rule “${rule}”`);
      const decision = decideCase(engine, who, action, resource, where);
      if (decision.rule !== null) seen.add(decision.rule);
      const came = `${decision.allowed ? 'allow' : 'deny'} by ${decision.rule ?? 'no rule'}`;
      const wanted = `${expected} by ${rule || 'no rule'}`;
      if (came !== wanted) throw new RangeError(`expected ${wanted}, but it is ${came}`);
      passed++;
    } catch (thrown) {
      failed.push({ line, message: (thrown as Error).message });
    }
  }
  return { passed, failed, untested: rules.filter((rule) => !seen.has(rule)) };
}

function decideCase(engine: PolicyEngine, who: string, action: string, what: string, where: string): AccessDecision {
  const [asks, resource, circumstances] = [wordsOf(who, WHO), wordsOf(what, WHAT), wordsOf(where, WHERE)];
  const [named = '', ...more] = resource.bare;
  const at = named.indexOf(':');
  if (at < 1 || more.length > 0) throw new RangeError('a resource is type:id');
  const roles = asks.bare.filter((word) => word !== 'nobody-in-particular').map((word) => word.replace(/^role:/, ''));
  const unknown = roles.find((role) => !ROLES.some((known) => known === role));
  if (unknown !== undefined) throw new RangeError(`there is no role “${unknown}”`);
  const { clearance = '0', department = '', branch = '', certification = '', user = 'usr_0' } = asks.named;
  const attributes = {
    department,
    branch,
    clearance: Number(clearance),
    certifications: certification.split('|').filter(Boolean),
  };
  const strength = circumstances.named['strength'] ?? 'second-factor';
  if (!STRENGTHS.some((known) => known === strength)) throw new RangeError(`there is no strength “${strength}”`);
  const asker = {
    subject: user,
    roles: roles as Role[],
    restricted: asks.named['restricted'] === 'yes',
    mustChangePassword: asks.named['expired'] === 'yes',
    strength: strength as Strength,
    attributes,
  };
  const its = {
    classification: Number(resource.named['classification'] ?? 0),
    owner: resource.named['owner'] ?? '',
  };
  const context = {
    at: Date.parse(circumstances.named['at'] ?? NOON),
    address: circumstances.named['from'] ?? '',
    strength: asker.strength,
  };
  const target = { type: named.slice(0, at), id: named.slice(at + 1) };
  return engine.decide(questionOf(asker, action, target, its), context);
}

/** `role:analyst department=x` as its bare words and its named ones. @throws RangeError for a name that means nothing */
function wordsOf(cell: string, known: readonly string[]): { bare: string[]; named: Record<string, string> } {
  const bare: string[] = [];
  const named: Record<string, string> = {};
  for (const word of cell.split(/\s+/).filter(Boolean)) {
    const [, name, value] = /^([a-z]+)=(.*)$/.exec(word) ?? [];
    if (name === undefined) bare.push(word);
    else if (!known.includes(name)) throw new RangeError(`“${name}” means nothing here; there are ${known.join(', ')}`);
    else named[name] = value ?? '';
  }
  return { bare, named };
}
