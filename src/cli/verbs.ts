import { parseArgs } from 'node:util';

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
  tiles: { type: 'string' },
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

/** @throws TypeError for a switch that no verb has */
export const parse = (argv: readonly string[]) =>
  parseArgs({ args: [...argv], allowPositionals: true, options: OPTIONS });

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
  /** Fetches what runs it, and with that no more of the program than it needs: most of a short command's time is that. */
  readonly load: () => Promise<(invocation: Invocation) => Promise<number>>;
}

const verb = (words: string, rest: string, does: string, load: Verb['load']): Verb => ({
  words: words.split(' '),
  usage: `${words} ${rest}`.trim(),
  // Operands stand before the options.
  takes: `${rest} -`.split(' ').findIndex((word) => !/^\[?[A-Z]/.test(word)),
  needs: /^[A-Z]/.test(rest),
  does,
  load,
});

/** Every command there is, in the order in which the help names them. */
export const VERBS: readonly Verb[] = [
  verb('serve', '', 'Start the gateway (the default).', () => import('./serve.ts').then((of) => of.serve)),
  verb('config check', '', 'Check the configuration and name every fault.', () =>
    import('./config.ts').then((of) => of.checkConfig),
  ),
  verb('db migrate', '[--print-roles]', 'Bring the database up to date, or print the SQL a DBA runs first.', () =>
    import('./db.ts').then((of) => of.migrateCommand),
  ),
  verb('doctor', '', 'Look at everything that a gateway needs here; each line ok, warn or fail, and what to do.', () =>
    import('./doctor.ts').then((of) => of.doctor),
  ),
  verb('keys init', 'DIR', 'Make the keys that a gateway with a database of its own needs.', () =>
    import('./keys.ts').then((of) => of.initKeys),
  ),
  verb('keys rotate checkpoint', '[--prepare]', 'Let a new key sign the log; both keys vouch for it.', () =>
    import('./keeper.ts').then((of) => of.rotateCheckpointKey),
  ),
  verb('keys rotate', '', 'New keys for tokens and second factors, without a restart.', () =>
    import('./keys.ts').then((of) => of.rotateKeys),
  ),
  verb('certs dev', '', 'Make the development CA and its certificate for localhost, or renew what ends soon.', () =>
    import('./certs.ts').then((of) => of.makeDevelopmentCertificate),
  ),
  verb('login', '[NAME] [--url URL] [--ca FILE]', 'Sign in; the session is kept in a file of yours, mode 0600.', () =>
    import('./login.ts').then((of) => of.login),
  ),
  verb(
    'enrol',
    'LINK [--factor] [--ca FILE]',
    'Choose the password of an invitation, and set up its second factor.',
    () => import('./enrol.ts').then((of) => of.enrol),
  ),
  verb('logout', '', 'End that session.', () => import('./login.ts').then((of) => of.logout)),
  verb(
    'user add',
    'NAME --role ROLE … [--department D] [--clearance 0..4] [--branch B] [--certification C …] [--break-glass REASON]',
    'Make an account; prints its one-use enrolment link.',
    () => import('./user.ts').then((of) => of.addUser),
  ),
  verb('user list', '', 'All accounts.', () => import('./user.ts').then((of) => of.listUsers)),
  verb('user disable', 'NAME', 'End all sessions of an account and let it start none.', () =>
    import('./user.ts').then((of) => of.changeUser('disable')),
  ),
  verb('user enable', 'NAME', 'Let it sign in again.', () => import('./user.ts').then((of) => of.changeUser('enable'))),
  verb('user reset', 'NAME', 'Take password and factor away; prints a new link.', () =>
    import('./user.ts').then((of) => of.changeUser('reset')),
  ),
  verb('user erase', 'NAME', 'Forget who a disabled account was; the log keeps its id.', () =>
    import('./user.ts').then((of) => of.changeUser('erase')),
  ),
  verb(
    'key create',
    'NAME [--for ACCOUNT] [--days N] [--models a,b] [--actions infer] [--limits requests_day=N,…]',
    'Make an API key of yours, or of a service account; it is printed once.',
    () => import('./key.ts').then((of) => of.createKey),
  ),
  verb('key list', '[--all]', 'Your API keys, or everybody’s.', () => import('./key.ts').then((of) => of.listKeys)),
  verb('key revoke', 'ID', 'Revoke one of them on every replica; an admin anybody’s.', () =>
    import('./key.ts').then((of) => of.revokeKey),
  ),
  verb('model list', '', 'Models and their state on the gateway that answers.', () =>
    import('./model.ts').then((of) => of.listModels),
  ),
  verb(
    'model status',
    '',
    'Models and their state on every gateway; exit code 1 where these differ in what they offer.',
    () => import('./model.ts').then((of) => of.showModels),
  ),
  verb('model verify', '[ID]', 'Read the files of the catalogue whole and hold them against their digests.', () =>
    import('./model-files.ts').then((of) => of.verifyModels),
  ),
  verb('model load', 'ID', 'Put a model in service on every replica.', () =>
    import('./model.ts').then((of) => of.changeModel('load')),
  ),
  verb('model unload', 'ID', 'Take it out of service.', () =>
    import('./model.ts').then((of) => of.changeModel('unload')),
  ),
  verb('model pin', 'ID', 'Never evict it while it is in service.', () =>
    import('./model.ts').then((of) => of.changeModel('pin')),
  ),
  verb('model unpin', 'ID', 'Let it be evicted.', () => import('./model.ts').then((of) => of.changeModel('unpin'))),
  verb('scoring list', '', 'Every version of every score model.', () =>
    import('./scoring.ts').then((of) => of.listScoreModels),
  ),
  verb(
    'scoring install',
    'FILE [--classification 0..4] [--id ID] [--title TEXT] [--version N]',
    'Check, test under encryption and activate a score model (JSON or PMML).',
    () => import('./scoring.ts').then((of) => of.installScoreModel),
  ),
  verb('scoring activate', 'ID VERSION', 'Make another installed version the active one.', () =>
    import('./scoring.ts').then((of) => of.activateScoreModel(false)),
  ),
  verb('scoring retire', 'ID', 'Take a score model out of service.', () =>
    import('./scoring.ts').then((of) => of.activateScoreModel(true)),
  ),
  verb('scoring score', 'MODEL FILE.csv', 'Score customers that the gateway can not see; prints CSV.', () =>
    import('./scoring.ts').then((of) => of.scoreFile),
  ),
  verb('policy check', '[FOLDER]', 'Name everything that is wrong with a policy.', () =>
    import('./policy-draft.ts').then((of) => of.checkPolicies),
  ),
  verb('policy test', '[FOLDER]', 'Run its table of cases, tests.csv.', () =>
    import('./policy-draft.ts').then((of) => of.testPolicies),
  ),
  verb(
    'policy import',
    'FOLDER [--reason TEXT] [--break-glass REASON] [--from IP]',
    'Put a policy in force on every replica.',
    () => import('./policy.ts').then((of) => of.importPolicy),
  ),
  verb('policy list', '', 'The numbered policies.', () => import('./policy.ts').then((of) => of.listPolicies)),
  verb('policy show', 'N', 'A policy as it was imported.', () => import('./policy.ts').then((of) => of.showPolicy)),
  verb('policy diff', 'A B', 'What B changed in A.', () => import('./policy.ts').then((of) => of.diffVersions)),
  verb('policy rollback', 'N [--reason TEXT]', 'Put an earlier policy in force again.', () =>
    import('./policy.ts').then((of) => of.rollBack),
  ),
  verb(
    'policy explain',
    'USER ACTION RESOURCE [--at TIME] [--from IP] [--strength S]',
    'Which rule decides, and what the nearest others ask.',
    () => import('./policy.ts').then((of) => of.explainDecision),
  ),
  verb(
    'policy replay',
    '--draft FOLDER [--days N] [--export DIR]',
    'Which decisions of the log a draft would change.',
    () => import('./policy-replay.ts').then((of) => of.replayDraft),
  ),
  verb('quota list', '', 'Every limit that is set.', () => import('./quota.ts').then((of) => of.listQuotas)),
  verb(
    'quota set',
    'SCOPE --kind KIND --amount N [--dry-run] [--raise N --until TIME]',
    'Limit user:NAME, key:ID, role:NAME, department:NAME or model:ID.',
    () => import('./quota.ts').then((of) => of.setQuota),
  ),
  verb('quota clear', 'SCOPE --kind KIND', 'Take a limit away.', () =>
    import('./quota.ts').then((of) => of.clearQuota),
  ),
  verb(
    'audit verify',
    '[--from SEQ] [--to SEQ] [--export DIR | --via-api] [--key KEY]',
    'Recompute the whole log, or an export of it.',
    () => import('./audit.ts').then((of) => of.verifyCommand),
  ),
  verb(
    'audit export',
    '--format jsonl|csv|tiles --out DIR | --tiles DIR [--from SEQ] [--to SEQ] [--via-api [--from TIME] [--to TIME] [--actor NAME] [--action A] [--resource R] [--outcome O] [--request ID]]',
    'Write the log with its proofs; over the API what your role may see.',
    () => import('./audit.ts').then((of) => of.exportCommand),
  ),
  verb(
    'audit receipt',
    'FILE|REQUEST --key KEY [--prompt FILE] [--answer FILE] [--promise FILE] [--via-api [--out FILE]]',
    'Check a receipt, offline; over the API that of a request of yours.',
    () => import('./audit.ts').then((of) => of.receiptCommand),
  ),
  verb(
    'audit follow',
    '[--state FILE] [--from SEQ] [--syslog tls://HOST:PORT [--ca FILE] [--cert FILE --key FILE]]',
    'Hand on every record, as JSON lines or by syslog over TLS.',
    () => import('./follow.ts').then((of) => of.followCommand),
  ),
  verb('audit key', '', 'Print the key that verifies the log, and those before it.', () =>
    import('./audit.ts').then((of) => of.keyCommand),
  ),
  verb('audit retain', '', 'Drop the bodies of records that are older than audit.retentionDays.', () =>
    import('./keeper.ts').then((of) => of.retainCommand),
  ),
  verb('audit hold list', '', 'Legal holds.', () => import('./hold.ts').then((of) => of.listHolds)),
  verb(
    'audit hold add',
    '--reason TEXT [--actor ID] [--action A] [--resource R] [--request ID] [--from TIME] [--to TIME]',
    'Keep the records that match past their time.',
    () => import('./hold.ts').then((of) => of.addHold),
  ),
  verb('audit hold release', 'ID --reason TEXT', 'End a hold.', () => import('./hold.ts').then((of) => of.releaseHold)),
  verb('audit acknowledge', '--reason TEXT', 'Go on with a log that was restored from a backup, on record.', () =>
    import('./acknowledge.ts').then((of) => of.acknowledge),
  ),
];
