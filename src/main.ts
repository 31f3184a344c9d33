import { runCommand } from '#cli/command.ts';

/** The process: one command, its exit code. */
process.exitCode = await runCommand(process.argv.slice(2));
