import { join, resolve } from 'node:path';
import { makeCheckpointKey } from '#audit/checkpoint-key.files.ts';
import { makeSealKey } from '#identity/seal-key.files.ts';
import type { Invocation } from './command.ts';

/** `keys init DIR`: makes what is missing and overwrites nothing. */
export async function initKeys({ words, json }: Invocation): Promise<number> {
  const [folder] = words;
  if (folder === undefined || words.length !== 1) throw new Error('usage: strongroom keys init DIR');
  const file = join(resolve(folder), 'seal.key');
  const checkpointFile = join(resolve(folder), 'checkpoint.key');
  const made = await makeSealKey(file);
  const checkpointMade = await makeCheckpointKey(checkpointFile);
  if (json) process.stdout.write(`${JSON.stringify({ ok: true, file, made, checkpointFile, checkpointMade })}\n`);
  else {
    process.stdout.write(`${made ? 'Made' : 'Kept'} ${file}. Back it up: second factors can't be read without it.\n`);
    process.stdout.write(
      `${checkpointMade ? 'Made' : 'Kept'} ${checkpointFile}. Back it up, out of the reach of who administers the database.\n`,
    );
    process.stdout.write(
      `Name them in strongroom.yaml:\n  keys:\n    sealFile: ${file}\n    checkpointFile: ${checkpointFile}\n`,
    );
  }
  return 0;
}
