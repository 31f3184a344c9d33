import { parseArgs } from 'node:util';
import { ConfigFaults } from '#config/load.ts';
import { checkConfig } from './config.ts';
import { migrateCommand } from './db.ts';
import { initKeys } from './keys.ts';
import { serve } from './serve.ts';

/** What a verb is given: the words after it, and the switches that all verbs share. */
export interface Invocation {
  readonly words: readonly string[];
  readonly json: boolean;
  readonly printRoles: boolean;
}

interface Verb {
  readonly words: readonly string[];
  readonly usage: string;
  readonly does: string;
  /** Words that may follow; none unless it says so. */
  readonly takes?: number;
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
];

const HELP = `strongroom - a gateway for language models that run on your own machines

Usage: strongroom [VERB] [--json]

${VERBS.map(({ usage, does }) => `  ${usage.padEnd(28)}${does}`).join('\n')}

Settings come from strongroom.yaml (or STRONGROOM_CONFIG) and the environment:
STRONGROOM_HTTP__PORT=9443 sets http.port. DATABASE_URL names a Postgres of your own;
without it an embedded one runs in the data folder (STRONGROOM_DATA_DIR, default .strongroom).
`;

/** Runs one command line. Exit codes: 0 done, 1 failed or found wrong, 2 not a command. */
export async function runCommand(argv: readonly string[]): Promise<number> {
  let parsed: { values: { help?: boolean; json?: boolean; 'print-roles'?: boolean }; positionals: string[] };
  try {
    parsed = parseArgs({
      args: [...argv],
      allowPositionals: true,
      options: { help: { type: 'boolean', short: 'h' }, json: { type: 'boolean' }, 'print-roles': { type: 'boolean' } },
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
  const invocation = {
    words: asked.slice(verb.words.length),
    json: values.json === true,
    printRoles: values['print-roles'] === true,
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
