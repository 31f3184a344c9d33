import { parseArgs } from 'node:util';
import { ConfigFaults } from '#config/load.ts';
import { acknowledge } from './acknowledge.ts';
import { exportCommand, keyCommand, receiptCommand, verifyCommand } from './audit.ts';
import { checkConfig } from './config.ts';
import { migrateCommand } from './db.ts';
import { initKeys } from './keys.ts';
import { serve } from './serve.ts';

/** What a verb is given: the words after it, and the switches that all verbs share. */
export interface Invocation {
  readonly words: readonly string[];
  readonly json: boolean;
  readonly printRoles: boolean;
  readonly reason: string | undefined;
  /** Switches with a value, by name; only those that the verb takes. */
  readonly options: Readonly<Record<string, string | undefined>>;
}

interface Verb {
  readonly words: readonly string[];
  readonly usage: string;
  readonly does: string;
  /** Words that may follow; none unless it says so. */
  readonly takes?: number;
  /** Switches with a value that it takes. */
  readonly options?: readonly string[];
  /** Resolves with the exit code. */
  readonly run: (invocation: Invocation) => Promise<number>;
}

const VERBS: readonly Verb[] = [
  { words: ['serve'], usage: 'serve', does: 'Start the gateway (the default).', run: serve },
  {
    words: ['config', 'check'],
    usage: 'config check',
    does: 'Check the configuration and name every fault.',
    run: checkConfig,
  },
  {
    words: ['db', 'migrate'],
    usage: 'db migrate [--print-roles]',
    does: 'Bring the database up to date, or print the SQL a DBA runs first.',
    run: migrateCommand,
  },
  {
    words: ['keys', 'init'],
    usage: 'keys init DIR',
    takes: 1,
    does: 'Make the keys that a gateway with a database of its own needs.',
    run: initKeys,
  },
  {
    words: ['audit', 'acknowledge'],
    usage: 'audit acknowledge --reason TEXT',
    does: 'Go on with a log that was restored from a backup, on record.',
    run: acknowledge,
  },
  {
    words: ['audit', 'verify'],
    usage: 'audit verify [--from SEQ] [--to SEQ] [--export DIR] [--key KEY]',
    does: 'Recompute the whole log, or an export of it.',
    options: ['from', 'to', 'export', 'key'],
    run: verifyCommand,
  },
  {
    words: ['audit', 'export'],
    usage: 'audit export --format jsonl|csv|tiles --out DIR [--from SEQ] [--to SEQ]',
    does: 'Write the log with its proofs.',
    options: ['format', 'out', 'from', 'to'],
    run: exportCommand,
  },
  {
    words: ['audit', 'receipt'],
    usage: 'audit receipt FILE --key KEY [--prompt FILE] [--answer FILE]',
    takes: 1,
    does: 'Check a receipt, offline.',
    options: ['key', 'prompt', 'answer'],
    run: receiptCommand,
  },
  { words: ['audit', 'key'], usage: 'audit key', does: 'Print the key that verifies the log.', run: keyCommand },
];

/** All switches with a value. */
const OPTIONS = ['from', 'to', 'export', 'key', 'format', 'out', 'prompt', 'answer'] as const;
type ValueSwitches = { [name in (typeof OPTIONS)[number]]?: string };
const TYPES = Object.fromEntries(OPTIONS.map((name) => [name, { type: 'string' }])) as Record<
  (typeof OPTIONS)[number],
  { type: 'string' }
>;

const HELP = `strongroom - a gateway for language models that run on your own machines

Usage: strongroom [VERB] [--json]

${VERBS.map(({ usage, does }) => `  ${usage.padEnd(28)}${usage.length > 27 ? `\n${' '.repeat(30)}` : ''}${does}`).join('\n')}

Settings come from strongroom.yaml (or STRONGROOM_CONFIG) and the environment:
STRONGROOM_HTTP__PORT=9443 sets http.port. DATABASE_URL names a Postgres of your own;
without it an embedded one runs in the data folder (STRONGROOM_DATA_DIR, default .strongroom).
`;

/** Runs one command line. Exit codes: 0 done, 1 failed or found wrong, 2 not a command. */
export async function runCommand(argv: readonly string[]): Promise<number> {
  let parsed: {
    values: { help?: boolean; json?: boolean; 'print-roles'?: boolean; reason?: string } & ValueSwitches;
    positionals: string[];
  };
  try {
    parsed = parseArgs({
      args: [...argv],
      allowPositionals: true,
      options: {
        help: { type: 'boolean', short: 'h' },
        json: { type: 'boolean' },
        'print-roles': { type: 'boolean' },
        reason: { type: 'string' },
        ...TYPES,
      },
    });
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
  const verb = VERBS.find(({ words }) => words.every((word, at) => asked[at] === word));
  if (verb === undefined || asked.length > verb.words.length + (verb.takes ?? 0)) {
    const shown = asked.slice(0, (verb?.words.length ?? 1) + 1).join(' ');
    process.stderr.write(`strongroom: there is no command \`${shown.slice(0, 60)}\`\n\n${HELP}`);
    return 2;
  }
  const options = Object.fromEntries(
    OPTIONS.flatMap((name) => (values[name] === undefined ? [] : [[name, values[name]]])),
  );
  const foreign = Object.keys(options).find((name) => verb.options?.includes(name) !== true);
  if (foreign !== undefined) {
    process.stderr.write(`strongroom: \`${verb.words.join(' ')}\` takes no --${foreign}\n\n${HELP}`);
    return 2;
  }
  const invocation = {
    options,
    words: asked.slice(verb.words.length),
    json: values.json === true,
    printRoles: values['print-roles'] === true,
    reason: values.reason,
  };
  try {
    return await verb.run(invocation);
  } catch (error) {
    const faults = error instanceof ConfigFaults ? error.faults : undefined;
    if (invocation.json)
      process.stdout.write(`${JSON.stringify({ ok: false, error: (error as Error).message, faults })}\n`);
    else process.stderr.write(`strongroom: ${(error as Error).message}\n`);
    return 1;
  }
}
