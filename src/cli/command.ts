import type { ConfigFaults } from '#config/load.ts';
import { parse, VERBS } from './verbs.ts';

/** Switches that every verb takes; the others only where its usage names them. */
const COMMON: ReadonlySet<string> = new Set(['help', 'json']);

const HELP = `strongroom - a gateway for language models that run on your own machines

Usage: strongroom [VERB] [--json]

${VERBS.map(({ usage, does }) => `  ${usage.padEnd(38)}${usage.length > 37 ? `\n${' '.repeat(40)}` : ''}${does}`).join('\n')}

--break-glass makes an admin without one, on the record. A verb that changes something asks the code of your
second factor for that one operation.

Settings come from strongroom.yaml (or STRONGROOM_CONFIG) and the environment:
STRONGROOM_HTTP__PORT=9443 sets http.port. DATABASE_URL (or the file
that DATABASE_URL_FILE names) is a Postgres of your own;
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
    const run = await found.load();
    return await run(invocation);
  } catch (error) {
    // Told by its name: its module is half of the time that a short command takes.
    const faults = (error as Error).name === 'ConfigFaults' ? (error as ConfigFaults).faults : undefined;
    if (invocation.json)
      process.stdout.write(`${JSON.stringify({ ok: false, error: (error as Error).message, faults })}\n`);
    else process.stderr.write(`strongroom: ${(error as Error).message}\n`);
    return 1;
  }
}
