import { type BoundLine, parsePolicy, type Rule } from './policy-text.ts';

export interface ChangedLine {
  readonly name: string;
  /** The line as it was and as it is, in one spelling; null where it is not there. */
  readonly before: string | null;
  readonly after: string | null;
}

/** What one policy changes in another, rule by rule and bound by bound. */
export interface PolicyDiff {
  /** Whether model.conf differs. */
  readonly model: boolean;
  readonly added: readonly ChangedLine[];
  readonly removed: readonly ChangedLine[];
  readonly changed: readonly ChangedLine[];
}

interface Texts {
  readonly model: string;
  readonly policy: string;
}

export function diffPolicies(before: Texts, after: Texts): PolicyDiff {
  const [old, young] = [linesOf(before.policy), linesOf(after.policy)];
  const all = [...new Set([...old.keys(), ...young.keys()])];
  const lines = all.map((name) => ({ name, before: old.get(name) ?? null, after: young.get(name) ?? null }));
  return {
    model: before.model !== after.model,
    added: lines.filter((line) => line.before === null),
    removed: lines.filter((line) => line.after === null),
    changed: lines.filter((line) => line.before !== null && line.after !== null && line.before !== line.after),
  };
}

function linesOf(policy: string): Map<string, string> {
  const { rules, bounds } = parsePolicy(policy);
  const lines = [...rules.map(ruleText), ...bounds.map(boundText)].map(([name, text]) => [name, text] as const);
  return new Map(lines);
}

const ruleText = ({ line: _line, name, ...cells }: Rule): [string, string] => [name, Object.values(cells).join(', ')];
const boundText = ({ line: _line, name, ...cells }: BoundLine): [string, string] => [
  name,
  Object.values(cells).join(', '),
];

/** Names that fit into a record; the digest stands for the whole. */
const MAX_NAMES = 12;

/** For the record of a change: counts, the first names, and the digest of the whole difference. */
export function diffFacts(diff: PolicyDiff, hash: (text: string) => string) {
  const names = (lines: readonly ChangedLine[]): string[] =>
    lines.slice(0, MAX_NAMES).map(({ name }) => name.slice(0, 64));
  return {
    model_changed: diff.model,
    added: diff.added.length,
    added_rules: names(diff.added),
    removed: diff.removed.length,
    removed_rules: names(diff.removed),
    changed: diff.changed.length,
    changed_rules: names(diff.changed),
    diff_sha256: hash(JSON.stringify(diff)),
  };
}
