import { parseArgs } from 'node:util';
import { ConfigFaults } from '#config/load.ts';
import { acknowledge } from './acknowledge.ts';
import { exportCommand, keyCommand, receiptCommand, verifyCommand } from './audit.ts';
import { checkConfig } from './config.ts';
import { migrateCommand } from './db.ts';
import { doctor } from './doctor.ts';
import { enrol } from './enrol.ts';
import { followCommand } from './follow.ts';
import { addHold, listHolds, releaseHold } from './hold.ts';
import { retainCommand, rotateCheckpointKey } from './keeper.ts';
import { createKey, listKeys, revokeKey } from './key.ts';
import { initKeys, rotateKeys } from './keys.ts';
import { login, logout } from './login.ts';
import { changeModel, listModels } from './model.ts';
import { diffVersions, explainDecision, importPolicy, listPolicies, rollBack, showPolicy } from './policy.ts';
import { checkPolicies, testPolicies } from './policy-draft.ts';
import { replayDraft } from './policy-replay.ts';
import { clearQuota, listQuotas, setQuota } from './quota.ts';
import { activateScoreModel, installScoreModel, listScoreModels, scoreFile } from './scoring.ts';
import { serve } from './serve.ts';
import { addUser, changeUser, listUsers } from './user.ts';

const OPTIONS = {
  help: { type: 'boolean', short: 'h' },
  json: { type: 'boolean' },
  'print-roles': { type: 'boolean' },
  url: { type: 'string' },
  ca: { type: 'string' },
  role: { type: 'string', multiple: true },
  department: { type: 'string' },
  branch: { type: 'string' },
  certification: { type: 'string', multiple: true },
  clearance: { type: 'string' },
  'break-glass': { type: 'string' },
  days: { type: 'string' },
  models: { type: 'string' },
  actions: { type: 'string' },
  reason: { type: 'string' },
  from: { type: 'string' },
  to: { type: 'string' },
  export: { type: 'string' },
  key: { type: 'string' },
  format: { type: 'string' },
  out: { type: 'string' },
  at: { type: 'string' },
  strength: { type: 'string' },
  draft: { type: 'string' },
  for: { type: 'string' },
  all: { type: 'boolean' },
  limits: { type: 'string' },
  factor: { type: 'boolean' },
  prompt: { type: 'string' },
  answer: { type: 'string' },
  promise: { type: 'string' },
  id: { type: 'string' },
  title: { type: 'string' },
  version: { type: 'string' },
  classification: { type: 'string' },
  state: { type: 'string' },
  syslog: { type: 'string' },
  cert: { type: 'string' },
  prepare: { type: 'boolean' },
  actor: { type: 'string' },
  action: { type: 'string' },
  resource: { type: 'string' },
  request: { type: 'string' },
  outcome: { type: 'string' },
  'via-api': { type: 'boolean' },
  kind: { type: 'string' },
  amount: { type: 'string' },
  'dry-run': { type: 'boolean' },
  raise: { type: 'string' },
  until: { type: 'string' },
} as const;
/** Switches that every verb takes; the others only where its usage names them. */
const COMMON: ReadonlySet<string> = new Set(['help', 'json']);

const parse = (argv: readonly string[]) => parseArgs({ args: [...argv], allowPositionals: true, options: OPTIONS });

/** What a verb is given: the words after it, and the switches. */
export interface Invocation {
  readonly words: readonly string[];
  readonly json: boolean;
  readonly options: ReturnType<typeof parse>['values'];
}

interface Verb {
  readonly words: readonly string[];
  readonly usage: string;
  readonly does: string;
  /** Words that may follow; none unless it says so. */
  readonly takes: number;
  /** Whether it makes no sense without that word. */
  readonly needs: boolean;
  /** Resolves with the exit code. */
  readonly run: (invocation: Invocation) => Promise<number>;
}

const verb = (words: string, rest: string, does: string, run: Verb['run']): Verb => ({
  words: words.split(' '),
  usage: `${words} ${rest}`.trim(),
  // Operands stand before the options.
  takes: `${rest} -`.split(' ').findIndex((word) => !/^\[?[A-Z]/.test(word)),
  needs: /^[A-Z]/.test(rest),
  does,
  run,
});

const VERBS: readonly Verb[] = [
  verb('serve', '', 'Start the gateway (the default).', serve),
  verb('config check', '', 'Check the configuration and name every fault.', checkConfig),
  verb(
    'db migrate',
    '[--print-roles]',
    'Bring the database up to date, or print the SQL a DBA runs first.',
    migrateCommand,
  ),
  verb(
    'doctor',
    '',
    'Look at everything that a gateway needs here; each line ok, warn or fail, and what to do.',
    doctor,
  ),
  verb('keys init', 'DIR', 'Make the keys that a gateway with a database of its own needs.', initKeys),
  verb(
    'keys rotate checkpoint',
    '[--prepare]',
    'Let a new key sign the log; both keys vouch for it.',
    rotateCheckpointKey,
  ),
  verb('keys rotate', '', 'New keys for tokens and second factors, without a restart.', rotateKeys),
  verb('login', '[NAME] [--url URL] [--ca FILE]', 'Sign in; the session is kept in a file of yours, mode 0600.', login),
  verb(
    'enrol',
    'LINK [--factor] [--ca FILE]',
    'Choose the password of an invitation, and set up its second factor.',
    enrol,
  ),
  verb('logout', '', 'End that session.', logout),
  verb(
    'user add',
    'NAME --role ROLE … [--department D] [--clearance 0..4] [--branch B] [--certification C …] [--break-glass REASON]',
    'Make an account; prints its one-use enrolment link.',
    addUser,
  ),
  verb('user list', '', 'All accounts.', listUsers),
  verb('user disable', 'NAME', 'End all sessions of an account and let it start none.', changeUser('disable')),
  verb('user enable', 'NAME', 'Let it sign in again.', changeUser('enable')),
  verb('user reset', 'NAME', 'Take password and factor away; prints a new link.', changeUser('reset')),
  verb('user erase', 'NAME', 'Forget who a disabled account was; the log keeps its id.', changeUser('erase')),
  verb(
    'key create',
    'NAME [--for ACCOUNT] [--days N] [--models a,b] [--actions infer] [--limits requests_day=N,…]',
    'Make an API key of yours, or of a service account; it is printed once.',
    createKey,
  ),
  verb('key list', '[--all]', 'Your API keys, or everybody’s.', listKeys),
  verb('key revoke', 'ID', 'Revoke one of them on every replica; an admin anybody’s.', revokeKey),
  verb('model list', '', 'Models and their state.', listModels),
  verb('model status', '', 'The same.', listModels),
  verb('model load', 'ID', 'Put a model in service on every replica.', changeModel('load')),
  verb('model unload', 'ID', 'Take it out of service.', changeModel('unload')),
  verb('model pin', 'ID', 'Never evict it while it is in service.', changeModel('pin')),
  verb('model unpin', 'ID', 'Let it be evicted.', changeModel('unpin')),
  verb('scoring list', '', 'Every version of every score model.', listScoreModels),
  verb(
    'scoring install',
    'FILE [--classification 0..4] [--id ID] [--title TEXT] [--version N]',
    'Check, test under encryption and activate a score model (JSON or PMML).',
    installScoreModel,
  ),
  verb('scoring activate', 'ID VERSION', 'Make another installed version the active one.', activateScoreModel(false)),
  verb('scoring retire', 'ID', 'Take a score model out of service.', activateScoreModel(true)),
  verb('scoring score', 'MODEL FILE.csv', 'Score customers that the gateway can not see; prints CSV.', scoreFile),
  verb('policy check', '[FOLDER]', 'Name everything that is wrong with a policy.', checkPolicies),
  verb('policy test', '[FOLDER]', 'Run its table of cases, tests.csv.', testPolicies),
  verb(
    'policy import',
    'FOLDER [--reason TEXT] [--break-glass REASON] [--from IP]',
    'Put a policy in force on every replica.',
    importPolicy,
  ),
  verb('policy list', '', 'The numbered policies.', listPolicies),
  verb('policy show', 'N', 'A policy as it was imported.', showPolicy),
  verb('policy diff', 'A B', 'What B changed in A.', diffVersions),
  verb('policy rollback', 'N [--reason TEXT]', 'Put an earlier policy in force again.', rollBack),
  verb(
    'policy explain',
    'USER ACTION RESOURCE [--at TIME] [--from IP] [--strength S]',
    'Which rule decides, and what the nearest others ask.',
    explainDecision,
  ),
  verb(
    'policy replay',
    '--draft FOLDER [--days N] [--export DIR]',
    'Which decisions of the log a draft would change.',
    replayDraft,
  ),
  verb('quota list', '', 'Every limit that is set.', listQuotas),
  verb(
    'quota set',
    'SCOPE --kind KIND --amount N [--dry-run] [--raise N --until TIME]',
    'Limit user:NAME, key:ID, role:NAME, department:NAME or model:ID.',
    setQuota,
  ),
  verb('quota clear', 'SCOPE --kind KIND', 'Take a limit away.', clearQuota),
  verb(
    'audit verify',
    '[--from SEQ] [--to SEQ] [--export DIR | --via-api] [--key KEY]',
    'Recompute the whole log, or an export of it.',
    verifyCommand,
  ),
  verb(
    'audit export',
    '--format jsonl|csv|tiles --out DIR [--from SEQ] [--to SEQ] [--via-api [--from TIME] [--to TIME] [--actor NAME] [--action A] [--resource R] [--outcome O] [--request ID]]',
    'Write the log with its proofs; over the API what your role may see.',
    exportCommand,
  ),
  verb(
    'audit receipt',
    'FILE|REQUEST --key KEY [--prompt FILE] [--answer FILE] [--promise FILE] [--via-api [--out FILE]]',
    'Check a receipt, offline; over the API that of a request of yours.',
    receiptCommand,
  ),
  verb(
    'audit follow',
    '[--state FILE] [--from SEQ] [--syslog tls://HOST:PORT [--ca FILE] [--cert FILE --key FILE]]',
    'Hand on every record, as JSON lines or by syslog over TLS.',
    followCommand,
  ),
  verb('audit key', '', 'Print the key that verifies the log, and those before it.', keyCommand),
  verb('audit retain', '', 'Drop the bodies of records that are older than audit.retentionDays.', retainCommand),
  verb('audit hold list', '', 'Legal holds.', listHolds),
  verb(
    'audit hold add',
    '--reason TEXT [--actor ID] [--action A] [--resource R] [--request ID] [--from TIME] [--to TIME]',
    'Keep the records that match past their time.',
    addHold,
  ),
  verb('audit hold release', 'ID --reason TEXT', 'End a hold.', releaseHold),
  verb(
    'audit acknowledge',
    '--reason TEXT',
    'Go on with a log that was restored from a backup, on record.',
    acknowledge,
  ),
];

const HELP = `strongroom - a gateway for language models that run on your own machines

Usage: strongroom [VERB] [--json]

${VERBS.map(({ usage, does }) => `  ${usage.padEnd(38)}${usage.length > 37 ? `\n${' '.repeat(40)}` : ''}${does}`).join('\n')}

--break-glass makes an admin without one, on the record. A verb that changes something asks the code of your
second factor for that one operation.

Settings come from strongroom.yaml (or STRONGROOM_CONFIG) and the environment:
STRONGROOM_HTTP__PORT=9443 sets http.port. DATABASE_URL names a Postgres of your own;
without it an embedded one runs in the data folder (STRONGROOM_DATA_DIR, default .strongroom).
`;

/** Runs one command line. Exit codes: 0 done, 1 failed or found wrong, 2 not a command. */
export async function runCommand(argv: readonly string[]): Promise<number> {
  let parsed: ReturnType<typeof parse>;
  try {
    parsed = parse(argv);
  } catch (error) {
    process.stderr.write(`${(error as Error).message}\n\n${HELP}`);
    return 2;
  }
  const { values, positionals } = parsed;
  if (values.help === true || positionals[0] === 'help') {
    process.stdout.write(HELP);
    return 0;
  }
  const asked = positionals.length === 0 ? ['serve'] : positionals;
  const found = VERBS.find(({ words }) => words.every((word, at) => asked[at] === word));
  if (found === undefined || asked.length > found.words.length + found.takes) {
    const shown = asked.slice(0, (found?.words.length ?? 1) + 1).join(' ');
    process.stderr.write(`strongroom: there is no command \`${shown.slice(0, 60)}\`\n\n${HELP}`);
    return 2;
  }
  if (found.needs && asked.length === found.words.length) {
    process.stderr.write(`usage: strongroom ${found.usage}\n`);
    return 2;
  }
  const foreign = Object.keys(values).find((name) => !COMMON.has(name) && !found.usage.includes(`--${name}`));
  if (foreign !== undefined) {
    process.stderr.write(`strongroom: \`${found.words.join(' ')}\` takes no --${foreign}\n\n${HELP}`);
    return 2;
  }
  const invocation = { words: asked.slice(found.words.length), json: values.json === true, options: values };
  try {
    return await found.run(invocation);
  } catch (error) {
    const faults = error instanceof ConfigFaults ? error.faults : undefined;
    if (invocation.json)
      process.stdout.write(`${JSON.stringify({ ok: false, error: (error as Error).message, faults })}\n`);
    else process.stderr.write(`strongroom: ${(error as Error).message}\n`);
    return 1;
  }
}
