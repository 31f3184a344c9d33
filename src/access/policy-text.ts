/** A line `p, …`: who may (or may not) do what, when, and why. */
export interface Rule {
  readonly line: number;
  readonly name: string;
  readonly subject: string;
  readonly type: string;
  readonly id: string;
  readonly action: string;
  readonly department: string;
  readonly clearance: string;
  readonly effect: string;
  readonly when: string;
  readonly explanation: string;
}

/** A line `b, …`: what a subject may ask of a model. */
export interface BoundLine {
  readonly line: number;
  readonly name: string;
  readonly subject: string;
  readonly model: string;
  readonly parameter: string;
  readonly allowed: string;
  readonly otherwise: string;
  readonly explanation: string;
}

export type Severity = 'error' | 'warning';

/** Something wrong with a policy. `line` counts from 1; null where it is about the whole. */
export interface Fault {
  readonly severity: Severity;
  readonly line: number | null;
  /** Name of the rule or bound. */
  readonly rule: string | null;
  readonly message: string;
}

export interface PolicyDocument {
  readonly rules: readonly Rule[];
  readonly bounds: readonly BoundLine[];
  /** Lines that could not be read. A policy that has any does not load. */
  readonly faults: readonly Fault[];
}

const RULE_CELLS = { least: 9, most: 11 };
const BOUND_CELLS = 8;
export const MAX_POLICY_BYTES = 4 * 1024 * 1024;

/** Reads policy.csv. Conditions and explanations may be left out at the end of a rule. */
export function parsePolicy(text: string): PolicyDocument {
  const [rules, bounds, faults]: [Rule[], BoundLine[], Fault[]] = [[], [], []];
  for (const [at, raw] of text.split(/\r?\n/).entries()) {
    const source = raw.trim();
    if (source === '' || source.startsWith('#')) continue;
    const line = at + 1;
    const wrong = (message: string) => faults.push({ severity: 'error', line, rule: null, message });
    const cells = splitCells(source);
    if (cells === null) {
      wrong('a quote or a control character is out of place');
      continue;
    }
    const [kind = '', name = ''] = cells;
    if (kind === 'p' && cells.length >= RULE_CELLS.least && cells.length <= RULE_CELLS.most) {
      const [, , subject = '', type = '', id = '', action = '', department = '', clearance = '', effect = ''] = cells;
      const [when = '', explanation = ''] = cells.slice(RULE_CELLS.least);
      rules.push({ line, name, subject, type, id, action, department, clearance, effect, when, explanation });
    } else if (kind === 'b' && cells.length === BOUND_CELLS) {
      const [, , subject = '', model = '', parameter = '', allowed = '', otherwise = '', explanation = ''] = cells;
      bounds.push({ line, name, subject, model, parameter, allowed, otherwise, explanation });
    } else if (kind === 'p' || kind === 'b') {
      const wanted = kind === 'p' ? `${RULE_CELLS.least} to ${RULE_CELLS.most}` : String(BOUND_CELLS);
      wrong(`a line ${kind} has ${wanted} cells, this one ${cells.length}`);
    } else wrong(`a line begins with p or b, not with “${kind.slice(0, 20)}”`);
  }
  return { rules, bounds, faults };
}

/** RFC 4180's cells, blanks around them trimmed; null where a quote is out of place. */
export function splitCells(line: string): string[] | null {
  const cells: string[] = [];
  let rest = line;
  for (;;) {
    const found = /^\s*(?:"((?:[^"]|"")*)"|([^",]*))\s*(,|$)/.exec(rest);
    // biome-ignore lint/suspicious/noControlCharactersInRegex: what must not be in a policy is looked for.
    if (found === null || /[\u0000-\u001f\u007f]/.test(found[0].replaceAll('\t', ' '))) return null;
    cells.push((found[1]?.replaceAll('""', '"') ?? found[2] ?? '').trim());
    if (found[3] === '') return cells;
    rest = rest.slice(found[0].length);
  }
}

/** The cells of a rule in the order of `p` in model.conf. */
export const cellsOf = (rule: Rule): string[] => [
  rule.name,
  rule.subject,
  rule.type,
  rule.id,
  rule.action,
  rule.department,
  rule.clearance,
  rule.effect,
  rule.when,
  rule.explanation,
];
