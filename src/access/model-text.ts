import { conjunctsOf } from './rule-index.ts';

/** What a model may call, and with how many arguments. */
const FUNCTIONS: Readonly<Record<string, number>> = { holds: 2, same: 2, covers: 2, atLeast: 2, met: 9 };
const EFFECT = 'some(where(p.eft==allow))&&!some(where(p.eft==deny))';
const RULE_TOKENS = ['rule', 'sub', 'type', 'id', 'act', 'department', 'clearance', 'eft', 'when', 'why'];
const REQUEST_TOKENS = [
  'subjects',
  'department',
  'clearance',
  'branch',
  'certifications',
  'type',
  'id',
  'classification',
  'owner',
  'act',
  'context',
];

/** The value of `key` in a section of model.conf; empty where it is not there. */
export function modelPart(model: string, section: string, key: string): string {
  let inside = false;
  for (const line of model.split(/\r?\n/).map((one) => one.trim())) {
    if (line.startsWith('[')) inside = line === `[${section}]`;
    else if (inside && line.startsWith(`${key} =`)) return line.slice(key.length + 2).trim();
  }
  return '';
}

/**
 * What is wrong with a model: it must be our request and rule, deny over allow, and a matcher of calls of our own exact
 * functions joined by `&&`. Operators such as `==` coerce, and Casbin's own functions match more than they say.
 */
export function modelFaults(model: string): string[] {
  const faults: string[] = [];
  const [request, rule] = [modelPart(model, 'request_definition', 'r'), modelPart(model, 'policy_definition', 'p')];
  const stray = request.split(',').find((token) => !REQUEST_TOKENS.includes(token.trim()));
  if (stray !== undefined) faults.push(`a request has no “${stray.trim()}”; it has ${REQUEST_TOKENS.join(', ')}`);
  const cells = rule.split(',').map((cell) => cell.trim());
  if (cells.length < 8 || cells.some((cell, at) => cell !== RULE_TOKENS[at]))
    faults.push(`a rule is ${RULE_TOKENS.join(', ')}, in this order`);
  if (modelPart(model, 'policy_effect', 'e').replaceAll(/\s+/g, '') !== EFFECT)
    faults.push('the effect must be deny over allow: some(where (p.eft == allow)) && !some(where (p.eft == deny))');
  const calls = conjunctsOf(modelPart(model, 'matchers', 'm'));
  if (calls === null) faults.push('a matcher is calls of our functions joined by &&, without operators of any kind');
  for (const call of calls ?? []) {
    const [name = '', list = ''] = call.slice(0, -1).split('(');
    const names = list.split(',');
    if (!Object.hasOwn(FUNCTIONS, name)) faults.push(`there is no function ${name}()`);
    else if (names.length !== FUNCTIONS[name]) faults.push(`${name}() takes ${FUNCTIONS[name]} values`);
    for (const one of names) {
      const [source = '', field = '', more] = one.split('.');
      const known = source === 'r' ? REQUEST_TOKENS : source === 'p' ? RULE_TOKENS : [];
      if (more !== undefined || !known.includes(field)) faults.push(`${name}() is given “${one}”, which is nothing`);
    }
  }
  const missing = ['holds(r.subjects,p.sub)', 'same(r.act,p.act)', 'same(r.type,p.type)', 'covers(p.id,r.id)'].find(
    (call) => calls !== null && !calls.includes(call),
  );
  if (missing !== undefined) faults.push(`the matcher must ask ${missing}, or a rule would mean more than it says`);
  return faults;
}
