import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { compilePolicy } from '#access/access.casbin.ts';
import { runCases } from '#access/policy-cases.ts';
import { hasErrors } from '#access/policy-check.ts';
import { parsePolicy } from '#access/policy-text.ts';
import { loadConfig } from '#config/load.ts';
import { siteOf } from '#gateway-access.ts';
import { faultsOf, readDraft, sayFaults } from './policy-folder.ts';
import type { Invocation } from './verbs.ts';

/** `policy check [FOLDER]`: exit code 1 where there is an error; a warning alone is none. */
export async function checkPolicies({ words, json }: Invocation): Promise<number> {
  const draft = await readDraft(words[0]);
  const faults = faultsOf(draft);
  const wrong = hasErrors(faults);
  const { rules, bounds } = parsePolicy(draft.policy);
  if (json)
    process.stdout.write(`${JSON.stringify({ ok: !wrong, rules: rules.length, bounds: bounds.length, faults })}\n`);
  else {
    sayFaults(faults);
    process.stdout.write(
      `${draft.folder}: ${rules.length} rules and ${bounds.length} bounds, ${wrong ? 'with faults' : 'no errors'}.\n`,
    );
  }
  return wrong ? 1 : 0;
}

/** `policy test [FOLDER]`: runs tests.csv. Exit code 1 where a case comes out otherwise, or there is none. */
export async function testPolicies({ words, json }: Invocation): Promise<number> {
  const draft = await readDraft(words[0]);
  const engine = await compilePolicy({ ...draft, version: 0, sha256: '' }, siteOf(loadConfig().config));
  const names = parsePolicy(draft.policy).rules.map(({ name }) => name);
  const { passed, failed, untested } = runCases(await readFile(join(draft.folder, 'tests.csv'), 'utf8'), engine, names);
  const ok = failed.length === 0 && passed > 0;
  if (json) process.stdout.write(`${JSON.stringify({ ok, passed, failed, untested })}\n`);
  else {
    for (const { line, message } of failed) process.stdout.write(`tests.csv line ${line}: ${message}\n`);
    if (untested.length > 0) process.stdout.write(`No case shows what these do: ${untested.join(', ')}\n`);
    process.stdout.write(`${passed} cases as they should be, ${failed.length} not.\n`);
  }
  return ok ? 0 : 1;
}
