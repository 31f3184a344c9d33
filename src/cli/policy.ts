import { userInfo } from 'node:os';
import { compilePolicy } from '#access/access.casbin.ts';
import { postgresPolicies } from '#access/access.postgres.ts';
import type { Explanation, PolicyDiff, PolicyImported } from '#access/policies.contract.ts';
import { Policies } from '#access/policies.service.ts';
import { hasErrors } from '#access/policy-check.ts';
import { SYSTEM } from '#audit/event.ts';
import { loadConfig } from '#config/load.ts';
import { siteOf, surroundingsOf } from '#gateway-access.ts';
import { openDatabase, tlsOf } from '#gateway-database.ts';
import { sha256Hex } from '#kernel/id.ts';
import { pinoLog } from '#logging/log.pino.ts';
import { openPool } from '#postgres/pool.ts';
import { Client, readSession } from './client.ts';
import { directRecorder } from './direct-record.ts';
import { type Draft, faultsOf, readDraft, sayFaults } from './policy-folder.ts';
import { printRows } from './table.ts';
import { openTerminal } from './terminal.ts';
import type { Invocation } from './verbs.ts';

const COLUMNS = ['version', 'created_at', 'created_by', 'restored', 'sha256', 'reason'];

async function call<T>(method: string, path: string, body?: unknown): Promise<T> {
  using terminal = openTerminal();
  return (await new Client(await readSession(), terminal).call(method, path, body)) as T;
}

const say = (json: boolean, value: unknown, lines: readonly string[]): void => {
  process.stdout.write(json ? `${JSON.stringify(value)}\n` : lines.map((line) => `${line}\n`).join(''));
};

/** `policy list`. */
export async function listPolicies({ json }: Invocation): Promise<number> {
  const { data, folder } = await call<{
    data: Record<string, unknown>[];
    folder: { differs: boolean; diff: PolicyDiff };
  }>('GET', '/admin/policies');
  printRows(data, COLUMNS, json);
  if (folder.differs && !json) {
    process.stderr.write('policies/ on the server is not what is in force:\n');
    for (const line of diffLines(folder.diff)) process.stderr.write(`${line}\n`);
  }
  return 0;
}

/** `policy show N`. */
export async function showPolicy({ words, json }: Invocation): Promise<number> {
  const found = await call<{ model: string; policy: string }>('GET', `/admin/policies/${versionOf(words[0])}`);
  say(json, found, [found.policy.trimEnd()]);
  return 0;
}

/** `policy diff A B`. */
export async function diffVersions({ words, json }: Invocation): Promise<number> {
  const [before, after] = [versionOf(words[0]), versionOf(words[1])];
  const diff = await call<PolicyDiff>('GET', `/admin/policies/${after}/diff?against=${before}`);
  say(json, diff, diffLines(diff));
  return 0;
}

/** `policy rollback N`. */
export async function rollBack({ words, options, json }: Invocation): Promise<number> {
  const body = { reason: options.reason ?? '' };
  const made = await call<PolicyImported>('POST', `/admin/policies/${versionOf(words[0])}/rollback`, body);
  say(json, made, [`Policy ${made.version.version} is in force.`, ...diffLines(made.diff)]);
  return 0;
}

/** `policy import FOLDER`: checked here, and by the server again. */
export async function importPolicy({ words, options, json }: Invocation): Promise<number> {
  if (words[0] === undefined) throw new Error('usage: strongroom policy import FOLDER [--reason TEXT]');
  const draft = await readDraft(words[0]);
  const emergency = options['break-glass'];
  if (emergency !== undefined) {
    const version = await importDirectly(draft, emergency, options.from ?? '127.0.0.1');
    say(json, { ok: true, version }, [`Policy ${version} is in force.`]);
    return 0;
  }
  const faults = faultsOf(draft);
  if (!json) sayFaults(faults);
  if (hasErrors(faults)) throw new Error('the policy has faults, so it was not sent');
  const { model, policy } = draft;
  const made = await call<PolicyImported>('POST', '/admin/policies', { model, policy, reason: options.reason ?? '' });
  say(json, made, [`Policy ${made.version.version} is in force.`, ...diffLines(made.diff)]);
  return 0;
}

/**
 * Straight to the database: where the policy in force lets no admin change it, as one of an older release does. Checked
 * as every import, and on the record with the operating system's user. `address`: from where an admin must be able to
 * change it again.
 */
async function importDirectly(draft: Draft, reason: string, address: string): Promise<number> {
  const { config, base } = loadConfig();
  const log = pinoLog('warn');
  await using stack = new AsyncDisposableStack();
  const database = stack.use(await openDatabase(config, base, log));
  const pool = stack.use(
    openPool(database.urls.runtime, { applicationName: 'strongroom-policy', max: 2, log, ...tlsOf(database.urls) }),
  );
  const site = siteOf(config);
  const policies = new Policies({
    store: postgresPolicies(pool),
    recorder: directRecorder(stack, pool, config.quota.timeZone, log),
    compile: (text) => compilePolicy(text, site),
    attributesOf: () => null,
    surroundings: surroundingsOf(config),
    site,
    now: Date.now,
    hash: sha256Hex,
    folder: draft,
  });
  const facts = { os_user: userInfo().username, door: `break-glass: ${reason.slice(0, 200)}` };
  const actor = { id: SYSTEM, requestId: null, address, peer: null, facts };
  return (await policies.import(draft, reason.slice(0, 200), actor)).version.version;
}

/** `policy explain USER ACTION RESOURCE`: exit code 0 where it is allowed, 1 where it is denied. */
export async function explainDecision({ words, options, json }: Invocation): Promise<number> {
  const [user = '', action = '', resource = ''] = words;
  const { at, from, strength } = options;
  const query = new URLSearchParams({ user, action, resource });
  for (const [name, value] of Object.entries({ at, from, strength })) if (value !== undefined) query.set(name, value);
  const found = await call<Explanation>('GET', `/admin/policies/explain?${query}`);
  const lines = found.rules.flatMap(({ rule, effect, applies, explanation, conditions }) => [
    `${applies ? '*' : ' '} ${rule} (${effect}): ${explanation}`,
    ...conditions.map(
      ({ asks, found: is, met }) => `      ${met ? 'yes' : 'NO '}  ${asks}${met ? '' : `, but it is ${is}`}`,
    ),
  ]);
  say(json, found, [`${found.because} (policy ${found.policy_version})`, ...lines]);
  return found.allowed ? 0 : 1;
}

function versionOf(word: string | undefined): number {
  if (word === undefined || !/^[1-9]\d{0,8}$/.test(word)) throw new Error('give the number of a policy');
  return Number(word);
}

function diffLines({ model, added, removed, changed }: PolicyDiff): string[] {
  const lines = [
    ...(model ? ['~ model.conf'] : []),
    ...added.map(({ name, after }) => `+ ${name}: ${after}`),
    ...removed.map(({ name, before }) => `- ${name}: ${before}`),
    ...changed.flatMap(({ name, before, after }) => [`- ${name}: ${before}`, `+ ${name}: ${after}`]),
  ];
  return lines.length === 0 ? ['Nothing is different.'] : lines;
}
